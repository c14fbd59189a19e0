//! AWQ: scales of channels, and where ranges are clipped, both by search.
//!
//! Candidates are compared as in the paper: linears that read behind a norm by what the whole of attention or the MLP adds to the
//! residual for a sample of tokens ([`super::plan`]), the projections out of these by what they give themselves, by the products
//! of what they read. Where ranges are clipped is searched by each linear's own products.

use rayon::prelude::*;
use rtune_kernels::gemm::{Mat, MatMut, multiply};
use rtune_kernels::int4::{self, Grid};

use super::codes::Codes;
use super::folds::Shared;
use super::gram::Gram;

/// Exponents that are tried: 0, 1/20, and so on below 1.
const RATIOS: usize = 20;
/// No scale is smaller before all are set around 1.
const LEAST_SCALE: f64 = 1e-4;
/// Ranges that are tried are `1 - n/20` of the whole, down to half of it.
const CLIPS: usize = 10;
const CLIP_STEP: f32 = 0.05;
/// Rows that one thread rounds at a time.
const ROWS_A_TASK: usize = 8;

/// The scales by which the columns of `weights`, each `[O, I]`, are multiplied before they are rounded, `[I]`, and what they
/// read is divided; `None` where none are better. `shared` says which channels have one scale, and `loss` what a candidate
/// costs, from what the weights are read as.
pub(super) fn scales(
    weights: &[Vec<f32>],
    gram: &Gram,
    group: usize,
    shared: Option<Shared>,
    loss: &mut dyn FnMut(Vec<Vec<f32>>) -> f64,
) -> Option<Vec<f32>> {
    let read = gram.mean_magnitudes();
    let held = relative_magnitudes(weights, gram.width, group);
    let mut loss = |scales: &[f32]| {
        loss(weights.iter().map(|weight| read_scaled(weight, gram.width, group, scales)).collect())
    };
    let mut best = (loss(&vec![1.0; gram.width]), None);
    for ratio in 0..RATIOS {
        let Some(scales) = candidate(&read, &held, ratio as f64 / RATIOS as f64, shared) else { continue };
        let loss = loss(&scales);
        if loss < best.0 {
            best = (loss, Some(scales));
        }
    }
    best.1
}

/// What `weight`, `[O, I]`, is read as, were its columns enlarged by `scales` and then rounded to the nearest.
fn read_scaled(weight: &[f32], width: usize, group: usize, scales: &[f32]) -> Vec<f32> {
    let mut read = vec![0.0; weight.len()];
    let tasks = read.par_chunks_mut(ROWS_A_TASK * width).zip(weight.par_chunks(ROWS_A_TASK * width));
    tasks.for_each(|(out, rows)| {
        let scaled = multiplied(rows, scales);
        int4::round_to_nearest(&scaled, width, group, |group| Grid::asymmetric(group, 1.0), out);
        for out in out.chunks_exact_mut(width) {
            out.iter_mut().zip(scales).for_each(|(out, scale)| *out /= scale);
        }
    });
    read
}

/// Mean size of the numbers of each column, as parts of the largest of their groups.
fn relative_magnitudes(weights: &[Vec<f32>], width: usize, group: usize) -> Vec<f64> {
    let mut sums = vec![0.0_f64; width];
    let rows = weights.iter().flat_map(|weight| weight.chunks_exact(width));
    let mut count = 0;
    for row in rows {
        count += 1;
        for (values, sums) in row.chunks(group).zip(sums.chunks_mut(group)) {
            let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let over = f64::from(largest) + 1e-6;
            values.iter().zip(sums).for_each(|(value, sum)| *sum += f64::from(value.abs()) / over);
        }
    }
    sums.into_iter().map(|sum| sum / f64::from(count.max(1))).collect()
}

/// Scales by an exponent, set around 1; `None` where they are no numbers.
fn candidate(read: &[f64], held: &[f64], ratio: f64, shared: Option<Shared>) -> Option<Vec<f32>> {
    let scale = |(read, held): (&f64, &f64)| read.powf(ratio) / (held.powf(1.0 - ratio) + LEAST_SCALE);
    let mut scales: Vec<f64> = read.iter().zip(held).map(|pair| scale(pair).max(LEAST_SCALE)).collect();
    if let Some(shared) = shared.filter(|shared| shared.heads > 1) {
        let mut means = vec![0.0; scales.len() / shared.heads];
        let share = 1.0 / shared.heads as f64;
        scales.iter().enumerate().for_each(|(channel, scale)| means[shared.row(channel)] += share * scale);
        let places = scales.iter_mut().enumerate();
        places.for_each(|(channel, scale)| *scale = means[shared.row(channel)]);
    }
    let (least, most) =
        scales.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), s| (least.min(*s), most.max(*s)));
    let middle = (least * most).sqrt();
    let scales: Vec<f32> = scales.iter().map(|scale| (scale / middle) as f32).collect();
    scales.iter().all(|scale| scale.is_finite() && *scale > 0.0).then_some(scales)
}

/// The rows of a matrix with their columns multiplied by `scales`.
pub(super) fn multiplied(rows: &[f32], scales: &[f32]) -> Vec<f32> {
    let rows = rows.chunks_exact(scales.len());
    rows.flat_map(|row| row.iter().zip(scales).map(|(value, scale)| value * scale)).collect()
}

