//! Files of terms.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::clean::CleanError;

/// A larger file is no list that a person keeps.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A term and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) term: String,
    pub(super) preferred: String,
    /// The line of the file, counted from 1.
    pub(super) line: usize,
}

/// The entries of a CSV or TSV file of two columns, with or without the header `term`, `preferred`; of a TOML file of
/// `"term" = "preferred"`, at the top or under `[terms]`; or of JSONL rows with `term` and `preferred`.
///
/// # Errors
/// The file cannot be read, or a line is none of these.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, CleanError> {
    let bytes = fs::metadata(path).map_err(|source| unreadable(path, source))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(CleanError::TooLarge { path: path.to_owned(), bytes, most: MAX_FILE_BYTES });
    }
    let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    let text = text.trim_start_matches('\u{FEFF}');
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let entries = match extension.to_ascii_lowercase().as_str() {
        "csv" => columns(path, text, b',')?,
        "tsv" => columns(path, text, b'\t')?,
        "toml" => table(path, text)?,
        "jsonl" => rows(path, text)?,
        _ => {
            return Err(CleanError::UnknownFormat {
                path: path.to_owned(),
                expected: ".csv, .tsv, .toml or .jsonl",
            });
        }
    };
    entries.into_iter().map(|entry| checked(path, entry)).collect()
}

fn unreadable(path: &Path, source: std::io::Error) -> CleanError {
    CleanError::Unreadable { path: path.to_owned(), source }
}

fn wrong(path: &Path, line: usize, expected: &'static str, found: impl ToString) -> CleanError {
    CleanError::Line { path: path.to_owned(), line, expected, found: found.to_string() }
}

fn checked(path: &Path, entry: Entry) -> Result<Entry, CleanError> {
    let Entry { term, preferred, line } = entry;
    let (term, preferred) = (term.trim().to_owned(), preferred.trim().to_owned());
    match (term.is_empty(), preferred.is_empty()) {
        (true, _) => Err(wrong(path, line, "a term", "nothing")),
        (_, true) => Err(wrong(path, line, "a preferred form", "nothing")),
        _ => Ok(Entry { term, preferred, line }),
    }
}

fn columns(path: &Path, text: &str, delimiter: u8) -> Result<Vec<Entry>, CleanError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            wrong(path, line as usize, "two columns", &error)
        })?;
        let line = record.position().map_or(0, csv::Position::line) as usize;
        let [term, preferred] = [record.get(0), record.get(1)];
        let (Some(term), Some(preferred), 2) = (term, preferred, record.len()) else {
            return Err(wrong(path, line, "two columns", format!("{} columns", record.len())));
        };
        let header = entries.is_empty() && term.trim() == "term" && preferred.trim() == "preferred";
        if !header || line > 1 {
            entries.push(Entry { term: term.to_owned(), preferred: preferred.to_owned(), line });
        }
    }
    Ok(entries)
}

fn table(path: &Path, text: &str) -> Result<Vec<Entry>, CleanError> {
    let line_of = |index: usize| text[..text.floor_char_boundary(index)].matches('\n').count() + 1;
    let document = toml::de::DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        wrong(path, line, "TOML", error.message())
    })?;
    let mut entries = Vec::new();
    for (key, value) in document.get_ref() {
        let line = line_of(key.span().start);
        match value.get_ref() {
            toml::de::DeValue::String(preferred) => {
                entries.push(Entry {
                    term: key.get_ref().to_string(),
                    preferred: preferred.to_string(),
                    line,
                });
            }
            toml::de::DeValue::Table(terms) if key.get_ref() == "terms" => {
                for (key, value) in terms {
                    let line = line_of(key.span().start);
                    let preferred = value.get_ref().as_str();
                    let found = value.get_ref().type_str();
                    let preferred =
                        preferred.ok_or_else(|| wrong(path, line, "a preferred form in quotes", found))?;
                    entries.push(Entry {
                        term: key.get_ref().to_string(),
                        preferred: preferred.to_owned(),
                        line,
                    });
                }
            }
            other => return Err(wrong(path, line, "a preferred form in quotes", other.type_str())),
        }
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    term: String,
    preferred: String,
}

fn rows(path: &Path, text: &str) -> Result<Vec<Entry>, CleanError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entry = |(index, line): (usize, &str)| {
        let row: Row = serde_json::from_str(line)
            .map_err(|error| wrong(path, index + 1, "{\"term\": \"...\", \"preferred\": \"...\"}", error))?;
        Ok(Entry { term: row.term, preferred: row.preferred, line: index + 1 })
    };
    lines.map(entry).collect()
}
