//! Sums, biases and gathers over rows.

use rayon::prelude::*;

use crate::real::Real;
use crate::simd;

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

/// `y += factor * x`.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled<R: Real>(x: &[R], factor: f64, y: &mut [R]) {
    assert_eq!(x.len(), y.len(), "add: lengths");
    let factor = R::of(factor);
    x.par_chunks(CHUNK).zip(y.par_chunks_mut(CHUNK)).for_each(|(x, y)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += factor * x;
        }
    });
}

/// `x *= factor`.
pub fn scale<R: Real>(x: &mut [R], factor: f64) {
    let factor = R::of(factor);
    x.par_chunks_mut(CHUNK).for_each(|x| x.iter_mut().for_each(|x| *x *= factor));
}

/// `x *= y`.
///
/// # Panics
/// If the lengths differ.
pub fn multiply_by<R: Real>(x: &mut [R], y: &[R]) {
    assert_eq!(x.len(), y.len(), "product: lengths");
    x.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(x, y)| {
        for (x, &y) in x.iter_mut().zip(y) {
            *x *= y;
        }
    });
}

/// `x = cap * tanh(x / cap)`: what Gemma 2 does to its logits.
pub fn cap<R: Real>(x: &mut [R], cap: f64) {
    let cap = R::of(cap);
    x.par_chunks_mut(CHUNK).for_each(|x| {
        simd::dispatch(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh_vector()),
        );
    });
}

/// The slope of [`cap`] from its output: `slope = 1 - (y / cap)^2`.
///
/// # Panics
/// If the lengths differ.
pub fn cap_slope<R: Real>(y: &[R], cap: f64, slope: &mut [R]) {
    assert_eq!(y.len(), slope.len(), "cap: lengths");
    let cap = R::of(cap);
    y.par_chunks(CHUNK).zip(slope.par_chunks_mut(CHUNK)).for_each(|(y, slope)| {
        for (slope, &y) in slope.iter_mut().zip(y) {
            *slope = R::one() - (y / cap) * (y / cap);
        }
    });
}

/// Multiplies row `t` of `x_td`, `[T, D]`, by element `t` of `factors_t`.
///
/// # Panics
/// If the lengths do not fit.
pub fn scale_rows<R: Real>(x_td: &mut [R], factors_t: &[R]) {
    let width = x_td.len().checked_div(factors_t.len()).unwrap_or(0).max(1);
    assert_eq!(x_td.len(), factors_t.len() * width, "scale: lengths");
    x_td.par_chunks_exact_mut(width).zip(factors_t).for_each(|(x_d, &factor)| {
        x_d.iter_mut().for_each(|x| *x *= factor);
    });
}

/// `out[t] = x[t] · y[t]`, row by row; `x_td`, `y_td`: `[T, D]`, `out_t`: `[T]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn dot_rows<R: Real>(x_td: &[R], y_td: &[R], out_t: &mut [R]) {
    let width = x_td.len().checked_div(out_t.len()).unwrap_or(0).max(1);
    assert!(x_td.len() == y_td.len() && x_td.len() == out_t.len() * width, "dot: lengths");
    (x_td.par_chunks_exact(width), y_td.par_chunks_exact(width), out_t).into_par_iter().for_each(
        |(x_d, y_d, out)| {
            *out = simd::dispatch(
                #[inline(always)]
                || simd::sum2(x_d, y_d, |x, y| x * y),
            );
        },
    );
}

/// Writes `bias_n`, `[N]`, to every row of `y_tn`, `[T, N]`: the start of a product that then adds to it.
///
/// # Panics
/// If the length of `y_tn` is no multiple of that of `bias_n`.
pub fn fill_rows<R: Real>(bias_n: &[R], y_tn: &mut [R]) {
    assert!(y_tn.len().is_multiple_of(bias_n.len().max(1)), "bias: lengths");
    for y_n in y_tn.chunks_exact_mut(bias_n.len()) {
        y_n.copy_from_slice(bias_n);
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

/// [`scatter_rows`] that adds: `out[rows[i]] += x[i]`.
///
/// # Panics
/// As [`scatter_rows`].
pub fn scatter_rows_add<R: Real>(x: &[R], rows: &[usize], width: usize, out_td: &mut [R]) {
    assert_eq!(x.len(), rows.len() * width, "scatter: lengths");
    for (x_d, &row) in x.chunks_exact(width).zip(rows) {
        for (out, &x) in out_td[row * width..(row + 1) * width].iter_mut().zip(x_d) {
            *out += x;
        }
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

    #[test]
    fn the_slope_of_the_cap_agrees_with_finite_differences() {
        for x in [-70.0_f64, -3.0, 0.0, 0.2, 31.0] {
            let capped = |x: f64| {
                let mut y = [x];
                cap(&mut y, 30.0);
                y[0]
            };
            let mut slope = [0.0];
            cap_slope(&[capped(x)], 30.0, &mut slope);
            assert!(((capped(x + 1e-5) - capped(x - 1e-5)) / 2e-5 - slope[0]).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_are_scaled_multiplied_and_added() {
        let mut x = [1.0_f64, 2.0, 3.0, 4.0];
        scale_rows(&mut x, &[2.0, 3.0]);
        assert_eq!(x, [2.0, 4.0, 9.0, 12.0]);
        let mut dots = [0.0; 2];
        dot_rows(&x, &[1.0, 1.0, 2.0, 0.5], &mut dots);
        assert_eq!(dots, [6.0, 24.0]);
        scatter_rows_add(&[1.0, 1.0, 5.0, 5.0], &[1, 1], 2, &mut x);
        assert_eq!(x, [2.0, 4.0, 15.0, 18.0]);
        add_scaled(&[1.0; 4], 0.5, &mut x);
        scale(&mut x, 2.0);
        multiply_by(&mut x, &[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(x, [5.0, 0.0, 31.0, 37.0]);
    }
}
