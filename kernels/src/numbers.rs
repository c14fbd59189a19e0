//! Numbers as files have them: little-endian, in 32 or 16 bits.
//!
//! Loops over each number of a model, which are compiled with the settings of this crate: those that write files are compiled for size.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Numbers that are looked at, or rounded to `f16`, at a time.
const CHUNK: usize = 1024;

/// Appends `values` as they are.
#[inline(never)]
pub fn put_f32(values: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + size_of_val(values), 0);
    let places = bytes[start..].as_chunks_mut::<4>().0;
    places.iter_mut().zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
}

/// Appends `values` in bfloat16, each rounded to the nearest, ties to the even one.
#[inline(never)]
pub fn put_bf16(values: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + 2 * values.len(), 0);
    let places = bytes[start..].as_chunks_mut::<2>().0;
    places.iter_mut().zip(values).for_each(|(place, value)| *place = bf16_bits(*value).to_le_bytes());
}

/// Appends `values` in IEEE half precision, each rounded to the nearest, ties to the even one.
#[inline(never)]
pub fn put_f16(values: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + 2 * values.len(), 0);
    let places = bytes[start..].as_chunks_mut::<2>().0;
    let mut halves = [f16::ZERO; CHUNK];
    for (places, values) in places.chunks_mut(CHUNK).zip(values.chunks(CHUNK)) {
        let halves = &mut halves[..values.len()];
        halves.convert_from_f32_slice(values);
        places.iter_mut().zip(halves).for_each(|(place, half)| *place = half.to_le_bytes());
    }
}

/// The numbers of `values`, exactly.
#[inline(never)]
#[must_use]
pub fn of_bf16(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|value| f32::from_bits(u32::from(value.to_bits()) << 16)).collect()
}

/// The numbers of `values`, exactly.
#[inline(never)]
#[must_use]
pub fn of_f16(values: &[f16]) -> Vec<f32> {
    values.to_f32_vec()
}

/// The first of `values` whose size is not at most `most`; of what is no number too.
#[inline(never)]
#[must_use]
pub fn first_beyond(values: &[f32], most: f32) -> Option<usize> {
    let within = |value: &f32| value.abs() <= most;
    // Whole chunks without a way out are looked at many numbers at a time.
    let is_odd = |chunk: &[f32]| !chunk.iter().fold(true, |all, value| all & within(value));
    let number = values.chunks(CHUNK).position(is_odd)?;
    let place = values[number * CHUNK..].iter().position(|value| !within(value))?;
    Some(number * CHUNK + place)
}

/// As `half::bf16::from_f32` rounds, without a branch.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let no_number = (bits >> 16) | 0x40;
    let is_number = bits & 0x7fff_ffff <= 0x7f80_0000;
    (if is_number { rounded } else { no_number }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every exponent, those that lie between two, and what is no number.
    fn values() -> Vec<f32> {
        let mut bits = 1_u32;
        let drawn = (0..40_000).map(|_| {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from_bits(bits)
        });
        let between = (0..2000_u32).map(|number| f32::from_bits((number << 16) | 0x8000 | (number % 3)));
        let odd =
            [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, f32::MAX, 65_519.9, 65_520.0];
        drawn.chain(between).chain(odd).collect()
    }

    #[test]
    fn bytes_are_those_of_single_numbers() {
        let values = values();
        for count in [0, 1, 7, CHUNK, CHUNK + 1, values.len()] {
            let values = &values[values.len() - count..];
            let bytes = |put: fn(&[f32], &mut Vec<u8>)| {
                let mut bytes = vec![7];
                put(values, &mut bytes);
                bytes.split_off(1)
            };
            assert!(bytes(put_f32) == values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
            let expected: Vec<u8> = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
            assert!(bytes(put_bf16) == expected, "{count}");
            let numbers = |bytes: &[u8]| -> Vec<f32> {
                let halves = bytes.as_chunks::<2>().0.iter();
                halves.map(|half| f16::from_le_bytes(*half).to_f32()).collect()
            };
            for (value, found) in values.iter().zip(numbers(&bytes(put_f16))) {
                let expected = f16::from_f32(*value).to_f32();
                assert!(found == expected || found.is_nan() && expected.is_nan(), "{value}: {found}");
            }
        }
    }

    #[test]
    fn halves_are_the_same_numbers() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let is_same = |one: f32, other: f32| one == other || one.is_nan() && other.is_nan();
        let halves: Vec<bf16> = bits.iter().map(|bits| bf16::from_bits(*bits)).collect();
        assert!(of_bf16(&halves).iter().zip(&halves).all(|(wide, half)| is_same(*wide, half.to_f32())));
        let halves: Vec<f16> = bits.iter().map(|bits| f16::from_bits(*bits)).collect();
        assert!(of_f16(&halves).iter().zip(&halves).all(|(wide, half)| is_same(*wide, half.to_f32())));
    }

    #[test]
    fn the_first_number_beyond_is_found_wherever_it_stands() {
        for place in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5] {
            for odd in [f32::NAN, f32::INFINITY, -65_505.0] {
                let mut values = vec![-65_504.0; 4 * CHUNK];
                assert_eq!(first_beyond(&values, 65_504.0), None);
                values[place..].fill(odd);
                assert_eq!(first_beyond(&values, 65_504.0), Some(place));
                assert_eq!(first_beyond(&values, f32::MAX), (!odd.is_finite()).then_some(place));
            }
        }
    }
}
