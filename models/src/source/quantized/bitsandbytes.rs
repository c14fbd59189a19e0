//! Weights as bitsandbytes keeps them: NF4, whose codes and scales are used as they are, and 8-bit integers.
//!
//! Beside the packed `weight` stand `weight.absmax`, `weight.quant_map`, with double quantisation `weight.nested_absmax`
//! and `weight.nested_quant_map`, and JSON in the bytes of `weight.quant_state.bitsandbytes__nf4`
//! (`QuantState.as_dict` in bitsandbytes/functional.py).

use rtune_adapters::Weight;
use rtune_adapters::weight::{Magnitudes, Nf4};
use rtune_kernels::nf4::{BLOCKS, CODE, Nested};
use serde::Deserialize;

use super::super::safetensors::SafetensorsFolder;
use super::{float_precision, shape_of};
use crate::{ModelError, Precision};

/// How the name of a quantised weight's JSON ends.
pub(in super::super) const STATE: &str = ".quant_state.bitsandbytes__nf4";
/// The same for the other 4-bit type, whose 16 values are others.
pub(in super::super) const FP4_STATE: &str = ".quant_state.bitsandbytes__fp4";
/// How the name of the scales of a weight in 8 bits ends, in place of `weight`.
pub(in super::super) const ROW_SCALES: &str = ".SCB";

/// Longest JSON of a weight, in bytes; 200 are usual.
const MAX_STATE_BYTES: u64 = 1 << 16;
/// How far the values of the 16 codes may be from NF4's: they are the same constants everywhere.
const CODE_TOLERANCE: f32 = 1e-6;
/// `weight * scale * this` in bitsandbytes, for `weight * scale / 127` (`int8_vectorwise_dequant`).
const ONE_OF_127: f32 = 7.874_016e-3;

/// A weight in NF4, checked as far as headers and its JSON go.
#[derive(Debug)]
pub(super) struct Nf4Tensor {
    pub(super) shape: Vec<usize>,
    /// Of the numbers it was made from.
    pub(super) precision: Precision,
    block: usize,
    nested: Option<(usize, f32)>,
}

/// The JSON of a weight.
#[derive(Deserialize)]
struct State {
    quant_type: String,
    blocksize: usize,
    dtype: String,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

/// Refuses a weight in FP4 by name.
pub(in super::super) fn refuse_fp4(raw: &SafetensorsFolder, weight: &str) -> ModelError {
    let found = "fp4".to_owned();
    ModelError::Unsupported {
        path: raw.path_of(weight),
        key: format!("{weight}{FP4_STATE}"),
        found,
        supported: "nf4".to_owned(),
    }
}

impl Nf4Tensor {
    /// Reads the JSON of `weight` and checks that the other tensors have the lengths that follow from it.
    pub(super) fn open(raw: &SafetensorsFolder, weight: &str) -> Result<Self, ModelError> {
        let name = format!("{weight}{STATE}");
        let fault = |problem: String| ModelError::tensor(&raw.path_of(&name), &name, problem);
        let state = read_state(raw, &name)?;
        if state.quant_type != "nf4" {
            return Err(fault(format!("`quant_type` is \"{}\", expected \"nf4\"", state.quant_type)));
        }
        if !BLOCKS.contains(&state.blocksize) {
            return Err(fault(format!("`blocksize` is {}, expected one of {BLOCKS:?}", state.blocksize)));
        }
        let count = state.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let Some(count) = count.filter(|count| *count > 0) else {
            return Err(fault(format!("`shape` is {:?}", state.shape)));
        };
        let precision = match state.dtype.as_str() {
            "float32" => Precision::F32,
            "float16" => Precision::F16,
            "bfloat16" => Precision::Bf16,
            other => return Err(fault(format!("`dtype` is \"{other}\", expected a float"))),
        };
        let part = |end: &str| format!("{weight}.{end}");
        let blocks = count.div_ceil(state.blocksize);
        let nested = match (raw.entry(&part("nested_absmax")), state.nested_blocksize, state.nested_offset) {
            (None, ..) => None,
            (Some(_), Some(block), Some(offset)) if block > 0 && offset.is_finite() => Some((block, offset)),
            (Some(_), ..) => {
                let problem = "expected `nested_blocksize` and `nested_offset`, as there is nested_absmax";
                return Err(fault(problem.to_owned()));
            }
        };
        raw.expect_bytes(weight, count.div_ceil(2))?;
        raw.expect(&part("quant_map"), &["F32"], &[CODE.len()])?;
        match nested {
            None => raw.expect(&part("absmax"), &["F32", "F16", "BF16"], &[blocks])?,
            Some((block, _)) => {
                raw.expect(&part("absmax"), &["U8"], &[blocks])?;
                raw.expect(&part("nested_absmax"), &["F32"], &[blocks.div_ceil(block)])?;
                raw.expect(&part("nested_quant_map"), &["F32"], &[256])?;
            }
        }
        Ok(Self { shape: state.shape, precision, block: state.blocksize, nested })
    }

