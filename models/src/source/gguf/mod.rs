//! GGUF: one file with configuration, tokenizer and weights.

mod config;
mod cursor;
mod header;
mod metadata;
mod names;
mod packed;
mod types;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::TensorInfo;

pub(crate) use metadata::Metadata;
#[cfg(test)]
pub(crate) use metadata::Value;

use super::read::read_elements;
use super::{HostTensor, Precision, WeightSource};
use crate::{ModelConfig, ModelError};
use header::Entry;
use names::Interleaved;
use packed::Packed;
use types::ElementType;

/// Elements dequantised at a time: 16 MB of `f32`, so that a tensor needs little more memory than its result.
const CHUNK_ELEMENTS: usize = 1 << 22;

/// A `.gguf` file of the Llama family: what llama.cpp's converter changed is undone, names are transformers'.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    config: ModelConfig,
    metadata: Metadata,
    /// By transformers' name.
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Debug)]
struct Tensor {
    /// llama.cpp's name, for messages.
    file_name: String,
    entry: Entry,
    /// Heads by which the rows are interleaved.
    interleaved_heads: Option<usize>,
}

impl GgufFile {
    /// Reads and checks the header; no weight is read, except the few numbers of `rope_freqs.weight`.
    ///
    /// Errors when the file is truncated, when the header contradicts the file or itself, and when it holds what is
    /// not computed here: another architecture, experts, other rope variants, part of a split model.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let header = header::read(path)?;
        let config = config::read(path, &header)?;
        let mut tensors = BTreeMap::new();
        for (file_name, entry) in header.tensors {
            if file_name == config::ROPE_FREQUENCIES {
                continue;
            }
            let Some((name, interleaved)) = names::to_transformers(&file_name) else {
                return Err(ModelError::tensor(path, &file_name, "is not part of a Llama"));
            };
            let interleaved_heads = interleaved_heads(path, &file_name, &entry, interleaved, &config)?;
            let tensor = Tensor { file_name: file_name.clone(), entry, interleaved_heads };
            if tensors.insert(name, tensor).is_some() {
                return Err(ModelError::tensor(path, &file_name, "stands in the file under two names"));
            }
        }
        Ok(Self { path: path.to_owned(), config, metadata: header.metadata, tensors })
    }

    /// The configuration that the metadata and the shapes of the tensors say.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The metadata, for the tokenizer.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

fn interleaved_heads(
    path: &Path,
    file_name: &str,
    entry: &Entry,
    interleaved: Interleaved,
    config: &ModelConfig,
) -> Result<Option<usize>, ModelError> {
    let heads = match interleaved {
        Interleaved::No => return Ok(None),
        Interleaved::Queries => config.num_attention_heads,
        Interleaved::Keys => config.num_key_value_heads,
    };
    let expected = heads * config.head_dim;
    match entry.shape.first() {
        Some(rows) if *rows == expected => Ok(Some(heads)),
        _ => {
            let problem =
                format!("expected {expected} rows (heads: {heads}), found the shape {:?}", entry.shape);
            Err(ModelError::tensor(path, file_name, problem))
        }
    }
}

impl WeightSource for GgufFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.entry.shape.clone())
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.tensors.get(name).map(|tensor| match tensor.entry.element_type {
            ElementType::F32 => Precision::F32,
            ElementType::F16 => Precision::F16,
            ElementType::Bf16 => Precision::Bf16,
            ElementType::Quantized(_) | ElementType::Packed(_) => Precision::Other,
        })
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(ModelError::MissingTensor { path: self.path.clone(), tensor: name.to_owned() });
        };
        let values = read_entry(&self.path, &tensor.file_name, &tensor.entry)?;
        let Some(heads) = tensor.interleaved_heads else { return Ok(values) };
        let rows = tensor.entry.shape[0];
        Ok(match values {
            HostTensor::F32(values) => HostTensor::F32(names::undo_interleaving(&values, rows, heads)),
            HostTensor::F16(values) => HostTensor::F16(names::undo_interleaving(&values, rows, heads)),
            HostTensor::Bf16(values) => HostTensor::Bf16(names::undo_interleaving(&values, rows, heads)),
        })
    }
}

fn read_entry(path: &Path, file_name: &str, entry: &Entry) -> Result<HostTensor, ModelError> {
    let (start, count) = (entry.start_bytes, entry.element_count);
    match entry.element_type {
        ElementType::F32 => read_elements(path, file_name, start, count).map(HostTensor::F32),
        ElementType::F16 => read_elements(path, file_name, start, count).map(HostTensor::F16),
        ElementType::Bf16 => read_elements(path, file_name, start, count).map(HostTensor::Bf16),
        ElementType::Quantized(blocks) => dequantize(path, file_name, entry, blocks).map(HostTensor::F32),
        ElementType::Packed(blocks) => unpack(path, file_name, entry, blocks).map(HostTensor::F32),
    }
}

/// Dequantises through candle, chunk by chunk. The header's check made rows a multiple of the block, and the
/// count bounds the allocation: 256 elements per block of at least 18 bytes of the file.
fn dequantize(
    path: &Path,
    file_name: &str,
    entry: &Entry,
    blocks: GgmlDType,
) -> Result<Vec<f32>, ModelError> {
    let fault = |error: candle_core::Error| ModelError::tensor(path, file_name, error.to_string());
    let mut file = File::open(path).map_err(ModelError::io(path))?;
    let mut values = Vec::with_capacity(entry.element_count);
    let mut start_bytes = entry.start_bytes;
    while values.len() < entry.element_count {
        let count = CHUNK_ELEMENTS.min(entry.element_count - values.len());
        let info = TensorInfo { ggml_dtype: blocks, shape: count.into(), offset: start_bytes };
        let chunk = info.read(&mut file, 0, &Device::Cpu).map_err(fault)?;
        let chunk = chunk.dequantize(&Device::Cpu).and_then(|chunk| chunk.to_vec1::<f32>()).map_err(fault)?;
        values.extend_from_slice(&chunk);
        start_bytes += (count / blocks.block_size() * blocks.type_size()) as u64;
    }
    Ok(values)
}

/// The same for the types that candle does not know.
fn unpack(path: &Path, file_name: &str, entry: &Entry, blocks: Packed) -> Result<Vec<f32>, ModelError> {
    let mut values = Vec::with_capacity(entry.element_count);
    let mut start_bytes = entry.start_bytes;
    while values.len() < entry.element_count {
        let count = CHUNK_ELEMENTS.min(entry.element_count - values.len());
        let size_bytes = count / blocks.block_elements() * blocks.block_bytes();
        let bytes: Vec<u8> = read_elements(path, file_name, start_bytes, size_bytes)?;
        blocks.dequantize(&bytes, &mut values);
        start_bytes += size_bytes as u64;
    }
    Ok(values)
}

#[cfg(test)]
pub(crate) mod tests;
