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
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{SpooledData, SpooledTempFile};

use super::key::Key;
use crate::examples::{Gathered, Place};
use crate::prepare::{Outline, Prepared, Side};
use crate::record::Origin;
use crate::report::DataReport;
use crate::tokenize::Example;

const MAGIC: &[u8; 16] = b"rtune prepared 2";
const CHECKSUM_BYTES: u64 = 32;
const BUFFER_BYTES: usize = 1 << 16;
const FILE_AND_LINE_BYTES: usize = 4 + 8;

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

/// A file of prepared rows that is whole.
pub(crate) struct RowsFile {
    bytes: Bytes,
    /// Its name, or the folder of a file without one.
    path: PathBuf,
}

enum Bytes {
    Memory(Cursor<Vec<u8>>),
    Disk(File),
}

impl RowsFile {
    /// A file that is open for reading.
    pub(crate) fn open(file: File, path: &Path) -> Self {
        Self { bytes: Bytes::Disk(file), path: path.to_owned() }
    }

    /// A temporary file of `folder`.
    pub(crate) fn temporary(file: SpooledTempFile, folder: &Path) -> Self {
        let bytes = match file.into_inner() {
            SpooledData::InMemory(bytes) => Bytes::Memory(bytes),
            SpooledData::OnDisk(file) => Bytes::Disk(file),
        };
        Self { bytes, path: folder.to_owned() }
    }

    /// Copies it to another file.
    pub(crate) fn copy_to(&mut self, mut other: &File) -> io::Result<()> {
        match &mut self.bytes {
            Bytes::Memory(bytes) => other.write_all(bytes.get_ref()),
            Bytes::Disk(file) => {
                file.rewind()?;
                io::copy(file, &mut other).map(drop)
            }
        }
    }

    /// Gives `each` the rows, one at a time; returns the report, or what is wrong with the file.
    fn for_each(
        &mut self,
        key: &Key,
        each: &mut dyn FnMut(Side, Example, Place),
    ) -> Result<DataReport, String> {
        match &mut self.bytes {
            Bytes::Memory(bytes) => for_each(bytes, key, each),
            Bytes::Disk(file) => for_each(file, key, each),
        }
    }

    /// The file, to be read anywhere.
    fn on_disk(self) -> io::Result<(File, PathBuf)> {
        let file = match self.bytes {
            Bytes::Disk(file) => file,
            Bytes::Memory(bytes) => {
                let mut file = tempfile::tempfile_in(&self.path)?;
                file.write_all(bytes.get_ref())?;
                file
            }
        };
        Ok((file, self.path))
    }
}

/// What is made of a file of prepared rows.
pub(crate) trait FromRows: Sized {
    /// The rows of a file, or what is wrong with it; training rows of more than `in_memory_bytes` stay there.
    fn read(file: RowsFile, key: &Key, in_memory_bytes: usize) -> Result<Self, String>;
}

impl FromRows for Prepared {
    fn read(mut file: RowsFile, key: &Key, in_memory_bytes: usize) -> Result<Self, String> {
        let (mut train, mut validation) = (Gathered::new(in_memory_bytes), Vec::new());
        let mut largest_token = None;
        let report = file.for_each(key, &mut |side, example, place| {
            largest_token = largest_token.max(example.tokens.iter().max().copied());
            match side {
                Side::Train => train.add(example, place),
                Side::Validation => validation.push(example),
            }
        })?;
        let train = train.finish(|| {
            let (file, path) = file.on_disk()?;
            Ok((file, path, names_of(key)))
        });
        let train = train.map_err(|error| error.to_string())?;
        Ok(Self { train, validation, largest_token, report, files: key.files.clone() })
    }
}

impl FromRows for Outline {
    fn read(mut file: RowsFile, key: &Key, _: usize) -> Result<Self, String> {
        let mut largest_token = None;
        let report = file.for_each(key, &mut |_, example, _| {
            largest_token = largest_token.max(example.tokens.into_iter().max());
        })?;
        Ok(Self { report, largest_token })
    }
}

/// The files of the rows, by their numbers.
fn names_of(key: &Key) -> Vec<Arc<Path>> {
    key.files.iter().map(|(path, _)| path.as_path().into()).collect()
}

