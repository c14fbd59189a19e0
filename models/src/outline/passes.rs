//! The buffers of a training pass: how much an arena holds when it has lent what a step needs.
//!
//! Counted are the buffers that `decoder/block` takes, in the same terms. What the passes of the tests take is what is
//! compared.
//!
//! Legend: T tokens, N supervised tokens, D width, H query heads, K key-value heads, E head width, F width of the MLP, V
//! vocabulary, R rank.

use rtune_adapters::weight::PANEL_ELEMENTS;
use rtune_kernels::attention::{scratch_elements, split_sums};
use rtune_kernels::gemm;

use super::{BaseOutline, TrainedOutline};
use crate::families::{BlockSpec, MlpShape, NormKind, QueryKeyNorm};
use crate::{Keep, SavePolicy, decoder::HEAD_CHUNK_ELEMENTS};

/// One packed row, as far as memory is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// T.
    pub tokens: usize,
    /// N.
    pub supervised: usize,
    /// Tokens of the longest document in it.
    pub longest: usize,
    /// Tokens of prefixes that documents share, each as often as the way back sums what documents make of it
    /// ([`rtune_kernels::attention::prefix_sums`]).
    pub prefix_sums: usize,
    /// Threads that compute.
    pub threads: usize,
}

/// Arenas lend multiples of so many elements.
const LENT_ELEMENTS: usize = 16;

/// Elements of some buffers. An arena lends parts of the same memory whatever their lengths are, so that their sum counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Buffers(pub(super) usize);

impl Buffers {
    /// `count` more of this length.
    pub(super) fn add(&mut self, length: usize, count: usize) {
        let lent = length.div_ceil(LENT_ELEMENTS).saturating_mul(LENT_ELEMENTS);
        self.0 = self.0.saturating_add(lent.saturating_mul(count));
    }

    /// Those of both at once.
    pub(super) fn and(&mut self, other: &Self) {
        self.add(other.0, 1);
    }

    /// Those of one after the other: what the first gave back serves the second.
    pub(super) fn or(&mut self, other: &Self) {
        self.0 = self.0.max(other.0);
    }
}

/// Elements of the buffers of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassElements {
    /// What is kept from the forward pass for the backward pass.
    pub kept: usize,
    /// What one block or the head works in.
    pub work: usize,
}

impl PassElements {
    /// Both.
    #[must_use]
    pub fn total(&self) -> usize {
        self.kept.saturating_add(self.work)
    }
}

impl BaseOutline {
    /// Elements of the buffers of a forward and a backward pass over one packed row; with [`SavePolicy::Nothing`] of a
    /// forward pass alone.
    #[must_use]
    pub fn pass_elements(&self, trained: &TrainedOutline, policy: SavePolicy, pass: &Pass) -> PassElements {
        let (mut kept, mut one_block, mut work) =
            (Buffers::default(), Buffers::default(), Buffers::default());
        let mut rest = trained.ranks.as_slice();
        let blocks = self.spec.blocks.len();
        let (mut begun, mut keeps_all) = (!trained.adapters_alone, false);
        for (index, block) in self.spec.blocks.iter().enumerate() {
            let linears = self.linears_of(block).min(rest.len());
            let (own, behind) = rest.split_at(linears);
            rest = behind;
            let block = Walk { block, norm: self.spec.norm, ranks: own, trained, pass };
            let inner = block.kept();
            begun |= own.iter().any(Option::is_some);
            let keep = policy.keep(index, blocks, if begun { index } else { blocks });
            if keep != Keep::Nothing {
                kept.add(pass.tokens * block.block.width, 1);
            }
            match keep {
                Keep::All => {
                    keeps_all = true;
                    kept.and(&inner);
                }
                Keep::Input | Keep::InputAside | Keep::Nothing => one_block.or(&inner),
            }
            work.or(&block.mlp_back());
            work.or(&block.attention_back());
            work.or(&block.projections_back());
        }
        // What one block keeps for itself stays while it works; where others keep all, they have given theirs back by then.
        if !keeps_all {
            work.and(&one_block);
        }
        work.or(&self.head(pass, trained.rows));
        PassElements { kept: kept.0, work: work.0.saturating_add(self.panel_elements()) }
    }

    /// The most of one matrix that is unpacked at a time, the head's or a linear's, where products do not unpack it.
    pub(super) fn panel_elements(&self) -> usize {
        let linears = self.linears().into_iter().map(|linear| linear.inputs.saturating_mul(linear.outputs));
        let table = self.spec.vocabulary.saturating_mul(self.spec.width);
        match gemm::unpacks::<f32>() {
            true => 0,
            false => PANEL_ELEMENTS.min(linears.fold(table, usize::max)),
        }
    }

