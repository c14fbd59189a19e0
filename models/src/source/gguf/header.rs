//! The header of a GGUF file, walked with every length checked against the file.
//!
//! candle's own reader is not used for it: it divides by `general.alignment` unseen, lets offsets overflow,
//! keeps the last of two tensors with one name and replaces invalid UTF-8 in tokens. The tensors' bytes are read
//! and dequantised by candle.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::path::Path;

use super::cursor::Cursor;
use super::metadata::{MAX_ELEMENTS, Metadata, Value, read_value};
use super::types::ElementType;
use crate::ModelError;

/// Where data starts is a multiple of this, unless `general.alignment` says otherwise, in bytes.
const DEFAULT_ALIGNMENT_BYTES: u64 = 32;
/// Largest alignment: a large page. Everyone writes 32.
const MAX_ALIGNMENT_BYTES: u64 = 1 << 21;
/// Most dimensions (`GGML_MAX_DIMS`).
const MAX_DIMENSIONS: u32 = 4;
/// Shortest metadata entry in bytes: the length of a key, a type, one byte.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 1;
/// Shortest tensor entry in bytes: the length of a name, dimensions, a type, an offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// Where a tensor stands in the file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) element_type: ElementType,
    /// Row-major, outermost first; the file has them the other way round.
    pub(super) shape: Vec<usize>,
    pub(super) element_count: usize,
    /// From the beginning of the file.
    pub(super) start_bytes: u64,
    pub(super) size_bytes: u64,
}

impl Entry {
    /// The entries of the `count` matrices that stand behind one another in this tensor.
    pub(super) fn split(&self, path: &Path, name: &str, count: usize) -> Result<Vec<Self>, ModelError> {
        if self.shape.first() != Some(&count) || self.shape.len() < 2 || count == 0 {
            let problem =
                format!("expected {count} matrices, one an expert, found the shape {:?}", self.shape);
            return Err(ModelError::tensor(path, name, problem));
        }
        // Rows are whole blocks, so that a matrix begins at a byte.
        let size_bytes = self.size_bytes / count as u64;
        let part = |number: usize| Self {
            shape: self.shape[1..].to_vec(),
            element_count: self.element_count / count,
            start_bytes: self.start_bytes + number as u64 * size_bytes,
            size_bytes,
            ..*self
        };
        Ok((0..count).map(part).collect())
    }
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Entry>,
}

/// Reads and checks the header of `path`.
pub(super) fn read(path: &Path) -> Result<Header, ModelError> {
    let mut cursor = Cursor::open(path)?;
    check_magic(&mut cursor)?;
    let tensor_count = cursor.u64("the number of tensors")?;
    let entry_count = cursor.u64("the number of metadata entries")?;
    let metadata = read_metadata(&mut cursor, entry_count)?;
    cursor.expect(tensor_count, MIN_TENSOR_BYTES, "the list of tensors")?;
    let mut raw = Vec::new();
    for _ in 0..tensor_count {
        raw.push(read_tensor(&mut cursor)?);
    }
    let alignment = alignment(&cursor, &metadata)?;
    let data_start = cursor.position().next_multiple_of(alignment);
    let tensors = place(&cursor, raw, data_start, alignment)?;
    Ok(Header { metadata, tensors })
}

fn check_magic(cursor: &mut Cursor) -> Result<(), ModelError> {
    let magic = cursor.u32("the file's signature")?.to_le_bytes();
    if &magic != b"GGUF" {
        return Err(cursor.damaged(format!("starts with {magic:02x?}, so it is no GGUF file")));
    }
    let version = cursor.u32("the version")?;
    if matches!(version, 2 | 3) {
        return Ok(());
    }
    let found = match version.swap_bytes() {
        2 | 3 => "big-endian".to_owned(),
        _ => version.to_string(),
    };
    Err(ModelError::Unsupported {
        path: cursor.path().to_owned(),
        key: "version".to_owned(),
        found,
        supported: "little-endian GGUF 2, 3".to_owned(),
    })
}

fn read_metadata(cursor: &mut Cursor, count: u64) -> Result<Metadata, ModelError> {
    cursor.expect(count, MIN_ENTRY_BYTES, "the metadata")?;
    let (mut values, mut left) = (BTreeMap::new(), MAX_ELEMENTS);
    for number in 0..count {
        let key = text(cursor, &format!("the key of metadata entry {number}"))?;
        let value = read_value(cursor, &key, &mut left)?;
        if values.insert(key.clone(), value).is_some() {
            return Err(cursor.damaged(format!("the metadata has `{key}` twice")));
        }
    }
    Ok(Metadata::new(cursor.path(), values))
}

fn text(cursor: &mut Cursor, what: &str) -> Result<String, ModelError> {
    let bytes = cursor.string(what)?;
    String::from_utf8(bytes).map_err(|_| cursor.damaged(format!("{what} is not valid UTF-8")))
}

