//! From numbers to 4-bit indices.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::{BLOCK, CODE};
use crate::simd::dispatch;

/// Blocks that one parallel task takes.
const BLOCKS_PER_TASK: usize = 256;

/// Magnitudes below this count as this, so that a block of zeros does not divide by zero.
const SMALLEST_ABSMAX: f32 = 1e-38;

/// Numbers side by side in the loops that the compiler turns into vectors.
const LANES: usize = 16;

/// The means of neighbours of [`CODE`]: between two of them, one value is the nearest.
const THRESHOLDS: [f32; 15] = {
    let mut means = [0.0; 15];
    let mut i = 0;
    while i < means.len() {
        means[i] = (CODE[i] + CODE[i + 1]) / 2.0;
        i += 1;
    }
    means
};

/// A type that weights come in; each of its numbers is an `f32` too.
pub trait Number: Copy + Send + Sync {
    /// Writes `numbers` as `f32`.
    ///
    /// # Panics
    /// If the lengths differ.
    fn widen(numbers: &[Self], out: &mut [f32]);
}

impl Number for f32 {
    #[inline(always)]
    fn widen(numbers: &[Self], out: &mut [f32]) {
        out.copy_from_slice(numbers);
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(numbers: &[Self], out: &mut [f32]) {
        assert_eq!(numbers.len(), out.len(), "nf4: lengths");
        // A bfloat16 is the upper half of an `f32`.
        out.iter_mut()
            .zip(numbers)
            .for_each(|(out, number)| *out = f32::from_bits(u32::from(number.to_bits()) << 16));
    }
}

impl Number for f16 {
    #[inline(always)]
    fn widen(numbers: &[Self], out: &mut [f32]) {
        numbers.convert_to_f32_slice(out);
    }
}

/// Quantises `weights` into `codes` (two elements a byte) and `absmax` (one a block).
///
/// # Panics
/// If `codes` or `absmax` have another length than the weights need.
pub fn quantize<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    assert_eq!(codes.len(), weights.len().div_ceil(2), "nf4: codes");
    assert_eq!(absmax.len(), weights.len().div_ceil(BLOCK), "nf4: absmax");
    let task = BLOCKS_PER_TASK * BLOCK;
    (weights.par_chunks(task), codes.par_chunks_mut(task / 2), absmax.par_chunks_mut(BLOCKS_PER_TASK))
        .into_par_iter()
        .for_each(|(weights, codes, absmax)| dispatch(|| quantize_blocks(weights, codes, absmax)));
}

#[inline(always)]
fn quantize_blocks<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    let blocks = weights.chunks(BLOCK).zip(codes.chunks_mut(BLOCK / 2)).zip(absmax);
    for ((weights, codes), absmax) in blocks {
        // What a last partial block lacks are zeros, whose codes are cut off.
        let mut numbers = [0.0; BLOCK];
        N::widen(weights, &mut numbers[..weights.len()]);
        let largest = largest(&numbers);
        // A whole block is multiplied by the reciprocal; a partial one is divided, and keeps the raised floor.
        if weights.len() == BLOCK {
            *absmax = largest;
            let reciprocal = 1.0 / largest.max(SMALLEST_ABSMAX);
            numbers.iter_mut().for_each(|number| *number = (*number * reciprocal).clamp(-1.0, 1.0));
        } else {
            *absmax = largest.max(SMALLEST_ABSMAX);
            let divisor = *absmax;
            numbers.iter_mut().for_each(|number| *number = (*number / divisor).clamp(-1.0, 1.0));
        }
        let indices = indices(&numbers);
        for (code, pair) in codes.iter_mut().zip(indices.chunks_exact(2)) {
            *code = (pair[0] << 4 | pair[1]) as u8;
        }
    }
}

/// The largest magnitude; NaN is passed over.
#[inline(always)]
fn largest(numbers: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for chunk in numbers.chunks_exact(LANES) {
        for (lane, number) in lanes.iter_mut().zip(chunk) {
            let magnitude = number.abs();
            *lane = if magnitude > *lane { magnitude } else { *lane };
        }
    }
    lanes.iter().fold(0.0, |largest, &lane| if lane > largest { lane } else { largest })
}

/// The number of [`THRESHOLDS`] strictly below each number.
#[inline(always)]
fn indices(numbers: &[f32; BLOCK]) -> [u32; BLOCK] {
    let mut indices = [0; BLOCK];
    for (indices, numbers) in indices.chunks_exact_mut(LANES).zip(numbers.chunks_exact(LANES)) {
        let mut below = [0_u32; LANES];
        for threshold in THRESHOLDS {
            for (below, number) in below.iter_mut().zip(numbers) {
                *below += u32::from(threshold < *number);
            }
        }
        indices.copy_from_slice(&below);
    }
    indices
}
