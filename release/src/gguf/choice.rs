//! Which element type each tensor of a file has.

use candle_core::quantized::GgmlDType;
use rtune_models::{GgufLayout, GgufTensor, ModelConfig};

/// Blocks of a model that llama.cpp calls one of 70B.
const BLOCKS_OF_70B: usize = 80;

/// How the matrices of a file are held; the names are llama.cpp's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GgufType {
    /// 32 bits, exact.
    F32,
    /// 16 bits, small exponents.
    F16,
    /// 16 bits, as most models are trained.
    Bf16,
    /// 8.5 bits a weight.
    Q8_0,
    /// 4.5 bits a weight, without sub-blocks.
    Q4_0,
    /// 4 bits in sub-blocks; what matters most in 6.
    Q4KM,
    /// 5 bits in sub-blocks; what matters most in 6.
    Q5KM,
    /// 6 bits in sub-blocks.
    Q6K,
}

impl GgufType {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q4_0, Self::Q4KM, Self::Q5KM, Self::Q6K];

    /// The name, as in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4KM => "Q4_K_M",
            Self::Q5KM => "Q5_K_M",
            Self::Q6K => "Q6_K",
        }
    }

    /// `enum llama_ftype` of llama.h, which a file says.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Q4KM => 15,
            Self::Q5KM => 17,
            Self::Q6K => 18,
            Self::Bf16 => 32,
        }
    }

    /// The element type of most matrices.
    pub(super) fn element(self) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Bf16 => GgmlDType::BF16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4_0 => GgmlDType::Q4_0,
            Self::Q4KM => GgmlDType::Q4K,
            Self::Q5KM => GgmlDType::Q5K,
            Self::Q6K => GgmlDType::Q6K,
        }
    }

    /// The element type of one tensor: vectors and the choice of experts stay exact; beyond that as `llama_tensor_get_type`
    /// of llama.cpp has it.
    pub(super) fn of(self, tensor: &GgufTensor, layout: &GgufLayout, config: &ModelConfig) -> GgmlDType {
        let stem = tensor.name.strip_suffix(".weight").unwrap_or("");
        let part = stem.rsplit('.').next().unwrap_or(stem);
        if tensor.shape.len() < 2 || stem.is_empty() || part == "ffn_gate_inp" {
            return GgmlDType::F32;
        }
        let usual = self.element();
        if matches!(self, Self::F32 | Self::F16 | Self::Bf16) {
            return usual;
        }
        let wanted =
            if self == Self::Q8_0 { usual } else { self.dear(part, tensor, layout, config).unwrap_or(usual) };
        fitting(wanted, tensor.shape[tensor.shape.len() - 1])
    }

    /// Another element type for what costs most when it is coarse (`llama_tensor_get_type_impl` of llama.cpp).
    fn dear(
        self,
        part: &str,
        tensor: &GgufTensor,
        layout: &GgufLayout,
        config: &ModelConfig,
    ) -> Option<GgmlDType> {
        let is_falcon = layout.architecture == "falcon";
        let is_head = part == "output" || (part == "token_embd" && config.tie_word_embeddings);
        if is_head {
            return Some(if is_falcon { GgmlDType::Q8_0 } else { GgmlDType::Q6K });
        }
        let mixed = matches!(self, Self::Q4KM | Self::Q5KM);
        let block = tensor.block?;
        let more = more_bits(block, config.num_hidden_layers);
        match part {
            "attn_v" | "attn_qkv" | "attn_k" if layout.experts == Some(8) => Some(GgmlDType::Q8_0),
            // Queries, keys and values in one tensor are chosen for as values are (`category_is_attn_v`); what stands further
            // down in llama.cpp for them alone is never reached.
            "attn_v" | "attn_qkv" if mixed && more => Some(GgmlDType::Q6K),
            "attn_v" | "attn_qkv" if self == Self::Q4KM && is_70b(layout, config) => Some(GgmlDType::Q5K),
            "attn_output" if layout.experts == Some(8) && self == Self::Q4KM => Some(GgmlDType::Q5K),
            // Falcon has a rule of its own in Q4_K_M, and in Q5_K_M that of the others.
            "ffn_down" | "ffn_down_exps" if is_falcon && self == Self::Q4KM => {
                let first = block < config.num_hidden_layers / 16;
                first.then_some(GgmlDType::Q6K).or(more.then_some(GgmlDType::Q5K))
            }
            "ffn_down" | "ffn_down_exps" if mixed && more => Some(GgmlDType::Q6K),
            _ => None,
        }
    }
}