    pub(super) fn linears_of(&self, block: &BlockSpec) -> usize {
        let names = &self.spec.names;
        let attention = block.attention_parts(names).len();
        attention
            + match names.experts.zip(block.mlp.experts) {
                None => block.mlp_parts(names).len(),
                Some((names, experts)) => experts.choice.experts * block.expert_parts(&names, 0).len(),
            }
    }

    /// Final norm, logits of a chunk, and their way back.
    fn head(&self, pass: &Pass, trained_rows: usize) -> Buffers {
        let (width, vocabulary) = (self.spec.width, self.spec.vocabulary);
        let chunk = (HEAD_CHUNK_ELEMENTS / vocabulary).max(1).min(pass.supervised);
        let mut buffers = Buffers::default();
        // The output of the blocks and its gradient.
        buffers.add(pass.tokens * width, 2);
        // The chosen rows, normed, and the gradients of both.
        buffers.add(pass.supervised * width, 4);
        buffers.add(pass.supervised * if self.spec.norm == NormKind::Layer { 2 } else { 1 }, 1);
        buffers.add(chunk * vocabulary, if self.spec.logit_cap.is_some() { 2 } else { 1 });
        buffers.add(chunk * trained_rows, 1);
        buffers
    }
}

/// One block in one pass.
struct Walk<'a> {
    block: &'a BlockSpec,
    norm: NormKind,
    ranks: &'a [Option<usize>],
    trained: &'a TrainedOutline,
    pass: &'a Pass,
}

