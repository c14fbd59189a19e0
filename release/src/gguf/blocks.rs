//! Numbers as bytes of an element type: 16 bits here, blocks by candle.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use rayon::prelude::*;
use rtune_kernels::numbers;

use super::search;

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
            let pieces: Result<Vec<Vec<u8>>, candle_core::Error> = values
                .par_chunks(PIECE_ELEMENTS)
                .map(|piece| {
                    match quantized {
                        GgmlDType::Q4_0 => return Ok(search::encode(piece, 4)),
                        GgmlDType::Q5_0 => return Ok(search::encode(piece, 5)),
                        GgmlDType::Q5_1 => return Ok(search::encode_from_least(piece)),
                        _ => {}
                    }
                    let tensor = Tensor::from_slice(piece, piece.len(), &Device::Cpu)?;
                    let blocks = match quantized {
                        // Without weights candle searches less than llama.cpp does; where all weigh the same, as much.
                        GgmlDType::Q4K | GgmlDType::Q5K => {
                            let weights = vec![1.0; piece.len()];
                            QTensor::quantize_imatrix(&tensor, &weights, quantized)?
                        }
                        _ => QTensor::quantize(&tensor, quantized)?,
                    };
                    Ok(blocks.data()?.into_owned())
                })
                .collect();
            pieces.map_err(|error| error.to_string())?.concat()
        }
    })
}
