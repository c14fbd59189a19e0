//! Decoding: the keys and values of what came before, and a pass over new tokens alone.

use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::elementwise;
use rtune_kernels::real::Real;

use super::compiled::Compiled;
use super::ropes::Ropes;
use super::{Context, Decoder, RowView};

/// Keys and values of one document in one block, `[L, K, E]` each, keys after rope.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockCache<R> {
    pub(super) keys_lke: Vec<R>,
    pub(super) values_lke: Vec<R>,
}

/// A cache that is full grows by this part of itself: twice as much as there is, as vectors grow by themselves, would be held
/// by short answers to long prompts for nothing.
const GROWN_PART: usize = 8;

impl<R: Real> BlockCache<R> {
    /// Adds the keys and values of new tokens.
    pub(super) fn add(&mut self, keys: &[R], values: &[R]) {
        for (all, new) in [(&mut self.keys_lke, keys), (&mut self.values_lke, values)] {
            if all.capacity() - all.len() < new.len() {
                all.reserve_exact(new.len().max(all.len() / GROWN_PART));
            }
            all.extend_from_slice(new);
        }
    }
}

/// Keys and values of one document in every block.
#[derive(Clone, Debug)]
pub struct KvCache<R> {
    blocks: Vec<BlockCache<R>>,
    /// The tokens whose keys and values are held.
    tokens: Vec<u32>,
    /// Whether the keys were turned as those of a long document.
    long: bool,
    /// Elements of one token's keys in one block.
    kv_row: usize,
}

impl<R: Real> KvCache<R> {
    /// Tokens whose keys and values are held.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Bytes of the room that there is for keys and values.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| block.keys_lke.capacity() + block.values_lke.capacity());
        blocks.sum::<usize>() * size_of::<R>()
    }

    /// Forgets everything behind the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
        for block in &mut self.blocks {
            block.keys_lke.truncate(self.tokens.len() * self.kv_row);
            block.values_lke.truncate(self.tokens.len() * self.kv_row);
        }
    }
}

/// New tokens of one document.
#[derive(Debug)]
pub struct Fresh<'a, R> {
    /// Token ids.
    pub tokens: &'a [u32],
    /// What came before them; they are added.
    pub cache: &'a mut KvCache<R>,
}

/// Cosines and sines of every position that a decoder may be asked for, computed once.
#[derive(Clone, Debug)]
pub struct Positions<R>(Ropes<R>);

impl<R: Real> Positions<R> {
    /// How many positions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.positions()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Decoder {
    /// A cache without a token.
    #[must_use]
    pub fn empty_cache<R: Real>(&self) -> KvCache<R> {
        let blocks = self.blocks.iter().map(|_| BlockCache::default()).collect();
        KvCache { blocks, tokens: Vec::new(), long: false, kv_row: self.spec.kv_row() }
    }

    /// The angles of positions `0..count`.
    #[must_use]
    pub fn positions<R: Real>(&self, count: usize) -> Positions<R> {
        Positions(Ropes::new(&self.spec, count))
    }

    /// Runs the blocks over the new tokens of several documents: prompts that begin and answers that go on, in one
    /// pass. Gives the output of the last block, before the final norm, `[T, D]`, documents behind one another.
    ///
    /// `parameters`: as in [`Self::forward`]; empty for the base alone.
    ///
    /// # Panics
    /// If a token is not below the vocabulary's size, a cache is another decoder's, or a document becomes longer than
    /// `positions`.
    #[inline]
    pub fn forward_cached<R: Compiled>(
        &self,
        parameters: &[R],
        documents: Vec<Fresh<'_, R>>,
        positions: &Positions<R>,
        arena: &Arena<R>,
    ) -> Buffer<R> {
        R::forward_cached(self, parameters, documents, positions, arena)
    }

    pub(super) fn run_forward_cached<R: Real>(
        &self,
        parameters: &[R],
        mut documents: Vec<Fresh<'_, R>>,
        positions: &Positions<R>,
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let (mut tokens, mut places, mut bounds) = (Vec::new(), Vec::new(), vec![0]);
        // Rows that are asked for: all, unless a document begins anew.
        let (mut asked, mut anew) = (Vec::new(), false);
        for document in &mut documents {
            let cache = &mut *document.cache;
            assert_eq!(cache.blocks.len(), self.blocks.len(), "cache: of another decoder");
            let before = self.prepare(cache, document.tokens);
            let length = cache.tokens.len();
            assert!(length <= positions.len(), "cache: longer than there are positions");
            anew |= length - before != document.tokens.len();
            tokens.extend_from_slice(&cache.tokens[before..]);
            places.extend((before..length).map(|position| position as u32));
            bounds.push(tokens.len());
            asked.extend(tokens.len() - document.tokens.len()..tokens.len());
        }
        let row = RowView { tokens: &tokens, positions: &places, bounds: &bounds, parents: &[], noise: None };
        let context = Context { parameters, row, turns: positions.0.turns(&places, &bounds), arena };
        let mut x_td = self.embed(parameters, &tokens, arena);
        for (index, block) in self.blocks.iter().enumerate() {
            let caches = documents.iter_mut().map(|document| &mut document.cache.blocks[index]).collect();
            x_td = block.forward_cached(&context, &x_td, caches);
        }
        if !anew {
            return x_td;
        }
        let mut asked_td = arena.take(asked.len() * self.spec.width);
        elementwise::gather_rows(&x_td, &asked, self.spec.width, &mut asked_td);
        asked_td
    }

    /// Adds new tokens to those of a cache, whose keys and values are kept as far as they stay right; gives how many. A
    /// document that becomes long is turned otherwise from its first token on, and computed anew, as transformers does.
    fn prepare<R: Real>(&self, cache: &mut KvCache<R>, tokens: &[u32]) -> usize {
        let mut before = cache.tokens.len();
        let length = before + tokens.len();
        let mut bounds = self.spec.ropes.iter().filter_map(|rope| rope.long.as_ref());
        let long = bounds.any(|(longest_short, _)| length > *longest_short);
        if long != cache.long {
            before = 0;
            for block in &mut cache.blocks {
                block.keys_lke.clear();
                block.values_lke.clear();
            }
        }
        cache.long = long;
        cache.tokens.extend_from_slice(tokens);
        before
    }
}
