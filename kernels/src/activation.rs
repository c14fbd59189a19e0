//! The activations of an MLP, plain (`f(e)`) and gated (`f(e) * g`, Shazeer, arXiv 2002.05202), forward and backward.

use rayon::prelude::*;

use crate::real::Real;
use crate::simd;

/// Elements that one parallel task takes.
const CHUNK: usize = 4096;

/// An activation, by what it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// `x Φ(x)`, Φ being the normal distribution's: GELU.
    Gelu,
    /// GELU with Φ approximated by a hyperbolic tangent.
    GeluTanh,
}

/// `f(x)` and `f'(x)` of one activation.
trait Curve<R: Real> {
    fn value(x: R) -> R;
    fn slope(x: R) -> R;
    /// The gradients of `e` and `g` from that of `f(e) * g`.
    #[inline(always)]
    fn gated_slopes(e: R, g: R, dh: R) -> (R, R) {
        (dh * g * Self::slope(e), dh * Self::value(e))
    }
}

struct Silu;
struct Gelu;
struct GeluTanh;

#[inline(always)]
fn sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp_vector())
}

impl<R: Real> Curve<R> for Silu {
    #[inline(always)]
    fn value(x: R) -> R {
        x * sigmoid(x)
    }
    #[inline(always)]
    fn slope(x: R) -> R {
        let s = sigmoid(x);
        s * (R::one() + x * (R::one() - s))
    }
    /// In an order that takes the sigmoid once.
    #[inline(always)]
    fn gated_slopes(e: R, g: R, dh: R) -> (R, R) {
        let s = sigmoid(e);
        (dh * g * s * (R::one() + e * (R::one() - s)), dh * e * s)
    }
}

/// Φ(x).
#[inline(always)]
fn normal<R: Real>(x: R) -> R {
    R::of(0.5) * (R::one() + (x * R::of(std::f64::consts::FRAC_1_SQRT_2)).erf_vector())
}

impl<R: Real> Curve<R> for Gelu {
    #[inline(always)]
    fn value(x: R) -> R {
        x * normal(x)
    }
    /// `Φ(x) + x φ(x)`.
    #[inline(always)]
    fn slope(x: R) -> R {
        const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
        normal(x) + x * R::of(DENSITY_AT_ZERO) * (R::of(-0.5) * x * x).exp_vector()
    }
}

/// `sqrt(2 / π)`.
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
/// The factor on the cube (Hendrycks and Gimpel, arXiv 1606.08415).
const TANH_CUBE: f64 = 0.044_715;

impl<R: Real> Curve<R> for GeluTanh {
    #[inline(always)]
    fn value(x: R) -> R {
        let inner = R::of(TANH_SCALE) * (x + R::of(TANH_CUBE) * x * x * x);
        R::of(0.5) * x * (R::one() + inner.tanh_vector())
    }
    #[inline(always)]
    fn slope(x: R) -> R {
        let tanh = (R::of(TANH_SCALE) * (x + R::of(TANH_CUBE) * x * x * x)).tanh_vector();
        let inner_slope = R::of(TANH_SCALE) * (R::one() + R::of(3.0 * TANH_CUBE) * x * x);
        R::of(0.5) * (R::one() + tanh + x * (R::one() - tanh * tanh) * inner_slope)
    }
}

/// Calls `$work::<Curve>` with the curve of an activation, so that each is compiled for itself.
macro_rules! with_curve {
    ($activation:expr, $work:ident, $($argument:expr),*) => {
        match $activation {
            Activation::Silu => $work::<R, Silu>($($argument),*),
            Activation::Gelu => $work::<R, Gelu>($($argument),*),
            Activation::GeluTanh => $work::<R, GeluTanh>($($argument),*),
        }
    };
}

/// `h = f(e)`, or `h = f(e) * g` where there is a `g`; all of one length.
///
/// # Panics
/// If the lengths differ.
pub fn forward<R: Real>(activation: Activation, e: &[R], g: Option<&[R]>, h: &mut [R]) {
    assert!(e.len() == h.len() && g.is_none_or(|g| g.len() == h.len()), "activation: lengths");
    match g {
        Some(g) => with_curve!(activation, forward_gated, e, g, h),
        None => with_curve!(activation, forward_plain, e, h),
    }
}

fn forward_gated<R: Real, C: Curve<R>>(e: &[R], g: &[R], h: &mut [R]) {
    (e.par_chunks(CHUNK), g.par_chunks(CHUNK), h.par_chunks_mut(CHUNK)).into_par_iter().for_each(
        |(e, g, h)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for ((h, &e), &g) in h.iter_mut().zip(e).zip(g) {
                        *h = C::value(e) * g;
                    }
                },
            );
        },
    );
}

