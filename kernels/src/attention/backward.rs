//! The backward pass: scores are formed again from the saved logarithms, nothing of size L × L is kept.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::cap_row;
use super::{QUERY_TILE, Shape, scratch_elements};
use crate::arena::Arena;
use crate::gemm::{Mat, MatMut, multiply_here, multiply_shared};
use crate::real::Real;
use crate::share::Shared;
use crate::simd;

/// Where the gradients of queries, keys and values go; overwritten.
#[derive(Debug)]
pub struct Gradients<'a, R> {
    /// `[T, H, E]`.
    pub dq_the: &'a mut [R],
    /// `[T, K, E]`.
    pub dk_tke: &'a mut [R],
    /// `[T, K, E]`.
    pub dv_tke: &'a mut [R],
}

/// What the forward pass read and wrote.
struct Inputs<'a, R> {
    q: &'a [R],
    k: &'a [R],
    v: &'a [R],
    o: &'a [R],
    log_sum_exp: &'a [R],
    d_o: &'a [R],
}

/// Gradients of [`super::forward`]: with `δ = Σ do · o`, `P = exp(scores - lse)`, `dP = do vᵀ`, `dS = P (dP - δ)`:
/// `dv = Pᵀ do`, `dq = dS k · scale`, `dk = dSᵀ q · scale`.
///
/// `q_the`, `o_the`, `do_the`: `[T, H, E]`; `k_tke`, `v_tke`: `[T, K, E]`; `log_sum_exp_th`: `[T, H]`. A task owns a
/// segment in one key-value head and walks the query heads that share it, so no sum needs atomics.
///
/// # Panics
/// If the lengths do not fit the shape.
#[expect(clippy::too_many_arguments, reason = "the tensors of attention; a struct of them is built inside")]
pub fn backward<R: Real>(
    shape: &Shape<'_>,
    q_the: &[R],
    k_tke: &[R],
    v_tke: &[R],
    o_the: &[R],
    log_sum_exp_th: &[R],
    do_the: &[R],
    out: Gradients<'_, R>,
    arena: &Arena<R>,
) {
    shape.check(q_the.len(), k_tke.len(), v_tke.len(), o_the.len(), log_sum_exp_th.len());
    shape.check(do_the.len(), out.dk_tke.len(), out.dv_tke.len(), out.dq_the.len(), log_sum_exp_th.len());
    let inputs = Inputs { q: q_the, k: k_tke, v: v_tke, o: o_the, log_sum_exp: log_sum_exp_th, d_o: do_the };
    let (dq, dk, dv) = (Shared::new(out.dq_the), Shared::new(out.dk_tke), Shared::new(out.dv_tke));
    shape.tasks(shape.kv_heads).into_par_iter().for_each(|(start, end, kv_head)| {
        for row in start..end {
            let at = row * shape.kv_row() + kv_head * shape.head_width;
            // SAFETY: this segment in this key-value head belongs to this task alone.
            unsafe { dk.slice_mut(at, shape.head_width) }.fill(R::zero());
            // SAFETY: as above.
            unsafe { dv.slice_mut(at, shape.head_width) }.fill(R::zero());
        }
        let scratch = scratch_elements(end - start) / 2;
        let (mut scores, mut d_scores) = (arena.take(scratch), arena.take(scratch));
        for head in kv_head * shape.group()..(kv_head + 1) * shape.group() {
            for first in (start..end).step_by(QUERY_TILE) {
                let (low, last) = (shape.first_seen(start, first), (first + QUERY_TILE).min(end));
                let tile = Tile { start, low, first, last, head, kv_head };
                // SAFETY: the tile's queries, and its segment's keys in `kv_head`, belong to this task alone.
                unsafe { tile.run(shape, &inputs, &dq, &dk, &dv, &mut scores, &mut d_scores) };
            }
        }
    });
}

/// Query rows `first..last` of one head, in a segment that begins at `start`, of which they see `low` and what follows.
struct Tile {
    start: usize,
    low: usize,
    first: usize,
    last: usize,
    head: usize,
    kv_head: usize,
}

