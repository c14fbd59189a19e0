//! The head, on chosen rows only: in supervised fine-tuning most rows have no target.

use rtune_adapters::Weight;
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::real::Real;
use rtune_kernels::{elementwise, norm};

use super::Decoder;

/// Logits that a caller should hold at a time: 64 MiB of `f32`. Whole-batch logits would be the largest buffer of all.
pub const HEAD_CHUNK_ELEMENTS: usize = 1 << 24;

/// The chosen rows behind the final norm, and what its backward pass needs.
#[derive(Debug)]
pub struct HeadRows<R: Real> {
    /// The rows of the packed row, `[N]`.
    rows: Vec<usize>,
    x_nd: Buffer<R>,
    inverse_rms_n: Buffer<R>,
    /// The input of the head, `[N, D]`.
    pub normed_nd: Buffer<R>,
}

impl Decoder {
    /// Takes `rows` of the last block's output through the final norm.
    ///
    /// # Panics
    /// If a row is beyond `output_td`.
    #[must_use]
    pub fn head_rows<R: Real>(&self, output_td: &[R], rows: Vec<usize>, arena: &Arena<R>) -> HeadRows<R> {
        let width = self.spec.block.width;
        let mut x_nd = arena.take(rows.len() * width);
        elementwise::gather_rows(output_td, &rows, width, &mut x_nd);
        let (mut normed_nd, mut inverse_rms_n) = (arena.take(x_nd.len()), arena.take(rows.len()));
        let epsilon = self.spec.block.norm_epsilon;
        norm::forward(&x_nd, &self.final_norm, epsilon, &mut normed_nd, &mut inverse_rms_n);
        HeadRows { rows, x_nd, inverse_rms_n, normed_nd }
    }

    /// How many rows [`Self::logits`] should be asked for at a time.
    #[must_use]
    pub fn head_chunk_rows(&self) -> usize {
        (HEAD_CHUNK_ELEMENTS / self.spec.vocabulary).max(1)
    }

    /// `logits_nv = normed_nd · headᵀ`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn logits<R: Real>(&self, normed_nd: &[R], logits_nv: &mut [R], arena: &Arena<R>) {
        self.head_weight().project(normed_nd, logits_nv, R::zero(), arena);
    }

    /// `d_normed_nd = d_logits_nv · head`; the head is frozen and has no gradient.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn logits_backward<R: Real>(&self, d_logits_nv: &[R], d_normed_nd: &mut [R], arena: &Arena<R>) {
        self.head_weight().project_back(d_logits_nv, d_normed_nd, R::zero(), arena);
    }

    /// The gradient of the last block's output, `[T, D]`, from that of the chosen rows behind the final norm.
    ///
    /// # Panics
    /// If the lengths do not fit.
    #[must_use]
    pub fn head_backward<R: Real>(
        &self,
        head: &HeadRows<R>,
        d_normed_nd: &[R],
        tokens: usize,
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let width = self.spec.block.width;
        let mut dx_nd = arena.zeros(d_normed_nd.len());
        norm::backward_add(&head.x_nd, &self.final_norm, &head.inverse_rms_n, d_normed_nd, &mut dx_nd);
        let mut d_output_td = arena.zeros(tokens * width);
        elementwise::scatter_rows(&dx_nd, &head.rows, width, &mut d_output_td);
        d_output_td
    }

    fn head_weight(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}
