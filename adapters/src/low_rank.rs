//! The best matrices of low rank: what PiSSA and LoftQ begin with.
//!
//! Legend: M rows, N columns, R rank, K width of the subspace that is iterated.

use nalgebra::DMatrix;
use rtune_kernels::gemm::{Mat, MatMut, multiply};

/// Times that the subspace is brought nearer to that of the largest singular values; PEFT's `pissa_niter_16` is as near.
const ITERATIONS: usize = 16;
/// Directions beside those that are wanted, so that close singular values are told apart.
const OVERSAMPLING: usize = 16;

/// `b a`, with the square root of each singular value in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `[R, N]`.
    pub a: Vec<f32>,
    /// `[M, R]`.
    pub b: Vec<f32>,
}

/// How many numbers [`factors`] wants to begin with.
#[must_use]
pub fn draws(rows: usize, columns: usize, rank: usize) -> usize {
    columns * width(rows, columns, rank)
}

/// Bytes that [`factors`] works in beside its input: the numbers that it begins with, and what spans the subspace, wide and
/// narrow, before and after it is made orthonormal.
#[must_use]
pub fn working_bytes(rows: usize, columns: usize, rank: usize) -> usize {
    let k = width(rows, columns, rank);
    let spanned = rows.max(columns) * k;
    columns * k * size_of::<f32>() + spanned * (3 * size_of::<f64>() + 2 * size_of::<f32>())
}

fn width(rows: usize, columns: usize, rank: usize) -> usize {
    (2 * rank).max(rank + OVERSAMPLING).min(rows).min(columns)
}

/// The factors of the product of rank `rank` that is nearest to `values_mn` in the sense of least squares, by iterating a
/// subspace (Halko, Martinsson, Tropp, arXiv 0909.4061) that `drawn`, as many numbers as [`draws`] says, spans first. Where
/// the subspace is the whole space the product is the nearest to rounding, else the nearest but for singular values
/// that are hardly smaller than the last. Equal input gives equal bits for every number of threads.
///
/// # Panics
/// If the lengths do not fit.
#[must_use]
pub fn factors(values_mn: &[f32], rows: usize, columns: usize, rank: usize, drawn: &[f32]) -> Factors {
    let k = width(rows, columns, rank);
    assert!(values_mn.len() == rows * columns && drawn.len() == columns * k, "low rank: lengths");
    let values = Mat::new(values_mn, rows, columns);
    let times = |left: Mat<'_, f32>, right: &[f32], shape: [usize; 3]| {
        let [m, inner, n] = shape;
        let mut out = vec![0.0_f32; m * n];
        multiply(MatMut::new(&mut out, m, n), 0.0, 1.0, left, Mat::new(right, inner, n));
        out
    };
    let mut q_mk = orthonormal(&times(values, drawn, [rows, columns, k]), rows, k);
    for _ in 0..ITERATIONS {
        let z_nk = orthonormal(&times(values.t(), &q_mk, [columns, rows, k]), columns, k);
        q_mk = orthonormal(&times(values, &z_nk, [rows, columns, k]), rows, k);
    }
    // The matrix in the subspace, with its lengths.
    let within_nk = times(values.t(), &q_mk, [columns, rows, k]);
    let within = wide(&within_nk, columns, k);
    // within = V S Uᵀ: the columns of U turn the subspace to the singular vectors.
    let gram = within.transpose() * &within;
    let eigen = gram.symmetric_eigen();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&x, &y| eigen.eigenvalues[y].total_cmp(&eigen.eigenvalues[x]).then(x.cmp(&y)));
    let rank_kept = rank.min(k);
    let (mut a, mut b) = (vec![0.0_f32; rank * columns], vec![0.0_f32; rows * rank]);
    let q = wide(&q_mk, rows, k);
    for (place, &column) in order.iter().take(rank_kept).enumerate() {
        let direction = eigen.eigenvectors.column(column);
        let singular = eigen.eigenvalues[column].max(0.0).sqrt();
        let root = singular.sqrt();
        let (left, right) = (&q * direction, &within * direction);
        // The sign of a singular vector is free: the largest part of the left one is positive.
        let largest = left.iter().copied().fold(0.0_f64, |m, v| if v.abs() > m.abs() { v } else { m });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for (row, value) in left.iter().enumerate() {
            b[row * rank + place] = (sign * root * value) as f32;
        }
        let scale = if root > 0.0 { sign / root } else { 0.0 };
        for (out, value) in a[place * columns..(place + 1) * columns].iter_mut().zip(right.iter()) {
            *out = (scale * value) as f32;
        }
    }
    Factors { a, b }
}

fn wide(values: &[f32], rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::from_row_iterator(rows, columns, values.iter().map(|&value| f64::from(value)))
}

/// Columns of length 1, each at a right angle to the others, that span what those of `values` do; row-major.
fn orthonormal(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let q = wide(values, rows, columns).qr().q();
    q.row_iter().flat_map(|row| row.iter().map(|&value| value as f32).collect::<Vec<f32>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn error(values: &[f32], found: &Factors, rows: usize, columns: usize, rank: usize) -> f64 {
        let mut square = 0.0;
        for row in 0..rows {
            for column in 0..columns {
                let sum: f64 = (0..rank)
                    .map(|r| f64::from(found.b[row * rank + r]) * f64::from(found.a[r * columns + column]))
                    .sum();
                square += (f64::from(values[row * columns + column]) - sum).powi(2);
            }
        }
        square.sqrt()
    }

    #[test]
    fn the_product_is_the_nearest_of_its_rank() {
        for (rows, columns, rank) in [(40, 24, 4), (24, 40, 4), (90, 120, 3), (6, 5, 5), (6, 5, 8)] {
            let values = noise(rows * columns, 7);
            let found = factors(&values, rows, columns, rank, &noise(draws(rows, columns, rank), 9));
            let exact = wide(&values, rows, columns).svd(false, false).singular_values;
            let least = exact.iter().skip(rank).map(|s| s * s).sum::<f64>().sqrt();
            let error = error(&values, &found, rows, columns, rank);
            assert!(error < least * 1.001 + 1e-5, "{rows} {columns} {rank}: {error} {least}");
            // Both halves carry the root of each singular value.
            for (r, singular) in exact.iter().take(rank).enumerate() {
                let a: f64 =
                    found.a[r * columns..(r + 1) * columns].iter().map(|&v| f64::from(v).powi(2)).sum();
                let b: f64 = (0..rows).map(|row| f64::from(found.b[row * rank + r]).powi(2)).sum();
                assert!(
                    (a / singular - 1.0).abs() < 0.02 && (b / singular - 1.0).abs() < 0.02,
                    "{a} {b} {singular}"
                );
            }
        }
    }

    #[test]
    fn a_matrix_of_zeros_has_factors_of_zeros() {
        let found = factors(&[0.0; 12], 4, 3, 2, &noise(draws(4, 3, 2), 1));
        assert!(found.a.iter().chain(&found.b).all(|value| value.is_finite() && value.abs() < 1e-6));
    }
}
