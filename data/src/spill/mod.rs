//! Rows that wait on disk while millions of them are compared: what is held in memory has a bound that does not grow
//! with them.
//!
//! Every file is a temporary one without a name, so that nothing is left behind by a program that is killed; sets that
//! fit their buffers touch no disk at all.

mod bits;
mod columns;
mod file;
mod filter;
mod fixed;
mod sorter;
mod texts;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use bits::Bits;
pub(crate) use columns::Columns;
pub(crate) use file::ScratchFile;
pub(crate) use filter::Filter;
pub(crate) use fixed::Fixed;
pub(crate) use sorter::{Sorted, Sorter};
pub(crate) use texts::Texts;

/// Memory that is enough for a million rows without many passes, and little beside a model.
const DEFAULT_MEMORY_BYTES: usize = 256 << 20;

/// Where temporary files lie, and how many bytes the buffers of one comparison may take together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// An existing folder with room for a few times the texts.
    pub folder: PathBuf,
    /// The bytes that buffers and sorts may hold; what is more goes to disk.
    pub memory_bytes: usize,
}

impl Scratch {
    /// The folder, with the default of 256 MiB for buffers.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), memory_bytes: DEFAULT_MEMORY_BYTES }
    }

    /// A part of the memory, in the same folder.
    pub(crate) fn part(&self, one_of: usize) -> Self {
        Self { folder: self.folder.clone(), memory_bytes: self.memory_bytes / one_of }
    }
}

/// A temporary file that could not be made, written or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action} a temporary file here", folder.display())]
pub struct SpillError {
    /// The folder of the file.
    pub folder: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl SpillError {
    pub(crate) fn new(folder: &Path, action: &'static str, source: io::Error) -> Self {
        Self { folder: folder.to_owned(), action, source }
    }
}
