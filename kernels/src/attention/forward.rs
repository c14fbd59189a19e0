//! The forward pass.

use std::ops::Range;

use rayon::prelude::*;

use super::{QUERY_TILE, Shape};
use crate::arena::Arena;
use crate::gemm::{Mat, MatMut, multiply_here, multiply_shared};
use crate::real::Real;
use crate::share::Shared;
use crate::simd;

/// `o = softmax(mask(q kᵀ · scale)) v` by heads and segments.
///
/// `q_the`, `o_the`: `[T, H, E]`; `k_tke`, `v_tke`: `[T, K, E]`; `log_sum_exp_th`: `[T, H]`, written, kept for
/// [`super::backward`].
///
/// # Panics
/// If the lengths do not fit the shape.
pub fn forward<R: Real>(
    shape: &Shape<'_>,
    q_the: &[R],
    k_tke: &[R],
    v_tke: &[R],
    o_the: &mut [R],
    log_sum_exp_th: &mut [R],
    arena: &Arena<R>,
) {
    shape.check(q_the.len(), k_tke.len(), v_tke.len(), o_the.len(), log_sum_exp_th.len());
    let (o, log_sum_exp) = (Shared::new(o_the), Shared::new(log_sum_exp_th));
    let (width, q_row, kv_row) = (shape.head_width, shape.query_row(), shape.kv_row());
    shape.tasks().into_par_iter().for_each(|(segment, queries, head)| {
        let seen = segment.place(queries.end - 1) + 1;
        let mut scores = arena.take(QUERY_TILE.min(queries.len()) * seen);
        for first in queries.clone().step_by(QUERY_TILE) {
            let last = (first + QUERY_TILE).min(queries.end);
            let keys = shape.keys(&segment, first, last);
            let (rows, columns) = (last - first, keys.len());
            let kv_at = |token: usize| token * kv_row + head / shape.group() * width;
            let q = Mat::strided(&q_the[first * q_row + head * width..], rows, width, q_row);
            for (tokens, column) in keys.parts() {
                let k = Mat::strided(&k_tke[kv_at(tokens.start)..], tokens.len(), width, kv_row);
                let part = MatMut::strided(&mut scores[column..], rows, tokens.len(), columns);
                multiply_here(part, R::zero(), R::of(shape.scale), q, k.t());
            }
            for (row, scores_l) in scores.chunks_exact_mut(columns).take(rows).enumerate() {
                let token = first + row;
                let seen = keys.seen(shape, segment.place(token));
                let sum = simd::dispatch(
                    #[inline(always)]
                    || softmax_row(scores_l, seen, shape.softcap),
                );
                // SAFETY: (token, head) is reached by this task alone: a task owns its queries in its head.
                let place = unsafe { log_sum_exp.slice_mut(token * shape.heads + head, 1) };
                place[0] = sum;
            }
            let at = first * q_row + head * width;
            let mut beta = R::zero();
            for (tokens, column) in keys.parts() {
                let p = Mat::strided(&scores[column..], rows, tokens.len(), columns);
                let v = Mat::strided(&v_tke[kv_at(tokens.start)..], tokens.len(), width, kv_row);
                // SAFETY: the rows first..last of column block `head` belong to this task alone.
                unsafe { multiply_shared(&o, at, q_row, beta, R::one(), p, v) };
                beta = R::one();
            }
        }
    });
}

/// Softmax over the scores in `seen`, capped before, zero outside; gives the logarithm of the sum of exponentials.
#[inline(always)]
pub(super) fn softmax_row<R: Real>(scores_l: &mut [R], seen: Range<usize>, softcap: Option<f64>) -> R {
    let (before, rest) = scores_l.split_at_mut(seen.start);
    let (seen, behind) = rest.split_at_mut(seen.len());
    if let Some(cap) = softcap {
        cap_row(seen, R::of(cap));
    }
    let max = simd::max(seen);
    for s in seen.iter_mut() {
        *s = (*s - max).exp_vector();
    }
    let sum = simd::sum(seen, |s| s);
    let factor = R::one() / sum;
    for s in seen.iter_mut() {
        *s *= factor;
    }
    before.fill(R::zero());
    behind.fill(R::zero());
    max + sum.ln()
}

/// `s = cap * tanh(s / cap)`.
#[inline(always)]
pub(super) fn cap_row<R: Real>(scores: &mut [R], cap: R) {
    for s in scores {
        *s = cap * (*s / cap).tanh_vector();
    }
}
