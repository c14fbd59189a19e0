//! Blocks of 32 numbers with one scale, Q4_0 and Q5_0, or with a scale and the least number, Q5_1, which are searched for.
//!
//! candle, and llama.cpp without a matrix of importances, take the scale at which the largest number is met exactly, or both ends; the
//! least squares of the others lie elsewhere. The searches are llama.cpp's `make_qx_quants` and `make_qkx3_quants`, which it does with such
//! a matrix. What a number weighs is given, one value for each; [`EQUAL`] where nothing is known.

use half::f16;

/// Numbers of a block.
pub(super) const BLOCK: usize = 32;
/// Numbers that all weigh the same.
pub(super) const EQUAL: [f32; BLOCK] = [1.0; BLOCK];
/// Scales that are tried on either side of the first, in tenths of a step of the largest number.
const TRIALS: i32 = 9;

/// The largest step of a block with a least number, of 5 bits.
const LAST_STEP: f32 = 31.0;
/// Scales that are tried on either side of the one that meets both ends, in tenths of a step of the whole range.
const RANGE_TRIALS: i32 = 10;

/// Numbers of a block in whole steps, and the step.
struct Steps {
    scale: f16,
    /// From `-2^(bits-1)` to one less than its opposite.
    steps: [i8; BLOCK],
}

/// Puts a block of 4 or 5 bits a number behind `bytes`.
pub(super) fn put(bytes: &mut Vec<u8>, block: &[f32; BLOCK], weights: &[f32; BLOCK], bits: u32) {
    let most = 1_i8 << (bits - 1);
    let Steps { scale, steps } = nearest(block, weights, most);
    bytes.extend(scale.to_le_bytes());
    // From zero up, as files have them.
    let codes = steps.map(|step| (i16::from(step) + i16::from(most)) as u8);
    match bits {
        5 => put_five_bits(bytes, &codes),
        _ => put_four_bits(bytes, &codes),
    }
}

/// The steps and the scale with the least sum of squares among those tried.
fn nearest(block: &[f32; BLOCK], weights: &[f32; BLOCK], most: i8) -> Steps {
    let largest = block
        .iter()
        .fold(0.0_f32, |largest, value| if value.abs() > largest.abs() { *value } else { largest });
    let none = Steps { scale: f16::ZERO, steps: [0; BLOCK] };
    if largest == 0.0 {
        return none;
    }
    let (low, high) = (-f32::from(most), f32::from(most) - 1.0);
    let steps_at = |inverse: f32| block.map(|value| (value * inverse).round().clamp(low, high));
    // What the best scale for these steps takes off the sum of squares, and that scale.
    let gain = |steps: &[f32; BLOCK]| {
        let (mut product, mut square) = (0.0, 0.0);
        for ((step, value), weight) in steps.iter().zip(block).zip(weights) {
            product += weight * step * value;
            square += weight * step * step;
        }
        if square > 0.0 { (product * product / square, product / square) } else { (0.0, 0.0) }
    };
    // The number of the largest size is met by the step of the largest size, which is a negative one.
    let tries = (-TRIALS..=TRIALS).map(|trial| -(f32::from(most) + 0.1 * trial as f32) / largest);
    let best = tries.map(|inverse| gain(&steps_at(inverse))).max_by(|one, other| one.0.total_cmp(&other.0));
    let scale = f16::from_f32(best.map_or(0.0, |(_, scale)| scale));
    if scale == f16::ZERO || !scale.is_finite() {
        return none;
    }
    // The nearest steps of the scale that is written.
    let steps = steps_at(1.0 / scale.to_f32()).map(|step| step as i8);
    Steps { scale, steps }
}

/// Numbers of a block in whole steps from the least of them.
struct StepsFrom {
    scale: f16,
    least: f16,
    /// From 0 to 31.
    steps: [u8; BLOCK],
}

/// Puts a block of 5 bits a number and a least number behind `bytes`.
pub(super) fn put_from_least(bytes: &mut Vec<u8>, block: &[f32; BLOCK], weights: &[f32; BLOCK]) {
    let StepsFrom { scale, least, steps } = nearest_from_least(block, weights);
    bytes.extend(scale.to_le_bytes());
    bytes.extend(least.to_le_bytes());
    put_five_bits(bytes, &steps);
}

/// The fifth bits of all, then the others, the second half beside the first.
fn put_five_bits(bytes: &mut Vec<u8>, codes: &[u8; BLOCK]) {
    let fifth = codes.iter().enumerate().map(|(at, code)| u32::from(code >> 4) << at).sum::<u32>();
    bytes.extend(fifth.to_le_bytes());
    put_four_bits(bytes, codes);
}

fn put_four_bits(bytes: &mut Vec<u8>, codes: &[u8; BLOCK]) {
    let (first, second) = codes.split_at(BLOCK / 2);
    bytes.extend(first.iter().zip(second).map(|(low, high)| (low & 15) | (high & 15) << 4));
}

/// The steps, the scale and the least number with the least sum of squares among those tried.
fn nearest_from_least(block: &[f32; BLOCK], weights: &[f32; BLOCK]) -> StepsFrom {
    let (low, high) = block
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let flat = StepsFrom { scale: f16::ZERO, least: f16::from_f32(low), steps: [0; BLOCK] };
    if high <= low {
        return flat;
    }
    let steps_of =
        |scale: f32, least: f32| block.map(|value| ((value - least) / scale).round().clamp(0.0, LAST_STEP));
    let tries = (-RANGE_TRIALS..=RANGE_TRIALS).map(|trial| {
        let steps = steps_of((high - low) / (LAST_STEP + 0.1 * trial as f32), low);
        fitted(block, weights, &steps)
    });
    let best = tries.flatten().min_by(|one, other| one.0.total_cmp(&other.0));
    let (scale, least) = best.map_or((0.0, low), |(_, scale, least)| (scale, least));
    let (scale, least) = (f16::from_f32(scale), f16::from_f32(least));
    if scale <= f16::ZERO || !scale.is_finite() || !least.is_finite() {
        return flat;
    }
    // The nearest steps of what is written.
    let steps = steps_of(scale.to_f32(), least.to_f32()).map(|step| step as u8);
    StepsFrom { scale, least, steps }
}

