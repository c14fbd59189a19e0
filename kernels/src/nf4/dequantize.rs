//! From 4-bit indices to numbers.

use rayon::prelude::*;

use super::{Absmax, BLOCKS, CODE};
use crate::real::Real;

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

fn run<R: Real>(codes: &[u8], absmax: Absmax<'_>, block: usize, first: usize, out: &mut [R]) {
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
