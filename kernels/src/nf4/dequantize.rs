//! From 4-bit indices to numbers.

use rayon::prelude::*;

use super::{Absmax, BLOCKS, CODE};
use crate::real::{self, Real};

/// Elements that one parallel task takes; a multiple of every length in [`BLOCKS`].
const CHUNK: usize = 8192;

/// Elements `first..first + out.len()` of a tensor whose blocks have `block` elements, `CODE[index] * absmax` in `f32`,
/// in row-major order.
///
/// # Panics
/// If the range is not within `codes` and `absmax`, or `block` is none of [`BLOCKS`].
pub fn dequantize<R: Real>(codes: &[u8], absmax: Absmax<'_>, block: usize, first: usize, out: &mut [R]) {
    let end = first + out.len();
    assert!(BLOCKS.contains(&block), "nf4: blocks of {block}");
    assert!(end.div_ceil(2) <= codes.len() && end.div_ceil(block) <= absmax.blocks(), "nf4: range");
    // The first piece ends at a block's border, so that the tasks after it start at one.
    let head = (block - first % block) % block;
    let (head_out, rest) = out.split_at_mut(head.min(end - first));
    run(codes, absmax, block, first, head_out);
    let rest_first = first + head_out.len();
    rest.par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(task, out)| run(codes, absmax, block, rest_first + task * CHUNK, out));
}

/// [`dequantize`] on the calling thread alone, for use inside a parallel task.
///
/// # Panics
/// As [`dequantize`].
pub fn dequantize_here<R: Real>(codes: &[u8], absmax: Absmax<'_>, block: usize, first: usize, out: &mut [R]) {
    let end = first + out.len();
    assert!(BLOCKS.contains(&block), "nf4: blocks of {block}");
    assert!(end.div_ceil(2) <= codes.len() && end.div_ceil(block) <= absmax.blocks(), "nf4: range");
    run(codes, absmax, block, first, out);
}

fn run<R: Real>(codes: &[u8], absmax: Absmax<'_>, block: usize, first: usize, out: &mut [R]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(out) = real::as_f32_mut(out)
        && is_x86_feature_detected!("avx2")
    {
        // SAFETY: AVX2 is there.
        return unsafe { vectors::run(codes, absmax, block, first, out) };
    }
    run_plainly(codes, absmax, block, first, out);
}

/// The definition.
pub(super) fn run_plainly<R: Real>(
    codes: &[u8],
    absmax: Absmax<'_>,
    block: usize,
    first: usize,
    out: &mut [R],
) {
    let mut at = first;
    let mut out = out;
    while !out.is_empty() {
        let count = (block - at % block).min(out.len());
        let scale = absmax.of(at / block);
        let table: [R; 16] = std::array::from_fn(|i| R::of_f32(CODE[i] * scale));
        let (now, later) = out.split_at_mut(count);
        if at.is_multiple_of(2) && count.is_multiple_of(2) {
            for (pair, &byte) in now.chunks_exact_mut(2).zip(&codes[at / 2..]) {
                pair[0] = table[usize::from(byte >> 4)];
                pair[1] = table[usize::from(byte & 15)];
            }
        } else {
            for (i, value) in now.iter_mut().enumerate() {
                let byte = codes[(at + i) / 2];
                let shift = if (at + i).is_multiple_of(2) { 4 } else { 0 };
                *value = table[usize::from(byte >> shift & 15)];
            }
        }
        out = later;
        at += count;
    }
}

/// Eight elements at a time: both halves of the table are looked up in, and the fourth bit of an index says which holds.
#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        _mm256_blendv_ps, _mm256_castsi256_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_permutevar8x32_ps,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi32, _mm256_srlv_epi32,
        _mm256_storeu_ps,
    };

    use super::super::{Absmax, CODE};

    const LANES: usize = 8;

    #[target_feature(enable = "avx2")]
    pub(super) fn run(codes: &[u8], absmax: Absmax<'_>, block: usize, first: usize, out: &mut [f32]) {
        // SAFETY: the table has sixteen values.
        let (low, high) =
            unsafe { (_mm256_loadu_ps(CODE.as_ptr()), _mm256_loadu_ps(CODE.as_ptr().add(LANES))) };
        // The first element of a byte is in its high half.
        let shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
        let (mut at, mut out) = (first, out);
        while !out.is_empty() {
            let count = (block - at % block).min(out.len());
            let scale = absmax.of(at / block);
            let (now, later) = out.split_at_mut(count);
            let mut done = 0;
            if at.is_multiple_of(2) {
                let factor = _mm256_set1_ps(scale);
                let (eights, _) = now.as_chunks_mut::<LANES>();
                let (fours, _) = codes[at / 2..].as_chunks::<{ LANES / 2 }>();
                done = eights.len() * LANES;
                for (out, &bytes) in eights.iter_mut().zip(fours) {
                    let indices = _mm256_srlv_epi32(_mm256_set1_epi32(i32::from_le_bytes(bytes)), shifts);
                    let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(indices));
                    let value = _mm256_blendv_ps(
                        _mm256_permutevar8x32_ps(low, indices),
                        _mm256_permutevar8x32_ps(high, indices),
                        upper,
                    );
                    // SAFETY: `out` has eight elements.
                    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_mul_ps(value, factor)) };
                }
            }
            for (i, value) in now.iter_mut().enumerate().skip(done) {
                let byte = codes[(at + i) / 2];
                let shift = if (at + i).is_multiple_of(2) { 4 } else { 0 };
                *value = CODE[usize::from(byte >> shift & 15)] * scale;
            }
            out = later;
            at += count;
        }
    }
}
