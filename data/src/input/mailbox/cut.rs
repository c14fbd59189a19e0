//! Where the mails of a mailbox begin and end.
//!
//! RFC 4155: a mail begins with a line `From `, an address and a date, at the beginning or behind an empty line; lines of a
//! mail that begin so have a `>` put before them.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use super::threads::Place;

/// Header lines are kept up to here; no mail needs as much to say whom it answers.
const MAX_HEADER_BYTES: usize = 1 << 20;
/// A line is looked at up to here, which is enough to see whether it begins a mail.
const MAX_LOOK_BYTES: usize = 1 << 10;

/// A mail that was passed.
pub(super) struct Passed<'a> {
    pub(super) place: Place,
    /// Its header, with the empty line behind it.
    pub(super) header: &'a [u8],
}

pub(super) struct Cutter<R> {
    reader: BufReader<R>,
    /// Bytes before the next line.
    offset: u64,
    /// The mail that has begun.
    open: Option<Place>,
    number: u64,
    header: Vec<u8>,
    in_header: bool,
    /// The header of the mail that was given out last.
    passed: Vec<u8>,
    after_blank: bool,
    line: Vec<u8>,
}

impl<R: Read> Cutter<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            offset: 0,
            open: None,
            number: 0,
            header: Vec::new(),
            in_header: false,
            passed: Vec::new(),
            after_blank: true,
            line: Vec::new(),
        }
    }

    pub(super) fn into_inner(self) -> R {
        self.reader.into_inner()
    }

    /// Whether there was anything to read.
    pub(super) fn began(&self) -> bool {
        self.offset > 0
    }

    /// Reads up to the end of the next mail.
    pub(super) fn next(&mut self) -> io::Result<Option<Passed<'_>>> {
        loop {
            let start = self.offset;
            let length = self.read_line()?;
            let begins = self.after_blank && begins_mail(&self.line);
            self.after_blank = matches!(self.line.as_slice(), b"\n" | b"\r\n");
            if length > 0 && !begins {
                if self.in_header && self.header.len() + self.line.len() <= MAX_HEADER_BYTES {
                    self.header.extend_from_slice(&self.line);
                }
                self.in_header &= !self.after_blank;
                continue;
            }
            let before = self.open.take().map(|open| Place { length_bytes: start - open.offset, ..open });
            std::mem::swap(&mut self.passed, &mut self.header);
            self.header.clear();
            if begins {
                self.number += 1;
                self.open = Some(Place { number: self.number, offset: self.offset, length_bytes: 0 });
                self.in_header = true;
            }
            match before {
                Some(place) => return Ok(Some(Passed { place, header: &self.passed })),
                None if length == 0 => return Ok(None),
                None => {}
            }
        }
    }

    /// Puts the beginning of the next line into `line`; says how long it is.
    fn read_line(&mut self) -> io::Result<u64> {
        self.line.clear();
        let mut length = 0;
        let most = if self.in_header { MAX_HEADER_BYTES } else { MAX_LOOK_BYTES };
        loop {
            let chunk = self.reader.fill_buf()?;
            let (used, ended) = match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            let room = most.saturating_sub(self.line.len()).min(used);
            self.line.extend_from_slice(&chunk[..room]);
            self.reader.consume(used);
            length += used as u64;
            if ended {
                self.offset += length;
                return Ok(length);
            }
        }
    }
}

/// `From `, an address, and a date with a time of day: a sentence that begins with the word has none.
fn begins_mail(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_time = |word: &[u8]| {
        let mut parts = word.splitn(3, |&byte| byte == b':');
        parts.next().is_some_and(digits) && parts.next().is_some_and(digits)
    };
    rest.split(u8::is_ascii_whitespace).skip(1).any(is_time)
}

/// The mail without the `>` that keeps its lines from beginning a mail.
pub(super) fn unquoted(raw: &[u8]) -> Cow<'_, [u8]> {
    let is_quoted = |line: &[u8]| {
        let inner = line.iter().position(|&byte| byte != b'>').unwrap_or(line.len());
        inner > 0 && line[inner..].starts_with(b"From ")
    };
    let lines = || raw.split_inclusive(|&byte| byte == b'\n');
    if !lines().any(is_quoted) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(lines().flat_map(|line| if is_quoted(line) { &line[1..] } else { line }).copied().collect())
}
