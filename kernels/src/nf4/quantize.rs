//! From numbers to 4-bit indices.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::BLOCK;
use super::search::{Plain, Search};
use crate::simd::dispatch;

/// Blocks that one parallel task takes.
const BLOCKS_PER_TASK: usize = 256;

/// Magnitudes below this count as this, so that a block of zeros does not divide by zero.
const SMALLEST_ABSMAX: f32 = 1e-38;

/// A type that weights come in; each of its numbers is an `f32` too.
pub trait Number: Copy + Send + Sync {
    /// Writes `numbers` as `f32`.
    ///
    /// # Panics
    /// If the lengths differ.
    fn widen(numbers: &[Self], out: &mut [f32]);

    /// [`quantize_here`] of lengths that fit. Each type has its own, so that it is compiled in this crate and for the vectors of the
    /// machine, whatever the settings of the crate that calls it are.
    fn quantize_blocks(weights: &[Self], codes: &mut [u8], absmax: &mut [f32]);
}

impl Number for f32 {
    #[inline(always)]
    fn widen(numbers: &[Self], out: &mut [f32]) {
        out.copy_from_slice(numbers);
    }

    fn quantize_blocks(weights: &[Self], codes: &mut [u8], absmax: &mut [f32]) {
        fastest(weights, codes, absmax);
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

    fn quantize_blocks(weights: &[Self], codes: &mut [u8], absmax: &mut [f32]) {
        fastest(weights, codes, absmax);
    }
}

impl Number for f16 {
    #[inline(always)]
    fn widen(numbers: &[Self], out: &mut [f32]) {
        numbers.convert_to_f32_slice(out);
    }

    fn quantize_blocks(weights: &[Self], codes: &mut [u8], absmax: &mut [f32]) {
        fastest(weights, codes, absmax);
    }
}

/// Quantises `weights` into `codes` (two elements a byte) and `absmax` (one a block), on all threads.
///
/// # Panics
/// If `codes` or `absmax` have another length than the weights need.
pub fn quantize<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    let task = BLOCKS_PER_TASK * BLOCK;
    check(weights, codes, absmax);
    (weights.par_chunks(task), codes.par_chunks_mut(task / 2), absmax.par_chunks_mut(BLOCKS_PER_TASK))
        .into_par_iter()
        .for_each(|(weights, codes, absmax)| quantize_here(weights, codes, absmax));
}

/// The same on this thread alone, for pieces that many threads have each one of.
///
/// # Panics
/// As [`quantize`].
pub fn quantize_here<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    check(weights, codes, absmax);
    N::quantize_blocks(weights, codes, absmax);
}

#[inline(always)]
fn fastest<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || blocks(weights, codes, absmax, simd),
        );
    }
    quantize_plainly(weights, codes, absmax);
}

/// The same without instructions of our choice.
pub(super) fn quantize_plainly<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || blocks(weights, codes, absmax, Plain),
    );
}

fn check<N>(weights: &[N], codes: &[u8], absmax: &[f32]) {
    assert_eq!(codes.len(), weights.len().div_ceil(2), "nf4: codes");
    assert_eq!(absmax.len(), weights.len().div_ceil(BLOCK), "nf4: absmax");
}

#[inline(always)]
fn blocks<N: Number>(weights: &[N], codes: &mut [u8], absmax: &mut [f32], search: impl Search) {
    let blocks = weights.chunks(BLOCK).zip(codes.chunks_mut(BLOCK / 2)).zip(absmax);
    for ((weights, codes), absmax) in blocks {
        // What a last partial block lacks are zeros, whose codes are cut off.
        let mut numbers = [0.0; BLOCK];
        N::widen(weights, &mut numbers[..weights.len()]);
        let largest = search.largest(&numbers);
        // A whole block is multiplied by the reciprocal; a partial one is divided, and keeps the raised floor.
        if weights.len() == BLOCK {
            *absmax = largest;
            let reciprocal = 1.0 / largest.max(SMALLEST_ABSMAX);
            numbers.iter_mut().for_each(|number| *number *= reciprocal);
        } else {
            *absmax = largest.max(SMALLEST_ABSMAX);
            let divisor = *absmax;
            numbers.iter_mut().for_each(|number| *number /= divisor);
        }
        let found = search.codes(&numbers);
        codes.copy_from_slice(&found[..codes.len()]);
    }
}
