//! An MLP on a GPU, forward and backward.

use half::bf16;
use rtune_kernels::activation::Activation;
use rtune_kernels::cuda::{CudaError, Device, Matrix, MatrixMut, Span, SpanMut, activation, rows};

use super::super::block::mlp::Mlp;
use super::context::{Context, Rows};
use super::group::Group;
use rtune_adapters::PaddedLayout;

use super::GpuError;

/// Weights of an MLP.
pub(super) struct GpuMlp {
    activation: Activation,
    gated: bool,
    /// Gate and up side by side, or up alone.
    pub(super) inputs: Group,
    pub(super) down: Group,
}

/// What the backward pass reads beside its input: gate and up, or up alone, with room for the adapters' columns.
pub(super) struct Saved {
    inside: Rows,
}

/// Weights of the rows of an MLP's output, and where their gradients go.
pub(super) struct RowWeights<'a> {
    pub(super) weights: Span<'a, f32>,
    pub(super) d_weights: SpanMut<'a, f32>,
}

impl GpuMlp {
    pub(super) fn upload(device: &Device, mlp: &Mlp, layout: &PaddedLayout) -> Result<Self, GpuError> {
        Ok(Self {
            activation: mlp.activation,
            gated: mlp.gated,
            inputs: Group::upload(device, &mlp.inputs, layout)?,
            down: Group::upload(device, std::slice::from_ref(&mlp.down), layout)?,
        })
    }

    /// Width inside.
    fn width(&self) -> usize {
        self.down.inputs
    }

    /// What the activation is taken of, and what it is multiplied by.
    fn halves<'a>(&self, inside: &'a Rows) -> (Matrix<'a, bf16>, Option<Matrix<'a, bf16>>) {
        let width = self.width();
        let second = self.gated.then(|| inside.first(2 * width).columns(width..2 * width));
        (inside.first(width), second)
    }

    /// From the normed input, with room for the adapters' columns, to the output, `[T, D]`; its rows weigh `weights`, or
    /// 1.
    pub(super) fn forward(
        &self,
        c: &Context<'_>,
        n: &mut Rows,
        weights: Option<Span<'_, f32>>,
    ) -> Result<(Rows, Saved), CudaError> {
        let tokens = n.count();
        self.inputs.project(c, n)?;
        let mut inside = Rows::new(c.arena, tokens, self.inputs.wide_outputs(c))?;
        self.inputs.forward(c, n, inside.first_mut(self.inputs.outputs))?;
        let h = self.read_by_down(c, &inside, weights)?;
        let mut y = Rows::new(c.arena, tokens, self.down.outputs)?;
        self.down.forward(c, &h, y.all_mut())?;
        Ok((y, Saved { inside }))
    }

    /// What the projection out reads, `[T, F]`, with what its adapter makes of it. Weights of rows are put in here: it has
    /// no bias then, so that the output is the same, and its adapter's gradients come out right.
    fn read_by_down(
        &self,
        c: &Context<'_>,
        inside: &Rows,
        weights: Option<Span<'_, f32>>,
    ) -> Result<Rows, CudaError> {
        let mut h = Rows::new(c.arena, inside.count(), self.down.wide_inputs(c))?;
        let (e, g) = self.halves(inside);
        activation::forward(c.device, self.activation, e, g, h.first_mut(self.width()))?;
        if let Some(weights) = weights {
            rows::scale(c.device, h.first_mut(self.width()), weights)?;
        }
        self.down.project(c, &mut h)?;
        Ok(h)
    }

    /// From the gradient of what [`Self::forward`] gave, in the first columns of `dy`, to that of its input, if that is
    /// wanted. `n`: the input, with what the adapters make of it.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the places it writes")]
    pub(super) fn backward(
        &self,
        c: &Context<'_>,
        n: &Rows,
        saved: Saved,
        dy: &mut Rows,
        weights: Option<RowWeights<'_>>,
        dn: Option<MatrixMut<'_, bf16>>,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let Saved { mut inside } = saved;
        let (tokens, width) = (n.count(), self.width());
        let h = self.read_by_down(c, &inside, weights.as_ref().map(|weights| weights.weights))?;
        let mut dh = Rows::new(c.arena, tokens, width)?;
        self.down.backward(c, &h, dy, Some(dh.all_mut()), gradients)?;
        drop(h);
        if let Some(RowWeights { weights, d_weights }) = weights {
            let mut plain = Rows::new(c.arena, tokens, width)?;
            let (e, g) = self.halves(&inside);
            activation::forward(c.device, self.activation, e, g, plain.all_mut())?;
            rows::dots(c.device, plain.all(), dh.all(), d_weights)?;
            rows::scale(c.device, dh.all_mut(), weights)?;
        }
        let (e, rest) = inside.all_mut().split_columns(width);
        let g = self.gated.then(|| rest.columns(0..width));
        activation::backward(c.device, self.activation, dh.all_mut(), e, g)?;
        drop(dh);
        self.inputs.backward(c, n, &mut inside, dn, gradients)
    }
}
