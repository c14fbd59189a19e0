//! Whole files in memory, for those that need no more.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Reader, Source};
use crate::error::{DataError, ProblemList};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Origin, Record};

/// The rows of one file.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// BLAKE3 of its bytes, in hex.
    pub hash: String,
    /// Its rows, in order.
    pub rows: Vec<Record>,
    /// The fields beside those of the row's form, row by row: `references`, `labels`, notes.
    pub extra: Vec<Map<String, Value>>,
    /// How many rows have each field that training does not read.
    pub unread_fields: BTreeMap<String, usize>,
}

/// Reads the files that [`expand`](super::expand) finds, of any format.
///
/// Problems of rows are collected over all files. No id may name two different rows, in one file or in two.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<DataFile>, DataError> {
    let sources: Vec<Source> = paths.iter().map(Source::new).collect();
    read_sources(&sources)
}

/// Reads one file; see [`read_files`].
pub fn read_file(path: &Path) -> Result<DataFile, DataError> {
    let source = Source::new(path);
    if path.is_dir() {
        return Err(DataError::NotAFile { path: path.to_owned(), found: "a folder" });
    }
    let file = read_sources(&[source])?.into_iter().next();
    file.ok_or_else(|| DataError::Empty { path: path.to_owned() })
}

/// Where each explicit id was seen first, and the row's content.
type Ids = HashMap<String, (Origin, [u8; 16])>;

/// Reads all files of `sources`; see [`read_files`].
pub fn read_sources(sources: &[Source]) -> Result<Vec<DataFile>, DataError> {
    let mut problems = ProblemList::default();
    let mut ids = Ids::new();
    let mut files = Vec::new();
    let mut reader = Reader::open(sources)?;
    let (mut rows, mut extra) = (Vec::new(), Vec::new());
    loop {
        let next = reader.next()?;
        // The files before this row have ended.
        for ended in &reader.files()[files.len()..] {
            files.push(DataFile {
                path: ended.path.clone(),
                hash: ended.hash.clone(),
                rows: std::mem::take(&mut rows),
                extra: std::mem::take(&mut extra),
                unread_fields: ended.unread_fields.clone(),
            });
        }
        let Some(row) = next else { break };
        match row.record {
            Ok((record, beside)) => match refuse_twice(&mut ids, &record, row.own_id) {
                Ok(()) => {
                    rows.push(record);
                    extra.push(beside);
                }
                Err(kind) => problems.push(RowProblem { origin: record.origin, kind }),
            },
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(files)
}

fn refuse_twice(ids: &mut Ids, record: &Record, own_id: bool) -> Result<(), ProblemKind> {
    if !own_id {
        return Ok(());
    }
    let hash = record.content_hash();
    let first = ids.entry(record.id.clone()).or_insert_with(|| (record.origin.clone(), hash));
    match first.1 == hash {
        true => Ok(()),
        false => Err(ProblemKind::DuplicateId { id: record.id.clone(), first: first.0.clone() }),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