fn forward_plain<R: Real, C: Curve<R>>(e: &[R], h: &mut [R]) {
    e.par_chunks(CHUNK).zip(h.par_chunks_mut(CHUNK)).for_each(|(e, h)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for (h, &e) in h.iter_mut().zip(e) {
                    *h = C::value(e);
                }
            },
        );
    });
}

/// Given `dh`, overwrites it with the gradient of `e`, and `dg` with that of `g`: `dg = dh f(e)`, `de = dh g f'(e)`.
///
/// # Panics
/// If the lengths differ.
pub fn backward_gated<R: Real>(activation: Activation, e: &[R], g: &[R], dh_to_de: &mut [R], dg: &mut [R]) {
    assert!(e.len() == g.len() && e.len() == dh_to_de.len() && e.len() == dg.len(), "activation: lengths");
    with_curve!(activation, gated_slopes, e, g, dh_to_de, dg);
}

fn gated_slopes<R: Real, C: Curve<R>>(e: &[R], g: &[R], dh_to_de: &mut [R], dg: &mut [R]) {
    (e.par_chunks(CHUNK), g.par_chunks(CHUNK), dh_to_de.par_chunks_mut(CHUNK), dg.par_chunks_mut(CHUNK))
        .into_par_iter()
        .for_each(|(e, g, dh_to_de, dg)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    for (((d, dg), &e), &g) in dh_to_de.iter_mut().zip(dg).zip(e).zip(g) {
                        (*d, *dg) = C::gated_slopes(e, g, *d);
                    }
                },
            );
        });
}

/// Given `dh`, overwrites it with the gradient of `e`: `de = dh f'(e)`.
///
/// # Panics
/// If the lengths differ.
pub fn backward_plain<R: Real>(activation: Activation, e: &[R], dh_to_de: &mut [R]) {
    assert_eq!(e.len(), dh_to_de.len(), "activation: lengths");
    with_curve!(activation, plain_slopes, e, dh_to_de);
}

fn plain_slopes<R: Real, C: Curve<R>>(e: &[R], dh_to_de: &mut [R]) {
    e.par_chunks(CHUNK).zip(dh_to_de.par_chunks_mut(CHUNK)).for_each(|(e, dh_to_de)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for (d, &e) in dh_to_de.iter_mut().zip(e) {
                    *d *= C::slope(e);
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 3] = [Activation::Silu, Activation::Gelu, Activation::GeluTanh];

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let n = 9;
        let e: Vec<f64> = (0..n).map(|i| i as f64 - 4.0).collect();
        let g: Vec<f64> = (0..n).map(|i| 1.5 - i as f64 * 0.3).collect();
        let dh: Vec<f64> = (0..n).map(|i| 0.2 + i as f64 * 0.1).collect();
        for activation in ALL {
            let (mut de, mut dg, mut plain) = (dh.clone(), vec![0.0; n], dh.clone());
            backward_gated(activation, &e, &g, &mut de, &mut dg);
            backward_plain(activation, &e, &mut plain);
            let h = |e: f64, g: Option<f64>| {
                let (mut h, g) = ([0.0], g.map(|g| [g]));
                forward(activation, &[e], g.as_ref().map(|g| &g[..]), &mut h);
                h[0]
            };
            let step = 1e-6;
            for i in 0..n {
                let slope = |g| dh[i] * (h(e[i] + step, g) - h(e[i] - step, g)) / (2.0 * step);
                let by_g = dh[i] * (h(e[i], Some(g[i] + step)) - h(e[i], Some(g[i] - step))) / (2.0 * step);
                assert!((slope(Some(g[i])) - de[i]).abs() < 1e-8 && (by_g - dg[i]).abs() < 1e-8);
                assert!((slope(None) - plain[i]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        let e: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.08 - 8.0).collect();
        let narrow: Vec<f32> = e.iter().map(|&v| v as f32).collect();
        for activation in ALL {
            let (mut wide_h, mut h) = (vec![0.0; e.len()], vec![0.0; e.len()]);
            forward(activation, &e, None, &mut wide_h);
            forward(activation, &narrow, None, &mut h);
            assert!(h.iter().zip(&wide_h).all(|(&a, b)| (f64::from(a) - b).abs() < 2e-6));
            let (mut wide_d, mut d) = (vec![1.0; e.len()], vec![1.0; e.len()]);
            backward_plain(activation, &e, &mut wide_d);
            backward_plain(activation, &narrow, &mut d);
            assert!(d.iter().zip(&wide_d).all(|(&a, b)| (f64::from(a) - b).abs() < 2e-6));
        }
    }
}
