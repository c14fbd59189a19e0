//! GPTQ: codes column by column, where those that follow make up for what rounding each one did.

use rayon::prelude::*;
use rtune_kernels::cholesky::factor_of_inverse;
use rtune_kernels::gemm::{Mat, MatMut, multiply};
use rtune_kernels::int4::Grid;

use super::codes::Codes;
use super::gram::Gram;
use super::settings::DAMPING;

/// Columns whose errors are taken over to the columns behind them at once.
const BATCH: usize = 128;

/// The upper factor of the inverse of the damped products, `[I, I]`. Twice the products would be the Hessian of the squared
/// error; a factor changes no code.
///
/// # Errors
/// The channel where the products are not positive definite.
pub(super) fn factor(gram: &Gram) -> Result<Vec<f32>, usize> {
    let size = gram.width;
    let mut matrix = vec![0.0_f64; size * size];
    matrix.par_chunks_mut(size).enumerate().for_each(|(row, values)| {
        for (column, value) in values.iter_mut().enumerate() {
            let pair = [gram.products[row * size + column], gram.products[column * size + row]];
            *value = 0.5 * (f64::from(pair[0]) + f64::from(pair[1]));
        }
    });
    let mean = (0..size).map(|index| matrix[index * size + index]).sum::<f64>() / size as f64;
    // Where nothing is read, every code is as good as another: the nearest.
    let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
    (0..size).for_each(|index| matrix[index * size + index] += damping);
    factor_of_inverse(&mut matrix, size).map_err(|from_last| size - 1 - from_last)?;
    Ok(matrix.into_iter().map(|value| value as f32).collect())
}

