//! From numbers to 4-bit indices.

use rayon::prelude::*;

use super::{BLOCK, CODE};

/// Blocks that one parallel task takes.
const BLOCKS_PER_TASK: usize = 256;

/// Magnitudes below this count as this, so that a block of zeros does not divide by zero.
const SMALLEST_ABSMAX: f32 = 1e-38;

/// Quantises `weights` into `codes` (two elements a byte) and `absmax` (one a block).
///
/// # Panics
/// If `codes` or `absmax` have another length than the weights need.
pub fn quantize(weights: &[f32], codes: &mut [u8], absmax: &mut [f32]) {
    assert_eq!(codes.len(), weights.len().div_ceil(2), "nf4: codes");
    assert_eq!(absmax.len(), weights.len().div_ceil(BLOCK), "nf4: absmax");
    let task = BLOCKS_PER_TASK * BLOCK;
    (weights.par_chunks(task), codes.par_chunks_mut(task / 2), absmax.par_chunks_mut(BLOCKS_PER_TASK))
        .into_par_iter()
        .for_each(|(weights, codes, absmax)| {
            let blocks = weights.chunks(BLOCK).zip(codes.chunks_mut(BLOCK / 2)).zip(absmax);
            for ((w, codes), absmax) in blocks {
                quantize_block(w, codes, absmax);
            }
        });
}

fn quantize_block(weights: &[f32], codes: &mut [u8], absmax: &mut f32) {
    let largest = weights.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    // A whole block is multiplied by the reciprocal; a last partial one is divided, and keeps the raised floor.
    let scaled: [f32; BLOCK] = if weights.len() == BLOCK {
        *absmax = largest;
        let reciprocal = 1.0 / largest.max(SMALLEST_ABSMAX);
        std::array::from_fn(|i| (weights[i] * reciprocal).clamp(-1.0, 1.0))
    } else {
        *absmax = largest.max(SMALLEST_ABSMAX);
        let divisor = *absmax;
        std::array::from_fn(|i| weights.get(i).map_or(0.0, |w| (w / divisor).clamp(-1.0, 1.0)))
    };
    for (code, pair) in codes.iter_mut().zip(scaled.chunks_exact(2)) {
        *code = index(pair[0]) << 4 | index(pair[1]);
    }
}

/// The number of thresholds (midpoints between neighbours of [`CODE`]) strictly below `x`.
#[inline]
fn index(x: f32) -> u8 {
    let mut below = 0;
    for pair in CODE.windows(2) {
        below += u8::from((pair[0] + pair[1]) / 2.0 < x);
    }
    below
}
