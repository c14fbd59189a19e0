//! A norm of the decoder, whichever it is.

use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::real::Real;
use rtune_kernels::{layer_norm, norm};

/// Weights of a norm. Those that a checkpoint keeps less one have it here.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    /// Of LayerNorm; `None` for RMSNorm.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) epsilon: f64,
}

/// What a norm gave.
pub(super) struct Normed<R: Real> {
    pub(super) y_td: Buffer<R>,
    /// What the other functions want: a number or two a row.
    pub(super) moments: Buffer<R>,
}

impl Norm {
    /// Numbers of the weights.
    pub(super) fn count(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, Vec::len)
    }

    /// Rows of `x` as long as the weight, normed.
    pub(super) fn forward<R: Real>(&self, x_td: &[R], arena: &Arena<R>) -> Normed<R> {
        let rows = x_td.len() / self.weight.len();
        let mut y_td = arena.take(x_td.len());
        let mut moments = arena.take(rows * if self.bias.is_some() { 2 } else { 1 });
        match &self.bias {
            None => norm::forward(x_td, &self.weight, self.epsilon, &mut y_td, &mut moments),
            Some(bias) => {
                layer_norm::forward(x_td, &self.weight, bias, self.epsilon, &mut y_td, &mut moments);
            }
        }
        Normed { y_td, moments }
    }

    /// The output of [`Self::forward`] again.
    pub(super) fn recompute<R: Real>(&self, x_td: &[R], moments: &[R], arena: &Arena<R>) -> Buffer<R> {
        let mut y_td = arena.take(x_td.len());
        match &self.bias {
            None => norm::recompute(x_td, &self.weight, moments, &mut y_td),
            Some(bias) => layer_norm::recompute(x_td, &self.weight, bias, moments, &mut y_td),
        }
        y_td
    }

    /// Adds to `dx_td` the gradient that `dy_td` makes of the input.
    pub(super) fn backward_add<R: Real>(&self, x_td: &[R], moments: &[R], dy_td: &[R], dx_td: &mut [R]) {
        match &self.bias {
            None => norm::backward_add(x_td, &self.weight, moments, dy_td, dx_td),
            Some(_) => layer_norm::backward_add(x_td, &self.weight, moments, dy_td, dx_td),
        }
    }

    /// [`Self::backward_add`] to nothing.
    pub(super) fn backward<R: Real>(
        &self,
        x_td: &[R],
        moments: &[R],
        dy_td: &[R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let mut dx_td = arena.zeros(x_td.len());
        self.backward_add(x_td, moments, dy_td, &mut dx_td);
        dx_td
    }
}

/// A slice of someone else, or a buffer of one's own.
pub(super) enum Part<'a, R: Real> {
    Lent(&'a [R]),
    Own(Buffer<R>),
}

impl<R: Real> std::ops::Deref for Part<'_, R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        match self {
            Self::Lent(slice) => slice,
            Self::Own(buffer) => buffer,
        }
    }
}
