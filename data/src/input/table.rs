//! Tables: values between commas or tabs, below a header.
//!
//! csv-core and not csv: a record is given a bound here, and the line where it begins, which csv does not know where
//! blank lines stand before it.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::bytes::{Bytes, fault};
use super::{Found, MAX_LINE_BYTES, MAX_VALUES, Rows};
use crate::error::DataError;
use crate::problem::ProblemKind;

/// The rows of a table.
pub(super) struct TableRows {
    path: Arc<Path>,
    cutter: Cutter,
    header: Vec<String>,
    ended: bool,
}

impl TableRows {
    /// Reads the header.
    ///
    /// # Errors
    /// [`DataError::Format`] for a header that is none; those of the bytes.
    pub(super) fn new(path: Arc<Path>, bytes: Bytes, separator: u8) -> Result<Self, DataError> {
        let parser = ReaderBuilder::new().delimiter(separator).build();
        let cutter =
            Cutter { bytes, parser, line: 1, after_return: false, cells: Vec::new(), ends: Vec::new() };
        let mut rows = Self { path, cutter, header: Vec::new(), ended: false };
        let cut = rows.cutter.record().map_err(|error| fault(&rows.path, error))?;
        let wrong = |reason: String| DataError::Format { path: rows.path.to_path_buf(), reason };
        match cut {
            Cut::End => rows.ended = true,
            Cut::Refused(_, kind) => return Err(wrong(format!("the header cannot be read: {kind}"))),
            Cut::Record(_, count) => {
                let cells =
                    rows.cutter.cells(count).map_err(|kind| wrong(format!("in the header, {kind}")))?;
                let mut seen = HashSet::new();
                for (index, cell) in cells.enumerate() {
                    let name = match cell.trim() {
                        "" => format!("column {}", index + 1),
                        name => name.to_owned(),
                    };
                    if !seen.insert(name.clone()) {
                        return Err(wrong(format!("the header names `{name}` twice")));
                    }
                    rows.header.push(name);
                }
            }
        }
        Ok(rows)
    }

    fn row(&self, count: usize) -> Result<Map<String, Value>, ProblemKind> {
        if count != self.header.len() {
            return Err(ProblemKind::Ragged { expected: self.header.len(), found: count });
        }
        let cells = self.cutter.cells(count)?;
        // A table cannot leave a cell out: an empty one says nothing.
        let value = |cell: &str| if cell.is_empty() { Value::Null } else { Value::from(cell) };
        Ok(self.header.iter().cloned().zip(cells.map(value)).collect())
    }
}

impl Rows for TableRows {
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        if self.ended {
            return Ok(None);
        }
        match self.cutter.record().map_err(|error| fault(&self.path, error))? {
            Cut::End => Ok(None),
            Cut::Record(line, count) => Ok(Some(Found { line, row: self.row(count) })),
            Cut::Refused(line, kind) => Ok(Some(Found { line, row: Err(kind) })),
        }
    }

    fn hash(self: Box<Self>) -> Result<String, DataError> {
        self.cutter.bytes.hash().map_err(|error| fault(&self.path, error))
    }
}

/// Cuts records out of the bytes.
struct Cutter {
    bytes: Bytes,
    parser: Reader,
    line: u64,
    /// Whether the byte before was a carriage return, so that a line feed here ends no other line.
    after_return: bool,
    /// The cells of the record one after the other, and where each ends; both may be longer than the record.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

enum Cut {
    /// The line where it begins, and how many cells it has.
    Record(u64, usize),
    /// The line where it begins, and why it is not kept.
    Refused(u64, ProblemKind),
    End,
}

/// What cells and their ends grow from.
const FIRST_CELLS: usize = 1 << 10;

impl Cutter {
    fn record(&mut self) -> std::io::Result<Cut> {
        self.skip_blank()?;
        let start = self.line;
        let (mut used_cells, mut used_ends, mut read_bytes) = (0, 0, 0);
        let mut refused = None;
        loop {
            let chunk = self.bytes.fill_buf()?;
            let at_end = chunk.is_empty();
            if at_end && read_bytes == 0 {
                return Ok(Cut::End);
            }
            // A line break ends every record but one whose quote is open.
            let chunk = if at_end { b"\n" } else { chunk };
            let (result, read, wrote, ended) =
                self.parser.read_record(chunk, &mut self.cells[used_cells..], &mut self.ends[used_ends..]);
            let more = breaks(&chunk[..read], &mut self.after_return);
            if !at_end {
                self.line += more;
                self.bytes.consume(read);
            }
            read_bytes += read;
            used_cells += wrote;
            used_ends += ended;
            if used_cells > MAX_LINE_BYTES {
                // What comes is read over what was kept, up to the end of the record.
                (refused, used_cells) = (Some(ProblemKind::RowTooLong), 0);
            }
            if used_ends > MAX_VALUES {
                (refused, used_ends) = (Some(ProblemKind::TooManyValues), 0);
            }
            match result {
                ReadRecordResult::Record => {
                    return Ok(match refused {
                        Some(kind) => Cut::Refused(start, kind),
                        None => Cut::Record(start, used_ends),
                    });
                }
                ReadRecordResult::End => return Ok(Cut::End),
                ReadRecordResult::InputEmpty if at_end => {
                    return Ok(Cut::Refused(start, ProblemKind::OpenQuote));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => grow(&mut self.cells),
                ReadRecordResult::OutputEndsFull => grow(&mut self.ends),
            }
        }
    }

    /// Skips line breaks between records, so that the line of the next is known.
    fn skip_blank(&mut self) -> std::io::Result<()> {
        loop {
            let chunk = self.bytes.fill_buf()?;
            let blank = chunk.iter().take_while(|&&byte| byte == b'\n' || byte == b'\r').count();
            self.line += breaks(&chunk[..blank], &mut self.after_return);
            let more = blank > 0 && blank == chunk.len();
            self.bytes.consume(blank);
            if !more {
                return Ok(());
            }
        }
    }

    /// The cells of the last record.
    fn cells(&self, count: usize) -> Result<impl Iterator<Item = &str>, ProblemKind> {
        let ends = &self.ends[..count];
        let bytes = &self.cells[..ends.last().copied().unwrap_or(0)];
        if bytes.contains(&0) {
            return Err(ProblemKind::ZeroByte);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ProblemKind::InvalidUtf8 { column: error.valid_up_to() + 1 })?;
        // Half a character in one cell and half in the next would be a whole one without the separator.
        if let Some(end) = ends.iter().find(|&&end| !text.is_char_boundary(end)) {
            return Err(ProblemKind::InvalidUtf8 { column: *end });
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        Ok(starts.zip(ends).map(|(start, &end)| &text[start..end]))
    }
}

/// Lines that end in `bytes`: at a line feed, at a carriage return, or at both as one.
fn breaks(bytes: &[u8], after_return: &mut bool) -> u64 {
    let mut lines = 0;
    for &byte in bytes {
        lines += u64::from(byte == b'\r' || (byte == b'\n' && !*after_return));
        *after_return = byte == b'\r';
    }
    lines
}

fn grow<T: Clone + Default>(items: &mut Vec<T>) {
    let length = (items.len() * 2).max(FIRST_CELLS);
    items.resize(length, T::default());
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