/// Gives `each` the rows of a file, one at a time, and where each stands; returns the report, or what is wrong with the file.
fn for_each(
    file: &mut (impl Read + Seek),
    key: &Key,
    each: &mut dyn FnMut(Side, Example, Place),
) -> Result<DataReport, String> {
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
    let buffered = BufReader::with_capacity(BUFFER_BYTES, file.take(body));
    let mut rest = Rest { file: buffered, offset: 0 };
    if rest.take(MAGIC.len()).as_deref() != Some(MAGIC.as_slice()) {
        return Err("it is of another format".to_owned());
    }
    if rest.take(key.hash.len()).as_deref() != Some(key.hash.as_slice()) {
        return Err("it holds the rows of another key".to_owned());
    }
    rest.rows(&names_of(key), each).ok_or_else(damaged)
}

/// What of a file is not read yet.
struct Rest<R> {
    file: R,
    /// Bytes before it.
    offset: u64,
}

impl<R: Read> Rest<R> {
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut taken = Vec::new();
        self.add(count, &mut taken)?;
        Some(taken)
    }

    /// Adds so many bytes to others.
    fn add(&mut self, count: usize, bytes: &mut Vec<u8>) -> Option<()> {
        // The count is only as good as the bytes that follow: a short file ends here.
        let read = self.file.by_ref().take(count.min(MOST_BYTES) as u64).read_to_end(bytes).ok()?;
        self.offset += read as u64;
        (read == count).then_some(())
    }

    fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.file.read_exact(&mut bytes).ok()?;
        self.offset += BYTES as u64;
        Some(bytes)
    }

    fn rows(
        &mut self,
        names: &[Arc<Path>],
        each: &mut dyn FnMut(Side, Example, Place),
    ) -> Option<DataReport> {
        let mut bytes = Vec::new();
        loop {
            let side = match self.array()? {
                [END] => break,
                [TRAIN] => Side::Train,
                [VALIDATION] => Side::Validation,
                _ => return None,
            };
            let offset = self.offset;
            self.row(&mut bytes)?;
            let example = decode_row(&bytes, names)?;
            let place = Place::of(&bytes, offset, &example);
            each(side, example, place);
        }
        let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
        let report = serde_json::from_slice(&self.take(length)?).ok()?;
        let at_end = self.take(1).is_none();
        at_end.then_some(report)
    }

    /// The bytes of a row behind the number of its side.
    fn row(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        bytes.clear();
        let id_bytes = self.four(bytes)?;
        self.add(id_bytes, bytes)?;
        self.add(FILE_AND_LINE_BYTES, bytes)?;
        let count = self.four(bytes)?;
        self.add(count.checked_mul(4)?, bytes)?;
        self.add(count.div_ceil(8), bytes)
    }

    /// Adds a number of four bytes to others; gives that number.
    fn four(&mut self, bytes: &mut Vec<u8>) -> Option<usize> {
        let four: [u8; 4] = self.array()?;
        bytes.extend(four);
        Some(u32::from_le_bytes(four) as usize)
    }
}

/// The row with these bytes, behind the number of its side; `None` where they are none. `names` are the files of rows, by their
/// numbers.
pub(crate) fn decode_row(bytes: &[u8], names: &[Arc<Path>]) -> Option<Example> {
    let four = |bytes: &'_ [u8]| -> Option<usize> {
        bytes.first_chunk().map(|four| u32::from_le_bytes(*four) as usize)
    };
    let length = four(bytes)?;
    let (id, rest) = bytes[4..].split_at_checked(length)?;
    let id = String::from_utf8(id.to_vec()).ok()?;
    let file = names.get(four(rest)?)?.clone();
    let (line, rest) = rest[4..].split_first_chunk()?;
    let line = u64::from_le_bytes(*line);
    let count = four(rest)?;
    let (words, bits) = rest[4..].split_at_checked(count.checked_mul(4)?)?;
    let tokens = words.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    if bits.len() != count.div_ceil(8) {
        return None;
    }
    let supervised = (0..count).map(|place| bits[place / 8] >> (place % 8) & 1 == 1).collect();
    Some(Example { id, origin: Origin { file, line }, tokens, supervised })
}
