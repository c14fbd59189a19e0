//! The decoder: a frozen base with adapters beside its linears, forward and backward by hand.
//!
//! A pass works on one packed row of T tokens, without padding and without a batch dimension; `bounds` keep its
//! documents apart. Nothing here knows a label or an optimiser.
//!
//! Legend: T tokens, D width, H query heads, K key-value heads, E head width, F width of the MLP, V vocabulary, N chosen rows.

mod block;
mod cache;
mod compiled;
pub mod gpu;
mod head;
mod load;
mod norm;
mod ropes;
mod staged;
mod start;
mod table;
mod trained;

use rtune_adapters::{Linear, Weight};
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::elementwise;
use rtune_kernels::noise::{Draw, stream_of};
use rtune_kernels::real::Real;

use crate::DecoderSpec;
use block::{Block, BlockSaved, Context};
use norm::Norm;
use ropes::Ropes;
use table::Table;

pub use block::inputs::Readers;
pub use cache::{Fresh, KvCache, Positions};
pub use compiled::Compiled;
pub use head::{HEAD_CHUNK_ELEMENTS, HeadRows};
pub use load::Quantization;
pub use staged::{Staged, StagedBlock};
pub use start::held;

/// A decoder in memory.
#[derive(Clone, Debug)]
pub struct Decoder {
    spec: DecoderSpec,
    embedding: Table,
    blocks: Vec<Block>,
    final_norm: Norm,
    /// `None` where the head is the embedding.
    head: Option<Table>,
}

/// One packed row: several documents behind one another.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// Token ids, `[T]`.
    pub tokens: &'a [u32],
    /// Positions for rope, `[T]`, from 0 in every document.
    pub positions: &'a [u32],
    /// Cumulative bounds of the documents: first 0, last T.
    pub bounds: &'a [usize],
    /// For each document the earlier one that stands before its tokens as a prefix, or none; positions go on from there. What
    /// is such a prefix has none itself. Empty where no document has one.
    pub parents: &'a [Option<usize>],
    /// What training disturbs the pass with; `None` everywhere else.
    pub noise: Option<RowNoise<'a>>,
}

/// Noise of a packed row while training.
#[derive(Clone, Copy, Debug)]
pub struct RowNoise<'a> {
    /// A key for each token, `[T]`, that all draws for it follow from.
    pub keys_t: &'a [u64],
    /// Each number of the embeddings of a document of T tokens moves by at most `alpha / sqrt(T D)` (NEFTune, arXiv
    /// 2310.05914); 0 is none.
    pub neftune_alpha: f64,
}

/// What a forward pass keeps of every block for the backward pass. Gradients are the same for each, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavePolicy {
    /// Nothing: for evaluation. A backward pass is not possible.
    Nothing,
    /// The input of the block; the rest is computed again. A third more work.
    InputOnly,
    /// The same in the host's memory, where a GPU computes: least of its own. Without a GPU, [`Self::InputOnly`].
    Offloaded,
    /// [`Self::All`] of so many of the last blocks, [`Self::InputOnly`] of those before: what fits.
    Last(usize),
    /// Everything that is dear to compute again; norms and activations are formed anew.
    All,
}

impl std::fmt::Display for SavePolicy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing"),
            Self::InputOnly => formatter.write_str("input-only"),
            Self::Offloaded => formatter.write_str("offloaded"),
            Self::Last(last) => write!(formatter, "all of the last {last}"),
            Self::All => formatter.write_str("all"),
        }
    }
}

/// What is kept of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: no gradient goes through it.
    Nothing,
    /// Its input.
    Input,
    /// Its input, in the host's memory.
    InputAside,
    /// Everything.
    All,
}

impl SavePolicy {
    /// What is kept of block `block` of `blocks`, of which `lowest` is the first with something trained.
    #[must_use]
    pub fn keep(self, block: usize, blocks: usize, lowest: usize) -> Keep {
        match self {
            Self::Nothing => Keep::Nothing,
            _ if block < lowest => Keep::Nothing,
            Self::InputOnly => Keep::Input,
            Self::Offloaded => Keep::InputAside,
            Self::Last(last) if block + last < blocks => Keep::Input,
            Self::Last(_) | Self::All => Keep::All,
        }
    }
}

/// What [`Decoder::forward`] gives.
#[derive(Debug)]
pub struct Forward<R: Real> {
    /// The output of the last block, before the final norm, `[T, D]`.
    pub output: Buffer<R>,
    saved: Vec<Option<BlockSaved<R>>>,
    ropes: Ropes<R>,
}

