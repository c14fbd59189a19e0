//! NF4 with double quantisation, bit for bit as bitsandbytes 0.50.2 computes it on the CPU.
//!
//! A weight `[N, K]` is cut into blocks of consecutive row-major elements, [`BLOCK`] of them where it is quantised here. A block keeps its largest
//! magnitude (`absmax`) and, for each element, the index of the nearest of 16 values in 4 bits, the first element of
//! a pair in the high half of the byte. With double quantisation the magnitudes, less their mean, are kept in 8 bits
//! by blocks of [`NESTED_BLOCK`] (Dettmers et al., arXiv 2305.14314).

mod dequantize;
mod nested;
mod quantize;
mod search;
#[cfg(test)]
mod tests;

pub use dequantize::{dequantize, dequantize_here};
pub use nested::{Nested, dynamic_map, quantize_absmax};
#[cfg(test)]
use quantize::quantize_plainly;
pub use quantize::{Number, quantize, quantize_here};

/// Elements that share one magnitude, in what is quantised here.
pub const BLOCK: usize = 64;

/// The lengths of blocks that bitsandbytes can write.
pub const BLOCKS: [usize; 8] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/// Magnitudes that share one magnitude of their own, in what is quantised here.
pub const NESTED_BLOCK: usize = 256;

/// The 16 values of NF4: quantiles of the normal distribution, from minus one to one, with an exact zero.
pub const CODE: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The magnitudes of the blocks of one tensor.
#[derive(Clone, Copy, Debug)]
pub enum Absmax<'a> {
    /// One `f32` a block.
    Plain(&'a [f32]),
    /// Eight bits a block.
    Nested(&'a Nested),
}

impl Absmax<'_> {
    /// The magnitude of block `block`.
    #[inline]
    #[must_use]
    pub fn of(&self, block: usize) -> f32 {
        match self {
            Self::Plain(values) => values[block],
            Self::Nested(nested) => nested.value(block),
        }
    }

    /// How many blocks there are.
    #[must_use]
    pub fn blocks(&self) -> usize {
        match self {
            Self::Plain(values) => values.len(),
            Self::Nested(nested) => nested.codes.len(),
        }
    }
}
