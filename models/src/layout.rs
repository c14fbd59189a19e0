//! The tensors of a decoder in its checkpoint: what must be there, in the order of the computation.

use crate::DecoderSpec;
use crate::families::{
    AttentionSpec, BlockSpec, ExpertNames, MlpNames, Names, NormKind, ProjectionNames, QueryKeyNorm,
};

/// What a tensor of a checkpoint is in the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// One row a token.
    Embedding,
    /// The weight of a linear of a block, beside which an adapter can stand. With [`crate::Quantization::Nf4`] these, and
    /// no others, are quantised.
    BlockLinear,
    /// The matrix that chooses experts.
    Router,
    /// A vector: of a norm, or a bias.
    Vector,
    /// The head, where it is not the embedding.
    Head,
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name as transformers has it, as in `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Its name in files, which differs for the head of GPT-NeoX alone.
    pub in_files: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: TensorRole,
}

/// A linear of a block in the checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct LinearPart {
    /// Behind the number of the block, without `.weight`.
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bias: bool,
}

fn part(name: &str, rows: usize, columns: usize, bias: bool) -> LinearPart {
    LinearPart { name: name.to_owned(), rows, columns, bias }
}

impl BlockSpec {
    /// The projections of attention, its output last.
    pub(crate) fn attention_parts(&self, names: &Names) -> Vec<LinearPart> {
        let AttentionSpec { heads, kv_heads, head_width, input_bias, output_bias, .. } = self.attention;
        let (width, q_row, kv_row) = (self.width, heads * head_width, kv_heads * head_width);
        let mut parts = match names.projections {
            ProjectionNames::Split([query, key, value]) => vec![
                part(query, q_row, width, input_bias),
                part(key, kv_row, width, input_bias),
                part(value, kv_row, width, input_bias),
            ],
            ProjectionNames::Fused(name, _) => vec![part(name, q_row + 2 * kv_row, width, input_bias)],
        };
        parts.push(part(names.output, width, q_row, output_bias));
        parts
    }

    /// The projections of the MLP, the one out of it last.
    pub(crate) fn mlp_parts(&self, names: &Names) -> Vec<LinearPart> {
        let (width, inner, bias) = (self.width, self.mlp.width, self.mlp.bias);
        let mut parts = match names.mlp {
            MlpNames::Gated(inputs) => inputs.map(|name| part(name, inner, width, bias)).to_vec(),
            MlpNames::FusedGated(name) => vec![part(name, 2 * inner, width, bias)],
            MlpNames::Plain(name) => vec![part(name, inner, width, bias)],
        };
        parts.push(part(names.down, width, inner, bias));
        parts
    }

    /// The projections of one of several MLPs, the one out of it last.
    pub(crate) fn expert_parts(&self, names: &ExpertNames, expert: usize) -> Vec<LinearPart> {
        let (width, inner) = (self.width, self.mlp.width);
        let [gate, up, down] = names.linears.map(|name| format!("{}.{expert}.{name}", names.experts));
        vec![
            part(&gate, inner, width, false),
            part(&up, inner, width, false),
            part(&down, width, inner, false),
        ]
    }
}

impl DecoderSpec {
    /// Every tensor that the decoder is read from: embedding, blocks from the first to the last, norm, head.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let (names, width) = (&self.names, self.width);
        let mut tensors =
            vec![tensor(names.embedding, "weight", vec![self.vocabulary, width], TensorRole::Embedding)];
        for (index, block) in self.blocks.iter().enumerate() {
            self.push_block(block, &format!("{}.{index}", names.blocks), &mut tensors);
        }
        self.push_norm(names.final_norm, width, &mut tensors);
        if !self.tied_head {
            let head = tensor(names.head, "weight", vec![self.vocabulary, width], TensorRole::Head);
            tensors.push(TensorSpec { in_files: format!("{}.weight", names.head_in_files), ..head });
        }
        tensors
    }

    /// Whether a checkpoint may hold a tensor of this name that the decoder does not read: a tied head written out, which
    /// [`Self::refuse_unread`] compares with the embedding, or what only older versions of transformers wrote.
    #[must_use]
    pub fn passes_over(&self, name: &str) -> bool {
        let head = name.strip_suffix(".weight") == Some(self.names.head);
        (self.tied_head && head) || self.names.ignored.iter().any(|end| name.ends_with(end))
    }

    fn push_block(&self, block: &BlockSpec, prefix: &str, tensors: &mut Vec<TensorSpec>) {
        let names = &self.names;
        let mut norms =
            vec![names.attention_norm, names.attention_out_norm, names.mlp_norm, names.mlp_out_norm];
        // Falcon 7B has one norm before both attention and MLP.
        if names.attention_norm == names.mlp_norm {
            norms.remove(0);
        }
        for name in norms.into_iter().flatten() {
            self.push_norm(&format!("{prefix}.{name}"), block.width, tensors);
        }
        let AttentionSpec { heads, kv_heads, head_width, query_key_norm, .. } = block.attention;
        let rows = match query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => Some([head_width; 2]),
            QueryKeyNorm::Whole => Some([heads * head_width, kv_heads * head_width]),
        };
        for (name, len) in rows.into_iter().flat_map(|rows| names.query_key_norm.into_iter().zip(rows)) {
            self.push_norm(&format!("{prefix}.{name}"), len, tensors);
        }
        let mut parts = block.attention_parts(names);
        match names.experts.zip(block.mlp.experts) {
            None => parts.extend(block.mlp_parts(names)),
            Some((names, experts)) => {
                let shape = vec![experts.choice.experts, block.width];
                let router = format!("{prefix}.{}", names.router);
                tensors.push(tensor(&router, "weight", shape, TensorRole::Router));
                let experts = 0..experts.choice.experts;
                parts.extend(experts.flat_map(|expert| block.expert_parts(&names, expert)));
            }
        }
        for LinearPart { name, rows, columns, bias } in parts {
            let name = format!("{prefix}.{name}");
            tensors.push(tensor(&name, "weight", vec![rows, columns], TensorRole::BlockLinear));
            if bias {
                tensors.push(tensor(&name, "bias", vec![rows], TensorRole::Vector));
            }
        }
    }

    fn push_norm(&self, name: &str, len: usize, tensors: &mut Vec<TensorSpec>) {
        tensors.push(tensor(name, "weight", vec![len], TensorRole::Vector));
        if self.norm == NormKind::Layer {
            tensors.push(tensor(name, "bias", vec![len], TensorRole::Vector));
        }
    }
}

fn tensor(name: &str, kind: &str, shape: Vec<usize>, role: TensorRole) -> TensorSpec {
    let name = format!("{name}.{kind}");
    TensorSpec { in_files: name.clone(), name, shape, role }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::{FAMILIES, ModelConfig, SafetensorsFolder, WeightSource};

    /// Every case of every family, as transformers saved it.
    #[test]
    fn tensors_are_those_that_transformers_saves() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
        let mut families = BTreeSet::new();
        for entry in std::fs::read_dir(cases).expect("cases") {
            let folder = entry.expect("an entry").path();
            if !folder.is_dir() {
                continue;
            }
            let case = folder.display();
            let config = ModelConfig::from_file(&folder.join("config.json")).expect("a configuration");
            families.insert(config.family.model_types[0]);
            let spec = DecoderSpec::new(&config);
            let weights = SafetensorsFolder::open(&folder).expect("weights");
            let saved: BTreeMap<String, Vec<usize>> = weights
                .names()
                .into_iter()
                .filter(|name| !spec.passes_over(name))
                .map(|name| (name.clone(), weights.shape(&name).expect("a shape")))
                .collect();
            let tensors = spec.tensors();
            let listed: BTreeMap<String, Vec<usize>> =
                tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
            assert_eq!(listed, saved, "{case}");
            assert_eq!(listed.len(), tensors.len(), "{case}: no name twice");
            let head = format!("{}.weight", spec.names.head);
            assert_eq!(spec.passes_over(&head), config.tie_word_embeddings, "{case}");
        }
        let table: BTreeSet<&str> = FAMILIES.iter().map(|family| family.model_types[0]).collect();
        assert_eq!(families, table, "no family without a case");
    }
}
