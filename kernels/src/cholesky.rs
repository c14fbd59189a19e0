//! The factor of an inverse: what GPTQ rounds by.
//!
//! Blocks of columns, their products by [`crate::gemm`]: a library that solves all of linear algebra would be the dearest
//! dependency to build, for one function.

use rayon::prelude::*;

use crate::gemm::{Mat, MatMut, multiply};

/// Columns of a block: its triangle fits into the first cache.
const BLOCK: usize = 64;

/// Puts in the place of `matrix`, symmetric, positive definite, `[size, size]` row-major, the upper triangle `U` for which
/// `Uᵀ U` is its inverse, with a positive diagonal and zeros below it.
///
/// The factor of the matrix itself is `R Rᵀ` with `R` upper, which is found by Cholesky from the last row up; `U` is the
/// inverse of `R`. So no inverse of the whole is formed, and none is factored.
///
/// # Errors
/// The row, counted from the last, where a pivot is no positive number: the matrix is not positive definite, or has a number
/// that is not finite.
///
/// # Panics
/// If the length is not `size * size`.
pub fn factor_of_inverse(matrix: &mut [f64], size: usize) -> Result<(), usize> {
    assert_eq!(matrix.len(), size * size, "cholesky: length");
    // Element (i, j) goes to (size - 1 - i, size - 1 - j).
    matrix.reverse();
    factor(matrix, size)?;
    invert(matrix, size);
    matrix.reverse();
    Ok(())
}

/// The lower factor `L` of `L Lᵀ`, in place; zeros above it.
fn factor(a: &mut [f64], size: usize) -> Result<(), usize> {
    for start in (0..size).step_by(BLOCK) {
        let end = (start + BLOCK).min(size);
        let width = end - start;
        for column in start..end {
            let row = &a[column * size..][..size];
            let pivot = row[column] - row[start..column].iter().map(|value| value * value).sum::<f64>();
            // What is not a number is not positive either.
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(column);
            }
            let root = pivot.sqrt();
            a[column * size + column] = root;
            let (above, below) = a.split_at_mut((column + 1) * size);
            let head = &above[column * size..][start..column];
            for row in below.chunks_exact_mut(size).take(end - column - 1) {
                let sum = dot(&row[start..column], head);
                row[column] = (row[column] - sum) / root;
            }
        }
        let (above, below) = a.split_at_mut(end * size);
        let triangle = &above[start * size..];
        below.par_chunks_exact_mut(size).for_each(|row| {
            for column in start..end {
                let known = &triangle[(column - start) * size..][..size];
                let sum = dot(&row[start..column], &known[start..column]);
                row[column] = (row[column] - sum) / known[column];
            }
        });
        // What the rest loses, block of columns by block, so that little above the diagonal is computed.
        let panel: Vec<f64> = below.chunks_exact(size).flat_map(|row| &row[start..end]).copied().collect();
        for from in (end..size).step_by(BLOCK) {
            let columns = BLOCK.min(size - from);
            let rows = size - from;
            let left = Mat::new(&panel[(from - end) * width..], rows, width);
            let right = Mat::new(&panel[(from - end) * width..], columns, width);
            let out = MatMut::strided(&mut a[from * size + from..], rows, columns, size);
            multiply(out, 1.0, -1.0, left, right.t());
        }
    }
    for (index, row) in a.chunks_exact_mut(size).enumerate() {
        row[index + 1..].fill(0.0);
    }
    Ok(())
}

/// The inverse of a lower triangle, in place, block of rows by block.
fn invert(a: &mut [f64], size: usize) {
    for start in (0..size).step_by(BLOCK) {
        let end = (start + BLOCK).min(size);
        let rows = end - start;
        let (above, here) = a.split_at_mut(start * size);
        let here = &mut here[..rows * size];
        let triangle: Vec<f64> = here.chunks_exact(size).flat_map(|row| &row[start..end]).copied().collect();
        if start > 0 {
            // `L[i] X`, of the rows whose inverse `X` is there.
            let old: Vec<f64> = here.chunks_exact(size).flat_map(|row| &row[..start]).copied().collect();
            let out = MatMut::strided(here, rows, start, size);
            multiply(out, 0.0, -1.0, Mat::new(&old, rows, start), Mat::strided(above, start, start, size));
        }
        for (index, row) in here.chunks_exact_mut(size).enumerate() {
            row[start..end].fill(0.0);
            row[start + index] = 1.0;
        }
        // Forward substitution over whole rows.
        for index in 0..rows {
            let (known, rest) = here.split_at_mut(index * size);
            let row = &mut rest[..end];
            for (other, known) in known.chunks_exact(size).enumerate() {
                let factor = triangle[index * rows + other];
                row.iter_mut().zip(known).for_each(|(value, known)| *value -= factor * known);
            }
            let pivot = triangle[index * rows + index];
            row.iter_mut().for_each(|value| *value /= pivot);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// `XᵀX` of more rows than columns, with a little on the diagonal.
    fn symmetric(size: usize) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(size as u64);
        let rows = 2 * size + 1;
        let x: Vec<f64> =
            (0..rows * size).map(|_| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 - 0.4).collect();
        let mut h = vec![0.0; size * size];
        for row in x.chunks_exact(size) {
            for i in 0..size {
                for j in 0..size {
                    h[i * size + j] += row[i] * row[j];
                }
            }
        }
        (0..size).for_each(|i| h[i * size + i] += 0.01);
        h
    }

    #[test]
    fn the_factor_is_upper_and_gives_the_inverse() {
        for size in [1, 2, 3, 63, 64, 65, 130, 200] {
            let h = symmetric(size);
            let mut u = h.clone();
            factor_of_inverse(&mut u, size).expect("positive definite");
            for i in 0..size {
                assert!(u[i * size + i] > 0.0, "{size}: diagonal {i}");
                assert!(u[i * size..i * size + i].iter().all(|&value| value == 0.0), "{size}: row {i}");
            }
            // Uᵀ U H is the identity.
            let product = |left: &dyn Fn(usize, usize) -> f64, right: &[f64]| -> Vec<f64> {
                let mut out = vec![0.0; size * size];
                for i in 0..size {
                    for k in 0..size {
                        let factor = left(i, k);
                        for j in 0..size {
                            out[i * size + j] += factor * right[k * size + j];
                        }
                    }
                }
                out
            };
            let inverse = product(&|i, k| u[k * size + i], &u);
            let identity = product(&|i, k| inverse[i * size + k], &h);
            for i in 0..size {
                for j in 0..size {
                    let expected = f64::from(u8::from(i == j));
                    let off = (identity[i * size + j] - expected).abs();
                    assert!(off < 1e-8, "{size}: {i}, {j}: {off}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_said() {
        let mut singular = vec![1.0, 1.0, 1.0, 1.0];
        assert_eq!(factor_of_inverse(&mut singular, 2), Err(1));
        let mut negative = vec![-1.0];
        assert_eq!(factor_of_inverse(&mut negative, 1), Err(0));
        let mut broken = vec![1.0, f64::NAN, f64::NAN, 1.0];
        assert!(factor_of_inverse(&mut broken, 2).is_err());
    }
}