/// The codes of `weight`, `[O, I]`, each to the nearest, on grids of the range of their group or, where `clips`, on those of
/// less of it, where that gives less error for what the group reads.
pub(super) fn quantise(weight: &[f32], gram: &Gram, group: usize, clips: bool) -> Codes {
    let width = gram.width;
    let rows = weight.len() / width;
    let mut codes = Codes::empty(rows, width, group);
    let groups = width / group;
    let mut difference = vec![0.0; rows * group];
    let mut product = vec![0.0; rows * group];
    for number in 0..groups {
        let first = number * group;
        let of = |row: usize| &weight[row * width + first..][..group];
        let mut best = vec![(f64::INFINITY, Grid { scale: 0.0, zero: 0 }); rows];
        for step in 0..if clips { CLIPS } else { 1 } {
            let keep = 1.0 - CLIP_STEP * step as f32;
            let grid = |row: usize| Grid::asymmetric(of(row), keep);
            difference.par_chunks_mut(group).enumerate().for_each(|(row, out)| {
                grid(row).round(of(row), out);
                out.iter_mut().zip(of(row)).for_each(|(out, value)| *out = value - *out);
            });
            let read = Mat::strided(&gram.products[first * width + first..], group, group, width);
            let left = Mat::new(&difference, rows, group);
            multiply(MatMut::new(&mut product, rows, group), 0.0, 1.0, left, read);
            let places = best.par_iter_mut().zip(difference.par_chunks(group)).zip(product.par_chunks(group));
            places.enumerate().for_each(|(row, ((best, difference), product))| {
                let terms = difference.iter().zip(product).map(|(d, p)| f64::from(d * p));
                let loss = terms.sum::<f64>();
                // The whole range comes first: it stands where nothing is read.
                if loss < best.0 || step == 0 {
                    *best = (loss, grid(row));
                }
            });
        }
        for (row, (_, grid)) in best.into_iter().enumerate() {
            codes.grids[row * groups + number] = grid;
            grid.encode(of(row), &mut codes.codes[row * width + first..][..group]);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;
    const GROUP: usize = 32;

    fn drawn(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next() + next() + next()).collect()
    }

    /// Tokens of which a few channels are large.
    fn gram() -> Gram {
        let mut gram = Gram::new(WIDTH);
        let mut x = drawn(300 * WIDTH, 4);
        for (place, value) in x.iter_mut().enumerate() {
            *value *= if place % WIDTH % 13 == 5 { 30.0 } else { 1.0 };
        }
        gram.add(&x);
        gram
    }

    /// The squared error of what the linears give.
    fn own_error(weights: &[Vec<f32>], gram: &Gram) -> impl FnMut(Vec<Vec<f32>>) -> f64 {
        move |read| {
            let pairs = weights.iter().zip(read);
            pairs.map(|(weight, read)| gram.error(weight, &read, &mut Vec::new())).sum()
        }
    }

    #[test]
    fn channels_that_are_read_with_large_numbers_are_enlarged() {
        let (weights, gram) = (vec![drawn(16 * WIDTH, 1), drawn(8 * WIDTH, 2)], gram());
        let mut loss = own_error(&weights, &gram);
        let scales = scales(&weights, &gram, GROUP, None, &mut loss).expect("better than none");
        let (large, small) = (scales[5], scales[6]);
        assert!(large > 2.0 * small, "{large} and {small}");
        let mut of = |scales: &[f32]| {
            loss(weights.iter().map(|weight| read_scaled(weight, WIDTH, GROUP, scales)).collect())
        };
        assert!(of(&scales) < 0.5 * of(&[1.0; WIDTH]));
    }

    #[test]
    fn channels_that_a_row_makes_together_have_one_scale() {
        let shared = Shared { heads: 2, width: 16 };
        let (weights, gram) = ([drawn(16 * WIDTH, 1)], gram());
        let mut loss = own_error(&weights, &gram);
        let scales = scales(&weights, &gram, GROUP, Some(shared), &mut loss).expect("better than none");
        for channel in 0..WIDTH {
            let other = (0..WIDTH).find(|other| shared.row(*other) == shared.row(channel)).expect("itself");
            assert_eq!(scales[channel].to_bits(), scales[other].to_bits());
        }
        assert!(scales.iter().any(|scale| *scale != scales[0]));
    }

    #[test]
    fn clipped_ranges_are_never_worse() {
        let (weight, gram) = (drawn(16 * WIDTH, 8), gram());
        let error = |codes: &Codes| -> f64 {
            // By group, as the search has it.
            let difference: Vec<f32> = weight.iter().zip(codes.values()).map(|(w, q)| w - q).collect();
            let mut sum = 0.0;
            for first in [0, GROUP] {
                let mut only = vec![0.0; difference.len()];
                for (out, row) in only.chunks_mut(WIDTH).zip(difference.chunks(WIDTH)) {
                    out[first..first + GROUP].copy_from_slice(&row[first..first + GROUP]);
                }
                sum += gram.energy(&only, &mut Vec::new());
            }
            sum
        };
        let whole = quantise(&weight, &gram, GROUP, false);
        let mut nearest = vec![0.0; weight.len()];
        int4::round_to_nearest(&weight, WIDTH, GROUP, |group| Grid::asymmetric(group, 1.0), &mut nearest);
        assert_eq!(whole.values(), nearest);
        let clipped = quantise(&weight, &gram, GROUP, true);
        assert!(error(&clipped) < error(&whole), "{} and {}", error(&clipped), error(&whole));
        assert_ne!(clipped.grids, whole.grids);
    }
}
