//! The rows that trained a version: where each stands, and the hash of what was learnt from it.

use std::fs;
use std::path::Path;

use rtune_data::{DataError, Example, Examples};
use rtune_trainer::checkpoint::State;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{FileError, sha256_of};
use rtune_trainer::rows::{TrainedRow, trained_rows};
use serde::{Deserialize, Serialize};

use crate::error::RegistryError;

/// A row that trained a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// The file it stood in, as the configuration named it.
    pub file: String,
    /// Its line there, from 1.
    pub line: u64,
    /// SHA-256 over its tokens and which of them are learnt.
    pub sha256: String,
    /// How many steps it was part of.
    pub steps: usize,
}

/// The rows of `rows` that trained the checkpoint of `state`.
///
/// # Errors
/// Those of reading rows.
pub fn rows_of(rows: &Examples, config: &Config, state: &State) -> Result<Vec<Row>, DataError> {
    let row = |trained: TrainedRow| {
        let sha256 = hash_of(rows.get(trained.place)?.as_ref());
        let TrainedRow { id, file, line, steps, .. } = trained;
        Ok(Row { id, file: file.display().to_string(), line, sha256, steps: steps.len() })
    };
    trained_rows(rows, config, state)?.into_iter().map(row).collect()
}

fn hash_of(row: &Example) -> String {
    let tokens = row.tokens.iter().flat_map(|token| token.to_le_bytes());
    let learnt = row.supervised.iter().map(|&learnt| u8::from(learnt));
    sha256_of(&tokens.chain(learnt).collect::<Vec<u8>>())
}

/// One JSON object a line.
pub(crate) fn to_lines(rows: &[Row]) -> Result<Vec<u8>, RegistryError> {
    let mut text = Vec::new();
    for row in rows {
        let failed = |error: serde_json::Error| TrainerError::Unreadable {
            file: row.file.clone().into(),
            problem: error.to_string(),
        };
        serde_json::to_writer(&mut text, row).map_err(failed)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Reads what [`to_lines`] gave.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, RegistryError> {
    let failed = |source| FileError { action: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let row = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let problem = format!("line {}: {error}", index + 1);
            TrainerError::Unreadable { file: path.to_owned(), problem }.into()
        })
    };
    text.lines().enumerate().map(row).collect()
}
