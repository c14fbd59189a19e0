//! Causal attention over packed segments with grouped queries, forward and backward (FlashAttention-2's mathematics,
//! arXiv 2307.08691, in tiles of query rows). Segments may share a prefix, which is another segment.
//!
//! Legend: T tokens, H query heads, K key-value heads, E head width, L length of a segment.

mod backward;
mod cached;
mod forward;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use backward::{Gradients, backward};
pub use cached::{Past, cached};
pub use forward::forward;

/// Query rows in a tile: scores of a tile are `QUERY_TILE * L` elements, small enough to stay in the cache for the
/// lengths that packed rows have.
const QUERY_TILE: usize = 64;

/// Most parts that the segments behind one prefix, or the queries of one long segment, are gone back through in. Each part sums
/// by itself what it makes of keys and values that others see too, and these sums are added in order: threads share the work, and
/// their number changes no bit.
const MOST_PARTS: usize = 8;

/// Tiles of queries that a task has, where a segment is cut into tasks; the way back has so many at least.
const TASK_TILES: usize = 8;

/// Parts of a long segment times key-value heads are about so many tasks at the most: sums apart take memory.
const MOST_TASKS: usize = 16;

/// Elements that each thread works in while it goes back through documents of at most `longest_tokens` tokens; going
/// forward takes half of it.
#[must_use]
pub fn scratch_elements(longest_tokens: usize) -> usize {
    2 * QUERY_TILE.min(longest_tokens) * longest_tokens
}

/// How often the way back sums what so many segments make of a prefix that they share: each sum is as large as the gradients
/// of the prefix's keys and values.
#[must_use]
pub fn prefix_sums(segments: usize) -> usize {
    segments.div_ceil(segments.div_ceil(MOST_PARTS).max(1))
}

/// Tokens of a document of `tokens` tokens whose keys and values the way back sums apart, each as often as it does: parts of a
/// long document are gone back through on their own.
#[must_use]
pub fn split_sums(tokens: usize, kv_heads: usize) -> usize {
    let ends = query_ends(tokens, kv_heads);
    ends[..ends.len() - 1].iter().sum()
}

/// Where the parts end that the queries of a segment are gone back through in, by its length alone. A query sees the more keys the
/// later it stands: the parts are of much the same work, which grows with the square of the place.
fn query_ends(tokens: usize, kv_heads: usize) -> Vec<usize> {
    let tiles = tokens.div_ceil(QUERY_TILE);
    let parts = (tiles / TASK_TILES).min(MOST_TASKS.div_ceil(kv_heads.max(1))).clamp(1, MOST_PARTS);
    let end =
        |part: usize| QUERY_TILE * (tiles as f64 * (part as f64 / parts as f64).sqrt()).round() as usize;
    (1..parts).map(end).chain([tokens]).collect()
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
    /// For each segment the earlier one whose tokens stand before its own, all of which they see too, or none; a segment that
    /// is such a prefix has none. Empty where no segment has one.
    pub parents: &'a [Option<usize>],
    /// The most tokens that one sees, itself among them; `None` for all.
    pub window: Option<usize>,
    /// Scores `s` become `cap * tanh(s / cap)` before the softmax.
    pub softcap: Option<f64>,
}

/// A segment, and the prefix that it shares with others.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: usize,
    end: usize,
    /// Tokens of the row that stand before it in its document; empty where there are none.
    prefix_start: usize,
    prefix_end: usize,
}

impl Segment {
    /// Tokens of the prefix.
    fn shared(&self) -> usize {
        self.prefix_end - self.prefix_start
    }

    /// The place in the document of a token of the segment.
    fn place(&self, token: usize) -> usize {
        self.shared() + token - self.start
    }
}

/// The keys that a tile of queries sees: tokens of the prefix, and behind them tokens of the segment.
#[derive(Clone, Debug)]
struct Keys {
    /// The place in the document of the first.
    low: usize,
    prefix: Range<usize>,
    own: Range<usize>,
}

impl Keys {
    fn len(&self) -> usize {
        self.prefix.len() + self.own.len()
    }

    /// Those of the prefix if there are any, then those of the segment, each with the number of the first.
    fn parts(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let parts = [(self.prefix.clone(), 0), (self.own.clone(), self.prefix.len())];
        parts.into_iter().filter(|(tokens, _)| !tokens.is_empty())
    }

    /// Which of them a query at this place of the document sees.
    fn seen(&self, shape: &Shape<'_>, place: usize) -> Range<usize> {
        shape.first_seen(0, place) - self.low..place + 1 - self.low
    }
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
        let fits = |(number, parent): (usize, &Option<usize>)| {
            parent.is_none_or(|parent| parent < number && self.parents[parent].is_none())
        };
        let count = self.parents.len();
        assert!(count == 0 || count + 1 == self.bounds.len(), "attention: one parent a segment");
        assert!(self.parents.iter().enumerate().all(fits), "attention: parents");
    }

    /// The segments that have tokens, in order.
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let bounds = self.bounds.windows(2).enumerate();
        bounds.filter(|(_, ends)| ends[1] > ends[0]).map(|(number, ends)| {
            let parent = self.parents.get(number).copied().flatten();
            let (prefix_start, prefix_end) =
                parent.map_or((0, 0), |parent| (self.bounds[parent], self.bounds[parent + 1]));
            Segment { start: ends[0], end: ends[1], prefix_start, prefix_end }
        })
    }

    /// The keys that the tokens `first..last` of a segment see.
    fn keys(&self, segment: &Segment, first: usize, last: usize) -> Keys {
        let (low, shared) = (self.first_seen(0, segment.place(first)), segment.shared());
        Keys {
            low,
            prefix: segment.prefix_start + low.min(shared)..segment.prefix_end,
            own: segment.start + low.saturating_sub(shared)..last,
        }
    }

    /// Queries of every segment, few tiles together, with every head; those with the most to do first so that threads end together.
    fn tasks(&self) -> Vec<(Segment, Range<usize>, usize)> {
        let cut = |one: Segment| {
            let starts = (one.start..one.end).step_by(TASK_TILES * QUERY_TILE);
            starts.map(move |first| (one, first..(first + TASK_TILES * QUERY_TILE).min(one.end)))
        };
        let mut parts: Vec<(Segment, Range<usize>)> = self.segments().flat_map(cut).collect();
        parts.sort_by_key(|(one, queries)| {
            (std::cmp::Reverse(queries.len() * (one.place(queries.end - 1) + 1)), queries.start)
        });
        let with_heads = |(one, queries): (Segment, Range<usize>)| {
            (0..self.heads).map(move |head| (one, queries.clone(), head))
        };
        parts.into_iter().flat_map(with_heads).collect()
    }
}
