//! A reader that knows how much of the file is left, so that no length in the file is believed.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::ModelError;

/// Reads little-endian values from the beginning of a file.
pub(super) struct Cursor {
    path: PathBuf,
    reader: BufReader<File>,
    at_bytes: u64,
    file_bytes: u64,
}

impl Cursor {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let file_bytes = file.metadata().map_err(ModelError::io(path))?.len();
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), at_bytes: 0, file_bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.at_bytes
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> u64 {
        self.file_bytes - self.at_bytes
    }

    pub(super) fn damaged(&self, problem: impl Into<String>) -> ModelError {
        ModelError::damaged(&self.path, problem)
    }

    /// Fails unless `count` things of at least `each_bytes` can still follow.
    pub(super) fn expect(&self, count: u64, each_bytes: u64, what: &str) -> Result<(), ModelError> {
        if count.checked_mul(each_bytes).is_some_and(|needed| needed <= self.remaining()) {
            return Ok(());
        }
        Err(self.damaged(format!(
            "{what} should have {count} entries of {each_bytes} bytes or more, but {} bytes are left of {}: truncated, \
             or the header is wrong",
            self.remaining(),
            self.file_bytes
        )))
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelError> {
        self.expect(1, N as u64, what)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(ModelError::io(&self.path))?;
        self.at_bytes += N as u64;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self, what: &str) -> Result<u8, ModelError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &str) -> Result<u16, ModelError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, ModelError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, ModelError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A string with its length in front.
    pub(super) fn string(&mut self, what: &str) -> Result<Vec<u8>, ModelError> {
        let length = self.u64(what)?;
        self.expect(length, 1, what)?;
        let mut bytes = Vec::new();
        let read =
            self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(ModelError::io(&self.path))?;
        if read as u64 != length {
            return Err(self.damaged(format!("{what}: the file has become shorter since it was opened")));
        }
        self.at_bytes += length;
        Ok(bytes)
    }
}
