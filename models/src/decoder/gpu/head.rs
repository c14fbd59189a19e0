//! The head on a GPU, on chosen rows only.

use half::bf16;
use rtune_kernels::cuda::gemm::multiply;
use rtune_kernels::cuda::norm::Input;
use rtune_kernels::cuda::{CudaError, Lent, Matrix, MatrixMut, rows};
use std::ops::Range;

use super::context::Rows;
use super::norm::Moments;
use super::{GpuDecoder, GpuForward, GpuPass, Table};
use crate::DecoderSpec;

/// Logits that a caller should hold at a time: 256 MiB of bf16. The head is read once for each chunk, so chunks are larger
/// than on the CPU.
const HEAD_CHUNK_ELEMENTS: usize = 1 << 27;

/// The chosen rows behind the final norm, and what its backward pass needs.
pub struct GpuHeadRows {
    rows: Lent<u32>,
    x: Rows,
    moments: Moments,
    /// The input of the head, `[N, D]`.
    normed: Rows,
}

/// Logits of some rows, or their gradient in the same place.
pub struct Logits {
    part: Lent<bf16>,
    rows: usize,
    vocabulary: usize,
    /// The vocabulary, as eights.
    stride: usize,
}

impl Logits {
    /// `[N, V]`, rows a little further apart.
    #[must_use]
    pub fn matrix(&self) -> Matrix<'_, bf16> {
        self.part.all().strided(self.rows, self.vocabulary, self.stride)
    }

    /// `[N, V]`, rows a little further apart.
    #[must_use]
    pub fn matrix_mut(&mut self) -> MatrixMut<'_, bf16> {
        self.part.all_mut().strided(self.rows, self.vocabulary, self.stride)
    }
}

/// The gradient of what the head reads, `[N, D]`.
pub struct NormedGradient(Rows);

/// The gradient of the last block's output, `[T, D]`.
pub struct OutputGradient(pub(super) Rows);

impl GpuHeadRows {
    /// How many rows were chosen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.normed.count()
    }
}

impl GpuDecoder {
    /// Takes `rows` of the last block's output through the final norm.
    ///
    /// # Errors
    /// If the arena is too small or a launch fails; so do the other functions.
    pub fn head_rows(
        &self,
        pass: &GpuPass<'_>,
        forward: &GpuForward,
        rows: &[u32],
    ) -> Result<GpuHeadRows, CudaError> {
        let width = self.spec.width;
        let chosen = pass.arena.upload(pass.device, rows)?;
        let mut x = Rows::new(pass.arena, rows.len(), width)?;
        rows::gather(pass.device, forward.output.all(), chosen.all(), 1.0, x.all_mut())?;
        let mut normed = Rows::new(pass.arena, rows.len(), width)?;
        let c = self.context(pass, forward);
        let shape = [rows.len(), width];
        let moments = self.final_norm.forward(&c, shape, Input::Whole(x.all()), normed.all_mut())?;
        Ok(GpuHeadRows { rows: chosen, x, moments, normed })
    }

    /// How many rows [`Self::logits`] should be asked for at a time.
    #[must_use]
    pub fn head_chunk_rows(&self) -> usize {
        (HEAD_CHUNK_ELEMENTS / self.spec.vocabulary).max(1)
    }

    fn head(&self) -> Matrix<'_, bf16> {
        let table = match (&self.head, &self.embedding) {
            (Some(head), _) | (None, Table::Device(head)) => head,
            (None, Table::Host(_)) => unreachable!("an embedding that is the head is on the device"),
        };
        table.all().matrix(self.spec.vocabulary, self.spec.width)
    }

    /// The products of rows `range` with the head, before what a family divides or caps them by.
    ///
    /// # Errors
    /// As [`Self::head_rows`].
    pub fn logits(
        &self,
        pass: &GpuPass<'_>,
        head: &GpuHeadRows,
        range: Range<usize>,
    ) -> Result<Logits, CudaError> {
        let vocabulary = self.spec.vocabulary;
        let stride = vocabulary.next_multiple_of(8);
        let mut logits =
            Logits { part: pass.arena.take(range.len() * stride)?, rows: range.len(), vocabulary, stride };
        let normed = head.normed.all().rows(range);
        multiply(pass.device, logits.matrix_mut(), 0.0, 1.0, normed, self.head().t())?;
        Ok(logits)
    }

    /// Logits of all chosen rows, `[N, V]`, divided and capped as the family does it: for answers.
    ///
    /// # Errors
    /// As [`Self::head_rows`].
    pub fn logits_on_host(&self, pass: &GpuPass<'_>, head: &GpuHeadRows) -> Result<Vec<f32>, CudaError> {
        let (count, vocabulary, chunk) = (head.count(), self.spec.vocabulary, self.head_chunk_rows());
        let mut values = Vec::with_capacity(count * vocabulary);
        for start in (0..count).step_by(chunk) {
            let logits = self.logits(pass, head, start..count.min(start + chunk))?;
            for row in logits.part.all().to_vec(pass.device)?.chunks_exact(logits.stride) {
                values.extend(row[..vocabulary].iter().map(|value| value.to_f32()));
            }
        }
        let DecoderSpec { logit_divisor, logit_cap, .. } = &self.spec;
        if *logit_divisor != 1.0 {
            values.iter_mut().for_each(|value| *value /= *logit_divisor as f32);
        }
        if let Some(cap) = logit_cap.map(|cap| cap as f32) {
            values.iter_mut().for_each(|value| *value = cap * (*value / cap).tanh());
        }
        Ok(values)
    }

    /// Room for the gradient of what the head reads.
    ///
    /// # Errors
    /// As [`Self::head_rows`].
    pub fn normed_gradient(
        &self,
        pass: &GpuPass<'_>,
        head: &GpuHeadRows,
    ) -> Result<NormedGradient, CudaError> {
        Rows::new(pass.arena, head.count(), self.spec.width).map(NormedGradient)
    }

    /// Writes rows `range` of `d_normed` from the gradient of their products with the head.
    ///
    /// # Errors
    /// As [`Self::head_rows`].
    pub fn logits_backward(
        &self,
        pass: &GpuPass<'_>,
        d_logits: &Logits,
        range: Range<usize>,
        d_normed: &mut NormedGradient,
    ) -> Result<(), CudaError> {
        let out = d_normed.0.all_mut().rows(range);
        multiply(pass.device, out, 0.0, 1.0, d_logits.matrix(), self.head())
    }

    /// The gradient of the last block's output from that of the chosen rows behind the final norm.
    ///
    /// # Errors
    /// As [`Self::head_rows`].
    pub fn head_backward(
        &self,
        pass: &GpuPass<'_>,
        forward: &GpuForward,
        head: &GpuHeadRows,
        d_normed: &NormedGradient,
    ) -> Result<OutputGradient, CudaError> {
        let (c, width) = (self.context(pass, forward), self.spec.width);
        let mut dx = Rows::zeros(pass.device, pass.arena, head.count(), width)?;
        let dy = d_normed.0.all();
        self.final_norm.backward_add(&c, width, head.x.all(), &head.moments, dy, dx.all_mut())?;
        let columns = self.blocks.iter().map(|block| block.residual_columns(&c)).max().unwrap_or(width);
        let mut d_output = Rows::zeros(pass.device, pass.arena, forward.row.count(), columns)?;
        rows::scatter(pass.device, dx.all(), head.rows.all(), d_output.first_mut(width))?;
        Ok(OutputGradient(d_output))
    }
}
