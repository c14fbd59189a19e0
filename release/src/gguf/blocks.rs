//! Numbers as bytes of an element type: 16 bits here, blocks by candle.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use rayon::prelude::*;
use rtune_kernels::numbers;

use super::search;

/// `GROUP_MAX_EPS` of ggml: a block whose numbers are all smaller is one of zeros.
const LEAST: f32 = 1e-15;

/// Numbers that one thread quantises at a time: whole blocks of every type.
const PIECE_ELEMENTS: usize = 1 << 18;

/// The bytes of `values`, rows of `columns` one behind the other.
///
/// # Errors
/// In words, where a number is too large for 16 bits, or candle fails.
pub(super) fn encode(values: &[f32], columns: usize, element: GgmlDType) -> Result<Vec<u8>, String> {
    if element == GgmlDType::F16
        && let Some(place) = numbers::first_beyond(values, f16::MAX.to_f32())
    {
        return Err(format!("{} is more than F16 holds; BF16 holds it", values[place]));
    }
    let bytes = |put: fn(&[f32], &mut Vec<u8>)| {
        let mut bytes = Vec::new();
        put(values, &mut bytes);
        bytes
    };
    Ok(match element {
        GgmlDType::F32 => bytes(numbers::put_f32),
        GgmlDType::F16 => bytes(numbers::put_f16),
        GgmlDType::BF16 => bytes(numbers::put_bf16),
        quantized => {
            debug_assert!(columns.is_multiple_of(quantized.block_size()), "rows are whole blocks");
            let pieces: Result<Vec<Vec<u8>>, candle_core::Error> =
                values.par_chunks(PIECE_ELEMENTS).map(|piece| quantised(piece, None, quantized)).collect();
            pieces.map_err(|error| error.to_string())?.concat()
        }
    })
}

/// One block of `values`, whose scales are those by which the squared error, each number's times its weight, is least among
/// those that are tried. No weights enter into Q8_0.
///
/// # Errors
/// In words, where candle fails.
pub(super) fn weighed(values: &[f32], weights: &[f32], element: GgmlDType) -> Result<Vec<u8>, String> {
    quantised(values, Some(weights), element).map_err(|error| error.to_string())
}

/// Blocks of numbers so small that their squares are 0 as zeros: candle's scale of them would be 0 over 0.
fn without_dust(values: &[f32], block: usize) -> Cow<'_, [f32]> {
    let is_dust = |values: &[f32]| {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        largest > 0.0 && largest < LEAST
    };
    if !values.chunks(block).any(is_dust) {
        return Cow::Borrowed(values);
    }
    let mut whole = values.to_vec();
    whole.chunks_mut(block).filter(|values| is_dust(values)).for_each(|values| values.fill(0.0));
    Cow::Owned(whole)
}

/// Whole blocks; `weights` as long as `values`.
fn quantised(
    values: &[f32],
    weights: Option<&[f32]>,
    element: GgmlDType,
) -> Result<Vec<u8>, candle_core::Error> {
    type Put = fn(&mut Vec<u8>, &[f32; search::BLOCK], &[f32; search::BLOCK]);
    let put: Option<Put> = match element {
        GgmlDType::Q4_0 => Some(|bytes, block, weights| search::put(bytes, block, weights, 4)),
        GgmlDType::Q5_0 => Some(|bytes, block, weights| search::put(bytes, block, weights, 5)),
        GgmlDType::Q5_1 => Some(search::put_from_least),
        _ => None,
    };
    if let Some(put) = put {
        let mut bytes = Vec::with_capacity(values.len() / search::BLOCK * element.type_size());
        for (at, block) in values.as_chunks().0.iter().enumerate() {
            let weights = weights.and_then(|weights| weights.as_chunks().0.get(at));
            put(&mut bytes, block, weights.unwrap_or(&search::EQUAL));
        }
        return Ok(bytes);
    }
    let whole: Cow<'_, [f32]> = match element {
        GgmlDType::Q4K | GgmlDType::Q5K => without_dust(values, element.block_size()),
        _ => Cow::Borrowed(values),
    };
    let tensor = Tensor::from_slice(&whole, whole.len(), &Device::Cpu)?;
    let blocks = match (element, weights) {
        // Without weights candle searches less than llama.cpp does; where all weigh the same, as much.
        (GgmlDType::Q4K | GgmlDType::Q5K, None) => {
            QTensor::quantize_imatrix(&tensor, &vec![1.0; values.len()], element)?
        }
        (GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K, Some(weights)) => {
            QTensor::quantize_imatrix(&tensor, weights, element)?
        }
        _ => QTensor::quantize(&tensor, element)?,
    };
    Ok(blocks.data()?.into_owned())
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QStorage;

    use super::*;

    #[test]
    fn numbers_that_are_nearly_nothing_are_zeros() {
        let values: Vec<f32> = (0..256).map(|at| if at % 2 == 0 { 1e-25 } else { -2e-25 }).collect();
        for element in [GgmlDType::Q4K, GgmlDType::Q5K] {
            for weights in [None, Some(vec![1.0; 256])] {
                let bytes = quantised(&values, weights.as_deref(), element).expect("blocks");
                let storage = QStorage::from_data(bytes.into(), &Device::Cpu, element).expect("blocks");
                let read = QTensor::new(storage, 256).expect("a tensor").dequantize(&Device::Cpu);
                assert_eq!(
                    read.expect("numbers").to_vec1::<f32>().expect("numbers"),
                    [0.0; 256],
                    "{element:?}"
                );
            }
        }
    }
}
