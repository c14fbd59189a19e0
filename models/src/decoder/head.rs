//! The head, on chosen rows only: in supervised fine-tuning most rows have no target.

use rtune_adapters::linear::Pass;
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::elementwise;
use rtune_kernels::phase::Phase;
use rtune_kernels::real::Real;

use super::Decoder;
use super::compiled::Compiled;
use super::norm::Normed;
use super::table::Table;

/// Logits that a caller should hold at a time: 64 MiB of `f32`. Whole-batch logits would be the largest buffer of all.
pub const HEAD_CHUNK_ELEMENTS: usize = 1 << 24;

/// The chosen rows behind the final norm, and what its backward pass needs.
#[derive(Debug)]
pub struct HeadRows<R: Real> {
    /// The rows of the packed row, `[N]`.
    rows: Vec<usize>,
    x_nd: Buffer<R>,
    moments: Buffer<R>,
    /// The input of the head, `[N, D]`.
    pub normed_nd: Buffer<R>,
}

impl Decoder {
    /// Takes `rows` of the last block's output through the final norm.
    ///
    /// # Panics
    /// If a row is beyond `output_td`.
    #[must_use]
    #[inline]
    pub fn head_rows<R: Compiled>(
        &self,
        parameters: &[R],
        output_td: &[R],
        rows: Vec<usize>,
        arena: &Arena<R>,
    ) -> HeadRows<R> {
        R::head_rows(self, parameters, output_td, rows, arena)
    }

    pub(super) fn run_head_rows<R: Real>(
        &self,
        parameters: &[R],
        output_td: &[R],
        rows: Vec<usize>,
        arena: &Arena<R>,
    ) -> HeadRows<R> {
        let width = self.spec.width;
        let mut x_nd = arena.take(rows.len() * width);
        elementwise::gather_rows(output_td, &rows, width, &mut x_nd);
        let Normed { y_td: normed_nd, moments } =
            self.final_norm.forward(Pass::undisturbed(parameters), &x_nd, arena);
        HeadRows { rows, x_nd, moments, normed_nd }
    }

    /// How many rows [`Self::logits`] should be asked for at a time.
    #[must_use]
    pub fn head_chunk_rows(&self) -> usize {
        (HEAD_CHUNK_ELEMENTS / self.spec.vocabulary).max(1)
    }

    /// `logits_nv = normed_nd · headᵀ`, divided and capped where the family does so.
    ///
    /// # Panics
    /// If the lengths do not fit.
    #[inline]
    pub fn logits<R: Compiled>(
        &self,
        parameters: &[R],
        normed_nd: &[R],
        logits_nv: &mut [R],
        arena: &Arena<R>,
    ) {
        R::logits(self, parameters, normed_nd, logits_nv, arena);
    }

    pub(super) fn run_logits<R: Real>(
        &self,
        parameters: &[R],
        normed_nd: &[R],
        logits_nv: &mut [R],
        arena: &Arena<R>,
    ) {
        arena.timed(Phase::Head, || self.head_table().project(parameters, normed_nd, logits_nv, arena));
        if self.spec.logit_divisor != 1.0 {
            elementwise::scale(logits_nv, 1.0 / self.spec.logit_divisor);
        }
        if let Some(cap) = self.spec.logit_cap {
            elementwise::cap(logits_nv, cap);
        }
    }

    /// What [`Self::logits_backward`] wants of the logits, which their gradient may then overwrite: the slope of the cap,
    /// `[N, V]`, where there is one.
    #[must_use]
    #[inline]
    pub fn logit_slopes<R: Compiled>(&self, logits_nv: &[R], arena: &Arena<R>) -> Option<Buffer<R>> {
        R::logit_slopes(self, logits_nv, arena)
    }

    pub(super) fn run_logit_slopes<R: Real>(&self, logits_nv: &[R], arena: &Arena<R>) -> Option<Buffer<R>> {
        let cap = self.spec.logit_cap?;
        let mut slopes_nv = arena.take(logits_nv.len());
        elementwise::cap_slope(logits_nv, cap, &mut slopes_nv);
        Some(slopes_nv)
    }

    /// `d_normed_nd = d_logits_nv · head`, through cap and divisor; what is trained of the head gets its gradient.
    /// `d_logits_nv` is used up.
    ///
    /// # Panics
    /// If the lengths do not fit.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the two places it writes")]
    #[inline]
    pub fn logits_backward<R: Compiled>(
        &self,
        parameters: &[R],
        normed_nd: &[R],
        d_logits_nv: &mut [R],
        slopes_nv: Option<&[R]>,
        gradients: &mut [R],
        d_normed_nd: &mut [R],
        arena: &Arena<R>,
    ) {
        R::logits_backward(
            self,
            parameters,
            normed_nd,
            d_logits_nv,
            slopes_nv,
            gradients,
            d_normed_nd,
            arena,
        );
    }

    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(super) fn run_logits_backward<R: Real>(
        &self,
        parameters: &[R],
        normed_nd: &[R],
        d_logits_nv: &mut [R],
        slopes_nv: Option<&[R]>,
        gradients: &mut [R],
        d_normed_nd: &mut [R],
        arena: &Arena<R>,
    ) {
        if let Some(slopes_nv) = slopes_nv {
            elementwise::multiply_by(d_logits_nv, slopes_nv);
        }
        if self.spec.logit_divisor != 1.0 {
            elementwise::scale(d_logits_nv, 1.0 / self.spec.logit_divisor);
        }
        let head = self.head_table();
        arena.timed(Phase::Head, || {
            head.project_back(parameters, normed_nd, d_logits_nv, gradients, d_normed_nd, arena);
        });
    }

    /// The gradient of the last block's output, `[T, D]`, from that of the chosen rows behind the final norm.
    ///
    /// # Panics
    /// If the lengths do not fit.
    #[must_use]
    #[inline]
    pub fn head_backward<R: Compiled>(
        &self,
        parameters: &[R],
        head: &HeadRows<R>,
        d_normed_nd: &[R],
        tokens: usize,
        gradients: &mut [R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        R::head_backward(self, parameters, head, d_normed_nd, tokens, gradients, arena)
    }

    pub(super) fn run_head_backward<R: Real>(
        &self,
        parameters: &[R],
        head: &HeadRows<R>,
        d_normed_nd: &[R],
        tokens: usize,
        gradients: &mut [R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let width = self.spec.width;
        let pass = Pass::undisturbed(parameters);
        let dx_nd = self.final_norm.backward(pass, &head.x_nd, &head.moments, d_normed_nd, gradients, arena);
        let mut d_output_td = arena.zeros(tokens * width);
        elementwise::scatter_rows(&dx_nd, &head.rows, width, &mut d_output_td);
        d_output_td
    }

    fn head_table(&self) -> &Table {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}
