//! What a written number is.

use std::fmt;

use half::{bf16, f16};
use rtune_kernels::numbers;
use rtune_models::Precision;
use safetensors::Dtype as Tag;

/// The element type of a written model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 8 bits of exponent, 7 of mantissa.
    Bfloat16,
    /// 5 bits of exponent, 10 of mantissa; nothing above 65504.
    Float16,
    /// As it is computed: nothing is rounded.
    Float32,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bfloat16, Self::Float16, Self::Float32];

    /// That of a checkpoint, where its numbers are floats and not packed.
    #[must_use]
    pub fn of(precision: Precision) -> Option<Self> {
        match precision {
            Precision::F32 => Some(Self::Float32),
            Precision::F16 => Some(Self::Float16),
            Precision::Bf16 => Some(Self::Bfloat16),
            Precision::Other => None,
        }
    }

    /// As transformers and torch call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
        }
    }

    /// Bytes of one number.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        if self == Self::Float32 { 4 } else { 2 }
    }

    pub(crate) fn tag(self) -> Tag {
        match self {
            Self::Bfloat16 => Tag::BF16,
            Self::Float16 => Tag::F16,
            Self::Float32 => Tag::F32,
        }
    }

    /// `value` rounded once, to the nearest, ties to the even one.
    pub(crate) fn round(self, value: f32) -> f32 {
        match self {
            Self::Bfloat16 => bf16::from_f32(value).to_f32(),
            Self::Float16 => f16::from_f32(value).to_f32(),
            Self::Float32 => value,
        }
    }

    /// Appends `values`, each rounded as by [`Self::round`], in little-endian order.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Self::Bfloat16 => numbers::put_bf16(values, bytes),
            Self::Float16 => numbers::put_f16(values, bytes),
            Self::Float32 => numbers::put_f32(values, bytes),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit of the last place of `dtype` at 1.0.
    fn unit(dtype: Dtype) -> f32 {
        match dtype {
            Dtype::Bfloat16 => 2.0_f32.powi(-7),
            Dtype::Float16 => 2.0_f32.powi(-10),
            Dtype::Float32 => 2.0_f32.powi(-23),
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
        for dtype in [Dtype::Bfloat16, Dtype::Float16] {
            let unit = unit(dtype);
            let just = f32::EPSILON;
            for (value, rounded) in [
                (1.0 + 0.5 * unit, 1.0),
                (1.0 + 0.5 * unit + just, 1.0 + unit),
                (1.0 + 0.5 * unit - just, 1.0),
                (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
                (1.0 + 1.5 * unit - just, 1.0 + unit),
                (-1.0 - 0.5 * unit, -1.0),
                (-1.0 - 1.5 * unit, -1.0 - 2.0 * unit),
                (0.0, 0.0),
            ] {
                assert_eq!(dtype.round(value), rounded, "{dtype} of {value}");
            }
        }
        assert_eq!(Dtype::Float32.round(0.1), 0.1);
        assert_eq!(Dtype::Float16.round(65_520.0), f32::INFINITY, "what cannot be written shows");
    }

    #[test]
    fn bytes_are_those_of_the_rounded_numbers() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) * 0.001_234_5).collect();
        for dtype in Dtype::ALL {
            let mut bytes = Vec::new();
            dtype.encode(&values, &mut bytes);
            let mut again = Vec::new();
            dtype.encode(&values.iter().map(|&v| dtype.round(v)).collect::<Vec<_>>(), &mut again);
            assert_eq!(bytes, again);
            assert_eq!(bytes.len(), values.len() * dtype.size_bytes());
        }
    }
}