/// What the file says about a tensor: name, dimensions (innermost first), type, offset in the data.
struct RawTensor {
    name: String,
    dimensions: Vec<u64>,
    type_number: u32,
    offset_bytes: u64,
}

fn read_tensor(cursor: &mut Cursor) -> Result<RawTensor, ModelError> {
    let name = text(cursor, "the name of a tensor")?;
    let what = format!("the entry of tensor `{name}`");
    let dimension_count = cursor.u32(&what)?;
    if dimension_count > MAX_DIMENSIONS {
        let problem = format!("{dimension_count} dimensions; at most {MAX_DIMENSIONS} are read");
        return Err(ModelError::tensor(cursor.path(), &name, problem));
    }
    let dimensions = (0..dimension_count).map(|_| cursor.u64(&what)).collect::<Result<_, _>>()?;
    Ok(RawTensor { dimensions, type_number: cursor.u32(&what)?, offset_bytes: cursor.u64(&what)?, name })
}

fn alignment(cursor: &Cursor, metadata: &Metadata) -> Result<u64, ModelError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT_BYTES),
        Some(Value::Integer(number)) => u64::try_from(*number)
            .ok()
            .filter(|number| number.is_power_of_two() && (8..=MAX_ALIGNMENT_BYTES).contains(number))
            .ok_or_else(|| cursor.damaged(format!("`general.alignment` is {number}, which no writer uses"))),
        Some(_) => Err(cursor.damaged("`general.alignment` is not a whole number")),
    }
}

/// Checks types, sizes and places of all tensors: aligned, within the file, not overlapping.
fn place(
    cursor: &Cursor,
    raw: Vec<RawTensor>,
    data_start: u64,
    alignment: u64,
) -> Result<BTreeMap<String, Entry>, ModelError> {
    let mut tensors = BTreeMap::new();
    for tensor in raw {
        let name = tensor.name.clone();
        let entry = place_one(cursor, tensor, data_start, alignment)?;
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(ModelError::tensor(cursor.path(), &name, "stands in the header twice"));
        }
    }
    let mut order: Vec<(&String, &Entry)> = tensors.iter().collect();
    order.sort_by_key(|(_, entry)| (entry.start_bytes, entry.size_bytes));
    for pair in order.windows(2) {
        let ((first, one), (second, other)) = (pair[0], pair[1]);
        if one.start_bytes + one.size_bytes > other.start_bytes {
            let problem = format!("starts at byte {}, inside tensor `{first}`", other.start_bytes);
            return Err(ModelError::tensor(cursor.path(), second, problem));
        }
    }
    Ok(tensors)
}

fn place_one(cursor: &Cursor, raw: RawTensor, data_start: u64, alignment: u64) -> Result<Entry, ModelError> {
    let fault = |problem: String| ModelError::tensor(cursor.path(), &raw.name, problem);
    let element_type =
        ElementType::from_number(raw.type_number).map_err(|found| ModelError::Unsupported {
            path: cursor.path().to_owned(),
            key: raw.name.clone(),
            found,
            supported: ElementType::supported(),
        })?;
    if raw.dimensions.contains(&0) {
        return Err(fault(format!(
            "dimensions {:?}, of which one is 0: expected numbers above it",
            raw.dimensions
        )));
    }
    let count = raw.dimensions.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    let row_length = raw.dimensions.first().copied().unwrap_or(1);
    if !row_length.is_multiple_of(element_type.block_elements()) {
        let block = element_type.block_elements();
        return Err(fault(format!(
            "rows of {row_length} elements, which {} packs by {block}",
            element_type.name()
        )));
    }
    let size_bytes = count
        .map(|count| count / element_type.block_elements())
        .and_then(|blocks| blocks.checked_mul(element_type.block_bytes()));
    let end = size_bytes
        .and_then(|size| size.checked_add(raw.offset_bytes))
        .and_then(|end| end.checked_add(data_start))
        .filter(|end| *end <= cursor.file_bytes());
    let (Some(count), Some(size_bytes), Some(_)) = (count, size_bytes, end) else {
        return Err(fault(format!(
            "dimensions {:?} of {} at offset {} of the data end after the file, which has {} bytes: truncated, or the \
             header is wrong",
            raw.dimensions,
            element_type.name(),
            raw.offset_bytes,
            cursor.file_bytes()
        )));
    };
    if !raw.offset_bytes.is_multiple_of(alignment) {
        return Err(fault(format!(
            "offset {} is no multiple of the alignment {alignment}",
            raw.offset_bytes
        )));
    }
    // A dimension fits `usize`: the product of all is at most 256 (one block) times the bytes of the file.
    let to_size = |size: u64| usize::try_from(size).map_err(|_| fault(format!("a dimension of {size}")));
    let shape = raw.dimensions.iter().rev().map(|size| to_size(*size)).collect::<Result<_, _>>()?;
    let start_bytes = data_start + raw.offset_bytes;
    Ok(Entry { element_type, shape, element_count: to_size(count)?, start_bytes, size_bytes })
}
