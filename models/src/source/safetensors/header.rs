//! The header of one safetensors file, checked against the length of the file.
//!
//! `safetensors::SafeTensors::read_metadata` wants the whole file in one slice, which needs as much memory or a
//! map (`unsafe`), and its errors do not say which tensor. So the crate's types are used, and its rules (no
//! holes, no overlap, the last tensor ends the file) are checked here.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::ModelError;
use crate::config::excerpt;

/// Longest header, in bytes: the format's own limit (`safetensors::tensor::MAX_HEADER_SIZE`, which is private).
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Length of the number in front of the header, in bytes.
const PREFIX_BYTES: u64 = 8;
/// Most dimensions of a tensor; a decoder has two, a convolution five.
const MAX_DIMENSIONS: usize = 8;

/// Element type of a tensor, as far as rtune reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum DataType {
    F32,
    F16,
    Bf16,
    /// A type of the format that is not read here, by its name.
    Other(String),
}

impl DataType {
    /// As the format calls it.
    pub(in super::super) fn name(&self) -> &str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Other(name) => name,
        }
    }
}

/// Where a tensor stands in its file.
#[derive(Debug, Clone)]
pub(in super::super) struct Entry {
    pub(in super::super) data_type: DataType,
    pub(in super::super) shape: Vec<usize>,
    pub(in super::super) element_count: usize,
    /// From the beginning of the file.
    pub(in super::super) start_bytes: u64,
    pub(in super::super) size_bytes: u64,
}

/// How much of a file has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: its length is compared with what the header says.
    Whole,
    /// The header. What stands behind it is not looked at.
    Header,
}

/// Reads and checks the header of `path`.
pub(super) fn read(path: &Path, extent: Extent) -> Result<Vec<(String, Entry)>, ModelError> {
    let mut file = File::open(path).map_err(ModelError::io(path))?;
    let file_bytes = file.metadata().map_err(ModelError::io(path))?.len();
    let header_bytes = header_length(path, &mut file, file_bytes)?;
    let mut text = Vec::new();
    file.take(header_bytes).read_to_end(&mut text).map_err(ModelError::io(path))?;
    let text = String::from_utf8(text).map_err(|_| {
        ModelError::damaged(path, "the header is not valid UTF-8, so this is no safetensors file")
    })?;
    let data_start = PREFIX_BYTES + header_bytes;
    let data_bytes = (extent == Extent::Whole).then(|| file_bytes - data_start);
    check_entries(path, parse(path, &text)?, data_start, data_bytes)
}

fn header_length(path: &Path, file: &mut File, file_bytes: u64) -> Result<u64, ModelError> {
    if file_bytes < PREFIX_BYTES {
        let problem =
            format!("the file has {file_bytes} bytes; a safetensors file has at least {PREFIX_BYTES}");
        return Err(ModelError::damaged(path, problem));
    }
    let mut prefix = [0; PREFIX_BYTES as usize];
    file.read_exact(&mut prefix).map_err(ModelError::io(path))?;
    let header_bytes = u64::from_le_bytes(prefix);
    if header_bytes > file_bytes - PREFIX_BYTES {
        let problem = format!(
            "the header should have {header_bytes} bytes, but the whole file has {file_bytes}: truncated"
        );
        return Err(ModelError::damaged(path, problem));
    }
    if header_bytes > MAX_HEADER_BYTES {
        let problem =
            format!("the header should have {header_bytes} bytes; the format allows {MAX_HEADER_BYTES}");
        return Err(ModelError::damaged(path, problem));
    }
    Ok(header_bytes)
}

/// Parses the header into its entries in the order of the file, duplicates included.
fn parse(path: &Path, text: &str) -> Result<Vec<(String, Value)>, ModelError> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, Value)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object of tensors")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(Pairs)
        .and_then(|pairs| deserializer.end().map(|()| pairs))
        .map_err(|error| ModelError::damaged(path, format!("the header is not valid JSON: {error}")))
}

/// Turns header entries into places in the file: typed, within the data where its length is given, without holes or
/// overlaps.
fn check_entries(
    path: &Path,
    pairs: Vec<(String, Value)>,
    data_start: u64,
    data_bytes: Option<u64>,
) -> Result<Vec<(String, Entry)>, ModelError> {
    let mut entries = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        if name != "__metadata__" {
            let (entry, range) = check_entry(path, &name, value, data_start, data_bytes)?;
            entries.push((range, name, entry));
        }
    }
    entries.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    let mut end_bytes = 0;
    for ((start, end), name, _) in &entries {
        if *start != end_bytes {
            let problem =
                format!("starts at byte {start} of the data, but the tensor before ends at {end_bytes}");
            return Err(ModelError::tensor(path, name, problem));
        }
        end_bytes = *end;
    }
    if let Some(data_bytes) = data_bytes.filter(|data_bytes| *data_bytes != end_bytes) {
        let problem =
            format!("the tensors end at byte {end_bytes} of the data, which has {data_bytes} bytes");
        return Err(ModelError::damaged(path, problem));
    }
    let mut names: Vec<&str> = entries.iter().map(|(_, name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ModelError::tensor(path, pair[0], "stands in the header twice"));
    }
    Ok(entries.into_iter().map(|(_, name, entry)| (name, entry)).collect())
}

fn check_entry(
    path: &Path,
    name: &str,
    value: Value,
    data_start: u64,
    data_bytes: Option<u64>,
) -> Result<(Entry, (u64, u64)), ModelError> {
    let fault = |problem: String| ModelError::tensor(path, name, problem);
    let found = excerpt(&value);
    let info: TensorInfo =
        serde_json::from_value(value).map_err(|error| fault(format!("header entry {found}: {error}")))?;
    if info.shape.len() > MAX_DIMENSIONS {
        return Err(fault(format!("{} dimensions; at most {MAX_DIMENSIONS} are read", info.shape.len())));
    }
    let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    if end < start {
        return Err(fault(format!("ends at byte {end} of the data, before its start at {start}")));
    }
    if let Some(data_bytes) = data_bytes.filter(|data_bytes| end > *data_bytes) {
        return Err(fault(format!(
            "ends at byte {end} of the data, which has {data_bytes} bytes: truncated"
        )));
    }
    let element_count = info.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let needed_bits = element_count.and_then(|count| (count as u64).checked_mul(info.dtype.bitsize() as u64));
    let (Some(element_count), Some(needed_bits)) = (element_count, needed_bits) else {
        return Err(fault(format!("shape {:?} has more elements than any file", info.shape)));
    };
    if needed_bits != (end - start).saturating_mul(8) {
        let problem = format!(
            "shape {:?} of {} needs {} bytes, but the header gives it {}",
            info.shape,
            info.dtype,
            needed_bits / 8,
            end - start
        );
        return Err(fault(problem));
    }
    let entry = Entry {
        data_type: data_type(info.dtype),
        shape: info.shape,
        element_count,
        start_bytes: data_start.saturating_add(start),
        size_bytes: end - start,
    };
    Ok((entry, (start, end)))
}

fn data_type(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F32 => DataType::F32,
        Dtype::F16 => DataType::F16,
        Dtype::BF16 => DataType::Bf16,
        other => DataType::Other(other.to_string()),
    }
}
