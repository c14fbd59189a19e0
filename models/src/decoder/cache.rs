//! Decoding: the keys and values of what came before, and a pass over new tokens alone.

use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::real::Real;
use rtune_kernels::rope;

use super::{Context, Decoder, RowView};

/// Keys and values of one document in one block, `[L, K, E]` each, keys after rope.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockCache<R> {
    pub(super) keys_lke: Vec<R>,
    pub(super) values_lke: Vec<R>,
}

/// Keys and values of one document in every block.
#[derive(Clone, Debug)]
pub struct KvCache<R> {
    blocks: Vec<BlockCache<R>>,
    tokens: usize,
    /// Elements of one token's keys in one block.
    kv_row: usize,
}

impl<R: Real> KvCache<R> {
    /// Tokens whose keys and values are held.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Forgets everything behind the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
        for block in &mut self.blocks {
            block.keys_lke.truncate(self.tokens * self.kv_row);
            block.values_lke.truncate(self.tokens * self.kv_row);
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
pub struct Positions<R>(rope::Table<R>);

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
        KvCache { blocks, tokens: 0, kv_row: self.spec.block.kv_heads * self.spec.block.head_width }
    }

    /// The angles of positions `0..count`.
    #[must_use]
    pub fn positions<R: Real>(&self, count: usize) -> Positions<R> {
        Positions(rope::Table::new(count, &self.spec.rope_frequencies, 1.0))
    }

    /// Runs the blocks over the new tokens of several documents: prompts that begin and answers that go on, in one
    /// pass. Gives the output of the last block, before the final norm, `[T, D]`, documents behind one another.
    ///
    /// `parameters`: as in [`Self::forward`]; empty for the base alone.
    ///
    /// # Panics
    /// If a token is not below the vocabulary's size, a cache is another decoder's, or a document becomes longer than
    /// `positions`.
    pub fn forward_cached<R: Real>(
        &self,
        parameters: &[R],
        mut documents: Vec<Fresh<'_, R>>,
        positions: &Positions<R>,
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let (mut tokens, mut places, mut bounds) = (Vec::new(), Vec::new(), vec![0]);
        for document in &mut documents {
            let before = document.cache.tokens;
            document.cache.tokens += document.tokens.len();
            assert_eq!(document.cache.blocks.len(), self.blocks.len(), "cache: of another decoder");
            assert!(document.cache.tokens <= positions.len(), "cache: longer than there are positions");
            tokens.extend_from_slice(document.tokens);
            places.extend((before..document.cache.tokens).map(|position| position as u32));
            bounds.push(tokens.len());
        }
        let row = RowView { tokens: &tokens, positions: &places, bounds: &bounds };
        let context = Context { parameters, row, rope: &positions.0, arena };
        let mut x_td = self.embed(&tokens, arena);
        for (index, block) in self.blocks.iter().enumerate() {
            let caches = documents.iter_mut().map(|document| &mut document.cache.blocks[index]).collect();
            x_td = block.forward_cached(&context, &x_td, caches);
        }
        x_td
    }
}
