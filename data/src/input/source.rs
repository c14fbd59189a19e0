//! What is read: files, folders, patterns of names, and what a source says of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::DataError;
use crate::input::mapping;
use crate::seal::Seal;

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object a line, or one JSON array of objects.
    Jsonl,
    /// One JSON array of objects, one object that holds the list of rows or tickets, or objects one after the other.
    Json,
    /// Values between commas, with a header.
    Csv,
    /// Values between tabs, with a header.
    Tsv,
    /// One text, trained whole.
    Text,
    /// Tickets of Zendesk with their comments, as JSON.
    Zendesk,
    /// Conversations of Intercom, as JSON.
    Intercom,
    /// A mailbox of the Unix kind.
    Mbox,
    /// Parquet, where this program was built with it.
    Parquet,
}

/// Every format by the name that a configuration has for it.
const NAMES: [(&str, Format); 9] = [
    ("jsonl", Format::Jsonl),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("text", Format::Text),
    ("zendesk", Format::Zendesk),
    ("intercom", Format::Intercom),
    ("mbox", Format::Mbox),
    ("parquet", Format::Parquet),
];

/// The ends of names that say a format.
const EXTENSIONS: [(&str, Format); 9] = [
    ("jsonl", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("json", Format::Json),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("txt", Format::Text),
    ("mbox", Format::Mbox),
    ("parquet", Format::Parquet),
    ("pq", Format::Parquet),
];

impl Format {
    /// The name that a configuration has for it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// The format that the name of a file says, whatever packs it.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        let extension = name.rsplit_once('.')?.1;
        EXTENSIONS.iter().find(|(end, _)| *end == extension).map(|(_, format)| *format)
    }

    pub(crate) fn known() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }

    /// Whether a folder that is read in this format, or in whatever format its files have, holds this file.
    fn takes(wanted: Option<Self>, path: &Path) -> bool {
        match (wanted, Self::of_name(path)) {
            // A note beside the data is no training text.
            (None, found) => found.is_some_and(|found| found != Self::Text),
            (Some(Self::Jsonl | Self::Json | Self::Zendesk | Self::Intercom), found) => {
                matches!(found, Some(Self::Jsonl | Self::Json))
            }
            (wanted, found) => wanted == found,
        }
    }
}

impl FromStr for Format {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format).ok_or_else(|| DataError::UnknownFormat { found: name.to_owned() })
    }
}

/// Where rows come from, and what is to be known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// A file, a folder (its data files in the order of their names) or a pattern such as `data/**/*.jsonl.gz`.
    pub path: PathBuf,
    /// The format; without one the name of each file says it, or else its first bytes.
    pub format: Option<Format>,
    /// Our field to theirs, where theirs has another name; dots lead into objects and lists (`turns.0.text`).
    pub fields: BTreeMap<String, String>,
    /// How often its rows count in an epoch: 2 is twice, 0.5 every other one. The reader leaves it to the pipeline.
    pub weight: f64,
    /// The part of its rows that is taken, chosen by their content, above 0 and up to 1: those of a smaller part are among those
    /// of a larger one. It comes before the weight.
    pub share: f64,
    /// The licence of the rows.
    pub licence: Option<String>,
    /// Whose mail or comments are answers: addresses, domains or ids.
    pub agents: Vec<String>,
}

impl Source {
    /// A source that is nothing but its path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: None,
            fields: BTreeMap::new(),
            weight: 1.0,
            share: 1.0,
            licence: None,
            agents: Vec::new(),
        }
    }

    /// Its files, in the order of reading.
    ///
    /// # Errors
    /// As [`expand`].
    pub fn files(&self) -> Result<Vec<PathBuf>, DataError> {
        files_of(&self.path, self.format)
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(DataError::Weight { path: self.path.clone(), weight: self.weight });
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(DataError::Share { path: self.path.clone(), share: self.share });
        }
        mapping::check(&self.fields)
    }
}

/// The files of `paths`: files as they are, of folders the data files in the order of their names, and what patterns
/// such as `data/**/*.jsonl.gz` stand for, in the order of the names too.
///
/// # Errors
/// [`DataError::Unreadable`] and [`DataError::EmptyFolder`] for a folder, [`DataError::Pattern`] and
/// [`DataError::NoMatch`] for a pattern.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path, None)?);
    }
    Ok(files)
}

fn files_of(path: &Path, format: Option<Format>) -> Result<Vec<PathBuf>, DataError> {
    if path.is_dir() {
        return inside(path, format);
    }
    let pattern = path.to_string_lossy();
    // A file whose name has brackets in it is still that file.
    if !pattern.contains(['*', '?', '[']) || path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let matches = glob::glob(&pattern)
        .map_err(|error| DataError::Pattern { pattern: pattern.to_string(), reason: error.msg.to_owned() })?;
    let mut files = Vec::new();
    for found in matches {
        let file = found
            .map_err(|error| DataError::Unreadable { path: error.path().to_owned(), source: error.into() })?;
        // The seal of a golden file has no rows.
        if !file.is_dir() && !Seal::is_one(&file) {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(DataError::NoMatch { pattern: pattern.into_owned() });
    }
    files.sort();
    Ok(files)
}

fn inside(folder: &Path, format: Option<Format>) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| DataError::Unreadable { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if Format::takes(format, &file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(DataError::EmptyFolder { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}
