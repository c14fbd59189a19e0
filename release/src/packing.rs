//! How the linears of the blocks are quantised in a folder, and the numbers that are not.

use rtune_models::TensorSpec;
use safetensors::Dtype as Tag;
use serde_json::Value;

use crate::calibrated::Calibrated;
use crate::dtype::Dtype;
use crate::four_bits::Quantized;

/// How the linears of the blocks are quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As bitsandbytes keeps them.
    Bitsandbytes(Quantized),
    /// As GPTQ or AWQ packs them, by what the model makes of some rows.
    Calibrated(Calibrated),
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) tag: Tag,
    pub(crate) shape: Vec<usize>,
}

impl Part {
    pub(crate) fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.tag.bitsize() / 8
    }
}

/// What is written of a tensor of the model.
pub(crate) enum Stored {
    /// Its numbers, which are encoded while they are written.
    Numbers(Vec<f32>),
    /// The bytes of its parts, in their order.
    Parts(Vec<Vec<u8>>),
}

impl Packing {
    /// The key of `config.json` by which others know it, for numbers that are computed in `dtype`.
    pub(crate) fn settings(self, dtype: Dtype) -> Value {
        match self {
            Self::Bitsandbytes(quantized) => quantized.settings(dtype),
            Self::Calibrated(calibrated) => calibrated.settings(),
        }
    }

    /// The tensors of a linear.
    pub(crate) fn parts(self, tensor: &TensorSpec) -> Vec<Part> {
        match self {
            Self::Bitsandbytes(quantized) => quantized.parts(tensor),
            Self::Calibrated(calibrated) => calibrated.parts(tensor),
        }
    }
}
