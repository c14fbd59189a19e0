//! Prepared rows kept between runs, so that the second run of the same rows does not prepare them again.
//!
//! A file is named by its [`key`]: a hash over everything that decides the rows. It also holds that key and a checksum,
//! and one that is cut short, altered or of another key is left alone and made again: nothing is taken on trust.

mod bytes;
mod key;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::DataError;
use crate::options::PrepareOptions;
use crate::prepare::{Accounts, Outline, Prepared, Tools, prepare_rows};
use crate::spill::SpillError;

pub(crate) use bytes::{FromRows, RowsFile, Writer, decode_row};
pub(crate) use key::Key;

pub use key::PREPARATION_FORMAT;

/// Files that are kept, the newest: as many as the variants of data that somebody goes back and forth between.
pub const MOST_FILES: usize = 16;

const EXTENSION: &str = "prepared";

/// A folder of prepared rows.
#[derive(Clone, Debug)]
pub struct PreparationCache {
    folder: PathBuf,
}

/// What the cache had to do with a preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUse {
    /// The hash of everything that decides the rows, in hex; empty where a file could not be read.
    pub key: String,
    /// Whether the rows were read from the cache.
    pub hit: bool,
    /// What went wrong with the cache; the rows are right all the same.
    pub notes: Vec<String>,
}

impl PreparationCache {
    /// A cache in `folder`, which is made with the first file.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// [`prepare`](crate::prepare), or the same rows and report from an earlier time. With `accounts` the rows are always
    /// prepared, for what became of each is not kept.
    ///
    /// # Errors
    /// Those of [`prepare_with_accounts`](crate::prepare_with_accounts). A cache that cannot be read or written is no error, but a note.
    pub fn prepare(
        &self,
        options: &PrepareOptions,
        tools: &Tools<'_>,
        accounts: Option<&mut dyn Accounts>,
    ) -> Result<(Prepared, CacheUse), DataError> {
        self.of_rows(options, tools, accounts)
    }

    /// The same without the examples, which then stand on disk only.
    ///
    /// # Errors
    /// Those of [`Self::prepare`].
    pub fn outline(
        &self,
        options: &PrepareOptions,
        tools: &Tools<'_>,
        accounts: Option<&mut dyn Accounts>,
    ) -> Result<(Outline, CacheUse), DataError> {
        self.of_rows(options, tools, accounts)
    }

    fn of_rows<T: FromRows>(
        &self,
        options: &PrepareOptions,
        tools: &Tools<'_>,
        accounts: Option<&mut dyn Accounts>,
    ) -> Result<(T, CacheUse), DataError> {
        let mut used = CacheUse { key: String::new(), hit: false, notes: Vec::new() };
        let key = Key::of(options, tools)?;
        used.key = key.name();
        let path = self.folder.join(format!("{}.{EXTENSION}", key.name()));
        if accounts.is_none() {
            match read(&path, &key, tools.in_memory_bytes) {
                Ok(Some(prepared)) => {
                    used.hit = true;
                    return Ok((prepared, used));
                }
                Ok(None) => {}
                Err(problem) => used.notes.push(format!(
                    "the preparation cache `{}` is not used: {problem}; the rows are prepared anew",
                    path.display()
                )),
            }
        }
        let (mut rows, report) = prepare_rows(&key, options, tools, accounts)?;
        // A file that changed between the two readings would stand under the key of its old bytes.
        if report.files_read() == key.files {
            // Before they are read again: what took hours is kept whatever comes.
            match self.keep(&path, &mut rows) {
                Ok(kept) => rows = kept,
                Err(error) => used
                    .notes
                    .push(format!("the preparation cache `{}` cannot be written: {error}", path.display())),
            }
        }
        let prepared = T::read(rows, &key, tools.in_memory_bytes).map_err(|problem| {
            DataError::from(SpillError::new(&self.folder, "read", io::Error::other(problem)))
        })?;
        Ok((prepared, used))
    }

    /// Copies prepared rows beside their place, syncs, renames; then the oldest go. Gives the file in its place.
    fn keep(&self, path: &Path, rows: &mut RowsFile) -> io::Result<RowsFile> {
        let beside = self.begin(path)?;
        rows.copy_to(&beside.file)?;
        let kept = beside.file.try_clone()?;
        beside.put_in_place(path)?;
        self.prune()?;
        Ok(RowsFile::open(kept, path))
    }

    /// Begins a file beside its place.
    fn begin(&self, path: &Path) -> io::Result<Beside> {
        fs::create_dir_all(&self.folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = self.folder.join(format!(".{name}.{}.partial", std::process::id()));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&beside)?;
        // The lock tells the one who is pruning that somebody is at work here.
        file.lock()?;
        Ok(Beside { path: beside, file, done: false })
    }

    /// Removes all but the newest [`MOST_FILES`], and what was begun by a process that is no more.
    fn prune(&self) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".partial") {
                if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                    gone(fs::remove_file(&path))?;
                }
            } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
                // Another process may have removed it by now.
                let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
                kept.extend(written.ok().map(|written| (written, path)));
            }
        }
        kept.sort();
        let old = kept.len().saturating_sub(MOST_FILES);
        kept[..old].iter().try_for_each(|(_, path)| gone(fs::remove_file(path)))
    }
}

/// A file that is being written beside its place; gone with this, unless it was put there.
struct Beside {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Beside {
    fn put_in_place(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.done = true;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.done {
            // The part that was written is of no use; the error of writing it is the one to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that is not there needs no removing.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The rows of a file; `None` without a file, and what is wrong with one that is no good.
fn read<T: FromRows>(path: &Path, key: &Key, in_memory_bytes: usize) -> Result<Option<T>, String> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(file) => T::read(RowsFile::open(file, path), key, in_memory_bytes).map(Some),
    }
}
