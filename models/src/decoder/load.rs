//! From a checkpoint to a decoder in memory, one tensor at a time.

use std::collections::BTreeSet;

use rtune_adapters::{Linear, Weight};

use super::Decoder;
use super::block::Block;
use crate::families::BlockSpec;
use crate::{DecoderSpec, HostTensor, ModelConfig, ModelError, WeightSource};

/// How the linears of the blocks are kept in memory. Embedding, head and norms are never quantised, as in transformers.
/// Those that the checkpoint has in NF4 are kept so whatever this says: quantising them again would change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// As the checkpoint has them: bfloat16 stays, everything else becomes float32.
    None,
    /// NF4 in blocks of 64; `double` quantises the magnitudes too.
    Nf4 {
        /// Double quantisation.
        double: bool,
    },
}

impl Decoder {
    /// Reads a checkpoint, quantising while it goes: one tensor of it is in memory at a time.
    ///
    /// `progress` is called with (tensors read, tensors in all).
    ///
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, holds a number that is not finite, or
    /// is one that the configuration has no place for; and those of [`WeightSource::read`].
    pub fn load(
        config: &ModelConfig,
        weights: &dyn WeightSource,
        quantization: Quantization,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ModelError> {
        let spec = DecoderSpec::new(config);
        let mut loader =
            Loader { weights, quantization, unused: unused(&spec, weights), progress, read: 0, total: 0 };
        loader.total = loader.unused.len();
        let names = spec.names;
        let embedding = loader.dense(names.embedding, spec.vocabulary, spec.block.width)?;
        let blocks = (0..spec.blocks).map(|i| loader.block(&spec, i)).collect::<Result<_, _>>()?;
        let final_norm = loader.vector(&format!("{}.weight", names.final_norm), spec.block.width)?;
        let head = match spec.tied_head {
            true => None,
            false => Some(loader.dense(names.head, spec.vocabulary, spec.block.width)?),
        };
        if let Some(name) = loader.unused.first() {
            let problem =
                "the configuration has no place for it: the model would compute something else".to_owned();
            return Err(ModelError::tensor(weights.path(), name, problem));
        }
        Ok(Self { spec, embedding, blocks, final_norm, head })
    }
}

/// The names of all tensors that must be used up.
fn unused(spec: &DecoderSpec, weights: &dyn WeightSource) -> BTreeSet<String> {
    weights.names().into_iter().filter(|name| !spec.passes_over(name)).collect()
}

struct Loader<'a> {
    weights: &'a dyn WeightSource,
    quantization: Quantization,
    unused: BTreeSet<String>,
    progress: &'a mut dyn FnMut(usize, usize),
    read: usize,
    total: usize,
}

impl Loader<'_> {
    fn block(&mut self, spec: &DecoderSpec, index: usize) -> Result<Block, ModelError> {
        let (names, block) = (spec.names, spec.block);
        let BlockSpec { width, heads, kv_heads, head_width, mlp_width, attention_bias, mlp_bias, .. } = block;
        let (q_row, kv_row) = (heads * head_width, kv_heads * head_width);
        let name = |part: &str| format!("{}.{index}.{part}", names.blocks);
        let [query, key, value, output] = names.attention.map(name);
        let [gate, up, down] = names.mlp.map(name);
        Ok(Block {
            spec: block,
            attention_norm: self.vector(&name(&format!("{}.weight", names.attention_norm)), width)?,
            query: self.linear(query, q_row, width, attention_bias)?,
            key: self.linear(key, kv_row, width, attention_bias)?,
            value: self.linear(value, kv_row, width, attention_bias)?,
            output: self.linear(output, width, q_row, attention_bias)?,
            mlp_norm: self.vector(&name(&format!("{}.weight", names.mlp_norm)), width)?,
            gate: self.linear(gate, mlp_width, width, mlp_bias)?,
            up: self.linear(up, mlp_width, width, mlp_bias)?,
            down: self.linear(down, width, mlp_width, mlp_bias)?,
        })
    }

    fn linear(
        &mut self,
        name: String,
        rows: usize,
        columns: usize,
        bias: bool,
    ) -> Result<Linear, ModelError> {
        let weight_name = format!("{name}.weight");
        let weight = match (self.nf4(&weight_name, &[rows, columns])?, self.quantization) {
            (Some(weight), _) => weight,
            (None, Quantization::None) => self.dense(&name, rows, columns)?,
            (None, Quantization::Nf4 { double }) => {
                let values = self.tensor(&weight_name, &[rows, columns])?.into_f32();
                Weight::quantized(rows, columns, &values, double)
            }
        };
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), rows)?) } else { None };
        Ok(Linear::new(name, weight, bias))
    }

    fn dense(&mut self, name: &str, rows: usize, columns: usize) -> Result<Weight, ModelError> {
        let tensor = self.tensor(&format!("{name}.weight"), &[rows, columns])?;
        Ok(dense(rows, columns, tensor))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        Ok(self.tensor(name, &[len])?.into_f32())
    }

    /// A matrix that the checkpoint has in NF4.
    fn nf4(&mut self, name: &str, shape: &[usize]) -> Result<Option<Weight>, ModelError> {
        if !self.weights.is_nf4(name) {
            return Ok(None);
        }
        self.check_shape(name, shape)?;
        let weight = self.weights.read_nf4(name)?;
        self.used(name);
        Ok(weight)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<HostTensor, ModelError> {
        self.check_shape(name, shape)?;
        let tensor = self.weights.read(name)?;
        if let Some(place) = first_not_finite(&tensor) {
            let problem = format!("element {place} is not a finite number");
            return Err(ModelError::tensor(self.weights.path(), name, problem));
        }
        self.used(name);
        Ok(tensor)
    }

    fn check_shape(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        match self.weights.shape(name).filter(|found| found != shape) {
            None => Ok(()),
            Some(found) => {
                let problem = format!("expected shape {shape:?} as the configuration says, found {found:?}");
                Err(ModelError::tensor(self.weights.path(), name, problem))
            }
        }
    }

    fn used(&mut self, name: &str) {
        self.unused.remove(name);
        self.read += 1;
        (self.progress)(self.read, self.total);
    }
}

fn dense(rows: usize, columns: usize, tensor: HostTensor) -> Weight {
    match tensor {
        HostTensor::Bf16(values) => Weight::from_bf16(rows, columns, values),
        other => Weight::from_f32(rows, columns, other.into_f32()),
    }
}

fn first_not_finite(tensor: &HostTensor) -> Option<usize> {
    match tensor {
        HostTensor::F32(values) => values.iter().position(|v| !v.is_finite()),
        HostTensor::F16(values) => values.iter().position(|v| !v.is_finite()),
        HostTensor::Bf16(values) => values.iter().position(|v| !v.is_finite()),
    }
}
