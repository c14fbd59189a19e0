//! Files of JSON: objects line by line, one list, or objects one after the other.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::bytes::{Bytes, fault};
use super::document;
use super::scan::{Scanner, count_values};
use super::{Found, MAX_VALUES, Rows, numbers};
use crate::error::DataError;
use crate::problem::ProblemKind;

/// How the file goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Lines,
    /// Inside a list; whether an element went before.
    List(bool),
    Objects,
    End,
}

/// The rows of a file of JSON.
pub(super) struct JsonRows {
    path: Arc<Path>,
    scanner: Scanner<Bytes>,
    state: State,
    /// Whether an object may take several lines, and may hold a list of rows.
    documents: bool,
    /// Rows of a document that was read.
    pending: VecDeque<Found>,
}

impl JsonRows {
    /// `documents` says whether an object may take several lines, which is not so in JSONL.
    pub(super) fn new(path: Arc<Path>, bytes: Bytes, documents: bool) -> Self {
        Self { path, scanner: Scanner::new(bytes), state: State::Start, documents, pending: VecDeque::new() }
    }

    fn fail(&self, error: std::io::Error) -> DataError {
        fault(&self.path, error)
    }

    fn start(&mut self) -> Result<(), DataError> {
        let first = self.scanner.peek().map_err(|error| fault(&self.path, error))?;
        self.state = match first {
            None => State::End,
            Some(b'[') => {
                self.scanner.take();
                State::List(false)
            }
            Some(_) if self.documents => State::Objects,
            Some(_) => State::Lines,
        };
        Ok(())
    }

    fn line(&mut self) -> Result<Option<Found>, DataError> {
        loop {
            let piece = self.scanner.line().map_err(|error| fault(&self.path, error))?;
            let Some(piece) = piece else {
                self.state = State::End;
                return Ok(None);
            };
            let row = match piece.bytes {
                None => Err(ProblemKind::LineTooLong),
                Some(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                Some(text) => match object(text) {
                    Ok(fields) if self.documents => {
                        self.pending = document::rows(fields, text, piece.line);
                        return Ok(self.pending.pop_front());
                    }
                    row => row.map_err(|(_, kind)| kind),
                },
            };
            return Ok(Some(Found { line: piece.line, row }));
        }
    }

    /// An element of the list, or what is wrong with the list.
    fn element(&mut self, any_before: bool) -> Result<Option<Found>, DataError> {
        let mut next = self.scanner.peek().map_err(|error| self.fail(error))?;
        if any_before && next == Some(b',') {
            self.scanner.take();
            next = self.scanner.peek().map_err(|error| self.fail(error))?;
        } else if any_before && !matches!(next, None | Some(b']')) {
            return Ok(Some(self.broken("expected a comma or the end of the list")));
        } else if next == Some(b']') {
            self.scanner.take();
            self.state = State::End;
            let more = self.scanner.peek().map_err(|error| self.fail(error))?;
            return Ok(more.map(|_| self.broken("the list has ended, but the file goes on")));
        }
        match next {
            None => Ok(Some(self.broken("EOF while parsing a list"))),
            Some(b',' | b']' | b'}' | b':') => Ok(Some(self.broken("expected value"))),
            Some(_) => {
                self.state = State::List(true);
                self.value().map(Some)
            }
        }
    }

    fn broken(&mut self, reason: &str) -> Found {
        self.state = State::End;
        let kind = ProblemKind::InvalidJson { column: 1, reason: reason.to_owned() };
        Found { line: self.scanner.line_number(), row: Err(kind) }
    }

    /// The next value as a row; of a document all its rows, of which this is the first.
    fn value(&mut self) -> Result<Found, DataError> {
        let piece = self.scanner.value().map_err(|error| fault(&self.path, error))?;
        let line = piece.line;
        let Some(text) = piece.bytes else {
            return Ok(Found { line, row: Err(ProblemKind::RowTooLong) });
        };
        let found = match object(text) {
            Ok(fields) if self.state == State::Objects => {
                self.pending = document::rows(fields, text, line);
                // A document has rows or is one.
                self.pending.pop_front().unwrap_or(Found { line, row: Ok(Map::new()) })
            }
            Ok(fields) => Found { line, row: Ok(fields) },
            Err((below, kind)) => Found { line: line + below, row: Err(kind) },
        };
        if found.row.is_err() && self.scanner.peek().map_err(|error| self.fail(error))?.is_none() {
            // What is wrong is that it ends; that needs saying once.
            self.state = State::End;
        }
        Ok(found)
    }

    fn document(&mut self) -> Result<Option<Found>, DataError> {
        match self.scanner.peek().map_err(|error| self.fail(error))? {
            None => {
                self.state = State::End;
                Ok(None)
            }
            Some(b'{') => {
                let begun = self.scanner.line_number();
                let found = self.value()?;
                // An object on one line with more below: the file is JSONL by another name, and lines fail one by one.
                if self.state == State::Objects && self.scanner.line_number() == begun {
                    self.state = State::Lines;
                }
                Ok(Some(found))
            }
            Some(_) => {
                self.state = State::Lines;
                self.line()
            }
        }
    }
}

impl Rows for JsonRows {
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        loop {
            if let Some(found) = self.pending.pop_front() {
                return Ok(Some(found));
            }
            let found = match self.state {
                State::Start => {
                    self.start()?;
                    continue;
                }
                State::Lines => self.line()?,
                State::List(any_before) => self.element(any_before)?,
                State::Objects => self.document()?,
                State::End => return Ok(None),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn hash(self: Box<Self>) -> Result<String, DataError> {
        self.scanner.into_inner().hash().map_err(|error| fault(&self.path, error))
    }
}

/// A JSON object, or what is wrong and how many lines below the first.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, (u64, ProblemKind)> {
    let utf8 = std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let below = before.iter().filter(|&&byte| byte == b'\n').count() as u64;
        (below, ProblemKind::InvalidUtf8 { column: before.len() - start + 1 })
    })?;
    if count_values(text, MAX_VALUES) > MAX_VALUES {
        return Err((0, ProblemKind::TooManyValues));
    }
    match numbers::parse(utf8) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err((0, ProblemKind::NotAnObject { found: super::kind_of(&other) })),
        Err(error) => Err((error.line().saturating_sub(1) as u64, invalid(&error))),
    }
}

/// The JSON that a field holds as a text; `None` if it is none.
pub(super) fn within(text: &str) -> Result<Option<Value>, ProblemKind> {
    match numbers::parse(text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match invalid(&error) {
            ProblemKind::TooDeep => Err(ProblemKind::TooDeep),
            _ => Ok(None),
        },
    }
}

/// Whether lists and objects stand deeper in one another than so many.
pub(super) fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(within) = levels.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, within)),
        Value::Object(fields) => fields.values().any(|field| is_deeper(field, within)),
        _ => false,
    }
}

fn invalid(error: &serde_json::Error) -> ProblemKind {
    // serde_json ends its message with a place counted inside the text it was given.
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
    match reason.contains("recursion limit") {
        true => ProblemKind::TooDeep,
        false => ProblemKind::InvalidJson { column: error.column(), reason },
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
