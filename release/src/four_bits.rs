//! Linears as bitsandbytes keeps them in a folder: NF4 in blocks of 64, what `rtune-models` reads, the other way round.
//!
//! Beside the codes stand the magnitudes, the values of both maps, and JSON in the bytes of
//! `weight.quant_state.bitsandbytes__nf4` (`QuantState.as_dict` in bitsandbytes/functional.py).

use rtune_kernels::nf4::{self, BLOCK, CODE, NESTED_BLOCK};
use rtune_models::TensorSpec;
use safetensors::Dtype as Tag;
use serde_json::{Value, json};

use crate::dtype::Dtype;
use crate::packing::Part;

/// Bytes of the JSON of a linear: with all digits of its mean and a shape of two large numbers it has some 200. What is left
/// is spaces, since the size of a tensor is known before its numbers are.
const STATE_BYTES: usize = 256;

/// bitsandbytes' NF4, for the linears of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantized {
    /// Whether the magnitudes are quantised too.
    pub double: bool,
}

impl Quantized {
    /// The keys of `config.json` by which transformers knows it, for numbers that are computed in `dtype`.
    pub(crate) fn settings(self, dtype: Dtype) -> Value {
        json!({
            "quant_method": "bitsandbytes",
            "load_in_4bit": true,
            "load_in_8bit": false,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": self.double,
            "bnb_4bit_compute_dtype": dtype.name(),
            "bnb_4bit_quant_storage": "uint8",
        })
    }

    /// The tensors of a linear, in the order of [`Self::encode`].
    pub(crate) fn parts(self, tensor: &TensorSpec) -> Vec<Part> {
        let count: usize = tensor.shape.iter().product();
        let blocks = count.div_ceil(BLOCK);
        let part = |end: &str, tag, shape: &[usize]| Part {
            name: format!("{}{end}", tensor.in_files),
            tag,
            shape: shape.to_vec(),
        };
        let mut parts = vec![
            part("", Tag::U8, &[count.div_ceil(2), 1]),
            part(".quant_map", Tag::F32, &[CODE.len()]),
            part(".quant_state.bitsandbytes__nf4", Tag::U8, &[STATE_BYTES]),
        ];
        match self.double {
            false => parts.push(part(".absmax", Tag::F32, &[blocks])),
            true => parts.extend([
                part(".absmax", Tag::U8, &[blocks]),
                part(".nested_absmax", Tag::F32, &[blocks.div_ceil(NESTED_BLOCK)]),
                part(".nested_quant_map", Tag::F32, &[256]),
            ]),
        }
        parts
    }

    /// The bytes of these tensors: the numbers rounded to `dtype`, as a folder of that type has them, and quantised.
    pub(crate) fn encode(self, tensor: &TensorSpec, mut values: Vec<f32>, dtype: Dtype) -> Vec<Vec<u8>> {
        values.iter_mut().for_each(|value| *value = dtype.round(*value));
        let mut codes = vec![0; values.len().div_ceil(2)];
        let mut absmax = vec![0.0; values.len().div_ceil(BLOCK)];
        nf4::quantize(&values, &mut codes, &mut absmax);
        let floats = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut state = json!({
            "quant_type": "nf4", "blocksize": BLOCK, "dtype": dtype.name(), "shape": tensor.shape,
        });
        let magnitudes = match self.double {
            false => vec![floats(&absmax)],
            true => {
                let nested = nf4::quantize_absmax(&absmax);
                state["nested_blocksize"] = nested.block.into();
                state["nested_dtype"] = "float32".into();
                state["nested_offset"] = f64::from(nested.offset).into();
                vec![nested.codes, floats(&nested.absmax), floats(nested.map.as_slice())]
            }
        };
        let mut state = state.to_string().into_bytes();
        debug_assert!(state.len() <= STATE_BYTES, "{} bytes of state", state.len());
        state.resize(STATE_BYTES, b' ');
        [vec![codes, floats(&CODE), state], magnitudes].concat()
    }
}
