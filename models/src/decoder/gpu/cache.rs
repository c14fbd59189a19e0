//! Decoding on a GPU: the keys and values of what came before, and a pass over new tokens alone.

use std::cell::RefCell;
use std::rc::Rc;

use half::bf16;
use rtune_kernels::cuda::attention::cached::{self, Kept};
use rtune_kernels::cuda::{Arena, CudaError, Lent, rows};

use super::attention::GpuAttention;
use super::context::{Context, Row, Rows};
use super::{GpuDecoder, GpuForward, GpuPass};
use crate::RowView;

/// Keys and values of several documents in every block, each document in a slot of its own.
pub struct GpuCache {
    /// By blocks, `[slots * capacity, K * E]` each.
    blocks: RefCell<Vec<[Lent<bf16>; 2]>>,
    free: RefCell<Vec<usize>>,
    capacity: usize,
    kv_row: usize,
}

/// A document whose keys and values are kept.
pub struct GpuDocument {
    cache: Rc<GpuCache>,
    /// `None` where nothing is kept any more.
    slot: Option<usize>,
    tokens: Vec<u32>,
    /// Whether the keys were turned as those of a long document.
    long: bool,
}

impl Drop for GpuDocument {
    fn drop(&mut self) {
        self.release();
    }
}

impl GpuDocument {
    /// Tokens whose keys and values are kept.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Forgets everything behind the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
    }

    /// Forgets everything, and makes room for another document.
    pub fn release(&mut self) {
        self.tokens.clear();
        if let Some(slot) = self.slot.take() {
            self.cache.free.borrow_mut().push(slot);
        }
    }
}

impl GpuCache {
    /// A document without a token; `None` where every slot is taken.
    #[must_use]
    pub fn document(self: &Rc<Self>) -> Option<GpuDocument> {
        let slot = self.free.borrow_mut().pop()?;
        Some(GpuDocument { cache: Rc::clone(self), slot: Some(slot), tokens: Vec::new(), long: false })
    }

    /// Most tokens of a document.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// New tokens of one document.
pub struct GpuFresh<'a> {
    /// Token ids, at least one.
    pub tokens: &'a [u32],
    /// What came before them; they are added.
    pub document: &'a mut GpuDocument,
}

/// Where new tokens stand in a cache.
struct Places {
    /// The row of each new token, `[T]`.
    rows: Lent<u32>,
    first: Lent<i32>,
    count: Lent<i32>,
}

impl GpuDecoder {
    /// Room in `arena` for `slots` documents of at most `capacity` tokens.
    ///
    /// # Errors
    /// If the arena is too small.
    pub fn cache(&self, arena: &Arena, slots: usize, capacity: usize) -> Result<Rc<GpuCache>, CudaError> {
        let kv_row = self.spec.kv_row();
        let of = |_| {
            let count = slots * capacity * kv_row;
            Ok([arena.take(count)?, arena.take(count)?])
        };
        let blocks = (0..self.blocks.len()).map(of).collect::<Result<_, CudaError>>()?;
        let free = RefCell::new((0..slots).rev().collect());
        Ok(Rc::new(GpuCache { blocks: RefCell::new(blocks), free, capacity, kv_row }))
    }

