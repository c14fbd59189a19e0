//! A norm of the decoder on a GPU.

use half::bf16;
use rtune_kernels::cuda::norm::{self, Input};
use rtune_kernels::cuda::{Buffer, CudaError, Device, Lent, Matrix, MatrixMut};

use super::super::norm::Norm;
use super::context::Context;

/// Weights of a norm, as factors.
pub(super) struct GpuNorm {
    weight: Buffer<f32>,
    bias: Option<Buffer<f32>>,
    epsilon: f32,
}

/// One or two numbers a row, which the other functions want.
pub(super) type Moments = Lent<f32>;

impl GpuNorm {
    pub(super) fn upload(device: &Device, norm: &Norm) -> Result<Self, CudaError> {
        let one = if norm.plus_one { 1.0 } else { 0.0 };
        let factors: Vec<f32> = norm.weight.iter().map(|weight| one + weight).collect();
        let bias = norm.bias.as_ref().map(|bias| device.upload(bias)).transpose()?;
        Ok(Self { weight: device.upload(&factors)?, bias, epsilon: norm.epsilon as f32 })
    }

    fn width(&self) -> usize {
        self.weight.all().len()
    }

    /// As the launchers want it; several norms of this width may stand side by side in `columns`.
    fn view(&self, columns: usize) -> norm::Norm<'_> {
        norm::Norm {
            weight: self.weight.all(),
            bias: self.bias.as_ref().map(Buffer::all),
            epsilon: self.epsilon,
            heads: columns / self.width(),
        }
    }

    fn moments(&self, c: &Context<'_>, rows: usize, columns: usize) -> Result<Moments, CudaError> {
        let view = self.view(columns);
        c.arena.take(rows * view.heads * view.moments_a_row())
    }

    /// `rows` rows of `input`, normed, into `y`, `[rows, columns]`.
    pub(super) fn forward(
        &self,
        c: &Context<'_>,
        [rows, columns]: [usize; 2],
        input: Input<'_>,
        y: MatrixMut<'_, bf16>,
    ) -> Result<Moments, CudaError> {
        let mut moments = self.moments(c, rows, columns)?;
        norm::forward(c.device, &self.view(columns), input, y, moments.all_mut())?;
        Ok(moments)
    }

    /// What [`Self::forward`] gave, again.
    pub(super) fn again(
        &self,
        c: &Context<'_>,
        columns: usize,
        x: Matrix<'_, bf16>,
        moments: &Moments,
        y: MatrixMut<'_, bf16>,
    ) -> Result<(), CudaError> {
        norm::again(c.device, &self.view(columns), x, moments.all(), y)
    }

    /// Adds to `dx` the gradient that `dy` makes of `x`.
    pub(super) fn backward_add(
        &self,
        c: &Context<'_>,
        columns: usize,
        x: Matrix<'_, bf16>,
        moments: &Moments,
        dy: Matrix<'_, bf16>,
        dx: MatrixMut<'_, bf16>,
    ) -> Result<(), CudaError> {
        norm::backward_add(c.device, &self.view(columns), x, moments.all(), dy, dx)
    }
}
