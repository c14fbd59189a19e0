//! Prepared rows as bytes: compact, and checked before a single row is read.
//!
//! | bytes | what |
//! | --- | --- |
//! | 16 | [`MAGIC`] |
//! | 32 | the key |
//! | 8, n | length and JSON of the report |
//! | for both sets: 8, … | rows: id (4, n), file (4), line (8), tokens (4, 4 each), supervision (a bit a token) |
//! | 32 | BLAKE3 of all before |
//!
//! Numbers are little-endian. A file is a number in the order of reading, as the key has it.

use std::path::Path;
use std::sync::Arc;

use super::key::Key;
use crate::prepare::Prepared;
use crate::record::Origin;
use crate::report::DataReport;
use crate::tokenize::Example;

const MAGIC: &[u8; 16] = b"rtune prepared 1";
const CHECKSUM_BYTES: usize = 32;

pub(super) fn encode(prepared: &Prepared, key: &Key) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(key.hash);
    // Names and numbers only: there is nothing in a report that JSON cannot say.
    let report = serde_json::to_vec(&prepared.report).unwrap_or_default();
    out.extend((report.len() as u64).to_le_bytes());
    out.extend(report);
    for rows in [&prepared.train, &prepared.validation] {
        out.extend((rows.len() as u64).to_le_bytes());
        for row in rows {
            encode_row(&mut out, row, key);
        }
    }
    let checksum = *blake3::hash(&out).as_bytes();
    out.extend(checksum);
    out
}

fn encode_row(out: &mut Vec<u8>, row: &Example, key: &Key) {
    let shown = row.origin.file.to_string_lossy();
    // A name that is not there would give no file when it is read, and the rows would be prepared again.
    let file = key.files.iter().position(|(path, _)| *path == *Path::new(&*shown)).unwrap_or(usize::MAX);
    out.extend((row.id.len() as u32).to_le_bytes());
    out.extend(row.id.as_bytes());
    out.extend((file as u32).to_le_bytes());
    out.extend(row.origin.line.to_le_bytes());
    out.extend((row.tokens.len() as u32).to_le_bytes());
    out.extend(row.tokens.iter().flat_map(|token| token.to_le_bytes()));
    let bits = |chunk: &[bool]| {
        chunk.iter().enumerate().fold(0, |byte, (place, &trained)| byte | u8::from(trained) << place)
    };
    out.extend(row.supervised.chunks(8).map(bits));
}

/// The rows, or what is wrong with the bytes.
pub(super) fn decode(bytes: &[u8], key: &Key) -> Result<Prepared, String> {
    let damaged = || "it is damaged".to_owned();
    let (body, checksum) =
        bytes.len().checked_sub(CHECKSUM_BYTES).map(|end| bytes.split_at(end)).ok_or_else(damaged)?;
    if blake3::hash(body).as_bytes() != checksum {
        return Err(damaged());
    }
    let mut rest = Cursor(body);
    if rest.take(MAGIC.len()) != Some(MAGIC) {
        return Err("it is of another format".to_owned());
    }
    if rest.take(key.hash.len()) != Some(&key.hash) {
        return Err("it holds the rows of another key".to_owned());
    }
    rest.prepared(key).ok_or_else(damaged)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn four(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn eight(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn prepared(&mut self, key: &Key) -> Option<Prepared> {
        let length = usize::try_from(self.eight()?).ok()?;
        let report: DataReport = serde_json::from_slice(self.take(length)?).ok()?;
        let names: Vec<Arc<Path>> = key.files.iter().map(|(path, _)| path.as_path().into()).collect();
        let train = self.rows(&names)?;
        let validation = self.rows(&names)?;
        self.0.is_empty().then_some(Prepared { train, validation, report, files: key.files.clone() })
    }

    fn rows(&mut self, names: &[Arc<Path>]) -> Option<Vec<Example>> {
        let count = self.eight()?;
        // Not allocated ahead: the count is only as good as the rows that follow.
        (0..count).map(|_| self.row(names)).collect()
    }

    fn row(&mut self, names: &[Arc<Path>]) -> Option<Example> {
        let length = self.four()? as usize;
        let id = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        let file = names.get(self.four()? as usize)?.clone();
        let line = self.eight()?;
        let count = self.four()? as usize;
        let (words, _) = self.take(count.checked_mul(4)?)?.as_chunks::<4>();
        let tokens = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let bits = self.take(count.div_ceil(8))?;
        let supervised = (0..count).map(|place| bits[place / 8] >> (place % 8) & 1 == 1).collect();
        Some(Example { id, origin: Origin { file, line }, tokens, supervised })
    }
}
