//! The backward pass: scores are formed again from the saved logarithms, nothing of size L × L is kept.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::forward::cap_row;
use super::{Keys, MOST_PARTS, QUERY_TILE, Segment, Shape, query_ends};
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

/// What one task goes back through: some of the segments that share a prefix, one segment alone, or a part of a long one's queries.
#[derive(Debug)]
struct Group {
    /// Segments and those of their tokens that are its queries.
    queries: Vec<(Segment, Range<usize>)>,
    /// Where its sums for the prefix begin among those of all.
    prefix_sums_at: usize,
    /// Where its sums for a segment's own tokens begin; none where it is the last part of the segment, which sees all of them.
    own_sums_at: Option<usize>,
}

impl Group {
    fn work(&self) -> usize {
        self.queries.iter().map(|(one, queries)| queries.len() * (one.place(queries.end - 1) + 1)).sum()
    }
}

/// Sums apart: tokens of the row, and where what a group made of their keys and values begins.
struct Sums {
    tokens: Range<usize>,
    at: usize,
}

/// The groups of a row, those with the most to do first; and their sums, in the order in which they are added.
fn groups(shape: &Shape<'_>) -> (Vec<Group>, Vec<Sums>) {
    let (mut groups, mut sums) = (Vec::new(), Vec::new());
    let mut families: BTreeMap<usize, Vec<Segment>> = BTreeMap::new();
    let mut at = 0;
    let mut apart = |tokens: Range<usize>| {
        let place = at;
        at += tokens.len() * shape.kv_row();
        sums.push(Sums { tokens, at: place });
        place
    };
    for segment in shape.segments() {
        if segment.shared() > 0 {
            families.entry(segment.prefix_start).or_default().push(segment);
            continue;
        }
        let mut first = segment.start;
        for end in query_ends(segment.end - segment.start, shape.kv_heads) {
            let end = segment.start + end;
            let own_sums_at = (end < segment.end).then(|| apart(segment.start..end));
            groups.push(Group { queries: vec![(segment, first..end)], prefix_sums_at: 0, own_sums_at });
            first = end;
        }
    }
    for segments in families.into_values() {
        for part in segments.chunks(segments.len().div_ceil(MOST_PARTS)) {
            let prefix_sums_at = apart(part[0].prefix_start..part[0].prefix_end);
            let queries = part.iter().map(|one| (*one, one.start..one.end)).collect();
            groups.push(Group { queries, prefix_sums_at, own_sums_at: None });
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.work()), group.queries[0].1.start));
    (groups, sums)
}

/// Gradients of [`super::forward`]: with `δ = Σ do · o`, `P = exp(scores - lse)`, `dP = do vᵀ`, `dS = P (dP - δ)`:
/// `dv = Pᵀ do`, `dq = dS k · scale`, `dk = dSᵀ q · scale`.
///
/// `q_the`, `o_the`, `do_the`: `[T, H, E]`; `k_tke`, `v_tke`: `[T, K, E]`; `log_sum_exp_th`: `[T, H]`. A task owns a
/// segment, some that share a prefix, or a part of a long one's queries, in one key-value head and walks the query heads that
/// share it, so no sum needs atomics.
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
    let (groups, sums) = groups(shape);
    let elements = sums.iter().map(|one| one.tokens.len()).sum::<usize>() * shape.kv_row();
    let (mut k_sums, mut v_sums) = (arena.take(elements), arena.take(elements));
    let Gradients { dq_the, dk_tke, dv_tke } = out;
    let outputs = Outputs {
        dq: Shared::new(dq_the),
        dk: Shared::new(&mut *dk_tke),
        dv: Shared::new(&mut *dv_tke),
        k_sums: Shared::new(&mut k_sums),
        v_sums: Shared::new(&mut v_sums),
    };
    let tasks = groups.iter().flat_map(|group| (0..shape.kv_heads).map(move |kv_head| (group, kv_head)));
    tasks.collect::<Vec<_>>().into_par_iter().for_each(|(group, kv_head)| {
        // SAFETY: each group is there once with each key-value head, each query in one group, and each segment's own keys in the one
        // group that has no sums apart for them.
        unsafe { go_back(shape, &inputs, &outputs, group, kv_head, arena) };
    });
    for one in &sums {
        let rows = one.tokens.start * shape.kv_row()..one.tokens.end * shape.kv_row();
        for (out, sums) in [(&mut *dk_tke, &k_sums), (&mut *dv_tke, &v_sums)] {
            let sums = sums[one.at..][..rows.len()].par_chunks_exact(shape.kv_row());
            let tokens = out[rows.clone()].par_chunks_exact_mut(shape.kv_row());
            tokens
                .zip(sums)
                .for_each(|(out, sum)| out.iter_mut().zip(sum).for_each(|(out, &sum)| *out += sum));
        }
    }
}

/// Where tasks write.
struct Outputs<'a, R> {
    dq: Shared<'a, R>,
    dk: Shared<'a, R>,
    dv: Shared<'a, R>,
    /// What groups make of tokens that others see too, `[tokens, K, E]` each.
    k_sums: Shared<'a, R>,
    v_sums: Shared<'a, R>,
}

