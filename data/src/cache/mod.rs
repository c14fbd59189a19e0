//! Prepared rows kept between runs, so that the second run of the same rows does not prepare them again.
//!
//! A file is named by its [`key`]: a hash over everything that decides the rows. It also holds that key and a checksum,
//! and one that is cut short, altered or of another key is left alone and made again: nothing is taken on trust.

mod bytes;
mod key;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokenizers::Tokenizer;

use crate::error::DataError;
use crate::options::PrepareOptions;
use crate::prepare::{Prepared, prepare};
use crate::template::ChatTemplate;
use key::Key;

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

    /// [`prepare`], or the same rows and report from an earlier time.
    ///
    /// # Errors
    /// Those of [`prepare`]. A cache that cannot be read or written is no error, but a note.
    pub fn prepare(
        &self,
        options: &PrepareOptions,
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
    ) -> Result<(Prepared, CacheUse), DataError> {
        let mut used = CacheUse { key: String::new(), hit: false, notes: Vec::new() };
        let Some(key) = Key::of(options, template, tokenizer) else {
            // What cannot be read has its own message there.
            return Ok((prepare(options, template, tokenizer)?, used));
        };
        used.key = key.name();
        let path = self.folder.join(format!("{}.{EXTENSION}", key.name()));
        match read(&path, &key) {
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
        let prepared = prepare(options, template, tokenizer)?;
        // A file that changed between the two readings would stand under the key of its old bytes.
        let unchanged = prepared.files == key.files;
        if unchanged && let Err(error) = self.keep(&path, &bytes::encode(&prepared, &key)) {
            used.notes.push(format!("the preparation cache `{}` cannot be written: {error}", path.display()));
        }
        Ok((prepared, used))
    }

    /// Writes beside, syncs, renames; then the oldest go.
    fn keep(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = self.folder.join(format!(".{name}.{}.partial", std::process::id()));
        let file = File::create(&beside)?;
        // The lock tells the one who is pruning that somebody is at work here.
        let written = file.lock().and_then(|()| (&file).write_all(bytes)).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
            // The part that was written is of no use; the error of writing it is the one to tell.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        File::open(&self.folder)?.sync_all()?;
        self.prune()
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

/// A file that is not there needs no removing.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The rows of a file; `None` without a file, and what is wrong with one that is no good.
fn read(path: &Path, key: &Key) -> Result<Option<Prepared>, String> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(bytes) => bytes::decode(&bytes, key).map(Some),
    }
}