    /// Reads the weight: a matrix, or all but the last dimension as rows.
    pub(super) fn read(&self, raw: &SafetensorsFolder, weight: &str) -> Result<Weight, ModelError> {
        let part = |end: &str| format!("{weight}.{end}");
        let map = finite(raw, &part("quant_map"))?;
        if map.iter().zip(CODE).any(|(found, expected)| (found - expected).abs() > CODE_TOLERANCE) {
            let problem = "the values of the codes are not those of NF4";
            return Err(ModelError::tensor(&raw.path_of(weight), &part("quant_map"), problem));
        }
        let codes = raw.read_bytes(weight)?;
        let magnitudes = match self.nested {
            None => Magnitudes::Plain(finite(raw, &part("absmax"))?),
            Some((block, offset)) => {
                let values = finite(raw, &part("nested_quant_map"))?;
                let mut map = Box::new([0.0; 256]);
                map.copy_from_slice(&values);
                let absmax = finite(raw, &part("nested_absmax"))?;
                Magnitudes::Nested(Nested {
                    codes: raw.read_bytes(&part("absmax"))?,
                    map,
                    absmax,
                    block,
                    offset,
                })
            }
        };
        let columns = self.shape.last().copied().unwrap_or(1);
        let rows = self.shape.iter().product::<usize>() / columns;
        Ok(Weight::from_nf4(rows, columns, Nf4 { codes, magnitudes, block: self.block }))
    }
}

fn read_state(raw: &SafetensorsFolder, name: &str) -> Result<State, ModelError> {
    let fault = |problem: String| ModelError::tensor(&raw.path_of(name), name, problem);
    let size_bytes = raw.entry(name).map_or(0, |entry| entry.size_bytes);
    if size_bytes > MAX_STATE_BYTES {
        return Err(fault(format!("{size_bytes} bytes of JSON; at most {MAX_STATE_BYTES} are read")));
    }
    serde_json::from_slice(&raw.read_bytes(name)?)
        .map_err(|error| fault(format!("expected JSON of quantisation: {error}")))
}

/// The elements of a part, which have to be finite: one that is not spoils a whole block.
fn finite(raw: &SafetensorsFolder, name: &str) -> Result<Vec<f32>, ModelError> {
    use crate::WeightSource;
    let values = raw.read(name)?.into_f32();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => {
            let problem = format!("element {place} is not a finite number");
            Err(ModelError::tensor(&raw.path_of(name), name, problem))
        }
    }
}

/// A weight in 8 bits with a scale a row (LLM.int8()), which is dequantised when it is read.
#[derive(Debug)]
pub(super) struct ByteRows {
    pub(super) shape: Vec<usize>,
}

impl ByteRows {
    /// Checks the tensors of the linear `base`.
    pub(super) fn open(raw: &SafetensorsFolder, base: &str) -> Result<Self, ModelError> {
        let weight = format!("{base}.weight");
        let shape = shape_of(raw, &weight, 2)?;
        raw.expect(&weight, &["I8"], &shape)?;
        raw.expect(&format!("{base}{ROW_SCALES}"), &["F32"], &shape[..1])?;
        Ok(Self { shape })
    }

    /// The numbers, row-major.
    pub(super) fn read(&self, raw: &SafetensorsFolder, base: &str) -> Result<Vec<f32>, ModelError> {
        let format = format!("{base}.weight_format");
        // 0 is row-major; the others were layouts of older graphics cards.
        if raw.entry(&format).is_some() && raw.read_bytes(&format)?.iter().any(|&byte| byte != 0) {
            let problem = "the weight is laid out for a graphics card, expected 0 (row-major)";
            return Err(ModelError::tensor(&raw.path_of(&format), &format, problem));
        }
        let scales = finite(raw, &format!("{base}{ROW_SCALES}"))?;
        let bytes = raw.read_bytes(&format!("{base}.weight"))?;
        let rows = bytes.chunks_exact(self.shape[1].max(1)).zip(scales);
        Ok(rows
            .flat_map(|(row, scale)| {
                row.iter().map(move |&byte| f32::from(byte.cast_signed()) * scale * ONE_OF_127)
            })
            .collect())
    }

    /// That of the model's other tensors is unknown here; scales are 32 bits.
    pub(super) fn precision(raw: &SafetensorsFolder, base: &str) -> Precision {
        float_precision(raw, &format!("{base}{ROW_SCALES}"))
    }
}
