//! Golden rows: what a model is examined on.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::input::read_file;
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
    /// Its rows, in order.
    pub rows: Vec<GoldenRow>,
    /// BLAKE3 of its bytes, in hex.
    pub hash: String,
}

/// Reads a golden file with the parser, the checks and the messages of training files.
pub fn read_golden(path: &Path) -> Result<GoldenFile, DataError> {
    let file = read_file(path)?;
    let rows =
        file.rows.into_iter().zip(file.extra).map(|(record, extra)| GoldenRow { record, extra }).collect();
    Ok(GoldenFile { rows, hash: file.hash })
}
