//! The element types of ggml.

use candle_core::quantized::GgmlDType;

use super::packed::Packed;

/// An element type that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementType {
    F32,
    F16,
    Bf16,
    /// Blocks that candle dequantises.
    Quantized(GgmlDType),
    /// Blocks that are dequantised here.
    Packed(Packed),
}

/// `enum ggml_type` of ggml.h: every number it gave out, by name; what is read here has a type.
const TYPES: &[(u32, &str, Option<ElementType>)] = &[
    (0, "F32", Some(ElementType::F32)),
    (1, "F16", Some(ElementType::F16)),
    (2, "Q4_0", Some(ElementType::Quantized(GgmlDType::Q4_0))),
    (3, "Q4_1", Some(ElementType::Quantized(GgmlDType::Q4_1))),
    (6, "Q5_0", Some(ElementType::Quantized(GgmlDType::Q5_0))),
    (7, "Q5_1", Some(ElementType::Quantized(GgmlDType::Q5_1))),
    (8, "Q8_0", Some(ElementType::Quantized(GgmlDType::Q8_0))),
    (9, "Q8_1", None),
    (10, "Q2_K", Some(ElementType::Quantized(GgmlDType::Q2K))),
    (11, "Q3_K", Some(ElementType::Quantized(GgmlDType::Q3K))),
    (12, "Q4_K", Some(ElementType::Quantized(GgmlDType::Q4K))),
    (13, "Q5_K", Some(ElementType::Quantized(GgmlDType::Q5K))),
    (14, "Q6_K", Some(ElementType::Quantized(GgmlDType::Q6K))),
    (15, "Q8_K", None),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", Some(ElementType::Packed(Packed::Iq4Nl))),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", Some(ElementType::Packed(Packed::Iq4Xs))),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some(ElementType::Bf16)),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (39, "MXFP4", Some(ElementType::Packed(Packed::Mxfp4))),
    (40, "NVFP4", None),
    (41, "Q1_0", None),
];

impl ElementType {
    /// The type with this number, or what to call it in a message.
    pub(super) fn from_number(number: u32) -> Result<Self, String> {
        match TYPES.iter().find(|entry| entry.0 == number) {
            Some((_, _, Some(element_type))) => Ok(*element_type),
            Some((_, name, None)) => Err((*name).to_owned()),
            None => Err(format!("of the unknown type {number}")),
        }
    }

    /// The names of all types that are read, for a message.
    pub(super) fn supported() -> String {
        let names: Vec<&str> = TYPES.iter().filter(|entry| entry.2.is_some()).map(|entry| entry.1).collect();
        names.join(", ")
    }

    pub(super) fn name(self) -> &'static str {
        TYPES.iter().find(|entry| entry.2 == Some(self)).map_or("?", |entry| entry.1)
    }

    /// Elements that are packed together.
    pub(super) fn block_elements(self) -> u64 {
        match self {
            Self::Quantized(blocks) => blocks.block_size() as u64,
            Self::Packed(blocks) => blocks.block_elements() as u64,
            _ => 1,
        }
    }

    /// Bytes of one block.
    pub(super) fn block_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Quantized(blocks) => blocks.type_size() as u64,
            Self::Packed(blocks) => blocks.block_bytes() as u64,
        }
    }
}