impl Walk<'_> {
    /// Elements of queries and of keys.
    fn rows(&self) -> [usize; 2] {
        let attention = &self.block.attention;
        [attention.heads, attention.kv_heads].map(|heads| self.pass.tokens * heads * attention.head_width)
    }

    fn width(&self) -> usize {
        self.pass.tokens * self.block.width
    }

    /// Rows that go through MLPs: a token goes through several experts.
    fn mlp_rows(&self) -> usize {
        self.pass.tokens * self.block.mlp.experts.map_or(1, |experts| experts.choice.per_token)
    }

    /// Rows that are in one MLP at once. Experts are chosen unevenly: half of the tokens in one is taken for the most.
    fn rows_at_once(&self) -> usize {
        match self.block.mlp.experts {
            None => self.pass.tokens,
            Some(experts) => {
                let (all, taken) = (experts.choice.experts, experts.choice.per_token);
                (self.mlp_rows().div_ceil(all)).max(self.pass.tokens / 2).min(self.pass.tokens * taken)
            }
        }
    }

    fn moments(&self) -> usize {
        if self.norm == NormKind::Layer { 2 } else { 1 }
    }

    /// The linears of attention, without those of the MLP.
    fn attention_linears(&self) -> usize {
        (if self.block.attention.joint.is_some() { 2 } else { 4 }).min(self.ranks.len())
    }

    /// What the backward pass reads of this block, its input aside.
    fn kept(&self) -> Buffers {
        let BlockSpec { norms, attention, mlp, .. } = self.block;
        let (tokens, [queries, keys]) = (self.pass.tokens, self.rows());
        let mut kept = Buffers::default();
        kept.add(queries, 2);
        kept.add(keys, 2);
        kept.add(tokens * attention.heads, 1);
        match attention.query_key_norm {
            QueryKeyNorm::None => {}
            QueryKeyNorm::Head => {
                kept.add(tokens * (attention.heads + attention.kv_heads) * self.moments(), 1);
            }
            QueryKeyNorm::Whole => kept.add(tokens * self.moments(), 2),
        }
        for present in [norms.attention, norms.attention_out, norms.mlp, norms.mlp_out] {
            kept.add(tokens * self.moments(), usize::from(present));
        }
        let behind = usize::from(norms.attention_out) + usize::from(norms.mlp_out);
        kept.add(self.width(), behind + usize::from(!self.block.parallel));
        let inputs = if mlp.shape == MlpShape::Plain { 1 } else { 2 };
        kept.add(self.mlp_rows() * mlp.width, inputs);
        if let Some(experts) = mlp.experts {
            kept.add(tokens * experts.choice.experts, 1);
            kept.add(tokens * experts.choice.per_token, 2);
        }
        let (attention_ranks, mlp_ranks) = self.ranks.split_at(self.attention_linears());
        for rank in attention_ranks.iter().flatten() {
            kept.add(tokens * rank, 1);
        }
        let experts = mlp.experts.map_or(1, |experts| experts.choice.experts);
        let mlp_elements: usize = mlp_ranks.iter().flatten().map(|rank| self.mlp_rows() * rank).sum();
        kept.add(mlp_elements / experts.max(1), 1);
        kept
    }

    /// What is there through both halves of the backward pass: the gradient of the residual, its copy where both halves
    /// read it, that of a norm behind, and the normed input.
    fn carried(&self, norm: bool, norm_out: bool) -> Buffers {
        let mut carried = Buffers::default();
        let scaled = usize::from(self.block.residual_scale != 1.0);
        let parallel = usize::from(self.block.parallel);
        carried.add(self.width(), 1 + parallel + usize::from(norm_out) + scaled + usize::from(norm));
        let rank = self.ranks.iter().flatten().max().copied().unwrap_or(0);
        carried.add(self.pass.tokens * rank, 1);
        carried
    }

    fn mlp_back(&self) -> Buffers {
        let BlockSpec { norms, mlp, width, .. } = self.block;
        let mut work = self.carried(norms.mlp, norms.mlp_out);
        let rows = self.rows_at_once();
        work.add(rows * mlp.width, 2);
        work.add(2 * rows * mlp.width, usize::from(mlp.shape == MlpShape::FusedGated));
        work.add(self.width(), 1);
        if let Some(experts) = mlp.experts {
            // A visitor's input, its gradient, and that of the output.
            work.add(rows * width, 3);
            work.add(self.pass.tokens * experts.choice.experts, 1);
            work.add(self.pass.tokens * experts.choice.per_token, 1);
        }
        let (_, ranks) = self.ranks.split_at(self.attention_linears());
        let outputs = if mlp.shape == MlpShape::FusedGated { 2 } else { 1 } * mlp.width;
        self.beside_adapters(ranks, rows, mlp.width.max(*width), outputs.max(*width), &mut work);
        work
    }

    fn attention_back(&self) -> Buffers {
        let BlockSpec { norms, attention, .. } = self.block;
        let mut work = self.carried(norms.attention, norms.attention_out);
        let [queries, keys] = self.rows();
        let normed = usize::from(attention.query_key_norm != QueryKeyNorm::None);
        work.add(queries, 2 + normed);
        work.add(keys, 2 + normed);
        let tasks =
            self.pass.threads.min(attention.heads * self.pass.tokens.div_ceil(self.pass.longest.max(1)));
        work.add(scratch_elements(self.pass.longest), tasks);
        // No documents of so many tokens have more sums of their parts than those of the longest.
        let longest = self.pass.longest.max(1);
        let parts = split_sums(longest, attention.kv_heads) * self.pass.tokens.div_ceil(longest);
        work.add((self.pass.prefix_sums + parts) * attention.kv_heads * attention.head_width, 2);
        work
    }

    fn projections_back(&self) -> Buffers {
        let BlockSpec { norms, attention, .. } = self.block;
        let mut work = self.carried(norms.attention, norms.attention_out);
        let [queries, keys] = self.rows();
        let normed = usize::from(attention.query_key_norm != QueryKeyNorm::None);
        work.add(queries, 1 + normed);
        work.add(keys, 2 + normed);
        work.add(queries + 2 * keys, usize::from(attention.joint.is_some()));
        work.add(self.width(), 1);
        let (ranks, _) = self.ranks.split_at(self.attention_linears());
        let tokens = self.pass.tokens.max(1);
        let outputs = if attention.joint.is_some() { queries + 2 * keys } else { queries } / tokens;
        let width = self.block.width;
        self.beside_adapters(ranks, tokens, (queries / tokens).max(width), outputs.max(width), &mut work);
        work
    }

    /// What the way back through one linear with an adapter takes besides: its input with elements left out, or the gradient
    /// of that, and what DoRA's lengths are put on, with the products that it finds them by.
    fn beside_adapters(
        &self,
        ranks: &[Option<usize>],
        rows: usize,
        inputs: usize,
        outputs: usize,
        work: &mut Buffers,
    ) {
        let Some(rank) = ranks.iter().flatten().max() else { return };
        work.add(rows * inputs, usize::from(self.trained.dropout));
        if self.trained.dora {
            work.add(rows * outputs, 1);
            work.add(rank * outputs, 1);
            work.add(outputs, 2);
        }
    }
}
