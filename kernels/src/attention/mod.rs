//! Causal attention over packed segments with grouped queries, forward and backward (FlashAttention-2's mathematics,
//! arXiv 2307.08691, in tiles of query rows).
//!
//! Legend: T tokens, H query heads, K key-value heads, E head width, L length of a segment.

mod backward;
mod cached;
mod forward;
#[cfg(test)]
mod tests;

pub use backward::{Gradients, backward};
pub use cached::{Past, cached};
pub use forward::forward;

/// Query rows in a tile: scores of a tile are `QUERY_TILE * L` elements, small enough to stay in the cache for the
/// lengths that packed rows have.
const QUERY_TILE: usize = 64;

/// Elements that each thread works in while it goes back through documents of at most `longest_tokens` tokens; going
/// forward takes half of it.
#[must_use]
pub fn scratch_elements(longest_tokens: usize) -> usize {
    2 * QUERY_TILE.min(longest_tokens) * longest_tokens
}

/// Sizes of one attention call.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of one head.
    pub head_width: usize,
    /// Factor on the scores, `1 / sqrt(head_width)` by default.
    pub scale: f64,
    /// Cumulative bounds of the segments: first 0, last T. A token sees its own segment up to itself.
    pub bounds: &'a [usize],
    /// The most tokens that one sees, itself among them; `None` for all.
    pub window: Option<usize>,
    /// Scores `s` become `cap * tanh(s / cap)` before the softmax.
    pub softcap: Option<f64>,
}

impl Shape<'_> {
    /// The first token that `token` sees in a segment that begins at `start`.
    fn first_seen(&self, start: usize, token: usize) -> usize {
        self.window.map_or(start, |window| start.max((token + 1).saturating_sub(window)))
    }

    fn tokens(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }

    fn query_row(&self) -> usize {
        self.heads * self.head_width
    }

    fn kv_row(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Query heads that share one key-value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    fn check(&self, q: usize, k: usize, v: usize, o: usize, log_sum_exp: usize) {
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "attention: heads");
        assert!(self.window != Some(0), "attention: a window of nothing");
        assert!(self.bounds.first() == Some(&0) && self.bounds.is_sorted(), "attention: bounds");
        let tokens = self.tokens();
        assert!(
            q == tokens * self.query_row() && o == q && k == tokens * self.kv_row() && v == k,
            "attention: lengths"
        );
        assert_eq!(log_sum_exp, tokens * self.heads, "attention: lengths");
    }

    /// (segment start, segment end, head) for `heads` heads, the longest segments first so that threads end together.
    fn tasks(&self, heads: usize) -> Vec<(usize, usize, usize)> {
        let mut segments: Vec<(usize, usize)> =
            self.bounds.windows(2).map(|w| (w[0], w[1])).filter(|(start, end)| end > start).collect();
        segments.sort_by_key(|&(start, end)| (std::cmp::Reverse(end - start), start));
        segments.into_iter().flat_map(|(start, end)| (0..heads).map(move |head| (start, end, head))).collect()
    }
}