/// Whether llama.cpp takes the model for one of 70B, where many queries share a value and more bits for it cost next to
/// nothing: `LLM_TYPE_70B`, which `load_arch_hparams` gives to these two of the architectures here.
fn is_70b(layout: &GgufLayout, config: &ModelConfig) -> bool {
    config.num_hidden_layers == BLOCKS_OF_70B
        && match layout.architecture {
            // A Llama of so many blocks whose queries share nothing is the older one of 65B.
            "llama" => config.num_attention_heads != config.num_key_value_heads,
            "qwen2" => true,
            _ => false,
        }
}

/// llama.cpp's `use_more_bits`: the first and the last eighth of the blocks, and every third between.
fn more_bits(block: usize, blocks: usize) -> bool {
    let eighth = blocks / 8;
    block < eighth || block >= 7 * blocks / 8 || (block - eighth) % 3 == 2
}

/// The element type, or the next larger one whose blocks fit rows of so many columns.
fn fitting(wanted: GgmlDType, columns: usize) -> GgmlDType {
    if columns.is_multiple_of(wanted.block_size()) {
        return wanted;
    }
    let smaller = match wanted {
        GgmlDType::Q4K => GgmlDType::Q5_0,
        GgmlDType::Q5K => GgmlDType::Q5_1,
        GgmlDType::Q6K => GgmlDType::Q8_0,
        other => other,
    };
    if columns.is_multiple_of(smaller.block_size()) { smaller } else { GgmlDType::F16 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_models::GgufSource;
    use serde_json::json;

    use super::*;

    /// What the choice goes by: the architecture of a file, and sizes.
    struct Model {
        layout: GgufLayout,
        config: ModelConfig,
    }

    impl Model {
        /// With 8 heads of keys, and a head of its own.
        fn new(
            architecture: &'static str,
            blocks: usize,
            query_heads: usize,
            experts: Option<usize>,
        ) -> Self {
            let config = json!({
                "model_type": "llama", "hidden_size": 1024, "intermediate_size": 1024, "vocab_size": 1024,
                "num_hidden_layers": blocks, "num_attention_heads": query_heads, "num_key_value_heads": 8,
                "tie_word_embeddings": false
            });
            let config = ModelConfig::from_json(Path::new("config.json"), config).expect("a configuration");
            let layout = GgufLayout {
                metadata: Vec::new(),
                tensors: Vec::new(),
                architecture,
                experts,
                repeats_embedding: false,
            };
            Self { layout, config }
        }

        /// The element type of a matrix of a block.
        fn at(&self, kind: GgufType, part: &str, block: usize) -> GgmlDType {
            self.of(kind, format!("blk.{block}.{part}.weight"), Some(block))
        }

        /// The element type of a matrix before or behind the blocks.
        fn outer(&self, kind: GgufType, part: &str) -> GgmlDType {
            self.of(kind, format!("{part}.weight"), None)
        }

        fn of(&self, kind: GgufType, name: String, block: Option<usize>) -> GgmlDType {
            let from = GgufSource::Numbers(Vec::new());
            let tensor = GgufTensor { name, shape: vec![1024, 1024], block, from };
            kind.of(&tensor, &self.layout, &self.config)
        }
    }

    #[test]
    fn blocks_that_matter_are_those_of_llama_cpp() {
        let more: Vec<usize> = (0..16).filter(|&block| more_bits(block, 16)).collect();
        assert_eq!(more, [0, 1, 4, 7, 10, 13, 14, 15]);
    }

    /// Of Llama 3.1 70B as llama.cpp's `tests/snapshots/meta-llama-3.1-70b-instruct.schema` has it.
    #[test]
    fn values_that_many_queries_share_have_five_bits_in_a_model_of_80_blocks() {
        let large = Model::new("llama", 80, 64, None);
        for block in [0, 9, 12, 69, 70, 79] {
            for part in ["attn_v", "ffn_down"] {
                assert_eq!(large.at(GgufType::Q4KM, part, block), GgmlDType::Q6K, "{part} {block}");
                assert_eq!(large.at(GgufType::Q5KM, part, block), GgmlDType::Q6K, "{part} {block}");
            }
        }
        for block in [10, 11, 13, 68] {
            assert_eq!(large.at(GgufType::Q4KM, "attn_v", block), GgmlDType::Q5K, "{block}");
            assert_eq!(large.at(GgufType::Q5KM, "attn_v", block), GgmlDType::Q5K, "{block}");
            assert_eq!(large.at(GgufType::Q6K, "attn_v", block), GgmlDType::Q6K, "{block}");
            assert_eq!(large.at(GgufType::Q8_0, "attn_v", block), GgmlDType::Q8_0, "{block}");
            assert_eq!(large.at(GgufType::Q4_0, "attn_v", block), GgmlDType::Q4_0, "{block}");
            for part in ["attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
                assert_eq!(large.at(GgufType::Q4KM, part, block), GgmlDType::Q4K, "{part} {block}");
            }
        }
        assert_eq!(large.outer(GgufType::Q4KM, "output"), GgmlDType::Q6K);
        assert_eq!(large.outer(GgufType::Q4KM, "token_embd"), GgmlDType::Q4K);
    }

    #[test]
    fn which_models_are_of_70b_is_what_llama_cpp_says() {
        for (architecture, blocks, query_heads, experts, wanted) in [
            ("llama", 80, 16, None, GgmlDType::Q5K),
            ("llama", 80, 64, Some(16), GgmlDType::Q5K),
            ("qwen2", 80, 64, None, GgmlDType::Q5K),
            // Qwen 1.5 72B, whose queries share nothing.
            ("qwen2", 80, 8, None, GgmlDType::Q5K),
            // Llama 65B.
            ("llama", 80, 8, None, GgmlDType::Q4K),
            ("llama", 88, 64, None, GgmlDType::Q4K),
            ("qwen3", 80, 64, None, GgmlDType::Q4K),
            ("granite", 80, 64, None, GgmlDType::Q4K),
        ] {
            let model = Model::new(architecture, blocks, query_heads, experts);
            let found = model.at(GgufType::Q4KM, "attn_v", 11);
            assert_eq!(found, wanted, "{architecture} {blocks} {query_heads} {experts:?}");
        }
    }

    #[test]
    fn queries_keys_and_values_in_one_are_chosen_for_as_values_are() {
        for architecture in ["phi3", "gptneox", "falcon"] {
            let model = Model::new(architecture, 32, 32, None);
            for block in [0, 3, 6, 28, 31] {
                assert_eq!(model.at(GgufType::Q4KM, "attn_qkv", block), GgmlDType::Q6K, "{block}");
                assert_eq!(model.at(GgufType::Q5KM, "attn_qkv", block), GgmlDType::Q6K, "{block}");
            }
            for block in [4, 5, 7, 26] {
                assert_eq!(model.at(GgufType::Q4KM, "attn_qkv", block), GgmlDType::Q4K, "{block}");
                assert_eq!(model.at(GgufType::Q5KM, "attn_qkv", block), GgmlDType::Q5K, "{block}");
            }
        }
    }

    #[test]
    fn falcon_has_its_own_rule_for_what_leads_out_of_the_mlp() {
        let falcon = Model::new("falcon", 32, 32, None);
        for (block, q4, q5) in [
            (0, GgmlDType::Q6K, GgmlDType::Q6K),
            (1, GgmlDType::Q6K, GgmlDType::Q6K),
            (2, GgmlDType::Q5K, GgmlDType::Q6K),
            (3, GgmlDType::Q5K, GgmlDType::Q6K),
            (4, GgmlDType::Q4K, GgmlDType::Q5K),
            (6, GgmlDType::Q5K, GgmlDType::Q6K),
            (7, GgmlDType::Q4K, GgmlDType::Q5K),
            (31, GgmlDType::Q5K, GgmlDType::Q6K),
        ] {
            assert_eq!(falcon.at(GgufType::Q4KM, "ffn_down", block), q4, "{block}");
            assert_eq!(falcon.at(GgufType::Q5KM, "ffn_down", block), q5, "{block}");
        }
        assert_eq!(falcon.at(GgufType::Q6K, "ffn_down", 2), GgmlDType::Q6K);
    }

    #[test]
    fn heads_have_six_bits_and_that_of_falcon_eight() {
        let kinds = [GgufType::Q4_0, GgufType::Q4KM, GgufType::Q5KM, GgufType::Q6K];
        for (architecture, wanted) in [("falcon", GgmlDType::Q8_0), ("gemma", GgmlDType::Q6K)] {
            let mut model = Model::new(architecture, 32, 32, None);
            for kind in kinds {
                assert_eq!(model.outer(kind, "output"), wanted, "{architecture} {}", kind.name());
                assert_eq!(model.outer(kind, "token_embd"), kind.element(), "{architecture} {}", kind.name());
            }
            assert_eq!(model.outer(GgufType::Q8_0, "output"), GgmlDType::Q8_0, "{architecture}");
            assert_eq!(model.outer(GgufType::F16, "output"), GgmlDType::F16, "{architecture}");
            model.config.tie_word_embeddings = true;
            for kind in kinds {
                assert_eq!(model.outer(kind, "token_embd"), wanted, "{architecture} {}", kind.name());
            }
        }
    }

    #[test]
    fn attention_beside_eight_experts_has_more_bits() {
        let mixtral = Model::new("llama", 32, 32, Some(8));
        for kind in [GgufType::Q4_0, GgufType::Q4KM, GgufType::Q5KM, GgufType::Q6K, GgufType::Q8_0] {
            for (part, block) in [("attn_v", 0), ("attn_v", 4), ("attn_k", 0), ("attn_k", 4)] {
                assert_eq!(mixtral.at(kind, part, block), GgmlDType::Q8_0, "{} {part}", kind.name());
            }
            assert_eq!(mixtral.at(kind, "attn_q", 0), kind.element(), "{}", kind.name());
            assert_eq!(mixtral.at(kind, "ffn_gate_inp", 0), GgmlDType::F32, "{}", kind.name());
        }
        for (kind, wanted) in [
            (GgufType::Q4_0, GgmlDType::Q4_0),
            (GgufType::Q4KM, GgmlDType::Q5K),
            (GgufType::Q5KM, GgmlDType::Q5K),
            (GgufType::Q6K, GgmlDType::Q6K),
        ] {
            assert_eq!(mixtral.at(kind, "attn_output", 4), wanted, "{}", kind.name());
        }
        // Of any other number of experts attention is as without, and what leads out of them as out of one MLP.
        let many = Model::new("qwen3moe", 32, 32, Some(128));
        for (part, first, fourth) in [
            ("attn_v", GgmlDType::Q6K, GgmlDType::Q4K),
            ("attn_k", GgmlDType::Q4K, GgmlDType::Q4K),
            ("attn_output", GgmlDType::Q4K, GgmlDType::Q4K),
            ("ffn_down_exps", GgmlDType::Q6K, GgmlDType::Q4K),
            ("ffn_up_exps", GgmlDType::Q4K, GgmlDType::Q4K),
        ] {
            let found = [0, 4].map(|block| many.at(GgufType::Q4KM, part, block));
            assert_eq!(found, [first, fourth], "{part}");
        }
    }

    #[test]
    fn rows_that_are_no_whole_blocks_have_smaller_ones() {
        assert_eq!(fitting(GgmlDType::Q4K, 512), GgmlDType::Q4K);
        assert_eq!(fitting(GgmlDType::Q4K, 576), GgmlDType::Q5_0);
        assert_eq!(fitting(GgmlDType::Q6K, 576), GgmlDType::Q8_0);
        assert_eq!(fitting(GgmlDType::Q8_0, 24), GgmlDType::F16);
    }
}
