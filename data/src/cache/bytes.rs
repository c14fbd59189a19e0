//! Prepared rows in a file: compact, written row by row, and checked before a single row is read.
//!
//! | bytes | what |
//! | --- | --- |
//! | 16 | [`MAGIC`] |
//! | 32 | the key |
//! | 1, … | a row: 1 (train) or 2 (validation), id (4, n), file (4), line (8), tokens (4, 4 each), supervision (a bit a token) |
//! | 1 | 0: no more rows |
//! | 8, n | length and JSON of the report |
//! | 32 | BLAKE3 of all before |
//!
//! Numbers are little-endian. A file is a number in the order of reading, as the key has it.

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::key::Key;
use crate::prepare::{Prepared, Side};
use crate::record::Origin;
use crate::report::DataReport;
use crate::tokenize::Example;

const MAGIC: &[u8; 16] = b"rtune prepared 2";
const CHECKSUM_BYTES: u64 = 32;
const BUFFER_BYTES: usize = 1 << 16;

/// The longest text or list that a file may claim, in bytes: what is longer cannot have been a row.
const MOST_BYTES: usize = 1 << 28;

const END: u8 = 0;
const TRAIN: u8 = 1;
const VALIDATION: u8 = 2;

/// A file of prepared rows that is being written.
pub(crate) struct Writer<W: Write> {
    file: BufWriter<Hashed<W>>,
    numbers: HashMap<PathBuf, u32>,
}

/// Hashes what passes through.
struct Hashed<W> {
    file: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W: Write> Writer<W> {
    /// Begins the file of `key`.
    pub(crate) fn new(file: W, key: &Key) -> io::Result<Self> {
        let hashed = Hashed { file, hasher: blake3::Hasher::new() };
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, hashed);
        file.write_all(MAGIC)?;
        file.write_all(&key.hash)?;
        let numbers =
            key.files.iter().enumerate().map(|(number, (path, _))| (path.clone(), number as u32)).collect();
        Ok(Self { file, numbers })
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, side: Side, row: &Example) -> io::Result<()> {
        let shown = PathBuf::from(row.origin.file.to_string_lossy().into_owned());
        // A name that is not there would give no file when it is read, and the rows would be prepared again.
        let file = self.numbers.get(&shown).copied().unwrap_or(u32::MAX);
        let out = &mut self.file;
        out.write_all(&[if side == Side::Train { TRAIN } else { VALIDATION }])?;
        out.write_all(&(row.id.len() as u32).to_le_bytes())?;
        out.write_all(row.id.as_bytes())?;
        out.write_all(&file.to_le_bytes())?;
        out.write_all(&row.origin.line.to_le_bytes())?;
        out.write_all(&(row.tokens.len() as u32).to_le_bytes())?;
        for token in &row.tokens {
            out.write_all(&token.to_le_bytes())?;
        }
        for chunk in row.supervised.chunks(8) {
            let bits = chunk.iter().enumerate();
            out.write_all(&[bits.fold(0, |byte, (place, &trained)| byte | u8::from(trained) << place)])?;
        }
        Ok(())
    }

    /// Ends the file with the report and the checksum.
    pub(crate) fn finish(mut self, report: &DataReport) -> io::Result<()> {
        self.file.write_all(&[END])?;
        let report = serde_json::to_vec(report).map_err(io::Error::other)?;
        self.file.write_all(&(report.len() as u64).to_le_bytes())?;
        self.file.write_all(&report)?;
        let hashed = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let checksum = *hashed.hasher.finalize().as_bytes();
        let mut file = hashed.file;
        file.write_all(&checksum)
    }
}

/// The rows of a file, or what is wrong with it.
pub(crate) fn read(mut file: impl Read + Seek, key: &Key) -> Result<Prepared, String> {
    let (damaged, failed) = (|| "it is damaged".to_owned(), |error: io::Error| error.to_string());
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let body = length.checked_sub(CHECKSUM_BYTES).ok_or_else(damaged)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.by_ref().take(body)).map_err(failed)?;
    let mut checksum = [0; CHECKSUM_BYTES as usize];
    file.read_exact(&mut checksum).map_err(failed)?;
    if *hasher.finalize().as_bytes() != checksum {
        return Err(damaged());
    }
    file.rewind().map_err(failed)?;
    let mut rest = Cursor(BufReader::with_capacity(BUFFER_BYTES, file.take(body)));
    if rest.take(MAGIC.len()).as_deref() != Some(MAGIC.as_slice()) {
        return Err("it is of another format".to_owned());
    }
    if rest.take(key.hash.len()).as_deref() != Some(key.hash.as_slice()) {
        return Err("it holds the rows of another key".to_owned());
    }
    rest.prepared(key).ok_or_else(damaged)
}

struct Cursor<R>(R);

impl<R: Read> Cursor<R> {
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        // The count is only as good as the bytes that follow: a short file ends here.
        let mut taken = Vec::new();
        let read = self.0.by_ref().take(count.min(MOST_BYTES) as u64).read_to_end(&mut taken).ok()?;
        (read == count).then_some(taken)
    }

    fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn four(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.array()?) as usize)
    }

    fn prepared(&mut self, key: &Key) -> Option<Prepared> {
        let names: Vec<Arc<Path>> = key.files.iter().map(|(path, _)| path.as_path().into()).collect();
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        loop {
            match self.array()? {
                [END] => break,
                [TRAIN] => train.push(self.row(&names)?),
                [VALIDATION] => validation.push(self.row(&names)?),
                _ => return None,
            }
        }
        let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
        let report: DataReport = serde_json::from_slice(&self.take(length)?).ok()?;
        let at_end = self.take(1).is_none();
        at_end.then_some(Prepared { train, validation, report, files: key.files.clone() })
    }

    fn row(&mut self, names: &[Arc<Path>]) -> Option<Example> {
        let length = self.four()?;
        let id = String::from_utf8(self.take(length)?).ok()?;
        let file = names.get(self.four()?)?.clone();
        let line = u64::from_le_bytes(self.array()?);
        let count = self.four()?;
        let bytes = self.take(count.checked_mul(4)?)?;
        let (words, _) = bytes.as_chunks::<4>();
        let tokens = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let bits = self.take(count.div_ceil(8))?;
        let supervised = (0..count).map(|place| bits[place / 8] >> (place % 8) & 1 == 1).collect();
        Some(Example { id, origin: Origin { file, line }, tokens, supervised })
    }
}
