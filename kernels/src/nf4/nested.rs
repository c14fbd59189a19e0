//! Double quantisation: the magnitudes of the blocks in eight bits.

use std::sync::LazyLock;

use rayon::prelude::*;

use super::NESTED_BLOCK;

/// The magnitudes of one tensor's blocks in eight bits: `map[codes[i]] * absmax[i / block] + offset`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nested {
    /// One index into `map` for each block.
    pub codes: Vec<u8>,
    /// The 256 values of the signed dynamic map.
    pub map: Box<[f32; 256]>,
    /// One magnitude for `block` codes.
    pub absmax: Vec<f32>,
    /// How many codes share a magnitude.
    pub block: usize,
    /// The mean of all magnitudes.
    pub offset: f32,
}

impl Nested {
    /// The magnitude of block `block`.
    #[inline]
    #[must_use]
    pub fn value(&self, block: usize) -> f32 {
        self.map[usize::from(self.codes[block])] * self.absmax[block / self.block] + self.offset
    }
}

/// Quantises the magnitudes of a tensor's blocks.
#[must_use]
pub fn quantize_absmax(absmax: &[f32]) -> Nested {
    let tables: &Tables = &TABLES;
    let offset = torch_sum(absmax) / absmax.len().max(1) as f32;
    let mut codes = vec![0; absmax.len()];
    let mut nested_absmax = vec![0.0; absmax.len().div_ceil(NESTED_BLOCK)];
    (absmax.par_chunks(NESTED_BLOCK), codes.par_chunks_mut(NESTED_BLOCK), nested_absmax.par_iter_mut())
        .into_par_iter()
        .for_each(|(absmax, codes, largest)| {
            *largest = absmax.iter().fold(0.0_f32, |largest, value| largest.max((value - offset).abs()));
            // All magnitudes equal: nothing to scale by, and the code does not matter since it is multiplied by zero.
            if *largest == 0.0 {
                return;
            }
            let reciprocal = 1.0 / *largest;
            for (code, value) in codes.iter_mut().zip(absmax) {
                *code = tables.nearest[bin((value - offset) * reciprocal)];
            }
        });
    Nested { codes, map: tables.map.clone(), absmax: nested_absmax, block: NESTED_BLOCK, offset }
}

/// Steps of the table by which bitsandbytes' CPU kernel looks codes up.
const BINS: f32 = 65_535.0;

/// What depends on nothing, worked out once.
struct Tables {
    map: Box<[f32; 256]>,
    /// For each step from minus one to one the index of the value that is nearest, of two equally near ones the lower.
    nearest: Vec<u8>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let map = dynamic_map();
    let nearest = (0..=BINS as u32).map(|bin| nearest(&map, bin)).collect();
    Tables { map, nearest }
});

/// The step of `x`, from 0 for minus one to 65,535 for one: bitsandbytes' CPU kernel rounds to one before it looks for the
/// nearest value, which near a midpoint is another than that nearest to `x` itself. Found by probing the kernel of
/// 0.50.2: no difference in two million values.
#[inline]
fn bin(x: f32) -> usize {
    // What is no number becomes step 0.
    ((x.clamp(-1.0, 1.0) + 1.0) * (BINS / 2.0) + 0.5).floor() as usize
}

fn nearest(map: &[f32; 256], bin: u32) -> u8 {
    let centre = (f64::from(bin) / f64::from(BINS) * 2.0 - 1.0) as f32;
    let right = map.partition_point(|&v| v < centre);
    let chosen = match right {
        0 => 0,
        256 => 255,
        _ if (map[right] - centre).abs() < (centre - map[right - 1]).abs() => right,
        _ => right - 1,
    };
    chosen as u8
}

