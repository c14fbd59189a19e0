//! Lines and JSON values cut out of a stream, without parsing them; memory is bounded by [`MAX_LINE_BYTES`].

use std::io::{self, BufRead};

use super::MAX_LINE_BYTES;

/// A stretch of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The line it begins on, counted from 1.
    pub(super) line: u64,
    /// Its bytes, unless they are too many.
    pub(super) bytes: Option<&'a [u8]>,
}

/// A stream of text and the place in it.
pub(super) struct Scanner<R> {
    reader: R,
    /// The line that the next byte stands on, counted from 1.
    line: u64,
    buffer: Vec<u8>,
}

/// Where in a JSON value a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Value,
    Text,
    Escape,
}

impl<R: BufRead> Scanner<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 1, buffer: Vec::new() }
    }

    pub(super) fn into_inner(self) -> R {
        self.reader
    }

    pub(super) fn line_number(&self) -> u64 {
        self.line
    }

    /// The next byte that is no white space, not taken.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += chunk[..blank].iter().filter(|&&byte| byte == b'\n').count() as u64;
            let next = chunk.get(blank).copied();
            self.reader.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Takes the byte that was peeked at.
    pub(super) fn take(&mut self) {
        self.reader.consume(1);
    }

    /// The next line, without its line break; `None` at the end.
    pub(super) fn line(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.buffer.clear();
        let line = self.line;
        let mut length_bytes = 0;
        loop {
            let chunk = self.reader.fill_buf()?;
            let (used, ended) = match memchr(chunk) {
                Some(end) => (end + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
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
        self.line += 1;
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Some(Piece { line, bytes: (length_bytes <= MAX_LINE_BYTES).then_some(text) }))
    }

    /// The next JSON value: an object or a list up to its closing bracket, a text up to its closing quote, anything else
    /// up to what separates values. White space before it is left out; the value may be broken inside, or end with the
    /// input. Brackets are counted, not matched.
    pub(super) fn value(&mut self) -> io::Result<Piece<'_>> {
        self.buffer.clear();
        let first = self.peek()?;
        let line = self.line;
        let mut inside = Inside::Value;
        let (mut depth, mut length_bytes) = (0u64, 0);
        let bare = !matches!(first, Some(b'{' | b'[' | b'"'));
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in chunk {
                if bare && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b':')) {
                    ended = true;
                    break;
                }
                used += 1;
                self.line += u64::from(byte == b'\n');
                inside = step(inside, byte, &mut depth);
                if !bare && depth == 0 && inside == Inside::Value {
                    ended = true;
                    break;
                }
            }
            length_bytes += used;
            if length_bytes <= MAX_LINE_BYTES {
                self.buffer.extend_from_slice(&chunk[..used]);
            }
            self.reader.consume(used);
            if ended {
                break;
            }
        }
        Ok(Piece { line, bytes: (length_bytes <= MAX_LINE_BYTES).then_some(&self.buffer) })
    }
}

/// Where the next byte stands, and how deep.
pub(super) fn step(inside: Inside, byte: u8, depth: &mut u64) -> Inside {
    match (inside, byte) {
        (Inside::Escape, _) => Inside::Text,
        (Inside::Text, b'\\') => Inside::Escape,
        (Inside::Text, b'"') => Inside::Value,
        (Inside::Text, _) => Inside::Text,
        (Inside::Value, b'"') => Inside::Text,
        (Inside::Value, b'{' | b'[') => {
            *depth += 1;
            Inside::Value
        }
        (Inside::Value, b'}' | b']') => {
            *depth = depth.saturating_sub(1);
            Inside::Value
        }
        (Inside::Value, _) => Inside::Value,
    }
}

fn memchr(chunk: &[u8]) -> Option<usize> {
    chunk.iter().position(|&byte| byte == b'\n')
}

/// How many values stand in a JSON text, counted by what separates them; texts are looked into only if there is need.
pub(super) fn count_values(text: &[u8], most: usize) -> usize {
    let separates = |byte: u8| matches!(byte, b',' | b':' | b'[' | b'{');
    let roughly = text.iter().filter(|&&byte| separates(byte)).count();
    if roughly < most {
        return roughly + 1;
    }
    let (mut inside, mut depth, mut count) = (Inside::Value, 0, 1);
    for &byte in text {
        count += usize::from(inside == Inside::Value && separates(byte));
        inside = step(inside, byte, &mut depth);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(text: &str) -> Scanner<io::BufReader<&[u8]>> {
        // Small chunks, so that values lie across them.
        Scanner::new(io::BufReader::with_capacity(3, text.as_bytes()))
    }

    #[test]
    fn values_end_where_their_brackets_do() {
        let text = " {\"a\": \"}\\\"\"}\n, [[1], {}]\n\"x]\" 12,null";
        let mut scanner = scanner(text);
        let mut found = Vec::new();
        while let Some(next) = scanner.peek().expect("read") {
            if next == b',' {
                scanner.take();
                continue;
            }
            let piece = scanner.value().expect("read");
            let text = piece.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            found.push((piece.line, text.expect("short")));
        }
        let found: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(
            found,
            [(1, "{\"a\": \"}\\\"\"}"), (2, "[[1], {}]"), (3, "\"x]\""), (3, "12"), (3, "null")]
        );
    }

    #[test]
    fn a_value_that_does_not_end_ends_with_the_input() {
        let mut scanner = scanner("{\"a\": [1,\n2");
        assert_eq!(scanner.value().expect("read").bytes, Some("{\"a\": [1,\n2".as_bytes()));
        assert_eq!((scanner.peek().expect("read"), scanner.line_number()), (None, 2));
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(count_values(b"{\"a\": [1, 2]}", 100), 5);
        let text = b"[\",,,,,,,,,,,,,,,,\", 1]";
        assert_eq!(count_values(text, 5), 3);
    }
}
