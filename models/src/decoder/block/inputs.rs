//! What the linears of a block read, for what looks at it: calibration.

use std::ops::Range;

use rtune_adapters::Linear;
use rtune_adapters::linear::Into;
use rtune_kernels::arena::Buffer;
use rtune_kernels::elementwise;

use super::{Block, BlockInner, Context, MlpKind, MlpKindSaved, before_again};

/// Linears of a block that read the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readers {
    /// Query, key and value, or all in one.
    Projections,
    /// The projection out of attention.
    Output,
    /// Gate and up, both in one, or up alone.
    MlpInputs,
    /// The projection out of the MLP.
    Down,
}

impl Readers {
    /// All of them, in the order of the computation.
    pub const ALL: [Self; 4] = [Self::Projections, Self::Output, Self::MlpInputs, Self::Down];
}

impl Block {
    /// Which of [`Block::linears`] these are; none of a block with experts, where each token has its own.
    pub(in crate::decoder) fn readers(&self, readers: Readers) -> Range<usize> {
        let projections = self.attention.projections.len();
        let MlpKind::One(mlp) = &self.mlp else { return 0..0 };
        let down = projections + 1 + mlp.inputs.len();
        match readers {
            Readers::Projections => 0..projections,
            Readers::Output => projections..projections + 1,
            Readers::MlpInputs => projections + 1..down,
            Readers::Down => down..down + 1,
        }
    }

    /// The output, `[T, D]`; `watch` is given what each linear reads, `[T, I]`.
    pub(in crate::decoder) fn forward_watched(
        &self,
        context: &Context<'_, f32>,
        x_td: &[f32],
        watch: &mut dyn FnMut(Readers, &[f32]),
    ) -> Buffer<f32> {
        let (y_td, inner) = self.forward(context, x_td);
        let BlockInner { attention_moments, attention, x1_td, mlp_moments, mlp, .. } = &inner;
        let norm = self.norms.attention.as_ref();
        watch(Readers::Projections, &before_again(context, norm, x_td, attention_moments.as_deref()));
        watch(Readers::Output, attention.read_by_output());
        if let (MlpKind::One(weights), MlpKindSaved::One(saved)) = (&self.mlp, mlp) {
            let source = x1_td.as_deref().unwrap_or(x_td);
            let norm = self.norms.mlp.as_ref();
            watch(Readers::MlpInputs, &before_again(context, norm, source, mlp_moments.as_deref()));
            watch(Readers::Down, &weights.read_by_down(saved, context.arena));
        }
        y_td
    }

    /// What attention adds to the residual, or the MLP, whichever `readers` belong to: `[T, D]`, from what its first linears
    /// read, `[T, D]`.
    pub(in crate::decoder) fn half(
        &self,
        context: &Context<'_, f32>,
        readers: Readers,
        n_td: &[f32],
    ) -> Buffer<f32> {
        let mut y_td = context.arena.take(n_td.len());
        let behind = match readers {
            Readers::Projections | Readers::Output => {
                self.attention.forward(context, n_td, &mut y_td, Into::Overwrite);
                &self.norms.attention_out
            }
            Readers::MlpInputs | Readers::Down => {
                self.mlp.forward(context, n_td, &mut y_td, Into::Overwrite);
                &self.norms.mlp_out
            }
        };
        if let Some(norm) = behind {
            y_td = norm.forward(context.pass(), &y_td, context.arena).y_td;
        }
        elementwise::scale(&mut y_td, self.residual_scale);
        y_td
    }

    /// One of the linears, to be changed.
    pub(in crate::decoder) fn linear_mut(&mut self, index: usize) -> Option<&mut Linear> {
        self.linears_mut().nth(index)
    }
}