impl Decoder {
    /// What the decoder is made of.
    #[must_use]
    pub fn spec(&self) -> &DecoderSpec {
        &self.spec
    }

    /// The linears of the blocks in order: those that adapters can stand beside. The head is not among them.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.blocks.iter().flat_map(Block::linears)
    }

    /// [`Self::linears`], to be changed: merging replaces weights.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.blocks.iter_mut().flat_map(Block::linears_mut)
    }

    /// Frozen numbers of the base; a tied head counts once.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let dense: usize = self.dense_weights().map(|w| w.rows() * w.columns()).sum();
        let linears: usize = self.linears().map(Linear::frozen_count).sum();
        dense + self.norm_count() + linears
    }

    /// Numbers of the base that are not trained whole.
    #[must_use]
    pub fn frozen_count(&self) -> usize {
        self.parameter_count() - self.trained_whole()
    }

    /// Bytes of the frozen numbers in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.dense_weights().map(Weight::size_bytes).sum::<usize>()
            + self.norms().map(Norm::count).sum::<usize>() * size_of::<f32>()
            + self.linears().map(Linear::size_bytes).sum::<usize>()
    }

    /// Matrices that are never quantised: embedding, head, routers.
    fn dense_weights(&self) -> impl Iterator<Item = &Weight> {
        let routers = self.blocks.iter().filter_map(Block::router);
        std::iter::once(&self.embedding).chain(&self.head).map(|table| &table.weight).chain(routers)
    }

    /// Numbers of the norms; two that share their weights count once.
    fn norm_count(&self) -> usize {
        self.distinct_norms().map(Norm::count).sum()
    }

    /// Bytes of [`Self::unpack`]'s copy of all matrices.
    #[must_use]
    pub fn unpacked_bytes(&self) -> usize {
        self.parameter_count() * size_of::<f32>()
    }

    /// Holds every matrix in `f32` from now on, so that many passes over few tokens do not unpack them each time. The
    /// numbers stay the same to the bit.
    pub fn unpack(&mut self) {
        // The largest first: of each matrix both are there for a moment, and at the end that counts the most.
        for table in std::iter::once(&mut self.embedding).chain(&mut self.head) {
            table.weight = table.weight.unpacked();
        }
        for linear in self.linears_mut() {
            linear.set_weight(linear.weight().unpacked());
        }
        for router in self.blocks.iter_mut().filter_map(Block::router_mut) {
            *router = router.unpacked();
        }
    }

    /// Runs the blocks over one packed row.
    ///
    /// `parameters`: the flat vector of [`Self::attach_lora`], or empty if there are no adapters.
    ///
    /// # Panics
    /// If a token is not below the vocabulary's size, or the row's parts do not fit each other: both are checked where
    /// rows are made.
    #[inline]
    pub fn forward<R: Compiled>(
        &self,
        parameters: &[R],
        row: &RowView<'_>,
        policy: SavePolicy,
        arena: &Arena<R>,
    ) -> Forward<R> {
        R::forward(self, parameters, row, policy, arena)
    }

    fn run_forward<R: Real>(
        &self,
        parameters: &[R],
        row: &RowView<'_>,
        policy: SavePolicy,
        arena: &Arena<R>,
    ) -> Forward<R> {
        assert!(row.positions.len() == row.tokens.len(), "row: one position a token");
        assert_eq!(row.bounds.last(), Some(&row.tokens.len()), "row: bounds");
        let alone = row.parents.is_empty() || (row.noise.is_none() && self.spec.shares_prefixes());
        assert!(alone, "row: a prefix is not the same to all documents");
        let longest = row.positions.iter().max().map_or(0, |&p| p as usize + 1);
        let ropes = Ropes::new(&self.spec, longest);
        let turns = ropes.turns(row.positions, row.bounds);
        let context = Context { parameters, row: *row, turns, arena };
        let mut x_td = self.embed(parameters, row.tokens, arena);
        if let Some(noise) = row.noise.filter(|noise| noise.neftune_alpha > 0.0) {
            self.disturb(noise, row.bounds, &mut x_td);
        }
        let blocks = self.blocks.len();
        let lowest = self.lowest_trained().unwrap_or(blocks);
        let mut saved = Vec::with_capacity(blocks);
        for (index, block) in self.blocks.iter().enumerate() {
            let (y_td, inner) = block.forward(&context, &x_td);
            saved.push(match policy.keep(index, blocks, lowest) {
                Keep::Nothing => None,
                Keep::Input | Keep::InputAside => Some(BlockSaved { x_td, inner: None }),
                Keep::All => Some(BlockSaved { x_td, inner: Some(inner) }),
            });
            x_td = y_td;
        }
        Forward { output: x_td, saved, ropes }
    }

    /// The first block that the gradient goes through; `None` where nothing is trained.
    #[must_use]
    pub fn lowest_trained(&self) -> Option<usize> {
        match self.embedding.is_trained() {
            true => Some(0),
            false => self.blocks.iter().position(Block::is_trained),
        }
    }

    /// Adds the gradients of all adapters to `gradients`, laid out as `parameters`; blocks below the lowest adapter
    /// are not walked.
    ///
    /// `d_output_td`: gradient of [`Forward::output`], `[T, D]`, from [`Self::head_backward`].
    ///
    /// # Panics
    /// If the forward pass saved nothing, or was of another row.
    #[inline]
    pub fn backward<R: Compiled>(
        &self,
        parameters: &[R],
        row: &RowView<'_>,
        forward: Forward<R>,
        d_output_td: Buffer<R>,
        gradients: &mut [R],
        arena: &Arena<R>,
    ) {
        R::backward(self, parameters, row, forward, d_output_td, gradients, arena);
    }

    fn run_backward<R: Real>(
        &self,
        parameters: &[R],
        row: &RowView<'_>,
        forward: Forward<R>,
        d_output_td: Buffer<R>,
        gradients: &mut [R],
        arena: &Arena<R>,
    ) {
        assert_eq!(gradients.len(), parameters.len(), "backward: gradients");
        let embeds = self.embedding.is_trained();
        let Some(lowest) = self.lowest_trained() else { return };
        // What is trained of a norm has its gradient from that of the norm's output, which is left out where nothing below
        // wants it.
        let all_the_way = embeds || self.blocks[lowest].norms().any(Norm::is_trained);
        drop(forward.output);
        let turns = forward.ropes.turns(row.positions, row.bounds);
        let context = Context { parameters, row: *row, turns, arena };
        let mut dy_td = d_output_td;
        let walked = self.blocks.iter().zip(forward.saved).enumerate().skip(lowest).rev();
        for (index, (block, saved)) in walked {
            let saved = saved.expect("backward: the forward pass saved its inputs");
            let inner = match saved.inner {
                Some(inner) => inner,
                None => block.forward(&context, &saved.x_td).1,
            };
            dy_td =
                block.backward(&context, &saved.x_td, inner, dy_td, gradients, all_the_way || index > lowest);
        }
        if embeds {
            self.embed_back(row.tokens, &dy_td, gradients);
        }
    }

    fn disturb<R: Real>(&self, noise: RowNoise<'_>, bounds: &[usize], x_td: &mut [R]) {
        let width = self.spec.width;
        for ends in bounds.windows(2).filter(|ends| ends[0] < ends[1]) {
            let bound = noise.neftune_alpha / (((ends[1] - ends[0]) * width) as f64).sqrt();
            let bound = self.spec.noise_scale * bound;
            let draw = Draw { keys_t: &noise.keys_t[ends[0]..ends[1]], stream: stream_of("embeddings") };
            draw.add_uniform(bound, &mut x_td[ends[0] * width..ends[1] * width]);
        }
    }

    fn embed_back<R: Real>(&self, tokens: &[u32], dx_td: &[R], gradients: &mut [R]) {
        let width = self.spec.width;
        let scale = R::of(self.spec.embedding_scale);
        let mut scaled_d = vec![R::zero(); width];
        for (dx_d, &token) in dx_td.chunks_exact(width).zip(tokens) {
            scaled_d.iter_mut().zip(dx_d).for_each(|(scaled, &dx)| *scaled = scale * dx);
            self.embedding.add_row_gradient(token as usize, &scaled_d, gradients);
        }
    }

    fn embed<R: Real>(&self, parameters: &[R], tokens: &[u32], arena: &Arena<R>) -> Buffer<R> {
        let width = self.spec.width;
        let mut x_td = arena.take(tokens.len() * width);
        for (x_d, &token) in x_td.chunks_exact_mut(width).zip(tokens) {
            self.embedding.row(parameters, token as usize, x_d);
        }
        if self.spec.embedding_scale != 1.0 {
            elementwise::scale(&mut x_td, self.spec.embedding_scale);
        }
        x_td
    }
}
