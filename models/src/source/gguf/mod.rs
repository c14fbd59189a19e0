//! GGUF: one file with configuration, tokenizer and weights.

mod architectures;
mod config;
mod cursor;
mod header;
mod metadata;
mod names;
mod packed;
mod rope;
mod types;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::TensorInfo;

pub(crate) use metadata::Metadata;
#[cfg(test)]
pub(crate) use metadata::Value;

use super::read::{PIECE_ELEMENTS, for_each_piece, read_elements, read_pieces};
use super::{HostTensor, Piece, Precision, Take, WeightSource};
use crate::{ModelConfig, ModelError};
use header::Entry;
use names::{Change, Parts, Place};
use types::ElementType;

/// A `.gguf` file of a family that is computed here: what llama.cpp's converter changed is undone, names are transformers'.
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
    change: Change,
}

impl GgufFile {
    /// Reads and checks the header; no weight is read, except the few numbers that divide the frequencies of rope.
    ///
    /// Errors when the file is truncated, when the header contradicts the file or itself, and when it holds what is
    /// not computed here: another architecture, other rope variants, part of a split model.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let header = header::read(path)?;
        let (config, interleaved) = config::read(path, &header)?;
        let parts = Parts::new(config.family.names);
        let mut tensors = BTreeMap::new();
        let mut insert = |name: String, tensor: Tensor| {
            let file_name = tensor.file_name.clone();
            match tensors.insert(name, tensor) {
                None => Ok(()),
                Some(_) => Err(ModelError::tensor(path, &file_name, "stands in the file under two names")),
            }
        };
        for (file_name, entry) in header.tensors {
            if rope::TENSORS.contains(&file_name.as_str()) {
                continue;
            }
            match parts.place(&file_name, &config, interleaved) {
                None => {
                    let problem = format!("is no part of a {}", config.model_type);
                    return Err(ModelError::tensor(path, &file_name, problem));
                }
                Some(Place::One(name, change)) => {
                    check_rows(path, &file_name, &entry, change)?;
                    insert(name, Tensor { file_name, entry, change })?;
                }
                Some(Place::Experts(names)) => {
                    let entries = entry.split(path, &file_name, names.len())?;
                    for (name, entry) in names.into_iter().zip(entries) {
                        insert(name, Tensor { file_name: file_name.clone(), entry, change: Change::None })?;
                    }
                }
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

/// Rows are put in order by heads, of which there must be whole ones.
fn check_rows(path: &Path, file_name: &str, entry: &Entry, change: Change) -> Result<(), ModelError> {
    let step = change.rows_by();
    match entry.shape.first() {
        _ if step == 1 => Ok(()),
        Some(rows) if *rows > 0 && rows.is_multiple_of(step) => Ok(()),
        _ => {
            let problem = format!("expected a multiple of {step} rows, found the shape {:?}", entry.shape);
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
        let Some(Tensor { file_name, entry, change }) = self.tensors.get(name) else {
            return Err(ModelError::MissingTensor { path: self.path.clone(), tensor: name.to_owned() });
        };
        let values = read_entry(&self.path, file_name, entry)?;
        let rows = entry.shape.first().copied().unwrap_or(1);
        Ok(match values {
            values if *change == Change::PlusOne => {
                HostTensor::F32(values.into_f32().into_iter().map(|value| value - 1.0).collect())
            }
            HostTensor::F32(values) => HostTensor::F32(change.undo(values, rows)),
            HostTensor::F16(values) => HostTensor::F16(change.undo(values, rows)),
            HostTensor::Bf16(values) => HostTensor::Bf16(change.undo(values, rows)),
        })
    }

    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        let Some(Tensor { file_name, entry, change: Change::None }) = self.tensors.get(name) else {
            return take(0, self.read(name)?.view());
        };
        let (path, start, count) = (&self.path, entry.start_bytes, entry.element_count);
        match entry.element_type {
            ElementType::F32 => {
                read_pieces(path, file_name, start, count, |at, piece| take(at, Piece::F32(piece)))
            }
            ElementType::F16 => {
                read_pieces(path, file_name, start, count, |at, piece| take(at, Piece::F16(piece)))
            }
            ElementType::Bf16 => {
                read_pieces(path, file_name, start, count, |at, piece| take(at, Piece::Bf16(piece)))
            }
            ElementType::Quantized(_) | ElementType::Packed(_) => {
                dequantize_pieces(path, file_name, entry, take)
            }
        }
    }
}

fn read_entry(path: &Path, file_name: &str, entry: &Entry) -> Result<HostTensor, ModelError> {
    let (start, count) = (entry.start_bytes, entry.element_count);
    match entry.element_type {
        ElementType::F32 => read_elements(path, file_name, start, count).map(HostTensor::F32),
        ElementType::F16 => read_elements(path, file_name, start, count).map(HostTensor::F16),
        ElementType::Bf16 => read_elements(path, file_name, start, count).map(HostTensor::Bf16),
        ElementType::Quantized(_) | ElementType::Packed(_) => {
            dequantize(path, file_name, entry).map(HostTensor::F32)
        }
    }
}

/// Dequantises a whole tensor. The header's check made rows a multiple of the block, and the count bounds the allocation:
/// 256 elements per block of at least 18 bytes of the file.
fn dequantize(path: &Path, file_name: &str, entry: &Entry) -> Result<Vec<f32>, ModelError> {
    let mut values = vec![0.0; entry.element_count];
    for_each_piece(values.chunks_mut(PIECE_ELEMENTS), || {
        let mut blocks = Blocks::open(path, file_name, entry)?;
        Ok(move |first, place: &mut [f32]| {
            place.copy_from_slice(&blocks.next(first, place.len())?);
            Ok(())
        })
    })?;
    Ok(values)
}

/// The same in pieces.
fn dequantize_pieces(path: &Path, file_name: &str, entry: &Entry, take: &Take<'_>) -> Result<(), ModelError> {
    let count = entry.element_count;
    let lengths = (0..count).step_by(PIECE_ELEMENTS).map(|first| PIECE_ELEMENTS.min(count - first));
    for_each_piece(lengths, || {
        let mut blocks = Blocks::open(path, file_name, entry)?;
        Ok(move |first, length: usize| take(first, Piece::F32(&blocks.next(first, length)?)))
    })
}

/// The blocks of a quantised tensor in a file.
struct Blocks<'a> {
    path: &'a Path,
    file_name: &'a str,
    entry: &'a Entry,
    file: File,
}

impl<'a> Blocks<'a> {
    fn open(path: &'a Path, file_name: &'a str, entry: &'a Entry) -> Result<Self, ModelError> {
        Ok(Self { path, file_name, entry, file: File::open(path).map_err(ModelError::io(path))? })
    }

    /// `count` elements from number `first` on, which are whole blocks.
    fn next(&mut self, first: usize, count: usize) -> Result<Vec<f32>, ModelError> {
        match self.entry.element_type {
            ElementType::Quantized(blocks) => self.of_candle(blocks, first, count),
            ElementType::Packed(blocks) => {
                let bytes_of = |elements: usize| elements / blocks.block_elements() * blocks.block_bytes();
                let start_bytes = self.entry.start_bytes + bytes_of(first) as u64;
                let bytes: Vec<u8> = read_elements(self.path, self.file_name, start_bytes, bytes_of(count))?;
                let mut values = Vec::with_capacity(count);
                blocks.dequantize(&bytes, &mut values);
                Ok(values)
            }
            ElementType::F32 | ElementType::F16 | ElementType::Bf16 => Ok(Vec::new()),
        }
    }

    fn of_candle(&mut self, blocks: GgmlDType, first: usize, count: usize) -> Result<Vec<f32>, ModelError> {
        let fault =
            |error: candle_core::Error| ModelError::tensor(self.path, self.file_name, error.to_string());
        let start_bytes = self.entry.start_bytes + (first / blocks.block_size() * blocks.type_size()) as u64;
        let info = TensorInfo { ggml_dtype: blocks, shape: count.into(), offset: start_bytes };
        let chunk = info.read(&mut self.file, 0, &Device::Cpu).map_err(fault)?;
        chunk.dequantize(&Device::Cpu).and_then(|chunk| chunk.to_vec1::<f32>()).map_err(fault)
    }
}

#[cfg(test)]
pub(crate) mod tests;
