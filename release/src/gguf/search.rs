//! Blocks of 32 numbers with one scale, Q4_0 and Q5_0, whose scale is searched for.
//!
//! candle, and llama.cpp without a matrix of importances, take the scale at which the largest number is met exactly; the
//! least squares of the others lie elsewhere. The search is llama.cpp's `make_qx_quants`, which it does with such a matrix, here
//! with equal weights.

use half::f16;

/// Numbers of a block.
const BLOCK: usize = 32;
/// Scales that are tried on either side of the first, in tenths of a step of the largest number.
const TRIALS: i32 = 9;

/// Numbers of a block in whole steps, and the step.
struct Steps {
    scale: f16,
    /// From `-2^(bits-1)` to one less than its opposite.
    steps: [i8; BLOCK],
}

/// The blocks of `values`, whole ones, of 4 or 5 bits a number.
pub(super) fn encode(values: &[f32], bits: u32) -> Vec<u8> {
    let most = 1_i8 << (bits - 1);
    let mut bytes = Vec::with_capacity(values.len() / BLOCK * (2 + BLOCK * bits as usize / 8));
    for block in values.as_chunks::<BLOCK>().0 {
        let Steps { scale, steps } = nearest(block, most);
        bytes.extend(scale.to_le_bytes());
        // From zero up, as files have them.
        let codes = steps.map(|step| (i16::from(step) + i16::from(most)) as u8);
        if bits == 5 {
            let fifth = codes.iter().enumerate().map(|(at, code)| u32::from(code >> 4) << at).sum::<u32>();
            bytes.extend(fifth.to_le_bytes());
        }
        let (first, second) = codes.split_at(BLOCK / 2);
        bytes.extend(first.iter().zip(second).map(|(low, high)| (low & 15) | (high & 15) << 4));
    }
    bytes
}

/// The steps and the scale with the least sum of squares among those tried.
fn nearest(block: &[f32; BLOCK], most: i8) -> Steps {
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
        let (product, square) =
            steps.iter().zip(block).fold((0.0, 0.0), |(product, square), (step, value)| {
                (product + step * value, square + step * step)
            });
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

    #[test]
    fn blocks_are_read_by_candle_and_nearer_than_its_own() {
        let values = values();
        for (bits, kind) in [(4, GgmlDType::Q4_0), (5, GgmlDType::Q5_0)] {
            let bytes = encode(&values, bits);
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
        assert_eq!(read(&encode(&[0.0; BLOCK], 5), BLOCK, GgmlDType::Q5_0), [0.0; BLOCK]);
        let whole: Vec<f32> = (0..BLOCK as i32).map(|at| (at - 16) as f32 * 0.25).collect();
        assert_eq!(read(&encode(&whole, 5), BLOCK, GgmlDType::Q5_0), whole);
    }
}
