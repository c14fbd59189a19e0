//! Whole numbers of 4 bits with a scale and a zero point a group, as GPTQ and AWQ keep weights.
//!
//! A number `w` of a group becomes `q = round(w / scale) + zero`, from 0 to 15, and is read as `scale * (q - zero)`. Scales
//! are numbers of 16 bits in files, so they are rounded to those before anything is rounded by them.

use half::f16;

/// The largest code.
const LARGEST: f32 = 15.0;
/// The zero point of a symmetric group, which has as many codes below it as from it on.
const MIDDLE: f32 = 8.0;
/// The smallest scale that a file can hold: a group of zeros needs one too.
const SMALLEST_SCALE: f32 = 5.960_464_5e-8;
/// Adding this and taking it off again rounds to whole numbers, ties to the even one, of what is below 2^22.
const ROUNDER: f32 = 12_582_912.0;
/// Further off than any code may be, and well below 2^22.
const FAR: f32 = 64.0;

/// Scale and zero point of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// A value of `f16`; not finite where the range of the group is too large for any.
    pub scale: f32,
    /// 0 to 15.
    pub zero: u8,
}

impl Grid {
    /// The symmetric grid whose range is that of `values`: zero point 8, 15 steps from the largest magnitude below zero to
    /// that above it.
    #[must_use]
    pub fn symmetric(values: &[f32]) -> Self {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        Self { scale: scale_of(2.0 * largest), zero: MIDDLE as u8 }
    }

    /// The grid whose range is that of `values`, clipped to the part `keep` of their largest magnitude.
    #[must_use]
    pub fn asymmetric(values: &[f32], keep: f32) -> Self {
        // Zero is in every range, as its code is one of the codes.
        let (mut least, mut most) = (0.0_f32, 0.0_f32);
        for &value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        let limit = keep * least.abs().max(most.abs());
        let (least, most) = (least.max(-limit), most.min(limit));
        let scale = scale_of(most - least);
        Self { scale, zero: (-rounded(least / scale)).clamp(0.0, LARGEST) as u8 }
    }

    /// The code of a number.
    #[inline]
    #[must_use]
    pub fn code(self, value: f32) -> u8 {
        (rounded(value / self.scale) + f32::from(self.zero)).clamp(0.0, LARGEST) as u8
    }

    /// The number of a code.
    #[inline]
    #[must_use]
    pub fn value(self, code: u8) -> f32 {
        self.scale * (f32::from(code) - f32::from(self.zero))
    }

    /// The codes of `values`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn encode(self, values: &[f32], codes: &mut [u8]) {
        assert_eq!(values.len(), codes.len(), "int4: length");
        for (code, &value) in codes.iter_mut().zip(values) {
            *code = self.code(value);
        }
    }

    /// What is read of the codes of `values`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn round(self, values: &[f32], out: &mut [f32]) {
        assert_eq!(values.len(), out.len(), "int4: length");
        let zero = f32::from(self.zero);
        for (out, &value) in out.iter_mut().zip(values) {
            let code = (rounded(value / self.scale) + zero).clamp(0.0, LARGEST);
            *out = self.scale * (code - zero);
        }
    }
}

/// The scale of a range of 15 steps.
fn scale_of(range: f32) -> f32 {
    let scale = f16::from_f32(range / LARGEST).to_f32();
    // `f32::max` would take a scale that is not a number for the smallest.
    if scale < SMALLEST_SCALE { SMALLEST_SCALE } else { scale }
}

/// A whole number, ties to the even one; of what is far beyond all codes, one that is beyond them too.
#[inline]
fn rounded(value: f32) -> f32 {
    value.clamp(-FAR, FAR) + ROUNDER - ROUNDER
}

/// Rounds the rows of a matrix, `[.., columns]`, group by group to what is read of the codes on a grid of each group's own:
/// to the nearest. `grid` makes the grid of a group.
///
/// # Panics
/// If the lengths differ.
pub fn round_to_nearest(
    values: &[f32],
    columns: usize,
    group: usize,
    grid: impl Fn(&[f32]) -> Grid,
    out: &mut [f32],
) {
    assert_eq!(values.len(), out.len(), "int4: length");
    for (values, out) in values.chunks(columns).zip(out.chunks_mut(columns)) {
        for (values, out) in values.chunks(group).zip(out.chunks_mut(group)) {
            grid(values).round(values, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_their_numbers_do() {
        let grid = Grid::symmetric(&[0.5, -1.5, 0.75]);
        assert_eq!(grid, Grid { scale: f16::from_f32(0.2).to_f32(), zero: 8 });
        assert_eq!((grid.code(-1.5), grid.code(0.0), grid.code(1.5)), (0, 8, 15));
        let grid = Grid::asymmetric(&[-1.0, 2.75], 1.0);
        assert_eq!(grid, Grid { scale: 0.25, zero: 4 });
        assert_eq!((grid.code(-1.0), grid.code(2.75), grid.value(15)), (0, 15, 2.75));
        // All on one side of zero, which is a code nevertheless: the range begins, or ends, with it, and cuts nothing off.
        let grid = Grid::asymmetric(&[1.0, 3.75], 1.0);
        assert_eq!((grid.zero, grid.code(3.75), grid.value(15)), (0, 15, 3.75));
        let grid = Grid::asymmetric(&[-1.0, -3.75], 1.0);
        assert_eq!((grid.zero, grid.code(-3.75), grid.value(0)), (15, 0, -3.75));
        let clipped = Grid::asymmetric(&[-1.0, 2.75], 0.5);
        assert_eq!((clipped.zero, clipped.value(clipped.code(9.0)) < 1.5), (6, true));
    }

    #[test]
    fn ties_go_to_the_even_code_and_zeros_stay_zeros() {
        let grid = Grid { scale: 1.0, zero: 8 };
        assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9].map(|v| grid.code(v)), [8, 10, 10, 8, 6, 15, 0]);
        for grid in [Grid::symmetric(&[0.0; 4]), Grid::asymmetric(&[0.0; 4], 1.0)] {
            assert!(grid.scale > 0.0 && grid.value(grid.code(0.0)) == 0.0, "{grid:?}");
        }
        assert!(!Grid::symmetric(&[1.0, 1e6]).scale.is_finite());
        assert!(!Grid::asymmetric(&[-3e38, 3e38], 1.0).scale.is_finite());
    }

    #[test]
    fn rounding_is_reading_what_was_encoded() {
        let values: Vec<f32> = (0..96).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let mut out = vec![0.0; 96];
        round_to_nearest(&values, 48, 16, |group| Grid::asymmetric(group, 1.0), &mut out);
        for (values, out) in values.chunks(16).zip(out.chunks(16)) {
            let grid = Grid::asymmetric(values, 1.0);
            let mut codes = vec![0; 16];
            grid.encode(values, &mut codes);
            let read: Vec<f32> = codes.iter().map(|&code| grid.value(code)).collect();
            assert_eq!(out, read);
            let worst = values.iter().zip(out).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= grid.scale * 0.51, "{worst} of {}", grid.scale);
        }
    }
}
