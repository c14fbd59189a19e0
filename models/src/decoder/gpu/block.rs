//! One block on a GPU: forward, and backward by hand.

use half::bf16;
use rtune_adapters::PaddedLayout;
use rtune_kernels::cuda::norm::Input;
use rtune_kernels::cuda::{CudaError, Device, Matrix, SpanMut, elementwise};

use super::super::block::{Block, MlpKind};
use super::super::norm::Norm;
use super::GpuError;
use super::attention::{self, GpuAttention};
use super::context::{Context, Rows};
use super::experts::{self, GpuExperts};
use super::mlp::{self, GpuMlp};
use super::norm::{GpuNorm, Moments};

/// Weights of one block.
pub(super) struct GpuBlock {
    /// Before and behind attention, before and behind the MLP.
    norms: [Option<GpuNorm>; 4],
    parallel: bool,
    residual_scale: f32,
    width: usize,
    pub(super) attention: GpuAttention,
    mlp: Kind,
}

enum Kind {
    One(GpuMlp),
    Several(GpuExperts),
}

/// What is kept of a block beside its input; `S`: what attention keeps.
pub(super) struct Kept<S> {
    attention_moments: Option<Moments>,
    attention: S,
    attention_out: Option<Behind>,
    /// The residual behind attention; `None` where the MLP does not read it.
    x1: Option<Rows>,
    mlp_moments: Option<Moments>,
    mlp: KindSaved,
    mlp_out: Option<Behind>,
}

/// What the backward pass of a block reads.
pub(super) type Inner = Kept<attention::Saved>;

enum KindSaved {
    One(mlp::Saved),
    Several(experts::Saved),
}

/// The input of a norm behind a sub-layer, and what it gave beside its output.
struct Behind {
    x: Rows,
    moments: Moments,
}

impl GpuBlock {
    pub(super) fn upload(device: &Device, block: &Block, layout: &PaddedLayout) -> Result<Self, GpuError> {
        let norms = &block.norms;
        let norm = |norm: &Option<Norm>| {
            norm.as_ref().map(|norm| GpuNorm::upload(device, norm)).transpose().map_err(GpuError::from)
        };
        let attention = GpuAttention::upload(device, &block.attention, layout)?;
        Ok(Self {
            norms: [
                norm(&norms.attention)?,
                norm(&norms.attention_out)?,
                norm(&norms.mlp)?,
                norm(&norms.mlp_out)?,
            ],
            parallel: block.parallel,
            residual_scale: block.residual_scale as f32,
            width: attention.output.outputs,
            attention,
            mlp: match &block.mlp {
                MlpKind::One(mlp) => Kind::One(GpuMlp::upload(device, mlp, layout)?),
                MlpKind::Several(experts) => Kind::Several(GpuExperts::upload(device, experts, layout)?),
            },
        })
    }

    /// Whether something of it is trained.
    pub(super) fn is_trained(&self) -> bool {
        let of = |mlp: &GpuMlp| mlp.inputs.is_trained() || mlp.down.is_trained();
        let inside = match &self.mlp {
            Kind::One(mlp) => of(mlp),
            Kind::Several(experts) => experts.experts.iter().any(of),
        };
        inside || self.attention.projections.is_trained() || self.attention.output.is_trained()
    }

    /// Columns of the residual's gradient: those of adapters that write to the residual stand behind it.
    pub(super) fn residual_columns(&self, c: &Context<'_>) -> usize {
        let down = match &self.mlp {
            Kind::One(mlp) => mlp.down.ranks(c),
            Kind::Several(_) => 0,
        };
        self.width + self.attention.output.ranks(c).max(down)
    }

    /// Columns of what the MLP reads.
    fn mlp_columns(&self, c: &Context<'_>) -> usize {
        match &self.mlp {
            Kind::One(mlp) => mlp.inputs.wide_inputs(c),
            Kind::Several(_) => self.width,
        }
    }

    /// `x` behind the norm, if there is one, in rows of `columns`, and what the norm gave beside that.
    fn before(
        &self,
        c: &Context<'_>,
        norm: Option<&GpuNorm>,
        x: &Rows,
        columns: usize,
    ) -> Result<(Rows, Option<Moments>), CudaError> {
        let mut n = Rows::new(c.arena, x.count(), columns)?;
        let moments = match norm {
            Some(norm) => {
                let shape = [x.count(), self.width];
                Some(norm.forward(c, shape, Input::Whole(x.first(self.width)), n.first_mut(self.width))?)
            }
            None => {
                elementwise::copy(c.device, x.first(self.width), n.first_mut(self.width))?;
                None
            }
        };
        Ok((n, moments))
    }