    /// Runs the blocks over the new tokens of several documents in one pass: prompts that begin and answers that go on. The
    /// output is of the new tokens, documents behind one another; beside it the row of each document's last token.
    ///
    /// # Errors
    /// If the arena is too small or a launch fails.
    ///
    /// # Panics
    /// If a document keeps nothing any more, is of another cache, or becomes longer than that holds.
    pub fn forward_cached(
        &self,
        pass: &GpuPass<'_>,
        cache: &Rc<GpuCache>,
        documents: &mut [GpuFresh<'_>],
    ) -> Result<(GpuForward, Vec<u32>), CudaError> {
        let (mut tokens, mut positions, mut bounds) = (Vec::new(), Vec::new(), vec![0]);
        let (mut rows, mut first, mut count) = (Vec::new(), Vec::new(), Vec::new());
        let number = |value: usize| i32::try_from(value).expect("a cache of fewer than 2^31 tokens");
        for GpuFresh { tokens: new, document } in documents.iter_mut() {
            let slot = document.slot.expect("a document that is kept");
            assert!(Rc::ptr_eq(cache, &document.cache), "cache: of another decoder");
            let before = self.prepare(document, new);
            let length = document.tokens.len();
            assert!(
                length <= cache.capacity && before < length,
                "cache: {length} tokens of {}",
                cache.capacity
            );
            tokens.extend_from_slice(&document.tokens[before..]);
            for position in before..length {
                positions.push(position as u32);
                rows.push((slot * cache.capacity + position) as u32);
                first.push(number(slot * cache.capacity));
                count.push(number(position + 1));
            }
            bounds.push(tokens.len());
        }
        let longest = positions.iter().max().map_or(0, |&last| last as usize + 1);
        let ropes = self.ropes(longest)?;
        let view =
            RowView { tokens: &tokens, positions: &positions, bounds: &bounds, parents: &[], noise: None };
        let row = Row::new(pass.device, pass.arena, &self.spec, &ropes, &view)?;
        let places = Places {
            rows: pass.arena.upload(pass.device, &rows)?,
            first: pass.arena.upload(pass.device, &first)?,
            count: pass.arena.upload(pass.device, &count)?,
        };
        let c = self.context_of(pass, &row, &ropes);
        let mut x = self.embed(&c, &view)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let attend = |attention: &GpuAttention, n: &mut Rows| {
                Ok((cache.attend(&c, attention, n, index, &places)?, ()))
            };
            x = block.forward_with(&c, &x, attend)?.0;
        }
        let last = bounds[1..].iter().map(|&end| end as u32 - 1).collect();
        Ok((GpuForward { output: x, saved: Vec::new(), row, ropes }, last))
    }

    /// Adds new tokens to a document, whose keys and values are kept as far as they stay right; gives how many. A document
    /// that becomes long is turned otherwise from its first token on, and computed anew, as on the processor.
    fn prepare(&self, document: &mut GpuDocument, tokens: &[u32]) -> usize {
        let before = document.tokens.len();
        let length = before + tokens.len();
        let mut bounds = self.spec.ropes.iter().filter_map(|rope| rope.long.as_ref());
        let long = bounds.any(|(longest_short, _)| length > *longest_short);
        let kept = if long == document.long { before } else { 0 };
        document.long = long;
        document.tokens.extend_from_slice(tokens);
        kept
    }
}

impl GpuCache {
    /// Attention of new tokens, whose keys and values are added.
    fn attend(
        &self,
        c: &Context<'_>,
        attention: &GpuAttention,
        n: &mut Rows,
        block: usize,
        places: &Places,
    ) -> Result<Rows, CudaError> {
        let (heads, _, turned) = attention.enter(c, n)?;
        let inputs = attention.inputs(&heads, turned.as_ref());
        let mut blocks = self.blocks.borrow_mut();
        let [keys, values] = &mut blocks[block];
        let length = keys.all().len() / self.kv_row;
        rows::scatter(c.device, inputs.k, places.rows.all(), keys.all_mut().matrix(length, self.kv_row))?;
        rows::scatter(c.device, inputs.v, places.rows.all(), values.all_mut().matrix(length, self.kv_row))?;
        let kept = Kept {
            keys: keys.all().matrix(length, self.kv_row),
            values: values.all().matrix(length, self.kv_row),
            first: places.first.all(),
            count: places.count.all(),
        };
        let mut o = Rows::new(c.arena, n.count(), attention.output.wide_inputs(c))?;
        let width = attention.output.inputs;
        cached::attend(c.device, &attention.heads(), inputs.q, kept, o.first_mut(width))?;
        attention.output.project(c, &mut o)?;
        let mut y = Rows::new(c.arena, n.count(), attention.output.outputs)?;
        attention.output.forward(c, &o, y.all_mut())?;
        Ok(y)
    }
}
