//! One block: forward, and backward by hand.

pub(super) mod attention;
pub(super) mod experts;
pub(super) mod inputs;
pub(super) mod mlp;
mod reading;

use rtune_adapters::linear::{Into, Pass};
use rtune_adapters::{Linear, Weight};
use rtune_kernels::arena::{Arena, Buffer, Part};
use rtune_kernels::elementwise;
use rtune_kernels::real::Real;

use super::RowView;
use super::cache::BlockCache;
use super::norm::{Norm, Normed};
use super::ropes::Turns;
use attention::{Attention, AttentionSaved};
use experts::{Experts, ExpertsSaved};
use mlp::{Mlp, MlpSaved};
use reading::Reading;

/// Weights of one block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) norms: Norms,
    /// Whether the MLP reads what attention read.
    pub(super) parallel: bool,
    /// Factor on what is added to the residual.
    pub(super) residual_scale: f64,
    pub(super) attention: Attention,
    pub(super) mlp: MlpKind,
}

/// Norms before and behind attention and MLP.
#[derive(Clone, Debug)]
pub(super) struct Norms {
    pub(super) attention: Option<Norm>,
    pub(super) attention_out: Option<Norm>,
    pub(super) mlp: Option<Norm>,
    pub(super) mlp_out: Option<Norm>,
}

/// One MLP, or several.
#[derive(Clone, Debug)]
pub(super) enum MlpKind {
    One(Mlp),
    Several(Experts),
}

/// What every block of a pass is given.
pub(super) struct Context<'a, R: Real> {
    pub(super) parameters: &'a [R],
    pub(super) row: RowView<'a>,
    pub(super) turns: Turns<'a, R>,
    pub(super) arena: &'a Arena<R>,
}

impl<'a, R: Real> Context<'a, R> {
    fn pass(&self) -> Pass<'a, R> {
        Pass { parameters: self.parameters, keys_t: self.row.noise.map(|noise| noise.keys_t) }
    }
}

/// What is kept of a block.
#[derive(Debug)]
pub(super) struct BlockSaved<R: Real> {
    /// The input, `[T, D]`.
    pub(super) x_td: Buffer<R>,
    /// `None`: computed again in the backward pass.
    pub(super) inner: Option<BlockInner<R>>,
}

/// What the backward pass of a block reads beside its input. What norms before a sub-layer give, and activations, are
/// formed anew.
#[derive(Debug)]
pub(super) struct BlockInner<R: Real> {
    attention_moments: Option<Buffer<R>>,
    attention: AttentionSaved<R>,
    attention_out: Option<Behind<R>>,
    /// The residual behind attention; `None` where the MLP does not read it.
    x1_td: Option<Buffer<R>>,
    mlp_moments: Option<Buffer<R>>,
    mlp: MlpKindSaved<R>,
    mlp_out: Option<Behind<R>>,
}

#[derive(Debug)]
enum MlpKindSaved<R: Real> {
    One(MlpSaved<R>),
    Several(ExpertsSaved<R>),
}

/// The input of a norm behind a sub-layer, and what it gave beside its output.
#[derive(Debug)]
struct Behind<R: Real> {
    x_td: Buffer<R>,
    moments: Buffer<R>,
}

impl MlpKind {
    fn forward<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        y_td: &mut [R],
        into: Into,
    ) -> MlpKindSaved<R> {
        let (pass, arena) = (context.pass(), context.arena);
        match self {
            Self::One(mlp) => MlpKindSaved::One(mlp.forward(pass, n_td, None, y_td, into, arena)),
            Self::Several(experts) => MlpKindSaved::Several(experts.forward(pass, n_td, y_td, into, arena)),
        }
    }

    fn backward<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        saved: &MlpKindSaved<R>,
        dy_td: &[R],
        gradients: &mut [R],
        wants_dn: bool,
    ) -> Option<Buffer<R>> {
        let (pass, arena) = (context.pass(), context.arena);
        match (self, saved) {
            (Self::One(mlp), MlpKindSaved::One(saved)) => {
                mlp.backward(pass, n_td, saved, dy_td, None, gradients, wants_dn, arena)
            }
            (Self::Several(experts), MlpKindSaved::Several(saved)) => {
                experts.backward(pass, n_td, saved, dy_td, gradients, wants_dn, arena)
            }
            _ => unreachable!("what is saved of a block is of its own kind"),
        }
    }
}

/// `x` behind the norm, if there is one, and what the norm gave beside that.
fn before<'a, R: Real>(
    context: &Context<'_, R>,
    norm: Option<&Norm>,
    x_td: &'a [R],
) -> (Part<'a, R>, Option<Buffer<R>>) {
    match norm.map(|norm| norm.forward(context.pass(), x_td, context.arena)) {
        Some(Normed { y_td, moments }) => (Part::Own(y_td), Some(moments)),
        None => (Part::Lent(x_td), None),
    }
}

