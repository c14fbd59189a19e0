//! RMSNorm (Zhang and Sennrich, arXiv 1910.07467) in the manner of Llama, forward and backward.
//!
//! Legend: T tokens, D width.

use rayon::prelude::*;

use crate::columns;
use crate::real::Real;
use crate::share::Shared;
use crate::simd;

/// Rows that one parallel task takes; a task is then long against the cost of starting it.
const ROWS_PER_TASK: usize = 16;

/// `y = weight * x / rms(x)` by rows.
///
/// `x_td`, `y_td`: `[T, D]`; `weight_d`: `[D]`; `inverse_rms_t`: `[T]`, written, kept for [`backward`]. The mean of
/// squares and the root are taken in the type of `x`, as transformers does in float32.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn forward<R: Real>(x_td: &[R], weight_d: &[R], epsilon: f64, y_td: &mut [R], inverse_rms_t: &mut [R]) {
    let width = weight_d.len();
    assert!(x_td.len() == y_td.len() && x_td.len() == inverse_rms_t.len() * width, "norm: lengths");
    let task = ROWS_PER_TASK * width;
    (x_td.par_chunks(task), y_td.par_chunks_mut(task), inverse_rms_t.par_chunks_mut(ROWS_PER_TASK))
        .into_par_iter()
        .for_each(|(x, y, inverse_rms)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for ((x_d, y_d), rho) in
                        x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inverse_rms)
                    {
                        let mean = simd::sum(x_d, |v| v * v) / R::of(width as f64);
                        *rho = R::one() / (mean + R::of(epsilon)).sqrt();
                        scale_row(x_d, weight_d, *rho, y_d);
                    }
                },
            );
        });
}

/// The output of [`forward`] again, from its input and the saved `inverse_rms_t`; the same bits.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn recompute<R: Real>(x_td: &[R], weight_d: &[R], inverse_rms_t: &[R], y_td: &mut [R]) {
    let width = weight_d.len();
    assert!(x_td.len() == y_td.len() && x_td.len() == inverse_rms_t.len() * width, "norm: lengths");
    (x_td.par_chunks(ROWS_PER_TASK * width), y_td.par_chunks_mut(ROWS_PER_TASK * width))
        .into_par_iter()
        .zip(inverse_rms_t.par_chunks(ROWS_PER_TASK))
        .for_each(|((x, y), inverse_rms)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for ((x_d, y_d), &rho) in
                        x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inverse_rms)
                    {
                        scale_row(x_d, weight_d, rho, y_d);
                    }
                },
            );
        });
}

#[inline(always)]
fn scale_row<R: Real>(x_d: &[R], weight_d: &[R], rho: R, y_d: &mut [R]) {
    for ((y, &x), &w) in y_d.iter_mut().zip(x_d).zip(weight_d) {
        *y = w * (x * rho);
    }
}

/// `dx += d(norm)/dx · dy`, the weight being frozen: with `g = dy * w` and `n = x * rho`,
/// `dx += rho * (g - n * mean(g * n))`.
///
/// `x_td`, `dy_td`, `dx_td`: `[T, D]`; `inverse_rms_t`: `[T]` as [`forward`] wrote it.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn backward_add<R: Real>(x_td: &[R], weight_d: &[R], inverse_rms_t: &[R], dy_td: &[R], dx_td: &mut [R]) {
    let width = weight_d.len();
    assert!(
        x_td.len() == dx_td.len() && dy_td.len() == dx_td.len() && x_td.len() == inverse_rms_t.len() * width,
        "norm: lengths"
    );
    let dx_shared = Shared::new(dx_td);
    inverse_rms_t.par_chunks(ROWS_PER_TASK).enumerate().for_each(|(task, inverse_rms)| {
        let first = task * ROWS_PER_TASK * width;
        let len = inverse_rms.len() * width;
        // SAFETY: the tasks' ranges of rows do not overlap.
        let dx = unsafe { dx_shared.slice_mut(first, len) };
        let (x, dy) = (&x_td[first..first + len], &dy_td[first..first + len]);
        simd::dispatch(
            #[inline(always)]
            || {
                for (i, &rho) in inverse_rms.iter().enumerate() {
                    let row = i * width..(i + 1) * width;
                    backward_row(&x[row.clone()], weight_d, rho, &dy[row.clone()], &mut dx[row]);
                }
            },
        );
    });
}

