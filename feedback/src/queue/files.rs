//! Files of a queue: lists of them, and their lines.

use std::fs;
use std::path::{Path, PathBuf};

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::FileError;
use serde::Serialize;

use crate::error::FeedbackError;

/// The .jsonl files of a folder, by their names; none where there is no folder.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, FeedbackError> {
    let failed = |source| FileError { action: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "jsonl") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// One more than the highest number that a file's name begins with.
pub(super) fn next_number(folder: &Path) -> Result<u64, FeedbackError> {
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        name.split(['-', '.']).next()?.parse::<u64>().ok()
    };
    Ok(files(folder)?.iter().filter_map(number).max().unwrap_or(0) + 1)
}

pub(super) fn to_lines<T: Serialize>(path: &Path, all: &[T]) -> Result<Vec<u8>, FeedbackError> {
    let mut bytes = Vec::new();
    for one in all {
        let written = serde_json::to_writer(&mut bytes, one);
        let problem = |error: serde_json::Error| error.to_string();
        written
            .map_err(|error| TrainerError::Unreadable { file: path.to_owned(), problem: problem(error) })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

pub(super) fn lines<T: serde::de::DeserializeOwned>(
    path: &Path,
    text: &str,
    check: &dyn Fn(&T) -> Result<(), String>,
) -> Result<Vec<T>, FeedbackError> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let parsed = serde_json::from_str::<T>(line).map_err(|error| error.to_string());
            let checked = parsed.and_then(|one| check(&one).map(|()| one));
            checked.map_err(|problem| FeedbackError::Line { file: path.to_owned(), line: number, problem })
        })
        .collect()
}
