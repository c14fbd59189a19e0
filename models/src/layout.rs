//! The tensors of a decoder in its checkpoint: what must be there, in the order of the computation.

use crate::DecoderSpec;

/// What a tensor of a checkpoint is in the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// One row a token.
    Embedding,
    /// The weight of a linear of a block, beside which an adapter can stand. With [`crate::Quantization::Nf4`] these, and
    /// no others, are quantised.
    BlockLinear,
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
    /// Row-major.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: TensorRole,
}

impl DecoderSpec {
    /// Every tensor that the decoder is read from: embedding, blocks from the first to the last, norm, head.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let (names, width) = (self.names, self.block.width);
        let mut tensors =
            vec![tensor(names.embedding, "weight", vec![self.vocabulary, width], TensorRole::Embedding)];
        for index in 0..self.blocks {
            self.push_block(&format!("{}.{index}", names.blocks), &mut tensors);
        }
        tensors.push(tensor(names.final_norm, "weight", vec![width], TensorRole::Vector));
        if !self.tied_head {
            tensors.push(tensor(names.head, "weight", vec![self.vocabulary, width], TensorRole::Head));
        }
        tensors
    }

    /// Whether a checkpoint may hold a tensor of this name that the decoder does not read: a tied head written out, or
    /// what only older versions of transformers wrote.
    #[must_use]
    pub fn passes_over(&self, name: &str) -> bool {
        let head = name.strip_suffix(".weight") == Some(self.names.head);
        (self.tied_head && head) || self.names.ignored.iter().any(|end| name.ends_with(end))
    }

    fn push_block(&self, prefix: &str, tensors: &mut Vec<TensorSpec>) {
        let (names, block) = (self.names, self.block);
        let (width, inner) = (block.width, block.mlp_width);
        let (q_row, kv_row) = (block.heads * block.head_width, block.kv_heads * block.head_width);
        let mut norm = |part: &str| {
            tensors.push(tensor(&format!("{prefix}.{part}"), "weight", vec![width], TensorRole::Vector));
        };
        norm(names.attention_norm);
        norm(names.mlp_norm);
        let [query, key, value, output] = names.attention;
        let [gate, up, down] = names.mlp;
        let linears = [
            (query, [q_row, width], block.attention_bias),
            (key, [kv_row, width], block.attention_bias),
            (value, [kv_row, width], block.attention_bias),
            (output, [width, q_row], block.attention_bias),
            (gate, [inner, width], block.mlp_bias),
            (up, [inner, width], block.mlp_bias),
            (down, [width, inner], block.mlp_bias),
        ];
        for (part, shape, bias) in linears {
            let name = format!("{prefix}.{part}");
            tensors.push(tensor(&name, "weight", shape.to_vec(), TensorRole::BlockLinear));
            if bias {
                tensors.push(tensor(&name, "bias", vec![shape[0]], TensorRole::Vector));
            }
        }
    }
}

fn tensor(name: &str, kind: &str, shape: Vec<usize>, role: TensorRole) -> TensorSpec {
    TensorSpec { name: format!("{name}.{kind}"), shape, role }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::{ModelConfig, SafetensorsFolder, WeightSource};

    /// Tied and untied heads, with and without biases, as transformers saved them.
    #[test]
    fn tensors_are_those_that_transformers_saves() {
        for case in ["llama", "llama3", "llama_linear"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference").join(case);
            let config = ModelConfig::from_file(&folder.join("config.json")).expect("a configuration");
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
            assert_eq!(spec.passes_over("lm_head.weight"), config.tie_word_embeddings, "{case}");
        }
    }
}