/// What [`before`] gave, again.
fn before_again<'a, R: Real>(
    context: &Context<'_, R>,
    norm: Option<&Norm>,
    x_td: &'a [R],
    moments: Option<&[R]>,
) -> Part<'a, R> {
    match norm.zip(moments) {
        Some((norm, moments)) => Part::Own(norm.recompute(context.pass(), x_td, moments, context.arena)),
        None => Part::Lent(x_td),
    }
}

/// Adds the gradient that `dn_td` makes of what [`before`] read.
fn before_back<R: Real>(
    context: &Context<'_, R>,
    norm: Option<&Norm>,
    x_td: &[R],
    moments: Option<&[R]>,
    dn_td: &[R],
    gradients: &mut [R],
    dr_td: &mut [R],
) {
    match norm.zip(moments) {
        Some((norm, moments)) => {
            norm.backward_add(context.pass(), x_td, moments, dn_td, gradients, dr_td, context.arena);
        }
        None => elementwise::add(dn_td, dr_td),
    }
}

impl Block {
    /// The linears in order: attention, then the MLP.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let mlps = match &self.mlp {
            MlpKind::One(mlp) => std::slice::from_ref(mlp),
            MlpKind::Several(experts) => &experts.experts,
        };
        let attention = self.attention.projections.iter().chain([&self.attention.output]);
        attention.chain(mlps.iter().flat_map(|mlp| mlp.inputs.iter().chain([&mlp.down])))
    }

    pub(super) fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let mlps = match &mut self.mlp {
            MlpKind::One(mlp) => std::slice::from_mut(mlp),
            MlpKind::Several(experts) => &mut experts.experts,
        };
        let attention = self.attention.projections.iter_mut().chain([&mut self.attention.output]);
        attention.chain(mlps.iter_mut().flat_map(|mlp| mlp.inputs.iter_mut().chain([&mut mlp.down])))
    }

    /// What chooses among experts.
    pub(super) fn router(&self) -> Option<&Weight> {
        match &self.mlp {
            MlpKind::One(_) => None,
            MlpKind::Several(experts) => Some(&experts.router),
        }
    }

    pub(super) fn router_mut(&mut self) -> Option<&mut Weight> {
        match &mut self.mlp {
            MlpKind::One(_) => None,
            MlpKind::Several(experts) => Some(&mut experts.router),
        }
    }

    pub(super) fn is_trained(&self) -> bool {
        self.linears().any(Linear::is_trained) || self.norms().any(Norm::is_trained)
    }

    pub(super) fn norms(&self) -> impl Iterator<Item = &Norm> {
        let Norms { attention, attention_out, mlp, mlp_out } = &self.norms;
        let places = [attention, attention_out, mlp, mlp_out].into_iter().flatten();
        places.chain(self.attention.norms.iter().flatten())
    }

    pub(super) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm> {
        let Norms { attention, attention_out, mlp, mlp_out } = &mut self.norms;
        let places = [attention, attention_out, mlp, mlp_out].into_iter().flatten();
        places.chain(self.attention.norms.iter_mut().flatten())
    }

    /// The block's output, `[T, D]`, and what its backward pass needs.
    pub(super) fn forward<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
    ) -> (Buffer<R>, BlockInner<R>) {
        let arena = context.arena;
        let (n_td, attention_moments) = before(context, self.norms.attention.as_ref(), x_td);
        let mut x1_td = arena.copy_of(x_td);
        let (attention, attention_out) =
            self.add(context, self.norms.attention_out.as_ref(), &mut x1_td, |y_td, into| {
                self.attention.forward(context, &n_td, y_td, into)
            });
        drop(n_td);
        let (y_td, x1_td, mlp_moments, (mlp, mlp_out)) = self.forward_mlp(context, x_td, x1_td);
        let inner =
            BlockInner { attention_moments, attention, attention_out, x1_td, mlp_moments, mlp, mlp_out };
        (y_td, inner)
    }

    /// [`Self::forward`] of tokens that go on documents whose earlier keys and values are in `caches`; theirs are added.
    /// Nothing is kept for a backward pass.
    pub(super) fn forward_cached<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        mut caches: Vec<&mut BlockCache<R>>,
    ) -> Buffer<R> {
        let arena = context.arena;
        let (n_td, _) = before(context, self.norms.attention.as_ref(), x_td);
        let mut x1_td = arena.copy_of(x_td);
        self.add(context, self.norms.attention_out.as_ref(), &mut x1_td, |y_td, into| {
            self.attention.forward_cached(context, &n_td, &mut caches, y_td, into);
        });
        drop(n_td);
        self.forward_mlp(context, x_td, x1_td).0
    }

    /// The block's output, the residual behind attention if it is needed again, and what is saved of the MLP.
    #[expect(clippy::type_complexity, reason = "four results of one half of the block")]
    fn forward_mlp<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        x1_td: Buffer<R>,
    ) -> (Buffer<R>, Option<Buffer<R>>, Option<Buffer<R>>, (MlpKindSaved<R>, Option<Behind<R>>)) {
        let arena = context.arena;
        let source = if self.parallel { x_td } else { &x1_td };
        let (n_td, moments) = before(context, self.norms.mlp.as_ref(), source);
        let mut y_td = arena.copy_of(&x1_td);
        let saved = self.add(context, self.norms.mlp_out.as_ref(), &mut y_td, |y_td, into| {
            self.mlp.forward(context, &n_td, y_td, into)
        });
        drop(n_td);
        (y_td, (!self.parallel).then_some(x1_td), moments, saved)
    }

    /// Runs a sub-layer and adds what it gives, normed and scaled, to the residual.
    fn add<R: Real, S>(
        &self,
        context: &Context<'_, R>,
        norm: Option<&Norm>,
        residual_td: &mut [R],
        run: impl FnOnce(&mut [R], Into) -> S,
    ) -> (S, Option<Behind<R>>) {
        if norm.is_none() && self.residual_scale == 1.0 {
            return (run(residual_td, Into::Add), None);
        }
        let mut x_td = context.arena.take(residual_td.len());
        let saved = run(&mut x_td, Into::Overwrite);
        let Some(norm) = norm else {
            elementwise::add_scaled(&x_td, self.residual_scale, residual_td);
            return (saved, None);
        };
        let Normed { y_td, moments } = norm.forward(context.pass(), &x_td, context.arena);
        elementwise::add_scaled(&y_td, self.residual_scale, residual_td);
        (saved, Some(Behind { x_td, moments }))
    }

    /// From the gradient of the residual to that of what a sub-layer gave.
    fn add_back<'a, R: Real>(
        &self,
        context: &Context<'_, R>,
        norm: Option<&Norm>,
        behind: Option<&Behind<R>>,
        dr_td: &'a [R],
        gradients: &mut [R],
    ) -> Part<'a, R> {
        let mut part = Part::Lent(dr_td);
        if self.residual_scale != 1.0 {
            let mut scaled = context.arena.copy_of(dr_td);
            elementwise::scale(&mut scaled, self.residual_scale);
            part = Part::Own(scaled);
        }
        match norm.zip(behind) {
            Some((norm, Behind { x_td, moments })) => {
                Part::Own(norm.backward(context.pass(), x_td, moments, &part, gradients, context.arena))
            }
            None => part,
        }
    }

    /// From the gradient of the output that of the input, `[T, D]` (unspecified unless `wants_dx`), in the same
    /// buffer: it carries the gradient of the residual all the way.
    pub(super) fn backward<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        inner: BlockInner<R>,
        dy_td: Buffer<R>,
        gradients: &mut [R],
        wants_dx: bool,
    ) -> Buffer<R> {
        let arena = context.arena;
        let Norms { attention, attention_out, mlp, mlp_out } = &self.norms;
        let mut dr_td = dy_td;
        // Both halves read the output's gradient where neither reads what the other gave.
        let dy_td = self.parallel.then(|| arena.copy_of(&dr_td));

        let d_mlp = self.add_back(context, mlp_out.as_ref(), inner.mlp_out.as_ref(), &dr_td, gradients);
        let source = inner.x1_td.as_deref().unwrap_or(x_td);
        let moments = inner.mlp_moments.as_deref();
        let n_td = before_again(context, mlp.as_ref(), source, moments);
        let wants_dn = wants_dx || !self.parallel;
        let dn_td = self.mlp.backward(context, &n_td, &inner.mlp, &d_mlp, gradients, wants_dn);
        drop((n_td, d_mlp));
        if let Some(dn_td) = dn_td {
            before_back(context, mlp.as_ref(), source, moments, &dn_td, gradients, &mut dr_td);
        }

        let from = dy_td.as_deref().unwrap_or(&dr_td);
        let d_attention =
            self.add_back(context, attention_out.as_ref(), inner.attention_out.as_ref(), from, gradients);
        let moments = inner.attention_moments.as_deref();
        let n_td = before_again(context, attention.as_ref(), x_td, moments);
        let dn_td =
            self.attention.backward(context, &n_td, &inner.attention, &d_attention, gradients, wants_dx);
        drop((n_td, d_attention));
        if let Some(dn_td) = dn_td {
            before_back(context, attention.as_ref(), x_td, moments, &dn_td, gradients, &mut dr_td);
        }
        dr_td
    }
}
