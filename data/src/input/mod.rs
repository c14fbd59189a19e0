//! Files to rows, one after the other: whatever the format, memory is bounded by one row.
//!
//! A file is opened and unpacked ([`bytes`]), cut into objects ([`json`], [`table`], [`mailbox`] and the like), its fields
//! get our names ([`mapping`]), and an object becomes a conversation or a text ([`form`]).

mod all;
mod bytes;
mod document;
mod form;
mod json;
mod mailbox;
mod mapping;
pub(crate) mod numbers;
#[cfg(feature = "parquet")]
mod parquet;
mod scan;
mod source;
mod table;
mod whole;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Origin, Record};
use bytes::{Bytes, fault};
use form::Agents;

pub use all::{DataFile, read_file, read_files, read_sources};
pub(crate) use mapping::known_fields;
pub use source::{Format, Source, expand};

/// The longest row that is read, in bytes: 64 MiB are ten million tokens, more than any model's context, and a whole
/// file on one line is refused before it fills the memory.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// The most values of one row: a value takes up to a hundred bytes of memory, however few it takes in the file.
pub(crate) const MAX_VALUES: usize = 2 << 20;

/// The most lists and objects within one another in what templates see of a row. A row stands some levels deeper where it waits
/// on disk, and what is read from there ends at 127.
pub(crate) const MAX_DEPTH: usize = 100;

/// An object of a file, before it is looked into.
struct Found {
    /// Where it begins: a line, or the number of a mail or a row.
    line: u64,
    row: Result<Map<String, Value>, ProblemKind>,
}

/// The objects of one file.
trait Rows: Send {
    fn next(&mut self) -> Result<Option<Found>, DataError>;

    /// BLAKE3 of the file's bytes, in hex.
    fn hash(self: Box<Self>) -> Result<String, DataError>;
}

/// A row, or what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The place of its source in the list that was opened.
    pub source: usize,
    /// The row and the fields beside those of its form (`references`, `labels`, notes), or the problem with its place.
    pub record: Result<(Record, Map<String, Value>), RowProblem>,
    /// Whether the row has an id of its own, which must name one row only; else its id is its content hash.
    pub own_id: bool,
}

/// A file that was read to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The place of its source in the list that was opened.
    pub source: usize,
    /// BLAKE3 of its bytes as they lie on the disk, in hex.
    pub hash: String,
    /// Rows that can be used.
    pub rows: usize,
    /// Rows that cannot.
    pub problems: usize,
    /// How many rows have each field that training does not read.
    pub unread_fields: BTreeMap<String, usize>,
    /// The licence of its source.
    pub licence: Option<String>,
}

/// Rows of sources, one at a time. Opened again it gives the same rows again.
pub struct Reader {
    sources: Vec<Source>,
    waiting: VecDeque<(usize, PathBuf)>,
    open: Option<OpenFile>,
    files: Vec<ReadFile>,
    /// Bytes that were read from the disk.
    meter: Arc<AtomicU64>,
    total_bytes: u64,
}

struct OpenFile {
    path: Arc<Path>,
    source: usize,
    wanted: Option<Format>,
    agents: Agents,
    rows: Box<dyn Rows>,
    usable: usize,
    problems: usize,
    unread_fields: BTreeMap<String, usize>,
}

impl Reader {
    /// Looks up the files of the sources; none is opened yet.
    ///
    /// # Errors
    /// Those of [`expand`], and of what the sources say: [`DataError::UnknownField`], [`DataError::Weight`].
    pub fn open(sources: &[Source]) -> Result<Self, DataError> {
        let mut waiting = VecDeque::new();
        for (index, source) in sources.iter().enumerate() {
            source.check()?;
            waiting.extend(source.files()?.into_iter().map(|path| (index, path)));
        }
        let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        let total_bytes = waiting.iter().map(|(_, path)| size(path)).sum();
        let (meter, files) = (Arc::default(), Vec::new());
        Ok(Self { sources: sources.to_vec(), waiting, open: None, files, meter, total_bytes })
    }

