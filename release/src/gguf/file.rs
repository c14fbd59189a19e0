//! The file: header, metadata, places of tensors, tensors; written beside, synced, renamed.

use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::quantized::GgmlDType;
use rtune_models::GgufValue;
use sha2::{Digest, Sha256};

use crate::error::{At, ReleaseError};
use crate::folder::NewFile;

/// `GGUF_DEFAULT_ALIGNMENT`: where tensors begin, in bytes.
const ALIGNMENT_BYTES: u64 = 32;
const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
/// What the name ends with until the file is finished: it is opened again before.
const PARTIAL_SUFFIX: &str = ".partial.gguf";
/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A tensor of a file.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// Row-major, outermost first.
    pub(super) shape: &'a [usize],
    pub(super) element: GgmlDType,
}

/// A file in the making; it goes when it is dropped before [`Self::finish`].
pub(super) struct File {
    writer: BufWriter<NewFile>,
    digest: Sha256,
    written_bytes: u64,
}

impl File {
    /// Writes what stands before the tensors: `metadata`, the architecture first, and where the tensors are.
    pub(super) fn begin(
        out: &Path,
        metadata: &[(String, GgufValue)],
        tensors: &[Entry<'_>],
    ) -> Result<Self, ReleaseError> {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, NewFile::begin(out, PARTIAL_SUFFIX)?);
        let mut file = Self { writer, digest: Sha256::new(), written_bytes: 0 };
        file.put(&header(metadata, tensors))?;
        file.align()?;
        Ok(file)
    }

    /// Where the file is until it is finished, with all that was written.
    pub(super) fn path(&mut self) -> Result<&Path, ReleaseError> {
        self.writer.flush().at("write", self.writer.get_ref().out())?;
        Ok(self.writer.get_ref().path())
    }

    /// Writes on in a tensor.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ReleaseError> {
        let written = self.writer.write_all(bytes);
        written.at("write", self.writer.get_ref().out())?;
        self.digest.update(bytes);
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Ends a tensor: the next begins at a multiple of the alignment.
    pub(super) fn align(&mut self) -> Result<(), ReleaseError> {
        let missing = self.written_bytes.next_multiple_of(ALIGNMENT_BYTES) - self.written_bytes;
        self.put(&[0; ALIGNMENT_BYTES as usize][..missing as usize])
    }

    /// Puts the file in its place; gives its size and SHA-256.
    pub(super) fn finish(self) -> Result<(u64, String), ReleaseError> {
        let out = self.writer.get_ref().out().to_owned();
        let file = self.writer.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", &out)?;
        file.finish()?;
        Ok((self.written_bytes, crate::checkpoint::hex(&self.digest.finalize())))
    }
}

fn header(metadata: &[(String, GgufValue)], tensors: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut bytes, key);
        bytes.extend(type_of(value).to_le_bytes());
        write(&mut bytes, value);
    }
    let mut offset = 0;
    for Entry { name, shape, element } in tensors {
        text(&mut bytes, name);
        bytes.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|length| bytes.extend((*length as u64).to_le_bytes()));
        bytes.extend(number(*element).to_le_bytes());
        bytes.extend(u64::to_le_bytes(offset));
        let elements: usize = shape.iter().product();
        let size = elements / element.block_size() * element.type_size();
        offset += (size as u64).next_multiple_of(ALIGNMENT_BYTES);
    }
    bytes
}

/// `enum gguf_type` of gguf.h.
fn type_of(value: &GgufValue) -> u32 {
    match value {
        GgufValue::Size(_) => 4,
        GgufValue::Number(_) => 6,
        GgufValue::Switch(_) => 7,
        GgufValue::Text(_) => 8,
        GgufValue::Texts(_) | GgufValue::Integers(_) | GgufValue::Numbers(_) | GgufValue::Switches(_) => 9,
    }
}

fn write(bytes: &mut Vec<u8>, value: &GgufValue) {
    let mut array = |kind: u32, count: usize| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((count as u64).to_le_bytes());
    };
    match value {
        GgufValue::Size(number) => bytes.extend(number.to_le_bytes()),
        GgufValue::Number(number) => bytes.extend(number.to_le_bytes()),
        GgufValue::Switch(on) => bytes.push(u8::from(*on)),
        GgufValue::Text(content) => text(bytes, content),
        GgufValue::Texts(contents) => {
            array(8, contents.len());
            contents.iter().for_each(|content| text(bytes, content));
        }
        GgufValue::Integers(numbers) => {
            array(5, numbers.len());
            numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        GgufValue::Numbers(numbers) => {
            array(6, numbers.len());
            numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        GgufValue::Switches(switches) => {
            array(7, switches.len());
            bytes.extend(switches.iter().map(|on| u8::from(*on)));
        }
    }
}

fn text(bytes: &mut Vec<u8>, content: &str) {
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend(content.as_bytes());
}

/// `enum ggml_type` of ggml.h, of the types that [`GgufType::of`] gives.
fn number(element: GgmlDType) -> u32 {
    match element {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}
