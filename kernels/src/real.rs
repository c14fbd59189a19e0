//! The two element types of the engine.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

use crate::compiled::Compiled;

/// Keeps [`Real`] to the two types that arenas and kernels know the size of.
pub trait Sealed {}
impl Sealed for f32 {}
impl Sealed for f64 {}

/// `f32`, in which models are trained, or `f64`, in which the same code is held against finite differences.
pub trait Real:
    Sealed
    + Compiled
    + num_traits::Float
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + Default
    + Debug
    + Display
    + Send
    + Sync
    + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// The value of an `f32`, exactly.
    fn of_f32(value: f32) -> Self;
    /// The value as `f64`, exactly.
    fn wide(self) -> f64;
    /// `e^x` as straight-line code that compilers turn into vectors; within 2 ulp of the true value for `f32`.
    fn exp_vector(self) -> Self;
    /// The hyperbolic tangent as straight-line code; within 4 ulp of the true value for `f32`.
    fn tanh_vector(self) -> Self;
    /// The error function as straight-line code; within 3e-7 of the true value for `f32`.
    fn erf_vector(self) -> Self;
    /// The slice itself where this type is `f32`, else nothing: lets dense `f32` weights be used without a copy.
    fn view_f32(slice: &[f32]) -> Option<&[Self]>;
}

/// The slice itself where `R` is `f32`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn as_f32_mut<R: Real>(slice: &mut [R]) -> Option<&mut [f32]> {
    // SAFETY: the types are one.
    (std::any::TypeId::of::<R>() == std::any::TypeId::of::<f32>())
        .then(|| unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), slice.len()) })
}

/// Above this `exp` overflows `f32`; the clamp keeps the exponent arithmetic below in range.
const EXP_MAX: f32 = 88.376_26;
/// Below this `exp` is subnormal in `f32`; such a weight in a softmax is nothing.
const EXP_MIN: f32 = -87.336_54;
/// Adding and taking away 1.5 · 2^23 rounds an `f32` of small size to the nearest integer.
const ROUND: f32 = 12_582_912.0;

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn of_f32(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    /// Range reduction by ln 2 in two parts and a polynomial of degree 6 (Cephes, `expf`).
    #[inline(always)]
    fn exp_vector(self) -> Self {
        let x = if self > EXP_MAX { EXP_MAX } else { self };
        let tiny = x < EXP_MIN;
        let x = if tiny { EXP_MIN } else { x };
        let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4;
        p = p * r + 1.398_2e-3;
        p = p * r + 8.333_452e-3;
        p = p * r + 4.166_579_6e-2;
        p = p * r + 1.666_666_5e-1;
        p = p * r + 5e-1;
        let y = p * r * r + r + 1.0;
        // NaN passes both comparisons above untouched and arrives here as NaN in `y`.
        let scale = f32::from_bits(((n as i32 + 127) as u32) << 23);
        if tiny { 0.0 } else { y * scale }
    }
    /// A polynomial near zero, where the quotient of exponentials cancels (Cephes, `tanhf`).
    #[inline(always)]
    fn tanh_vector(self) -> Self {
        const NEAR: f32 = 0.625;
        let z = self * self;
        let mut p = -5.704_988_7e-3;
        p = p * z + 2.063_909e-2;
        p = p * z - 5.373_971_6e-2;
        p = p * z + 1.333_144_2e-1;
        p = p * z - 3.333_328e-1;
        let near = p * z * self + self;
        let far = 1.0 - 2.0 / ((2.0 * self.abs()).exp_vector() + 1.0);
        if self.abs() < NEAR { near } else { far.copysign(self) }
    }
    /// A polynomial up to 1 (Cephes, `erff`); beyond, Abramowitz and Stegun, 7.1.26.
    #[inline(always)]
    fn erf_vector(self) -> Self {
        let z = self * self;
        let mut near = 7.853_861_4e-5;
        near = near * z - 8.010_193_6e-4;
        near = near * z + 5.188_327_6e-3;
        near = near * z - 2.685_381_2e-2;
        near = near * z + 1.128_358_5e-1;
        near = near * z - 3.761_262_6e-1;
        near = near * z + std::f32::consts::FRAC_2_SQRT_PI;
        let t = 1.0 / (1.0 + 0.327_591_1 * self.abs());
        let mut p = 1.061_405_4;
        p = p * t - 1.453_152_1;
        p = p * t + 1.421_413_8;
        p = p * t - 0.284_496_74;
        p = p * t + 0.254_829_6;
        let far = 1.0 - p * t * (-z).exp_vector();
        if self.abs() < 1.0 { near * self } else { far.copysign(self) }
    }
    #[inline(always)]
    fn view_f32(slice: &[f32]) -> Option<&[Self]> {
        Some(slice)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn of_f32(value: f32) -> Self {
        f64::from(value)
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp_vector(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn tanh_vector(self) -> Self {
        self.tanh()
    }
    #[inline(always)]
    fn erf_vector(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn view_f32(_: &[f32]) -> Option<&[Self]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0.0_f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let truth = f64::from(x).exp();
            let ulp = f64::from((truth as f32).max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
            worst = worst.max((f64::from(x.exp_vector()) - truth).abs() / ulp);
        }
        assert!(worst <= 2.0, "worst error {worst} ulp");
        assert_eq!(f32::NEG_INFINITY.exp_vector(), 0.0);
        assert!(f32::NAN.exp_vector().is_nan());
        assert!(100.0_f32.exp_vector() > 2e38);
    }

    #[test]
    fn tanh_and_erf_are_as_near_as_they_say() {
        let (mut worst_tanh, mut worst_erf) = (0.0_f64, 0.0_f64);
        for i in -400_000..400_000 {
            let x = i as f32 * 3e-5;
            let truth = f64::from(x).tanh();
            let ulp = f64::from((truth as f32).abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
            worst_tanh = worst_tanh.max((f64::from(x.tanh_vector()) - truth).abs() / ulp);
            worst_erf = worst_erf.max((f64::from(x.erf_vector()) - libm::erf(f64::from(x))).abs());
        }
        assert!(worst_tanh <= 4.0 && worst_erf <= 3e-7, "{worst_tanh} ulp, {worst_erf}");
        assert_eq!((100.0_f32.tanh_vector(), (-100.0_f32).tanh_vector()), (1.0, -1.0));
        assert_eq!((9.0_f32.erf_vector(), (-9.0_f32).erf_vector()), (1.0, -1.0));
        assert!(f32::NAN.tanh_vector().is_nan() && f32::NAN.erf_vector().is_nan());
    }
}