    /// The next row of all sources, in their order; `None` when all files have been read to their ends.
    ///
    /// # Errors
    /// What makes a file unreadable as a whole, with its path; reading cannot go on behind it. What is wrong with a single
    /// row is no error but the row's [`RowProblem`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an error ends the reading, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Row>, DataError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some((source, path)) = self.waiting.pop_front() else { return Ok(None) };
                self.open = Some(OpenFile::open(&path, source, &self.sources[source], &self.meter)?);
                continue;
            };
            match open.rows.next()? {
                Some(found) => return Ok(Some(open.row(found, &self.sources[open.source]))),
                None => {
                    let licence = self.sources[open.source].licence.clone();
                    let file = self.open.take().map(|open| open.close(licence)).transpose()?;
                    self.files.extend(file);
                }
            }
        }
    }

    /// How far it is: bytes of the files as they lie on the disk, those that were read and all.
    pub fn progress_bytes(&self) -> (u64, u64) {
        (self.meter.load(Ordering::Relaxed), self.total_bytes)
    }

    /// The files that were read to their ends so far, in order.
    pub fn files(&self) -> &[ReadFile] {
        &self.files
    }
}

impl OpenFile {
    fn open(
        path: &Path,
        source: usize,
        settings: &Source,
        meter: &Arc<AtomicU64>,
    ) -> Result<Self, DataError> {
        let shared: Arc<Path> = path.into();
        let agents = Agents::new(&settings.agents);
        let mut bytes = Bytes::open(path, meter.clone())?;
        let format = match settings.format.or_else(|| Format::of_name(path)) {
            Some(format) => format,
            None => by_first_bytes(bytes.peek().map_err(|error| fault(path, error))?),
        };
        let name = shared.clone();
        let rows: Box<dyn Rows> = match format {
            Format::Jsonl => Box::new(json::JsonRows::new(name, bytes, false)),
            Format::Json | Format::Zendesk | Format::Intercom => {
                Box::new(json::JsonRows::new(name, bytes, true))
            }
            Format::Csv => Box::new(table::TableRows::new(name, bytes, b',')?),
            Format::Tsv => Box::new(table::TableRows::new(name, bytes, b'\t')?),
            Format::Text => Box::new(whole::TextRow::new(name, bytes)),
            Format::Mbox => Box::new(mailbox::MailRows::new(name, bytes, agents.clone())?),
            #[cfg(feature = "parquet")]
            Format::Parquet => Box::new(parquet::ParquetRows::new(name, bytes)?),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => return Err(DataError::NoParquet { path: path.to_owned() }),
        };
        let wanted = settings.format;
        let (usable, problems, unread_fields) = (0, 0, BTreeMap::new());
        Ok(Self { path: shared, source, wanted, agents, rows, usable, problems, unread_fields })
    }

    fn row(&mut self, found: Found, source: &Source) -> Row {
        let origin = Origin { file: self.path.clone(), line: found.line };
        let parsed = found.row.and_then(|mut fields| {
            let in_the_way = mapping::apply(&source.fields, &mut fields)?;
            let mut row = form::parse(fields, self.wanted, &self.agents)?;
            row.unread_fields.extend(in_the_way);
            Ok(row)
        });
        let mut own_id = false;
        let record = match parsed {
            Ok(row) => {
                self.usable += 1;
                for field in row.unread_fields {
                    *self.unread_fields.entry(field).or_default() += 1;
                }
                own_id = row.id.is_some();
                Ok((Record::with_tools(row.id, origin, row.messages, row.tools), row.extra))
            }
            Err(kind) => {
                self.problems += 1;
                Err(RowProblem { origin, kind })
            }
        };
        Row { source: self.source, record, own_id }
    }

    fn close(self, licence: Option<String>) -> Result<ReadFile, DataError> {
        let path = self.path.to_path_buf();
        if self.usable + self.problems == 0 {
            return Err(DataError::Empty { path });
        }
        let hash = self.rows.hash()?;
        let (rows, problems, unread_fields) = (self.usable, self.problems, self.unread_fields);
        Ok(ReadFile { path, source: self.source, hash, rows, problems, unread_fields, licence })
    }
}

/// The format of a file whose name says none.
fn by_first_bytes(first: &[u8]) -> Format {
    const STARTS: [(&[u8], Format); 2] = [(b"PAR1", Format::Parquet), (b"From ", Format::Mbox)];
    let known = STARTS.iter().find(|(start, _)| first.starts_with(start));
    known.map_or(Format::Jsonl, |(_, format)| *format)
}

/// Whether a line of a JSONL file would be a training row.
///
/// # Errors
/// What is wrong with it.
pub fn check_row(line: &str) -> Result<(), ProblemKind> {
    let fields = json::object(line.as_bytes()).map_err(|(_, kind)| kind)?;
    form::parse(fields, None, &Agents::new(&[])).map(|_| ())
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if numbers::digits_of(text).is_some() => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
