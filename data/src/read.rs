//! JSONL files, read line by line.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{DataError, ProblemList};
use crate::parse::{ParsedRow, parse_row};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Origin, Record, hex};

/// The longest line that is read, in bytes: 64 MiB are ten million tokens, more than any model's context, and a whole
/// file on one line is refused before it fills the memory.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// The mark some editors put at the beginning of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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

/// Reads files, and folders of `*.jsonl` in the order of their names.
///
/// Problems of rows are collected over all files. No id may name two different rows, in one file or in two.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<DataFile>, DataError> {
    let mut problems = ProblemList::default();
    let mut ids = HashMap::new();
    let mut files = Vec::new();
    for path in expand(paths)? {
        files.push(read_into(&path, &mut ids, &mut problems)?);
    }
    problems.into_result(files)
}

/// Reads one file; see [`read_files`].
pub fn read_file(path: &Path) -> Result<DataFile, DataError> {
    let mut problems = ProblemList::default();
    let file = read_into(path, &mut HashMap::new(), &mut problems)?;
    problems.into_result(file)
}

/// The files of `paths`, and of folders their `*.jsonl` in the order of their names.
///
/// # Errors
/// [`DataError::Unreadable`] and [`DataError::EmptyFolder`] for a folder.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |source| DataError::Unreadable { path: path.clone(), source };
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "jsonl") && file.is_file() {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(DataError::EmptyFolder { path: path.clone() });
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Where each explicit id was seen first, and the row's content.
type Ids = HashMap<String, (Origin, [u8; 16])>;

fn read_into(path: &Path, ids: &mut Ids, problems: &mut ProblemList) -> Result<DataFile, DataError> {
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing { path: path.to_owned() },
        _ => DataError::Unreadable { path: path.to_owned(), source },
    };
    let shared: Arc<Path> = path.into();
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, File::open(path).map_err(fail)?));
    let mut file = DataFile {
        path: path.to_owned(),
        hash: String::new(),
        rows: Vec::new(),
        extra: Vec::new(),
        unread_fields: BTreeMap::new(),
    };
    let mut any = false;
    while let Some(line) = lines.next().map_err(fail)? {
        let origin = Origin { file: shared.clone(), line: line.number };
        let parsed = match line.content {
            LineContent::Blank => continue,
            LineContent::TooLong => Err(ProblemKind::LineTooLong),
            LineContent::Text(bytes) => parse_row(bytes),
        };
        any = true;
        let kept = parsed.and_then(|row| keep(row, &origin, ids, &mut file));
        if let Err(kind) = kept {
            problems.push(RowProblem { origin, kind });
        }
    }
    if !any {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    file.hash = lines.hash();
    Ok(file)
}

fn keep(row: ParsedRow, origin: &Origin, ids: &mut Ids, file: &mut DataFile) -> Result<(), ProblemKind> {
    let explicit = row.id.is_some();
    let record = Record::new(row.id, origin.clone(), row.messages);
    if explicit {
        let hash = record.content_hash();
        let (first, content) = ids.entry(record.id.clone()).or_insert_with(|| (origin.clone(), hash));
        if *content != hash {
            return Err(ProblemKind::DuplicateId { id: record.id, first: first.clone() });
        }
    }
    for field in row.unread_fields {
        *file.unread_fields.entry(field).or_default() += 1;
    }
    file.rows.push(record);
    file.extra.push(row.extra);
    Ok(())
}

struct Line<'a> {
    number: u64,
    content: LineContent<'a>,
}

enum LineContent<'a> {
    Blank,
    TooLong,
    Text(&'a [u8]),
}

/// Lines of a reader, hashed as they pass; memory is bounded by [`MAX_LINE_BYTES`].
struct Lines<R> {
    reader: R,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, hasher: blake3::Hasher::new(), buffer: Vec::new(), number: 0 }
    }

    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut length_bytes = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let (used, ended) = match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.hasher.update(&chunk[..used]);
            length_bytes += used;
            if length_bytes <= MAX_LINE_BYTES {
                self.buffer.extend_from_slice(&chunk[..used]);
            }
            self.reader.consume(used);
            if ended {
                break;
            }
        }
        if length_bytes == 0 {
            return Ok(None);
        }
        self.number += 1;
        let content = if length_bytes > MAX_LINE_BYTES { LineContent::TooLong } else { self.text() };
        Ok(Some(Line { number: self.number, content }))
    }

    fn text(&self) -> LineContent<'_> {
        let mut text = self.buffer.as_slice();
        if self.number == 1 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        text = text.strip_suffix(b"\n").unwrap_or(text);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.iter().all(u8::is_ascii_whitespace) { LineContent::Blank } else { LineContent::Text(text) }
    }

    fn hash(&self) -> String {
        hex(self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