    /// What [`Self::before`] gave, again.
    fn before_again(
        &self,
        c: &Context<'_>,
        norm: Option<&GpuNorm>,
        x: &Rows,
        moments: Option<&Moments>,
        columns: usize,
    ) -> Result<Rows, CudaError> {
        let mut n = Rows::new(c.arena, x.count(), columns)?;
        let (from, to) = (x.first(self.width), n.first_mut(self.width));
        match norm.zip(moments) {
            Some((norm, moments)) => norm.again(c, self.width, from, moments, to)?,
            None => elementwise::copy(c.device, from, to)?,
        }
        Ok(n)
    }

    /// Adds the gradient that `dn` makes of what [`Self::before`] read.
    fn before_back(
        &self,
        c: &Context<'_>,
        norm: Option<&GpuNorm>,
        x: &Rows,
        moments: Option<&Moments>,
        dn: &Rows,
        dr: &mut Rows,
    ) -> Result<(), CudaError> {
        let (dn, to) = (dn.first(self.width), dr.first_mut(self.width));
        match norm.zip(moments) {
            Some((norm, moments)) => norm.backward_add(c, self.width, x.first(self.width), moments, dn, to),
            None => elementwise::add_scaled(c.device, dn, 1.0, to),
        }
    }

    /// What is added to the residual, from what a sub-layer gave.
    fn behind(
        &self,
        c: &Context<'_>,
        norm: Option<&GpuNorm>,
        given: Rows,
    ) -> Result<(Rows, Option<Behind>), CudaError> {
        let (mut delta, behind) = match norm {
            None => (given, None),
            Some(norm) => {
                let mut delta = Rows::new(c.arena, given.count(), self.width)?;
                let shape = [given.count(), self.width];
                let moments = norm.forward(c, shape, Input::Whole(given.all()), delta.all_mut())?;
                (delta, Some(Behind { x: given, moments }))
            }
        };
        if self.residual_scale != 1.0 {
            elementwise::scale(c.device, delta.all_mut(), self.residual_scale)?;
        }
        Ok((delta, behind))
    }

    /// From the gradient of the residual to that of what a sub-layer gave, in rows of `columns`; `None` where it is the
    /// same.
    fn behind_back(
        &self,
        c: &Context<'_>,
        norm: Option<&GpuNorm>,
        behind: Option<&Behind>,
        dr: Matrix<'_, bf16>,
        [rows, columns]: [usize; 2],
    ) -> Result<Option<Rows>, CudaError> {
        if norm.is_none() && self.residual_scale == 1.0 {
            return Ok(None);
        }
        let mut scaled = Rows::new(c.arena, rows, columns)?;
        elementwise::copy(c.device, dr, scaled.first_mut(self.width))?;
        if self.residual_scale != 1.0 {
            elementwise::scale(c.device, scaled.first_mut(self.width), self.residual_scale)?;
        }
        let Some((norm, Behind { x, moments })) = norm.zip(behind) else { return Ok(Some(scaled)) };
        let mut d_given = Rows::zeros(c.device, c.arena, rows, columns)?;
        let (dy, to) = (scaled.first(self.width), d_given.first_mut(self.width));
        norm.backward_add(c, self.width, x.first(self.width), moments, dy, to)?;
        Ok(Some(d_given))
    }

    fn mlp_forward(&self, c: &Context<'_>, n: &mut Rows) -> Result<(Rows, KindSaved), CudaError> {
        Ok(match &self.mlp {
            Kind::One(mlp) => {
                let (y, saved) = mlp.forward(c, n, None)?;
                (y, KindSaved::One(saved))
            }
            Kind::Several(experts) => {
                let (y, saved) = experts.forward(c, n)?;
                (y, KindSaved::Several(saved))
            }
        })
    }

    /// The block's output, `[T, D]`, and what its backward pass needs. `attend` runs attention.
    pub(super) fn forward_with<S>(
        &self,
        c: &Context<'_>,
        x: &Rows,
        attend: impl FnOnce(&GpuAttention, &mut Rows) -> Result<(Rows, S), CudaError>,
    ) -> Result<(Rows, Kept<S>), CudaError> {
        let (rows, width) = (x.count(), self.width);
        let [attention, attention_out, mlp, mlp_out] = &self.norms;
        let columns = self.attention.projections.wide_inputs(c);
        let (mut n, attention_moments) = self.before(c, attention.as_ref(), x, columns)?;
        let (given, attention) = attend(&self.attention, &mut n)?;
        drop(n);
        let (delta, attention_out) = self.behind(c, attention_out.as_ref(), given)?;
        let mut x1 = Rows::new(c.arena, rows, width)?;
        let (mut n, mlp_moments) = match mlp {
            Some(norm) if !self.parallel => {
                let mut n = Rows::new(c.arena, rows, self.mlp_columns(c))?;
                let input = Input::Sum { x: x.first(width), delta: delta.all(), sum: x1.all_mut() };
                let moments = norm.forward(c, [rows, width], input, n.first_mut(width))?;
                (n, Some(moments))
            }
            norm => {
                elementwise::sum_into(c.device, x.first(width), delta.all(), x1.all_mut())?;
                let source = if self.parallel { x } else { &x1 };
                self.before(c, norm.as_ref(), source, self.mlp_columns(c))?
            }
        };
        drop(delta);
        let (given, mlp) = self.mlp_forward(c, &mut n)?;
        drop(n);
        let (delta, mlp_out) = self.behind(c, mlp_out.as_ref(), given)?;
        let mut y = Rows::new(c.arena, rows, width)?;
        elementwise::sum_into(c.device, x1.all(), delta.all(), y.all_mut())?;
        let x1 = (!self.parallel).then_some(x1);
        Ok((y, Kept { attention_moments, attention, attention_out, x1, mlp_moments, mlp, mlp_out }))
    }