/// Goes back through a group in one key-value head.
///
/// # Safety
/// The group's queries in the query heads that share `kv_head`, its sums in `kv_head`, and there its segments' own keys if it has no
/// sums for them, must be the caller's alone.
unsafe fn go_back<R: Real>(
    shape: &Shape<'_>,
    inputs: &Inputs<'_, R>,
    outputs: &Outputs<'_, R>,
    group: &Group,
    kv_head: usize,
    arena: &Arena<R>,
) {
    let clear = |out: &Shared<'_, R>, first: usize, tokens: usize| {
        for token in 0..tokens {
            let at = first + token * shape.kv_row() + kv_head * shape.head_width;
            // SAFETY: passed on from the caller.
            unsafe { out.slice_mut(at, shape.head_width) }.fill(R::zero());
        }
    };
    let longest = group.queries.iter().map(|(one, queries)| {
        let seen = one.place(queries.end - 1) + 1;
        queries.len().min(QUERY_TILE) * seen
    });
    let scratch = longest.max().unwrap_or(0);
    let (mut scores, mut d_scores) = (arena.take(scratch), arena.take(scratch));
    let shared = group.queries[0].0.shared();
    clear(&outputs.k_sums, group.prefix_sums_at, shared);
    clear(&outputs.v_sums, group.prefix_sums_at, shared);
    for (segment, queries) in &group.queries {
        let tokens = queries.end - segment.start;
        match group.own_sums_at {
            Some(at) => {
                clear(&outputs.k_sums, at, tokens);
                clear(&outputs.v_sums, at, tokens);
            }
            None => {
                clear(&outputs.dk, segment.start * shape.kv_row(), tokens);
                clear(&outputs.dv, segment.start * shape.kv_row(), tokens);
            }
        }
        for head in kv_head * shape.group()..(kv_head + 1) * shape.group() {
            for first in queries.clone().step_by(QUERY_TILE) {
                let last = (first + QUERY_TILE).min(queries.end);
                let keys = shape.keys(segment, first, last);
                let tile = Tile { segment, keys, first, last, head, kv_head, group };
                // SAFETY: the tile's queries, and the keys or the group's sums in `kv_head`, are the caller's alone.
                unsafe { tile.run(shape, inputs, outputs, &mut scores, &mut d_scores) };
            }
        }
    }
}

/// Query rows `first..last` of one head in a segment, and the keys that they see.
struct Tile<'a> {
    segment: &'a Segment,
    keys: Keys,
    first: usize,
    last: usize,
    head: usize,
    kv_head: usize,
    group: &'a Group,
}

impl Tile<'_> {
    /// # Safety
    /// Rows `first..last` of `head` in `dq`, the group's sums in `kv_head`, and the keys in `kv_head` of `dk` and `dv` where the group
    /// has no sums for them, must be the caller's alone.
    unsafe fn run<R: Real>(
        &self,
        shape: &Shape<'_>,
        inputs: &Inputs<'_, R>,
        outputs: &Outputs<'_, R>,
        scores: &mut [R],
        d_scores: &mut [R],
    ) {
        let (width, q_row, kv_row) = (shape.head_width, shape.query_row(), shape.kv_row());
        let (rows, columns) = (self.last - self.first, self.keys.len());
        let q_at = self.first * q_row + self.head * width;
        let kv_at = |token: usize| token * kv_row + self.kv_head * width;
        let q = Mat::strided(&inputs.q[q_at..], rows, width, q_row);
        let d_o = Mat::strided(&inputs.d_o[q_at..], rows, width, q_row);
        for (tokens, column) in self.keys.parts() {
            let k = Mat::strided(&inputs.k[kv_at(tokens.start)..], tokens.len(), width, kv_row);
            let v = Mat::strided(&inputs.v[kv_at(tokens.start)..], tokens.len(), width, kv_row);
            let part = MatMut::strided(&mut scores[column..], rows, tokens.len(), columns);
            multiply_here(part, R::zero(), R::of(shape.scale), q, k.t());
            let part = MatMut::strided(&mut d_scores[column..], rows, tokens.len(), columns);
            multiply_here(part, R::zero(), R::one(), d_o, v.t());
        }
        for row in 0..rows {
            let token = self.first + row;
            let at = token * q_row + self.head * width;
            let line = row * columns..(row + 1) * columns;
            let seen = self.keys.seen(shape, self.segment.place(token));
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
        let mut beta = R::zero();
        for (tokens, column) in self.keys.parts() {
            let p = Mat::strided(&scores[column..], rows, tokens.len(), columns);
            let ds = Mat::strided(&d_scores[column..], rows, tokens.len(), columns);
            let k = Mat::strided(&inputs.k[kv_at(tokens.start)..], tokens.len(), width, kv_row);
            let of_prefix = tokens.end <= self.segment.start && self.segment.shared() > 0;
            let sums = match of_prefix {
                true => Some((self.group.prefix_sums_at, self.segment.prefix_start)),
                false => self.group.own_sums_at.map(|at| (at, self.segment.start)),
            };
            let (dk, dv, at) = match sums {
                Some((at, first)) => (&outputs.k_sums, &outputs.v_sums, at + kv_at(tokens.start - first)),
                None => (&outputs.dk, &outputs.dv, kv_at(tokens.start)),
            };
            // SAFETY: passed on from the caller.
            unsafe {
                multiply_shared(dv, at, kv_row, R::one(), R::one(), p.t(), d_o);
                multiply_shared(dk, at, kv_row, R::one(), R::one(), ds.t(), q);
                multiply_shared(&outputs.dq, q_at, q_row, beta, R::one(), ds, k);
            }
            beta = R::one();
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