impl Tile {
    /// # Safety
    /// Rows `first..last` of `head` in `dq`, and rows `low..last` of `kv_head` in `dk` and `dv`, must be the caller's alone.
    #[expect(clippy::too_many_arguments, reason = "three outputs and two scratch buffers of one tile")]
    unsafe fn run<R: Real>(
        &self,
        shape: &Shape<'_>,
        inputs: &Inputs<'_, R>,
        dq: &Shared<'_, R>,
        dk: &Shared<'_, R>,
        dv: &Shared<'_, R>,
        scores: &mut [R],
        d_scores: &mut [R],
    ) {
        let (width, q_row, kv_row) = (shape.head_width, shape.query_row(), shape.kv_row());
        let (rows, keys) = (self.last - self.first, self.last - self.low);
        let q_at = self.first * q_row + self.head * width;
        let kv_at = self.low * kv_row + self.kv_head * width;
        let q = Mat::strided(&inputs.q[q_at..], rows, width, q_row);
        let d_o = Mat::strided(&inputs.d_o[q_at..], rows, width, q_row);
        let k = Mat::strided(&inputs.k[kv_at..], keys, width, kv_row);
        let v = Mat::strided(&inputs.v[kv_at..], keys, width, kv_row);
        multiply_here(MatMut::new(scores, rows, keys), R::zero(), R::of(shape.scale), q, k.t());
        multiply_here(MatMut::new(d_scores, rows, keys), R::zero(), R::one(), d_o, v.t());
        for row in 0..rows {
            let token = self.first + row;
            let at = token * q_row + self.head * width;
            let line = row * keys..(row + 1) * keys;
            let seen = shape.first_seen(self.start, token) - self.low..token + 1 - self.low;
            simd::dispatch(
                #[inline(always)]
                || {
                    let delta =
                        simd::sum2(&inputs.d_o[at..at + width], &inputs.o[at..at + width], |a, b| a * b);
                    score_gradient_row(
                        shape,
                        &mut scores[line.clone()],
                        &mut d_scores[line],
                        seen,
                        inputs.log_sum_exp[token * shape.heads + self.head],
                        delta,
                    );
                },
            );
        }
        let (p, ds) = (Mat::new(scores, rows, keys), Mat::new(d_scores, rows, keys));
        // SAFETY: passed on from the caller.
        unsafe {
            multiply_shared(dv, kv_at, kv_row, R::one(), R::one(), p.t(), d_o);
            multiply_shared(dk, kv_at, kv_row, R::one(), R::one(), ds.t(), q);
            multiply_shared(dq, q_at, q_row, R::zero(), R::one(), ds, k);
        }
    }
}

/// Turns scores into probabilities and the gradient of the probabilities into that of `q kᵀ`, zero outside `seen`.
#[inline(always)]
fn score_gradient_row<R: Real>(
    shape: &Shape<'_>,
    scores_l: &mut [R],
    d_scores_l: &mut [R],
    seen: Range<usize>,
    log_sum_exp: R,
    delta: R,
) {
    let scale = R::of(shape.scale);
    let (scores, d_scores) = (&mut scores_l[seen.clone()], &mut d_scores_l[seen.clone()]);
    if let Some(cap) = shape.softcap {
        let cap = R::of(cap);
        cap_row(scores, cap);
        for (s, d) in scores.iter_mut().zip(d_scores) {
            let slope = R::one() - (*s / cap) * (*s / cap);
            *s = (*s - log_sum_exp).exp_vector();
            *d = *s * (*d - delta) * slope * scale;
        }
    } else {
        for (s, d) in scores.iter_mut().zip(d_scores) {
            *s = (*s - log_sum_exp).exp_vector();
            *d = *s * (*d - delta) * scale;
        }
    }
    for line in [scores_l, d_scores_l] {
        line[..seen.start].fill(R::zero());
        line[seen.end..].fill(R::zero());
    }
}