    /// The block's output, `[T, D]`, and what its backward pass needs.
    pub(super) fn forward(&self, c: &Context<'_>, x: &Rows) -> Result<(Rows, Inner), CudaError> {
        self.forward_with(c, x, |attention, n| attention.forward(c, n))
    }

    /// From the gradient of the output that of the input, in the same buffer, `[T, D]` with room for adapters' columns
    /// ([`Self::residual_columns`]); unspecified unless `wants_dx`.
    pub(super) fn backward(
        &self,
        c: &Context<'_>,
        x: &Rows,
        inner: Inner,
        dr: &mut Rows,
        wants_dx: bool,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let [attention_norm, attention_out_norm, mlp_norm, mlp_out_norm] = &self.norms;
        let shape = [x.count(), self.residual_columns(c)];
        // Both halves read the output's gradient where neither reads what the other gave.
        let mut original = match self.parallel {
            false => None,
            true => {
                let mut copy = Rows::new(c.arena, shape[0], shape[1])?;
                elementwise::copy(c.device, dr.first(self.width), copy.first_mut(self.width))?;
                Some(copy)
            }
        };
        let Kept { attention_moments, attention, attention_out, x1, mlp_moments, mlp, mlp_out } = inner;
        let (norm, behind) = (mlp_out_norm.as_ref(), mlp_out.as_ref());
        let mut d_given = self.behind_back(c, norm, behind, dr.first(self.width), shape)?;
        drop(mlp_out);
        let source = x1.as_ref().unwrap_or(x);
        let wants_dn = wants_dx || !self.parallel;
        let columns = self.mlp_columns(c);
        let mut n = self.before_again(c, mlp_norm.as_ref(), source, mlp_moments.as_ref(), columns)?;
        let dn = self.mlp_backward(c, &mut n, mlp, d_given.as_mut().unwrap_or(dr), wants_dn, gradients)?;
        drop((n, d_given));
        if let Some(dn) = dn {
            self.before_back(c, mlp_norm.as_ref(), source, mlp_moments.as_ref(), &dn, dr)?;
        }
        drop((x1, mlp_moments));

        let (norm, behind) = (attention_out_norm.as_ref(), attention_out.as_ref());
        let from = original.as_ref().unwrap_or(dr).first(self.width);
        let mut d_given = self.behind_back(c, norm, behind, from, shape)?;
        drop(attention_out);
        let columns = self.attention.projections.wide_inputs(c);
        let norm = attention_norm.as_ref();
        let mut n = self.before_again(c, norm, x, attention_moments.as_ref(), columns)?;
        self.attention.projections.project(c, &mut n)?;
        let mut dn = wants_dx.then(|| Rows::new(c.arena, shape[0], self.width)).transpose()?;
        let dy = d_given.as_mut().or(original.as_mut()).unwrap_or(dr);
        let to = dn.as_mut().map(Rows::all_mut);
        self.attention.backward(c, &n, attention, dy, to, gradients)?;
        drop((n, d_given, original));
        match dn {
            Some(dn) => self.before_back(c, norm, x, attention_moments.as_ref(), &dn, dr),
            None => Ok(()),
        }
    }

    fn mlp_backward(
        &self,
        c: &Context<'_>,
        n: &mut Rows,
        saved: KindSaved,
        dy: &mut Rows,
        wants_dn: bool,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<Option<Rows>, CudaError> {
        match (&self.mlp, saved) {
            (Kind::One(mlp), KindSaved::One(saved)) => {
                mlp.inputs.project(c, n)?;
                let mut dn = wants_dn.then(|| Rows::new(c.arena, n.count(), self.width)).transpose()?;
                mlp.backward(c, n, saved, dy, None, dn.as_mut().map(Rows::all_mut), gradients)?;
                Ok(dn)
            }
            (Kind::Several(experts), KindSaved::Several(saved)) => {
                experts.backward(c, n, saved, dy, wants_dn, gradients)
            }
            _ => unreachable!("what is saved of a block is of its own kind"),
        }
    }
}
