//! Which element type each tensor of a file has.

use candle_core::quantized::GgmlDType;
use rtune_models::{GgufLayout, GgufTensor, ModelConfig};

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

    /// Another element type for what costs most when it is coarse.
    fn dear(
        self,
        part: &str,
        tensor: &GgufTensor,
        layout: &GgufLayout,
        config: &ModelConfig,
    ) -> Option<GgmlDType> {
        let is_head = part == "output" || (part == "token_embd" && config.tie_word_embeddings);
        if is_head {
            return Some(GgmlDType::Q6K);
        }
        let mixed = matches!(self, Self::Q4KM | Self::Q5KM);
        let block = tensor.block?;
        let more = more_bits(block, config.num_hidden_layers);
        let is_falcon = layout.architecture == "falcon";
        match part {
            "attn_v" | "attn_k" if layout.experts == Some(8) => Some(GgmlDType::Q8_0),
            "attn_v" if mixed && more => Some(GgmlDType::Q6K),
            "attn_qkv" if self == Self::Q4KM => Some(GgmlDType::Q5K),
            "attn_qkv" if self == Self::Q5KM => Some(GgmlDType::Q6K),
            "attn_output" if layout.experts == Some(8) && self == Self::Q4KM => Some(GgmlDType::Q5K),
            "ffn_down" | "ffn_down_exps" if is_falcon && self == Self::Q4KM => {
                let first = block < config.num_hidden_layers / 16;
                first.then_some(GgmlDType::Q6K).or(more.then_some(GgmlDType::Q5K))
            }
            "ffn_down" | "ffn_down_exps" if mixed && more && !is_falcon => Some(GgmlDType::Q6K),
            _ => None,
        }
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
    use super::*;

    #[test]
    fn blocks_that_matter_are_those_of_llama_cpp() {
        let more: Vec<usize> = (0..16).filter(|&block| more_bits(block, 16)).collect();
        assert_eq!(more, [0, 1, 4, 7, 10, 13, 14, 15]);
    }

    #[test]
    fn rows_that_are_no_whole_blocks_have_smaller_ones() {
        assert_eq!(fitting(GgmlDType::Q4K, 512), GgmlDType::Q4K);
        assert_eq!(fitting(GgmlDType::Q4K, 576), GgmlDType::Q5_0);
        assert_eq!(fitting(GgmlDType::Q6K, 576), GgmlDType::Q8_0);
        assert_eq!(fitting(GgmlDType::Q8_0, 24), GgmlDType::F16);
    }
}
