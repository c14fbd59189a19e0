//! Our JSON files: written whole, read with their `format` first.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::FORMAT;
use crate::error::TrainerError;
use crate::files::{self, At};

/// Writes `value` as JSON that a person can read, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainerError> {
    Ok(files::write_whole(path, &to_json(path, value)?)?)
}

/// What a JSON file of ours holds, for a person to read, with a line break at its end; `path` is where it is to be written.
///
/// # Errors
/// [`TrainerError::Unreadable`] for what is no JSON, such as a map whose keys are no texts.
pub fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, TrainerError> {
    let unreadable = |error: serde_json::Error| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: error.to_string(),
    };
    let mut text = serde_json::to_vec_pretty(value).map_err(unreadable)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads one of our JSON files, refusing another `format` before anything else is looked at.
///
/// # Errors
/// [`TrainerError::File`] for a file that cannot be read, [`TrainerError::Unreadable`] for another format or content.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let value = read_value(path)?;
    match value.get("format") {
        Some(format) if *format == FORMAT => {}
        found => {
            let found = found.map_or("none".to_owned(), ToString::to_string);
            return Err(unreadable(format!("expected `format` {FORMAT}, found {found}")));
        }
    }
    serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))
}

/// Reads any JSON file.
pub(crate) fn read_value(path: &Path) -> Result<serde_json::Value, TrainerError> {
    let bytes = fs::read(path).at("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: format!("not valid JSON: {error}"),
    })
}
