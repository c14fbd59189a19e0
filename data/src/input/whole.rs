//! Files that are one text.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::bytes::{Bytes, fault};
use super::{Found, MAX_LINE_BYTES, Rows};
use crate::error::DataError;
use crate::problem::ProblemKind;

/// The one row of a file of text.
pub(super) struct TextRow {
    path: Arc<Path>,
    bytes: Bytes,
    done: bool,
}

impl TextRow {
    pub(super) fn new(path: Arc<Path>, bytes: Bytes) -> Self {
        Self { path, bytes, done: false }
    }
}

impl Rows for TextRow {
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let mut text = Vec::new();
        let most = MAX_LINE_BYTES as u64 + 1;
        self.bytes.by_ref().take(most).read_to_end(&mut text).map_err(|error| fault(&self.path, error))?;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let (line, row) = match row(text) {
            Ok(text) => (1, Ok(Map::from_iter([("text".to_owned(), Value::from(text))]))),
            Err((line, kind)) => (line, Err(kind)),
        };
        Ok(Some(Found { line, row }))
    }

    fn hash(self: Box<Self>) -> Result<String, DataError> {
        self.bytes.hash().map_err(|error| fault(&self.path, error))
    }
}

/// The text, or what is wrong with it and the line where.
fn row(text: Vec<u8>) -> Result<String, (u64, ProblemKind)> {
    if text.len() > MAX_LINE_BYTES {
        return Err((1, ProblemKind::RowTooLong));
    }
    let place = |text: &[u8], at: usize| {
        let before = &text[..at];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        (before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1, at - start + 1)
    };
    if let Some(at) = text.iter().position(|&byte| byte == 0) {
        return Err((place(&text, at).0, ProblemKind::ZeroByte));
    }
    String::from_utf8(text).map_err(|error| {
        let (line, column) = place(error.as_bytes(), error.utf8_error().valid_up_to());
        (line, ProblemKind::InvalidUtf8 { column })
    })
}
