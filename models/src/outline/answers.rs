//! The buffers of passes that answer: new tokens of documents whose keys and values are kept, forward alone.
//!
//! Counted are the buffers that `Decoder::forward_cached` and the head take. Legend as in `passes.rs`.

use rtune_kernels::attention::scratch_elements;

use super::passes::Buffers;
use super::{BaseOutline, TrainedOutline};
use crate::decoder::HEAD_CHUNK_ELEMENTS;
use crate::families::{BlockSpec, ExpertsSpec, MlpShape, NormKind, QueryKeyNorm};

/// New tokens of several documents, as far as memory is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerPass {
    /// New tokens.
    pub tokens: usize,
    /// Those that a next token is predicted from.
    pub predicted: usize,
    /// Tokens of the longest document, old ones too.
    pub longest: usize,
    /// Threads that compute.
    pub threads: usize,
}

impl BaseOutline {
    /// Elements of the buffers of a pass over new tokens, with the logits of what they predict.
    #[must_use]
    pub fn answer_elements(&self, trained: &TrainedOutline, pass: &AnswerPass) -> usize {
        let mut most = Buffers::default();
        let mut rest = trained.ranks.as_slice();
        for block in &self.spec.blocks {
            let linears = self.linears_of(block).min(rest.len());
            let (own, behind) = rest.split_at(linears);
            rest = behind;
            let (attention, mlp) =
                own.split_at((if block.attention.joint.is_some() { 2 } else { 4 }).min(own.len()));
            most.or(&self.attention_forth(block, attention, trained.dora, pass));
            most.or(&self.mlp_forth(block, mlp, trained.dora, pass));
        }
        most.or(&self.head_forth(trained.rows, pass));
        most.0.saturating_add(self.panel_elements())
    }

    /// Bytes of the angles of so many positions.
    #[must_use]
    pub fn position_bytes(&self, positions: usize) -> usize {
        let angles = self.spec.ropes.iter().map(|rope| {
            let both = if rope.long.is_some() { 2 } else { 1 };
            2 * both * rope.frequencies.len()
        });
        size_of::<f32>().saturating_mul(positions).saturating_mul(angles.sum())
    }

    /// What both halves of a block have: the residual before and behind, the normed input, and what a norm or a scale behind
    /// reads.
    fn around(&self, block: &BlockSpec, norm: bool, norm_out: bool, pass: &AnswerPass) -> Buffers {
        let mut around = Buffers::default();
        let behind = norm_out || block.residual_scale != 1.0;
        around.add(pass.tokens * block.width, 2 + usize::from(norm) + usize::from(behind));
        around.add(pass.tokens * if self.spec.norm == NormKind::Layer { 2 } else { 1 }, 2);
        around
    }

    fn attention_forth(
        &self,
        block: &BlockSpec,
        ranks: &[Option<usize>],
        dora: bool,
        pass: &AnswerPass,
    ) -> Buffers {
        let BlockSpec { norms, attention, .. } = block;
        let [queries, keys] =
            [attention.heads, attention.kv_heads].map(|heads| pass.tokens * heads * attention.head_width);
        let mut projected = Buffers::default();
        projected.add(queries, 1);
        projected.add(keys, 2);
        projected.add(queries + 2 * keys, usize::from(attention.joint.is_some()));
        if attention.query_key_norm != QueryKeyNorm::None {
            projected.add(queries + keys, 1);
            projected.add(2 * pass.tokens * (attention.heads + attention.kv_heads), 1);
        }
        let mut seen = Buffers::default();
        seen.add(queries, 2);
        seen.add(scratch_elements(pass.longest) / 2, pass.threads);
        projected.or(&seen);
        let mut all = self.around(block, norms.attention, norms.attention_out, pass);
        all.and(&projected);
        let outputs = if attention.joint.is_some() { queries + 2 * keys } else { queries };
        let residual = pass.tokens * block.width;
        let apart = Apart { dora, lengths: outputs.max(residual), bias: attention.output_bias, residual };
        beside_adapters(ranks, pass.tokens, apart, &mut all);
        all
    }

    fn mlp_forth(
        &self,
        block: &BlockSpec,
        ranks: &[Option<usize>],
        dora: bool,
        pass: &AnswerPass,
    ) -> Buffers {
        let BlockSpec { norms, mlp, width, .. } = block;
        let mut all = self.around(block, norms.mlp, norms.mlp_out, pass);
        // The residual behind attention, which the sum is made from.
        all.add(pass.tokens * width, 1);
        // A token goes through several experts, whose insides stay; one of them may work for all tokens.
        let (rows, at_once, experts) = match mlp.experts {
            None => (pass.tokens, pass.tokens, 1),
            Some(ExpertsSpec { choice }) => {
                all.add(pass.tokens * choice.experts, 1);
                all.add(pass.tokens * choice.per_token, 2);
                let rows = pass.tokens * choice.per_token;
                let at_once = pass.tokens.min(rows);
                all.add(at_once * width, 2);
                (rows, at_once, choice.experts)
            }
        };
        let (kept, at_work) = match mlp.shape {
            MlpShape::Plain => (1, 1),
            MlpShape::Gated => (2, 1),
            MlpShape::FusedGated => (2, 2),
        };
        all.add(rows * mlp.width, kept);
        all.add(at_once * mlp.width, at_work);
        let outputs = (if mlp.shape == MlpShape::FusedGated { 2 } else { 1 } * mlp.width).max(*width);
        let ranks: Vec<Option<usize>> = ranks.iter().take(ranks.len() / experts).copied().collect();
        let apart = Apart { dora, lengths: at_once * outputs, bias: mlp.bias, residual: at_once * width };
        beside_adapters(&ranks, rows, apart, &mut all);
        all
    }

    fn head_forth(&self, trained_rows: usize, pass: &AnswerPass) -> Buffers {
        let (width, vocabulary) = (self.spec.width, self.spec.vocabulary);
        let chunk = (HEAD_CHUNK_ELEMENTS / vocabulary).max(1).min(pass.predicted);
        let mut buffers = Buffers::default();
        buffers.add(pass.tokens * width, 1);
        buffers.add(pass.predicted * width, 2);
        buffers.add(2 * pass.predicted, 1);
        buffers.add(chunk * vocabulary, 1);
        buffers.add(chunk * trained_rows, 1);
        buffers
    }
}

/// Outputs of a linear that do not go straight to where they belong.
struct Apart {
    dora: bool,
    /// Elements of those that DoRA puts lengths on.
    lengths: usize,
    /// Whether what is added to the residual has a bias.
    bias: bool,
    /// Elements of that.
    residual: usize,
}

/// What linears take besides: the products with A, and outputs that do not go straight to where they belong.
fn beside_adapters(ranks: &[Option<usize>], rows: usize, apart: Apart, buffers: &mut Buffers) {
    for rank in ranks.iter().flatten() {
        buffers.add(rows * rank, 1);
    }
    if apart.dora && ranks.iter().any(Option::is_some) {
        buffers.add(apart.lengths, 1);
    } else if apart.bias {
        buffers.add(apart.residual, 1);
    }
}
