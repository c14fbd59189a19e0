//! LayerNorm (Ba, Kiros and Hinton, arXiv 1607.06450) with weight and bias, forward and backward.
//!
//! Legend: T tokens, D width.

use rayon::prelude::*;

use crate::columns;
use crate::real::Real;
use crate::share::Shared;
use crate::simd;

/// Rows that one parallel task takes.
const ROWS_PER_TASK: usize = 16;

/// `y = weight * (x - mean) / deviation + bias` by rows.
///
/// `x_td`, `y_td`: `[T, D]`; `weight_d`, `bias_d`: `[D]`; `moments_t2`: `[T, 2]`, written: the mean and one over the
/// deviation, kept for the other functions.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn forward<R: Real>(
    x_td: &[R],
    weight_d: &[R],
    bias_d: &[R],
    epsilon: f64,
    y_td: &mut [R],
    moments_t2: &mut [R],
) {
    let width = weight_d.len();
    check(x_td.len(), y_td.len(), width, bias_d.len(), moments_t2.len());
    let task = ROWS_PER_TASK * width;
    (x_td.par_chunks(task), y_td.par_chunks_mut(task), moments_t2.par_chunks_mut(2 * ROWS_PER_TASK))
        .into_par_iter()
        .for_each(|(x, y, moments)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
                    for ((x_d, y_d), moments) in rows.zip(moments.chunks_exact_mut(2)) {
                        let count = R::of(width as f64);
                        let mean = simd::sum(x_d, |v| v) / count;
                        let variance = simd::sum(x_d, |v| (v - mean) * (v - mean)) / count;
                        moments[0] = mean;
                        moments[1] = R::one() / (variance + R::of(epsilon)).sqrt();
                        scale_row(x_d, weight_d, bias_d, moments, y_d);
                    }
                },
            );
        });
}

/// The output of [`forward`] again, from its input and the saved moments; the same bits.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn recompute<R: Real>(x_td: &[R], weight_d: &[R], bias_d: &[R], moments_t2: &[R], y_td: &mut [R]) {
    let width = weight_d.len();
    check(x_td.len(), y_td.len(), width, bias_d.len(), moments_t2.len());
    (x_td.par_chunks(ROWS_PER_TASK * width), y_td.par_chunks_mut(ROWS_PER_TASK * width))
        .into_par_iter()
        .zip(moments_t2.par_chunks(2 * ROWS_PER_TASK))
        .for_each(|((x, y), moments)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
                    for ((x_d, y_d), moments) in rows.zip(moments.chunks_exact(2)) {
                        scale_row(x_d, weight_d, bias_d, moments, y_d);
                    }
                },
            );
        });
}

/// `dx += d(norm)/dx · dy`, weight and bias being frozen: with `g = dy * w` and `n = (x - mean) * rho`,
/// `dx += rho * (g - mean(g) - n * mean(g * n))`.
///
/// `x_td`, `dy_td`, `dx_td`: `[T, D]`; `moments_t2` as [`forward`] wrote them.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn backward_add<R: Real>(x_td: &[R], weight_d: &[R], moments_t2: &[R], dy_td: &[R], dx_td: &mut [R]) {
    let width = weight_d.len();
    check(x_td.len(), dx_td.len(), width, width, moments_t2.len());
    assert_eq!(dy_td.len(), dx_td.len(), "layer norm: lengths");
    let dx_shared = Shared::new(dx_td);
    moments_t2.par_chunks(2 * ROWS_PER_TASK).enumerate().for_each(|(task, moments)| {
        let first = task * ROWS_PER_TASK * width;
        let len = moments.len() / 2 * width;
        // SAFETY: the tasks' ranges of rows do not overlap.
        let dx = unsafe { dx_shared.slice_mut(first, len) };
        let (x, dy) = (&x_td[first..first + len], &dy_td[first..first + len]);
        simd::dispatch(
            #[inline(always)]
            || {
                for (i, moments) in moments.chunks_exact(2).enumerate() {
                    let row = i * width..(i + 1) * width;
                    backward_row(&x[row.clone()], weight_d, moments, &dy[row.clone()], &mut dx[row]);
                }
            },
        );
    });
}

