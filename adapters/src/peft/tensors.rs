//! `adapter_model.safetensors`, read one tensor at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{BASE_LAYER, PREFIX};
use crate::AdapterError;
use crate::seeing::{in_text_model, is_of_other_part};

/// Longest header, in bytes: the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Length of the number in front of the header, in bytes.
const LENGTH_BYTES: u64 = 8;
/// Largest file that is read, and so the largest that is written, in bytes. Rank 256 on every linear of a 70B model takes 13 GB in `f32`,
/// and a trained embedding of a large vocabulary, under both names of a tied head, as much again. A file beyond 64 GiB is more likely a
/// whole model, and would fill the memory before it is found not to fit.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 30;

/// A tensor of an adapter, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterTensor {
    /// `[r, in]` for `lora_A`, `[out, r]` for `lora_B`.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

/// What a file has.
#[derive(Default)]
pub(super) struct Found {
    /// By their names in a text model, without the prefix.
    pub(super) tensors: BTreeMap<String, AdapterTensor>,
    /// Of what the file calls otherwise, since its base sees besides, the name there.
    pub(super) elsewhere: BTreeMap<String, String>,
    /// Names of the tensors of parts that see, whose numbers are not kept.
    pub(super) left_out: Vec<String>,
}

/// Reads every tensor.
pub(super) fn read(path: &Path) -> Result<Found, AdapterError> {
    let io = |source| AdapterError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let file_bytes = file.metadata().map_err(io)?.len();
    read_from(path, BufReader::new(file), file_bytes)
}

/// [`read`] of a file whose `file_bytes` bytes `reader` gives.
pub(super) fn read_from(path: &Path, mut reader: impl Read, file_bytes: u64) -> Result<Found, AdapterError> {
    let io = |source| AdapterError::Io { path: path.to_owned(), source };
    let wrong = |problem: String| AdapterError::File { path: path.to_owned(), problem };
    let metadata = header(path, &mut reader, file_bytes)?;
    let mut found = Found::default();
    // The header was found to leave no holes, so the tensors follow one another.
    for key in metadata.offset_keys() {
        let named = |problem: &str| wrong(format!("tensor `{key}`: {problem}"));
        let Some(info) = metadata.info(&key) else {
            return Err(named("has no place in the header"));
        };
        let Some(name) = key.strip_prefix(PREFIX) else {
            return Err(named(&format!("expected a name that begins with `{PREFIX}`")));
        };
        let name = name.replacen(BASE_LAYER, ".", 1);
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        reader.read_exact(&mut bytes).map_err(io)?;
        let values = widen(info, &bytes)
            .ok_or_else(|| named(&format!("expected F32, F16 or BF16, found {:?}", info.dtype)))?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(named(&format!("element {place} is {}, not a finite number", values[place])));
        }
        if is_of_other_part(&name) {
            found.left_out.push(name);
            continue;
        }
        let plain = in_text_model(&name);
        if let Some(plain) = &plain {
            found.elsewhere.insert(plain.clone(), name.clone());
        }
        let tensor = AdapterTensor { shape: info.shape.clone(), values };
        if found.tensors.insert(plain.unwrap_or(name), tensor).is_some() {
            return Err(named("stands in the file under two names"));
        }
    }
    Ok(found)
}

/// The header of a file of `file_bytes` bytes, which `reader` gives from its beginning; nothing behind it is read.
///
/// # Errors
/// [`AdapterError::File`] for a file that is too large, or a header that does not fit it; [`AdapterError::Io`].
pub(super) fn header(path: &Path, reader: &mut impl Read, file_bytes: u64) -> Result<Metadata, AdapterError> {
    refuse_too_large(path, file_bytes, MAX_FILE_BYTES)?;
    read_header(reader, file_bytes).map_err(|error| match error {
        HeaderError::Io(source) => AdapterError::Io { path: path.to_owned(), source },
        HeaderError::Damaged(problem) => AdapterError::File { path: path.to_owned(), problem },
    })
}

/// What is not read again must not be written.
///
/// # Errors
/// [`AdapterError::File`] for more than `most_bytes` bytes.
pub(super) fn refuse_too_large(path: &Path, file_bytes: u64, most_bytes: u64) -> Result<(), AdapterError> {
    if file_bytes <= most_bytes {
        return Ok(());
    }
    let problem = format!("expected at most {most_bytes} bytes, found {file_bytes}");
    Err(AdapterError::File { path: path.to_owned(), problem })
}

enum HeaderError {
    Io(std::io::Error),
    Damaged(String),
}

/// The header, checked against the length of the file before anything of that size is set aside.
fn read_header(reader: &mut impl Read, file_bytes: u64) -> Result<Metadata, HeaderError> {
    let damaged = |problem: String| Err(HeaderError::Damaged(problem));
    if file_bytes < LENGTH_BYTES {
        return damaged(format!("no safetensors file: it has {file_bytes} bytes"));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    reader.read_exact(&mut length).map_err(HeaderError::Io)?;
    let header_bytes = u64::from_le_bytes(length);
    let left_bytes = file_bytes - LENGTH_BYTES;
    if header_bytes > left_bytes.min(MAX_HEADER_BYTES) {
        return damaged(format!(
            "truncated, or no safetensors file: a header of {header_bytes} bytes in a file of {file_bytes}"
        ));
    }
    let mut header = vec![0; header_bytes as usize];
    reader.read_exact(&mut header).map_err(HeaderError::Io)?;
    let metadata: Metadata = match serde_json::from_slice(&header) {
        Ok(metadata) => metadata,
        Err(error) => return damaged(format!("the header cannot be right: {error}")),
    };
    let (expected, found) = (metadata.data_len() as u64, left_bytes - header_bytes);
    if expected != found {
        return damaged(format!("truncated or damaged: expected {expected} bytes of tensors, found {found}"));
    }
    Ok(metadata)
}

fn widen(info: &TensorInfo, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match info.dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}
