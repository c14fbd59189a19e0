//! Sums, biases and gathers over rows.

use rayon::prelude::*;

use crate::real::Real;

/// Elements that one parallel task takes.
const CHUNK: usize = 16_384;

/// `y += x`.
///
/// # Panics
/// If the lengths differ.
pub fn add<R: Real>(x: &[R], y: &mut [R]) {
    assert_eq!(x.len(), y.len(), "add: lengths");
    x.par_chunks(CHUNK).zip(y.par_chunks_mut(CHUNK)).for_each(|(x, y)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    });
}

/// `out = x + y`.
///
/// # Panics
/// If the lengths differ.
pub fn sum_into<R: Real>(x: &[R], y: &[R], out: &mut [R]) {
    assert!(x.len() == y.len() && x.len() == out.len(), "sum: lengths");
    (x.par_chunks(CHUNK), y.par_chunks(CHUNK), out.par_chunks_mut(CHUNK)).into_par_iter().for_each(
        |(x, y, out)| {
            for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                *out = x + y;
            }
        },
    );
}

/// Writes `bias_n`, `[N]`, to every row of `y_tn`, `[T, N]`: the start of a product that then adds to it.
///
/// # Panics
/// If the length of `y_tn` is no multiple of that of `bias_n`.
pub fn fill_rows<R: Real>(bias_n: &[f32], y_tn: &mut [R]) {
    assert!(y_tn.len().is_multiple_of(bias_n.len().max(1)), "bias: lengths");
    for y_n in y_tn.chunks_exact_mut(bias_n.len()) {
        for (y, &b) in y_n.iter_mut().zip(bias_n) {
            *y = R::of_f32(b);
        }
    }
}

/// `out[i] = x[rows[i]]` by rows of `width` elements.
///
/// # Panics
/// If a row is beyond `x_td`, or `out` has another number of rows.
pub fn gather_rows<R: Real>(x_td: &[R], rows: &[usize], width: usize, out: &mut [R]) {
    assert_eq!(out.len(), rows.len() * width, "gather: lengths");
    for (out_d, &row) in out.chunks_exact_mut(width).zip(rows) {
        out_d.copy_from_slice(&x_td[row * width..(row + 1) * width]);
    }
}

/// `out[rows[i]] = x[i]` by rows of `width` elements; the other rows of `out` stay as they are.
///
/// # Panics
/// If a row is beyond `out`, or `x` has another number of rows.
pub fn scatter_rows<R: Real>(x: &[R], rows: &[usize], width: usize, out_td: &mut [R]) {
    assert_eq!(x.len(), rows.len() * width, "scatter: lengths");
    for (x_d, &row) in x.chunks_exact(width).zip(rows) {
        out_td[row * width..(row + 1) * width].copy_from_slice(x_d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_scattered_and_filled() {
        let x: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let mut out = [0.0; 6];
        gather_rows(&x, &[3, 1], 3, &mut out);
        assert_eq!(out, [9.0, 10.0, 11.0, 3.0, 4.0, 5.0]);
        let mut back = vec![0.0; 12];
        scatter_rows(&out, &[3, 1], 3, &mut back);
        assert_eq!(back, [0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, 9.0, 10.0, 11.0]);
        let mut y = [0.0_f64; 4];
        fill_rows(&[1.0, 2.0], &mut y);
        add(&[1.0, 1.0, 1.0, 1.0], &mut y);
        assert_eq!(y, [2.0, 3.0, 2.0, 3.0]);
        let mut sum = [0.0_f64; 4];
        sum_into(&y, &y, &mut sum);
        assert_eq!(sum, [4.0, 6.0, 4.0, 6.0]);
    }
}