/// Adds to `dw_d` the gradient of the weight, the sum over rows of `dy (x - mean) rho`; that of the bias is the sum of
/// `dy`, [`columns::add_sums`].
///
/// # Panics
/// If the lengths do not fit.
pub fn add_weight_gradient<R: Real>(x_td: &[R], moments_t2: &[R], dy_td: &[R], dw_d: &mut [R]) {
    assert_eq!(2 * x_td.len(), moments_t2.len() * dw_d.len(), "layer norm: lengths");
    columns::add_weighted_dots(x_td, dy_td, |row| (moments_t2[2 * row], moments_t2[2 * row + 1]), dw_d);
}

fn check(x: usize, y: usize, width: usize, bias: usize, moments: usize) {
    assert!(x == y && bias == width && 2 * x == moments * width, "layer norm: lengths");
}

#[inline(always)]
fn scale_row<R: Real>(x_d: &[R], weight_d: &[R], bias_d: &[R], moments: &[R], y_d: &mut [R]) {
    let (mean, rho) = (moments[0], moments[1]);
    for (((y, &x), &w), &b) in y_d.iter_mut().zip(x_d).zip(weight_d).zip(bias_d) {
        *y = w * ((x - mean) * rho) + b;
    }
}

#[inline(always)]
fn backward_row<R: Real>(x_d: &[R], weight_d: &[R], moments: &[R], dy_d: &[R], dx_d: &mut [R]) {
    const BLOCK: usize = 256;
    let (mean, rho) = (moments[0], moments[1]);
    let (mut sum, mut dot) = (R::zero(), R::zero());
    for ((x, dy), w) in x_d.chunks(BLOCK).zip(dy_d.chunks(BLOCK)).zip(weight_d.chunks(BLOCK)) {
        let mut g = [R::zero(); BLOCK];
        for ((g, &dy), &w) in g.iter_mut().zip(dy).zip(w) {
            *g = dy * w;
        }
        sum += simd::sum(&g[..x.len()], |g| g);
        dot += simd::sum2(&g[..x.len()], x, |g, x| g * ((x - mean) * rho));
    }
    let count = R::of(x_d.len() as f64);
    let (mean_g, mean_gn) = (sum / count, dot / count);
    for (((dx, &x), &dy), &w) in dx_d.iter_mut().zip(x_d).zip(dy_d).zip(weight_d) {
        *dx += rho * (dy * w - mean_g - (x - mean) * rho * mean_gn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (tokens, width) = (3, 21);
        let mut x: Vec<f64> = (0..tokens * width).map(|i| ((i * 37 % 101) as f64 - 30.0) / 40.0).collect();
        let dy: Vec<f64> = (0..tokens * width).map(|i| ((i * 53 % 97) as f64 - 48.0) / 30.0).collect();
        let mut weight: Vec<f64> = (0..width).map(|i| 0.5 + i as f64 / 16.0).collect();
        let bias: Vec<f64> = (0..width).map(|i| 0.1 - i as f64 / 32.0).collect();
        let loss = |x: &[f64], weight: &[f64]| {
            let (mut y, mut moments) = (vec![0.0; x.len()], vec![0.0; 2 * tokens]);
            forward(x, weight, &bias, 1e-5, &mut y, &mut moments);
            (y.iter().zip(&dy).map(|(a, b)| a * b).sum::<f64>(), y, moments)
        };
        let (_, y, moments) = loss(&x, &weight);
        let unscaled = y[..width].iter().zip(&weight).zip(&bias);
        let mean: f64 = unscaled.map(|((y, &w), &b)| (y - b) / w).sum();
        assert!(mean.abs() < 1e-6, "what is normed has mean zero: {mean}");
        let mut again = vec![0.0; y.len()];
        recompute(&x, &weight, &bias, &moments, &mut again);
        assert_eq!(y, again);
        let mut dx = vec![1.0; x.len()];
        backward_add(&x, &weight, &moments, &dy, &mut dx);
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
        add_weight_gradient(&x, &moments, &dy, &mut dw);
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
