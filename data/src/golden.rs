//! Golden rows: what a model is examined on.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::input::{Source, read_sources};
use crate::record::Record;

/// A row of any training form, with what an evaluation adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenRow {
    /// The conversation; its last answer is the expected one.
    pub record: Record,
    /// The fields beside it, such as `references`, `labels` and `checks`.
    pub extra: Map<String, Value>,
}

/// The rows of a golden file.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its rows, in order.
    pub rows: Vec<GoldenRow>,
    /// BLAKE3 of its bytes, in hex.
    pub hash: String,
}

/// Reads the golden files of all sources with the readers, the checks and the messages of training files: no id names two different rows,
/// in one file or in two.
///
/// # Errors
/// Those of [`read_sources`].
pub fn read_golden(sources: &[Source]) -> Result<Vec<GoldenFile>, DataError> {
    let files = read_sources(sources)?;
    let golden = files.into_iter().map(|file| {
        let rows = file.rows.into_iter().zip(file.extra);
        let rows = rows.map(|(record, extra)| GoldenRow { record, extra }).collect();
        GoldenFile { path: file.path, rows, hash: file.hash }
    });
    Ok(golden.collect())
}