/// The signed dynamic map of 8-bit values (Dettmers et al., arXiv 2110.02861): seven decades, in decade `i` the
/// means of `2^i + 1` points between 0.1 and 1, both signs, with zero and one.
#[must_use]
pub fn dynamic_map() -> Box<[f32; 256]> {
    const DECADES: i32 = 7;
    let mut values = vec![0.0_f32, 1.0];
    for decade in 0..DECADES {
        let points = linspace((1 << decade) + 1);
        let factor = 10_f64.powi(decade - (DECADES - 1)) as f32;
        for pair in points.windows(2) {
            let mean = (pair[0] + pair[1]) / 2.0 * factor;
            values.extend([mean, -mean]);
        }
    }
    values.sort_by(f32::total_cmp);
    let mut map = Box::new([0.0; 256]);
    map.copy_from_slice(&values);
    map
}

/// `torch.linspace(0.1, 1, count)` in `f32`: from both ends towards the middle, product and sum rounded once.
fn linspace(count: usize) -> Vec<f32> {
    let (start, end) = (0.1_f32, 1.0_f32);
    let step = (end - start) / (count - 1) as f32;
    let from_start = |i: usize| step.mul_add(i as f32, start);
    let from_end = |i: usize| (-step).mul_add((count - 1 - i) as f32, end);
    (0..count).map(|i| if i < count / 2 { from_start(i) } else { from_end(i) }).collect()
}

/// Lanes of the vectors that torch's sum works in.
const LANES: usize = 8;
/// Vectors that torch's sum keeps side by side.
const ROWS: usize = 4;
/// Levels of torch's cascade of partial sums.
const LEVELS: usize = 4;

/// The sum of `values` in the order of torch's CPU kernel (`aten/src/ATen/native/cpu/SumKernel.cpp`) on one thread,
/// which is what it uses below 32,768 values: the offset must be the very same number for codes to be.
fn torch_sum(values: &[f32]) -> f32 {
    let vectors = values.len() / LANES;
    let at = |vector: usize, lane: usize| values[vector * LANES + lane];
    let mut total = 0.0_f32;
    for &value in &values[vectors * LANES..] {
        total += value;
    }
    let rows = vectors / ROWS;
    let mut partial: [[f32; LANES]; ROWS] = cascade(rows, |i, row, lane| at(i * ROWS + row, lane));
    for vector in rows * ROWS..vectors {
        for (lane, sum) in partial[0].iter_mut().enumerate() {
            *sum += at(vector, lane);
        }
    }
    let [first, others @ ..] = &mut partial;
    for other in others {
        add(first, other);
    }
    partial[0].iter().fold(total, |sum, lane| sum + lane)
}

fn cascade(size: usize, load: impl Fn(usize, usize, usize) -> f32) -> [[f32; LANES]; ROWS] {
    let ceil_log2 = usize::BITS - size.saturating_sub(1).leading_zeros();
    let level_power = (ceil_log2 as usize / LEVELS).max(4);
    let level_step = 1 << level_power;
    let mut sums = [[[0.0_f32; LANES]; ROWS]; LEVELS];
    let add_row = |sums: &mut [[f32; LANES]; ROWS], i: usize| {
        for (row, lanes) in sums.iter_mut().enumerate() {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += load(i, row, lane);
            }
        }
    };
    let carry = |sums: &mut [[[f32; LANES]; ROWS]; LEVELS], from: usize, to: usize| {
        let values = sums[from];
        for (sum, value) in sums[to].iter_mut().zip(&values) {
            add(sum, value);
        }
    };
    let mut i = 0;
    while i + level_step <= size {
        for _ in 0..level_step {
            add_row(&mut sums[0], i);
            i += 1;
        }
        for level in 1..LEVELS {
            carry(&mut sums, level - 1, level);
            sums[level - 1] = [[0.0; LANES]; ROWS];
            if i & ((level_step - 1) << (level * level_power)) != 0 {
                break;
            }
        }
    }
    while i < size {
        add_row(&mut sums[0], i);
        i += 1;
    }
    for level in 1..LEVELS {
        carry(&mut sums, level, 0);
    }
    sums[0]
}

fn add(sums: &mut [f32; LANES], values: &[f32; LANES]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