/// The sum of squares that the best scale and least number for these steps leave, and both; `None` where all steps are the same.
fn fitted(block: &[f32; BLOCK], weights: &[f32; BLOCK], steps: &[f32; BLOCK]) -> Option<(f64, f32, f32)> {
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        let numbers = steps.iter().zip(block).zip(weights);
        numbers
            .map(|((step, value), weight)| f64::from(*weight) * of(f64::from(*step), f64::from(*value)))
            .sum()
    };
    let whole = sum(&|_, _| 1.0);
    let (step, value) = (sum(&|step, _| step) / whole, sum(&|_, value| value) / whole);
    let square = sum(&|s, _| (s - step) * (s - step));
    if square == 0.0 || square.is_nan() {
        return None;
    }
    let scale = sum(&|s, v| (s - step) * (v - value)) / square;
    let least = value - scale * step;
    let left = sum(&|s, v| (scale * s + least - v) * (scale * s + least - v));
    Some((left, scale as f32, least as f32))
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;

    fn values() -> Vec<f32> {
        let mut state = 1_u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        // Sums of four: long tails on both sides, as weights have.
        (0..BLOCK * 200).map(|_| (uniform() + uniform() + uniform() + uniform()) * 0.1).collect()
    }

    /// What candle reads out of these blocks.
    fn read(bytes: &[u8], count: usize, kind: GgmlDType) -> Vec<f32> {
        let storage =
            candle_core::quantized::QStorage::from_data(bytes.into(), &Device::Cpu, kind).expect("blocks");
        let tensor =
            QTensor::new(storage, count).expect("a tensor").dequantize(&Device::Cpu).expect("numbers");
        tensor.to_vec1().expect("numbers")
    }

    fn error(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    }

    /// Whole blocks, each of whose numbers weighs as `weights` say.
    fn weighed(values: &[f32], weights: &[f32; BLOCK], kind: GgmlDType) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in values.as_chunks::<BLOCK>().0 {
            match kind {
                GgmlDType::Q4_0 => put(&mut bytes, block, weights, 4),
                GgmlDType::Q5_0 => put(&mut bytes, block, weights, 5),
                _ => put_from_least(&mut bytes, block, weights),
            }
        }
        bytes
    }

    #[test]
    fn what_weighs_more_is_met_more_nearly() {
        let values = values();
        let mut weights = EQUAL;
        weights.iter_mut().step_by(4).for_each(|weight| *weight = 25.0);
        for kind in [GgmlDType::Q4_0, GgmlDType::Q5_0, GgmlDType::Q5_1] {
            let error = |by: &[f32; BLOCK]| -> f32 {
                let read = read(&weighed(&values, by, kind), values.len(), kind);
                let squares = read.iter().zip(&values).map(|(read, value)| (read - value).powi(2));
                squares.enumerate().map(|(at, square)| weights[at % BLOCK] * square).sum()
            };
            let (ours, theirs) = (error(&weights), error(&EQUAL));
            assert!(ours < 0.97 * theirs, "{kind:?}: {ours} {theirs}");
        }
    }

    #[test]
    fn blocks_are_read_by_candle_and_nearer_than_its_own() {
        let values = values();
        for kind in [GgmlDType::Q4_0, GgmlDType::Q5_0, GgmlDType::Q5_1] {
            let bytes = weighed(&values, &EQUAL, kind);
            assert_eq!(bytes.len(), values.len() / BLOCK * kind.type_size());
            let tensor = Tensor::from_slice(&values, values.len(), &Device::Cpu).expect("a tensor");
            let theirs =
                QTensor::quantize(&tensor, kind).expect("blocks").dequantize(&Device::Cpu).expect("numbers");
            let theirs = error(&values, &theirs.to_vec1::<f32>().expect("numbers"));
            let ours = error(&values, &read(&bytes, values.len(), kind));
            assert!(ours < 0.95 * theirs, "{kind:?}: {ours} {theirs}");
        }
    }

    #[test]
    fn zeros_stay_and_what_is_whole_steps_is_exact() {
        let again = |values: &[f32], kind| read(&weighed(values, &EQUAL, kind), BLOCK, kind);
        assert_eq!(again(&[0.0; BLOCK], GgmlDType::Q5_0), [0.0; BLOCK]);
        let whole: Vec<f32> = (0..BLOCK as i32).map(|at| (at - 16) as f32 * 0.25).collect();
        assert_eq!(again(&whole, GgmlDType::Q5_0), whole);
        assert_eq!(again(&whole, GgmlDType::Q5_1), whole);
        assert_eq!(again(&[-0.5; BLOCK], GgmlDType::Q5_1), [-0.5; BLOCK]);
        // Sixteen steps of another file, between which the scale that meets both ends has 31.
        let sixteen: Vec<f32> = (0..BLOCK as i32).map(|at| (at * 7 % 16) as f32 * 0.25 - 1.5).collect();
        assert_eq!(again(&sixteen, GgmlDType::Q5_1), sixteen);
    }
}