/// Adds to `dw_d` the gradient of the weight, the sum over rows of `dy x rho`.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_weight_gradient<R: Real>(x_td: &[R], inverse_rms_t: &[R], dy_td: &[R], dw_d: &mut [R]) {
    assert_eq!(x_td.len(), inverse_rms_t.len() * dw_d.len(), "norm: lengths");
    columns::add_weighted_dots(x_td, dy_td, |row| (R::zero(), inverse_rms_t[row]), dw_d);
}

#[inline(always)]
fn backward_row<R: Real>(x_d: &[R], weight_d: &[R], rho: R, dy_d: &[R], dx_d: &mut [R]) {
    // dx holds a gradient already, so the products cannot be staged there: they are formed twice.
    let mut dot = R::zero();
    const BLOCK: usize = 256;
    for ((x, dy), w) in x_d.chunks(BLOCK).zip(dy_d.chunks(BLOCK)).zip(weight_d.chunks(BLOCK)) {
        let mut g = [R::zero(); BLOCK];
        for ((g, &dy), &w) in g.iter_mut().zip(dy).zip(w) {
            *g = dy * w;
        }
        dot += simd::sum2(&g[..x.len()], x, |g, x| g * (x * rho));
    }
    let mean = dot / R::of(x_d.len() as f64);
    for (((dx, &x), &dy), &w) in dx_d.iter_mut().zip(x_d).zip(dy_d).zip(weight_d) {
        *dx += rho * (dy * w - (x * rho) * mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (tokens, width) = (3, 21);
        let mut x: Vec<f64> = (0..tokens * width).map(|i| ((i * 37 % 101) as f64 - 50.0) / 40.0).collect();
        let dy: Vec<f64> = (0..tokens * width).map(|i| ((i * 53 % 97) as f64 - 48.0) / 30.0).collect();
        let mut weight: Vec<f64> = (0..width).map(|i| 0.5 + i as f64 / 16.0).collect();
        let loss = |x: &[f64], weight: &[f64]| {
            let (mut y, mut rho) = (vec![0.0; x.len()], vec![0.0; tokens]);
            forward(x, weight, 1e-5, &mut y, &mut rho);
            (y.iter().zip(&dy).map(|(a, b)| a * b).sum::<f64>(), y, rho)
        };
        let (_, y, rho) = loss(&x, &weight);
        let mut again = vec![0.0; y.len()];
        recompute(&x, &weight, &rho, &mut again);
        assert_eq!(y, again);
        let mut dx = vec![1.0; x.len()];
        backward_add(&x, &weight, &rho, &dy, &mut dx);
        for i in 0..x.len() {
            let (old, step) = (x[i], 1e-6);
            x[i] = old + step;
            let up = loss(&x, &weight).0;
            x[i] = old - step;
            let down = loss(&x, &weight).0;
            x[i] = old;
            assert!(((up - down) / (2.0 * step) - (dx[i] - 1.0)).abs() < 1e-8);
        }
        let mut dw = vec![1.0; width];
        add_weight_gradient(&x, &rho, &dy, &mut dw);
        for i in 0..width {
            let (old, step) = (weight[i], 1e-6);
            weight[i] = old + step;
            let up = loss(&x, &weight).0;
            weight[i] = old - step;
            let down = loss(&x, &weight).0;
            weight[i] = old;
            assert!(((up - down) / (2.0 * step) - (dw[i] - 1.0)).abs() < 1e-8);
        }
    }
}
