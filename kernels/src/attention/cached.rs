//! Attention of new tokens to all that came before them in their document: decoding.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::softmax_row;
use super::{QUERY_TILE, Shape, TASK_TILES};
use crate::arena::Arena;
use crate::gemm::{Mat, MatMut, multiply_here, multiply_shared};
use crate::real::Real;
use crate::share::Shared;
use crate::simd;

/// Keys and values of one document up to and with its new tokens.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a, R> {
    /// `[L, K, E]`, after rope.
    pub keys_lke: &'a [R],
    /// `[L, K, E]`.
    pub values_lke: &'a [R],
}

/// `o = softmax(mask(q kᵀ · scale)) v`, where the queries of document `i` are the tokens `bounds[i]..bounds[i + 1]`, the
/// last of those whose keys and values `pasts[i]` holds; each sees itself and what came before, within the window.
///
/// `q_the`, `o_the`: `[T, H, E]`.
///
/// # Panics
/// If the lengths do not fit the shape, or a document has more new tokens than keys.
pub fn cached<R: Real>(
    shape: &Shape<'_>,
    pasts: &[Past<'_, R>],
    q_the: &[R],
    o_the: &mut [R],
    arena: &Arena<R>,
) {
    assert_eq!(pasts.len() + 1, shape.bounds.len(), "attention: one past a document");
    assert!(shape.parents.is_empty(), "attention: a past is a document's own");
    assert!(
        q_the.len() == shape.tokens() * shape.query_row() && o_the.len() == q_the.len(),
        "attention: lengths"
    );
    let mut tasks = Vec::with_capacity(pasts.len() * shape.kv_heads);
    let run = TASK_TILES * QUERY_TILE;
    for (past, bounds) in pasts.iter().zip(shape.bounds.windows(2)) {
        let (length, new) = (past.keys_lke.len() / shape.kv_row(), bounds[1] - bounds[0]);
        assert!(past.values_lke.len() == past.keys_lke.len() && new <= length, "attention: keys");
        let document = Document { shape, past: *past, first: bounds[0], new, length };
        let starts =
            if new == 1 { (0..shape.kv_heads).map(|head| (head, 0)).collect() } else { document.runs(run) };
        tasks.extend(starts.into_iter().map(|(head, start)| (document, head, start)));
    }
    let o = Shared::new(o_the);
    tasks.into_par_iter().for_each(|(document, head, start)| match document.new {
        1 => document.attend_one(head, q_the, &o, arena),
        _ => document.attend(head, start..(start + run).min(document.new), q_the, &o, arena),
    });
}

#[derive(Clone, Copy)]
struct Document<'a, R> {
    shape: &'a Shape<'a>,
    past: Past<'a, R>,
    /// Its first new token.
    first: usize,
    new: usize,
    length: usize,
}

impl<R: Real> Document<'_, R> {
    /// Where runs of so many of its new tokens begin, with every query head; the longest to compute first.
    fn runs(&self, run: usize) -> Vec<(usize, usize)> {
        let starts = (0..self.new).step_by(run).rev();
        starts.flat_map(|start| (0..self.shape.heads).map(move |head| (head, start))).collect()
    }

    /// Its one new token in all query heads that share `kv_head`: they are the rows of one small product.
    fn attend_one(&self, kv_head: usize, q_the: &[R], o: &Shared<'_, R>, arena: &Arena<R>) {
        let (width, group) = (self.shape.head_width, self.shape.group());
        let at = self.first * self.shape.query_row() + kv_head * group * width;
        self.tile(kv_head, at, group, width, |_| self.length - 1, q_the, o, arena);
    }

    /// Some of its new tokens in one query head.
    fn attend(&self, head: usize, new: Range<usize>, q_the: &[R], o: &Shared<'_, R>, arena: &Arena<R>) {
        let kv_head = head / self.shape.group();
        for start in new.clone().step_by(QUERY_TILE) {
            let rows = QUERY_TILE.min(new.end - start);
            let at = (self.first + start) * self.shape.query_row() + head * self.shape.head_width;
            let token = |row| self.length - self.new + start + row;
            self.tile(kv_head, at, rows, self.shape.query_row(), token, q_the, o, arena);
        }
    }

    /// `rows` query rows, `stride` elements apart from `at` on; row `r` is token `token(r)` of the document.
    #[expect(clippy::too_many_arguments, reason = "where the rows stand, which they are, and the buffers")]
    fn tile(
        &self,
        kv_head: usize,
        at: usize,
        rows: usize,
        stride: usize,
        token: impl Fn(usize) -> usize,
        q_the: &[R],
        o: &Shared<'_, R>,
        arena: &Arena<R>,
    ) {
        let (width, kv_row) = (self.shape.head_width, self.shape.kv_row());
        let low = self.shape.first_seen(0, token(0));
        let keys = token(rows - 1) + 1 - low;
        let kv_at = low * kv_row + kv_head * width;
        let mut scores = arena.take(rows * keys);
        let q = Mat::strided(&q_the[at..], rows, width, stride);
        let k = Mat::strided(&self.past.keys_lke[kv_at..], keys, width, kv_row);
        let v = Mat::strided(&self.past.values_lke[kv_at..], keys, width, kv_row);
        multiply_here(MatMut::new(&mut scores, rows, keys), R::zero(), R::of(self.shape.scale), q, k.t());
        for (row, scores_l) in scores.chunks_exact_mut(keys).enumerate() {
            let seen = self.shape.first_seen(0, token(row)) - low..token(row) + 1 - low;
            simd::dispatch(
                #[inline(always)]
                || softmax_row(scores_l, seen, self.shape.softcap),
            );
        }
        // SAFETY: these rows of these heads belong to one task alone, and to one tile of it.
        unsafe { multiply_shared(o, at, stride, R::zero(), R::one(), Mat::new(&scores, rows, keys), v) }
    }
}
