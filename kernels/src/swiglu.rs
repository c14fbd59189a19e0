//! The gated activation `silu(e) * g` (Shazeer, arXiv 2002.05202), forward and backward.

use rayon::prelude::*;

use crate::real::Real;
use crate::simd;

/// Elements that one parallel task takes.
const CHUNK: usize = 4096;

#[inline(always)]
fn sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp_vector())
}

/// `h = e * sigmoid(e) * g`, all of one length.
///
/// # Panics
/// If the lengths differ.
pub fn forward<R: Real>(e: &[R], g: &[R], h: &mut [R]) {
    assert!(e.len() == g.len() && e.len() == h.len(), "swiglu: lengths");
    (e.par_chunks(CHUNK), g.par_chunks(CHUNK), h.par_chunks_mut(CHUNK)).into_par_iter().for_each(
        |(e, g, h)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for ((h, &e), &g) in h.iter_mut().zip(e).zip(g) {
                        *h = e * sigmoid(e) * g;
                    }
                },
            );
        },
    );
}

/// Given `dh`, overwrites it with the gradient of `e`, and `dg` with that of `g`:
/// `dg = dh * silu(e)`, `de = dh * g * s * (1 + e * (1 - s))` with `s = sigmoid(e)`.
///
/// # Panics
/// If the lengths differ.
pub fn backward<R: Real>(e: &[R], g: &[R], dh_to_de: &mut [R], dg: &mut [R]) {
    assert!(e.len() == g.len() && e.len() == dh_to_de.len() && e.len() == dg.len(), "swiglu: lengths");
    (e.par_chunks(CHUNK), g.par_chunks(CHUNK), dh_to_de.par_chunks_mut(CHUNK), dg.par_chunks_mut(CHUNK))
        .into_par_iter()
        .for_each(|(e, g, dh_to_de, dg)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for (((d, dg), &e), &g) in dh_to_de.iter_mut().zip(dg).zip(e).zip(g) {
                        let (dh, s) = (*d, sigmoid(e));
                        *dg = dh * e * s;
                        *d = dh * g * s * (R::one() + e * (R::one() - s));
                    }
                },
            );
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let n = 9;
        let e: Vec<f64> = (0..n).map(|i| i as f64 - 4.0).collect();
        let g: Vec<f64> = (0..n).map(|i| 1.5 - i as f64 * 0.3).collect();
        let dh: Vec<f64> = (0..n).map(|i| 0.2 + i as f64 * 0.1).collect();
        let (mut de, mut dg) = (dh.clone(), vec![0.0; n]);
        backward(&e, &g, &mut de, &mut dg);
        let h = |e: f64, g: f64| {
            let mut h = [0.0];
            forward(&[e], &[g], &mut h);
            h[0]
        };
        let step = 1e-6;
        for i in 0..n {
            let by_e = dh[i] * (h(e[i] + step, g[i]) - h(e[i] - step, g[i])) / (2.0 * step);
            let by_g = dh[i] * (h(e[i], g[i] + step) - h(e[i], g[i] - step)) / (2.0 * step);
            assert!((by_e - de[i]).abs() < 1e-8 && (by_g - dg[i]).abs() < 1e-8);
        }
    }
}
