//! Blocks of 4-bit indices into a table of values: the types of ggml that candle does not know.
//!
//! As `dequantize_row_iq4_nl`, `dequantize_row_iq4_xs` and `dequantize_row_mxfp4` of ggml-quants.c define them.

use half::f16;

/// The values of IQ4_NL and IQ4_XS.
const NON_LINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the values of a 4-bit float with two bits of exponent and one of mantissa.
const FLOAT4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// Elements that one scale holds for; each half of them stands in the low or the high halves of 16 bytes.
const GROUP: usize = 32;

/// A type of packed blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// A scale in half precision, then 32 indices.
    Iq4Nl,
    /// A scale in half precision and eight of 6 bits, then 256 indices.
    Iq4Xs,
    /// A power of two, then 32 indices of small floats.
    Mxfp4,
}

impl Packed {
    pub(super) fn block_elements(self) -> usize {
        if self == Self::Iq4Xs { 256 } else { GROUP }
    }

    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::Iq4Nl => 18,
            Self::Iq4Xs => 136,
            Self::Mxfp4 => 17,
        }
    }

    /// Appends the elements of whole blocks.
    pub(super) fn dequantize(self, bytes: &[u8], values: &mut Vec<f32>) {
        for block in bytes.chunks_exact(self.block_bytes()) {
            match self {
                Self::Iq4Nl => group(&block[2..], &NON_LINEAR, half(block), values),
                Self::Mxfp4 => group(&block[1..], &FLOAT4, power_of_two(block[0]) / 2.0, values),
                Self::Iq4Xs => {
                    let high = u16::from_le_bytes([block[2], block[3]]);
                    for (number, indices) in block[8..].chunks_exact(GROUP / 2).enumerate() {
                        let low = block[4 + number / 2] >> (4 * (number % 2)) & 15;
                        let scale = i32::from(low) | i32::from(high >> (2 * number) & 3) << 4;
                        group(indices, &NON_LINEAR, half(block) * (scale - 32) as f32, values);
                    }
                }
            }
        }
    }
}

fn group(indices: &[u8], table: &[i8; 16], scale: f32, values: &mut Vec<f32>) {
    values.extend(indices.iter().map(|&byte| scale * f32::from(table[usize::from(byte & 15)])));
    values.extend(indices.iter().map(|&byte| scale * f32::from(table[usize::from(byte >> 4)])));
}

fn half(block: &[u8]) -> f32 {
    f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// `2^(exponent - 127)`, exact; the smallest is subnormal.
fn power_of_two(exponent: u8) -> f32 {
    match exponent {
        0 => f32::from_bits(1 << 22),
        exponent => f32::from_bits(u32::from(exponent) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the package `gguf` of llama.cpp gives for blocks whose byte `i` is `(i * 73 + 41) % 256`, as far as its place
    /// leaves it: the scales are 0.5, and the exponent 120.
    #[test]
    fn elements_are_those_of_llama_cpp() {
        for (packed, head, expected) in [
            (Packed::Iq4Nl, &[0, 56][..], [19.0, -24.5, -41.5, 19.0, -63.5, -63.5, -32.5, 56.5, -63.5]),
            (Packed::Iq4Xs, &[0, 56][..], [-1508.0, 362.5, 14.5, -145.0, 551.0, 551.0, 26.0, -157.5, -375.0]),
            (
                Packed::Mxfp4,
                &[120][..],
                [
                    0.0078125,
                    -0.01171875,
                    -0.00390625,
                    0.046875,
                    -0.01171875,
                    -0.01171875,
                    -0.0078125,
                    0.03125,
                    -0.01171875,
                ],
            ),
        ] {
            let mut block: Vec<u8> = (0..packed.block_bytes()).map(|i| ((i * 73 + 41) % 256) as u8).collect();
            block[..head.len()].copy_from_slice(head);
            let mut values = Vec::new();
            packed.dequantize(&block, &mut values);
            assert_eq!(values.len(), packed.block_elements());
            let places = [0, 1, 15, 16, 17, 31, 40, 100, 255].map(|place| place % values.len());
            assert_eq!(places.map(|place| values[place]), expected, "{packed:?}");
        }
    }
}