/// The codes of `weight`, `[O, I]`, with symmetric grids; `factor` from [`factor`]. A group's grid is that of its numbers as
/// they stand when its first column is rounded.
pub(super) fn quantise(mut weight: Vec<f32>, columns: usize, factor: &[f32], group: usize) -> Codes {
    let rows = weight.len() / columns;
    let mut codes = Codes::empty(rows, columns, group);
    let groups = columns / group;
    let mut errors = Vec::new();
    for start in (0..columns).step_by(BATCH) {
        let end = (start + BATCH).min(columns);
        errors.resize(rows * (end - start), 0.0);
        let places = weight.par_chunks_mut(columns).zip(codes.codes.par_chunks_mut(columns));
        let places = places.zip(codes.grids.par_chunks_mut(groups)).zip(errors.par_chunks_mut(end - start));
        places.for_each(|(((row, codes), grids), errors)| {
            for column in start..end {
                if column % group == 0 {
                    grids[column / group] = Grid::symmetric(&row[column..column + group]);
                }
                let grid = grids[column / group];
                codes[column] = grid.code(row[column]);
                let behind = &factor[column * columns..][..columns];
                let error = (row[column] - grid.value(codes[column])) / behind[column];
                errors[column - start] = error;
                let rest = row[column + 1..end].iter_mut().zip(&behind[column + 1..end]);
                rest.for_each(|(value, factor)| *value -= error * factor);
            }
        });
        if end < columns {
            let (batch, rest) = (end - start, columns - end);
            let left = Mat::new(&errors, rows, batch);
            let right = Mat::strided(&factor[start * columns + end..], batch, rest, columns);
            multiply(MatMut::strided(&mut weight[end..], rows, rest, columns), 1.0, -1.0, left, right);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 24;
    const COLUMNS: usize = 320;
    const GROUP: usize = 32;

    fn drawn(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next() + next() + next()).collect()
    }

    /// Channels that go together, as those of a model do.
    fn correlated() -> Gram {
        let mut gram = Gram::new(COLUMNS);
        let (shared, own) = (drawn(700 * 24, 5), drawn(700 * COLUMNS, 6));
        let mix = drawn(24 * COLUMNS, 7);
        let mut x = own;
        for (x_i, shared) in x.chunks_exact_mut(COLUMNS).zip(shared.chunks_exact(24)) {
            for (column, value) in x_i.iter_mut().enumerate() {
                *value *= 0.3;
                *value += shared.iter().enumerate().map(|(k, s)| s * mix[k * COLUMNS + column]).sum::<f32>();
            }
        }
        gram.add(&x);
        gram
    }

    /// The definition: the inverse is kept, and a column and a row of it are eliminated after each code (Gauss-Jordan, in
    /// `f64`), without a factor, batches or a group of their own.
    fn plainly(weight: &[f32], gram: &Gram) -> Vec<u8> {
        let n = COLUMNS;
        let mut h: Vec<f64> = gram.products.iter().map(|&value| f64::from(value)).collect();
        let mean = (0..n).map(|i| h[i * n + i]).sum::<f64>() / n as f64;
        (0..n).for_each(|i| h[i * n + i] += 0.01 * mean);
        let mut inverse = vec![0.0; n * n];
        (0..n).for_each(|i| inverse[i * n + i] = 1.0);
        for pivot in 0..n {
            let divisor = h[pivot * n + pivot];
            for j in 0..n {
                h[pivot * n + j] /= divisor;
                inverse[pivot * n + j] /= divisor;
            }
            for row in (0..n).filter(|row| *row != pivot) {
                let factor = h[row * n + pivot];
                for j in 0..n {
                    h[row * n + j] -= factor * h[pivot * n + j];
                    inverse[row * n + j] -= factor * inverse[pivot * n + j];
                }
            }
        }
        let mut w: Vec<f64> = weight.iter().map(|&value| f64::from(value)).collect();
        let mut grids = [Grid { scale: 0.0, zero: 0 }; ROWS];
        let mut codes = vec![0; ROWS * n];
        for column in 0..n {
            for row in 0..ROWS {
                if column % GROUP == 0 {
                    let group: Vec<f32> =
                        w[row * n + column..][..GROUP].iter().map(|&value| value as f32).collect();
                    grids[row] = Grid::symmetric(&group);
                }
                let value = w[row * n + column];
                codes[row * n + column] = grids[row].code(value as f32);
                let read = f64::from(grids[row].value(codes[row * n + column]));
                let error = (value - read) / inverse[column * n + column];
                (column..n).for_each(|j| w[row * n + j] -= error * inverse[column * n + j]);
            }
            let divisor = inverse[column * n + column];
            let eliminated = inverse[column * n..(column + 1) * n].to_vec();
            for i in column + 1..n {
                let factor = inverse[i * n + column] / divisor;
                (column..n).for_each(|j| inverse[i * n + j] -= factor * eliminated[j]);
            }
        }
        codes
    }

    #[test]
    fn codes_are_those_of_the_definition_and_better_than_the_nearest() {
        let (weight, gram) = (drawn(ROWS * COLUMNS, 9), correlated());
        let factor = factor(&gram).expect("positive definite");
        let codes = quantise(weight.clone(), COLUMNS, &factor, GROUP);
        let plain = plainly(&weight, &gram);
        let others = codes.codes.iter().zip(&plain).filter(|(a, b)| a != b).count();
        assert!(others * 500 <= plain.len(), "{others} of {} codes are others", plain.len());
        let mut nearest = vec![0.0; weight.len()];
        rtune_kernels::int4::round_to_nearest(&weight, COLUMNS, GROUP, Grid::symmetric, &mut nearest);
        let error = |read: &[f32]| {
            let difference: Vec<f32> = weight.iter().zip(read).map(|(w, q)| w - q).collect();
            gram.energy(&difference, &mut Vec::new())
        };
        let (ours, theirs) = (error(&codes.values()), error(&nearest));
        assert!(ours < 0.5 * theirs, "{ours} and {theirs}");
    }

    #[test]
    fn channels_that_are_never_read_are_rounded_to_the_nearest() {
        let weight = drawn(ROWS * COLUMNS, 3);
        let factor = factor(&Gram::new(COLUMNS)).expect("damped");
        let codes = quantise(weight.clone(), COLUMNS, &factor, GROUP);
        let mut nearest = vec![0.0; weight.len()];
        rtune_kernels::int4::round_to_nearest(&weight, COLUMNS, GROUP, Grid::symmetric, &mut nearest);
        assert_eq!(codes.values(), nearest);
    }
}
