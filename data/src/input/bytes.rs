//! The bytes of a file: hashed as they lie on the disk, unpacked, and bounded while they are unpacked.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use crate::error::DataError;

/// What is read at once: enough that system calls cost nothing beside parsing.
const BUFFER_BYTES: usize = 1 << 16;

/// Text packs to a tenth, text that repeats itself to a fiftieth; what expands to more is made to fill machines.
const MOST_RATIO: u64 = 250;
/// What an archive may expand to whatever its ratio: seconds of work, and none of it held in memory.
const FREE_BYTES: u64 = 1 << 30;
/// The window of zstd, as a power of two: 128 MiB, the most that its own tool takes without being asked.
const WINDOW_LOG_MAX: u32 = 27;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Frames that hold no data may stand first: 0x184D2A50 to 0x184D2A5F, the lowest byte first.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
/// The mark some editors put at the beginning of a UTF-8 file, and those of UTF-16.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF_16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// The bytes of a file as they lie on the disk.
struct Raw {
    file: File,
    hasher: blake3::Hasher,
    read_bytes: u64,
    /// What of several files is read, together.
    meter: Arc<AtomicU64>,
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.read_bytes += count as u64;
        self.meter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

enum Packing {
    Plain(Box<BufReader<Raw>>),
    Gzip(Box<BufReader<MultiGzDecoder<BufReader<Raw>>>>),
    Zstd(Box<BufReader<Decoder<'static, BufReader<Raw>>>>),
}

/// The unpacked bytes of a file.
pub(super) struct Bytes {
    packing: Packing,
    /// Bytes of the buffer that were given out and not yet counted as used.
    used_bytes: u64,
    most_ratio: u64,
    free_bytes: u64,
}

/// A fault of the bytes that is none of the machine.
#[derive(Debug, thiserror::Error)]
#[error("the archive expands to more than {ratio} times its size")]
struct Bomb {
    ratio: u64,
}

impl Bytes {
    /// Opens a file and looks at its first bytes; a byte order mark is left out of what is read. What is read from the disk is added to
    /// `meter`.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::NotAFile`] for what would block or never end, [`DataError::Archive`] for a
    /// name that promises an archive, [`DataError::Utf16`].
    pub(super) fn open(path: &Path, meter: Arc<AtomicU64>) -> Result<Self, DataError> {
        Self::open_within(path, meter, MOST_RATIO, FREE_BYTES)
    }

    fn open_within(
        path: &Path,
        meter: Arc<AtomicU64>,
        most_ratio: u64,
        free_bytes: u64,
    ) -> Result<Self, DataError> {
        let fail = |error| fault(path, error);
        // Before it is opened: opening a pipe waits for its writer.
        let kind = fs::metadata(path).map_err(fail)?.file_type();
        if !kind.is_file() {
            let found = if kind.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
            return Err(DataError::NotAFile { path: path.to_owned(), found });
        }
        let file = File::open(path).map_err(fail)?;
        let raw = Raw { file, hasher: blake3::Hasher::new(), read_bytes: 0, meter };
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, raw);
        let first = plain.fill_buf().map_err(fail)?;
        let skippable = first.len() > 3 && first[0] & 0xf0 == 0x50 && first[1..].starts_with(ZSTD_SKIPPABLE);
        let packing = if first.starts_with(GZIP) {
            Packing::Gzip(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain))))
        } else if first.starts_with(ZSTD) || skippable {
            let mut decoder = Decoder::with_buffer(plain).map_err(fail)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(fail)?;
            Packing::Zstd(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
        } else {
            let name = path.to_string_lossy().to_ascii_lowercase();
            if name.ends_with(".gz") || name.ends_with(".zst") {
                let what = if first.is_empty() { "it is empty" } else { "its first bytes are no archive's" };
                return Err(fail(io::Error::new(io::ErrorKind::InvalidData, what)));
            }
            Packing::Plain(Box::new(plain))
        };
        let mut bytes = Self { packing, used_bytes: 0, most_ratio, free_bytes };
        let first = bytes.fill_buf().map_err(fail)?;
        if UTF_16.iter().any(|mark| first.starts_with(mark)) {
            return Err(DataError::Utf16 { path: path.to_owned() });
        }
        // A buffer holds more than three bytes unless the file ends there, or an archive is cut in strange pieces.
        if first.starts_with(BYTE_ORDER_MARK) {
            bytes.consume(BYTE_ORDER_MARK.len());
        }
        Ok(bytes)
    }

    /// Whether the bytes are those of the file itself.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.packing, Packing::Plain(_))
    }

    /// The first byte that comes, without taking it.
    pub(super) fn peek(&mut self) -> io::Result<&[u8]> {
        self.fill_buf()
    }

    fn raw(&mut self) -> &mut Raw {
        match &mut self.packing {
            Packing::Plain(plain) => plain.get_mut(),
            Packing::Gzip(packed) => packed.get_mut().get_mut().get_mut(),
            Packing::Zstd(packed) => packed.get_mut().get_mut().get_mut(),
        }
    }

    /// BLAKE3 of the file's bytes, all of them, whatever was read of it.
    pub(super) fn hash(mut self) -> io::Result<String> {
        let raw = self.raw();
        io::copy(raw, &mut io::sink())?;
        Ok(raw.hasher.finalize().to_hex().to_string())
    }

    fn refuse_bomb(&mut self) -> io::Result<()> {
        if self.is_plain() || self.used_bytes <= self.free_bytes {
            return Ok(());
        }
        let ratio = self.most_ratio;
        match self.used_bytes > ratio.saturating_mul(self.raw().read_bytes) {
            true => Err(io::Error::other(Bomb { ratio })),
            false => Ok(()),
        }
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Bytes {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.refuse_bomb()?;
        loop {
            let filled = match &mut self.packing {
                Packing::Plain(plain) => plain.fill_buf().map(<[u8]>::len),
                Packing::Gzip(packed) => packed.fill_buf().map(<[u8]>::len),
                Packing::Zstd(packed) => packed.fill_buf().map(<[u8]>::len),
            };
            match filled {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        // What is in the buffer is given without another read.
        Ok(match &self.packing {
            Packing::Plain(plain) => plain.buffer(),
            Packing::Gzip(packed) => packed.buffer(),
            Packing::Zstd(packed) => packed.buffer(),
        })
    }

    fn consume(&mut self, count: usize) {
        self.used_bytes += count as u64;
        match &mut self.packing {
            Packing::Plain(plain) => plain.consume(count),
            Packing::Gzip(packed) => packed.consume(count),
            Packing::Zstd(packed) => packed.consume(count),
        }
    }
}

/// What an error of reading says of a file.
pub(super) fn fault(path: &Path, error: io::Error) -> DataError {
    let path = path.to_owned();
    if let Some(Bomb { ratio }) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return DataError::Bomb { path, ratio: *ratio };
    }
    match error.kind() {
        io::ErrorKind::NotFound => DataError::Missing { path },
        // An error without a number is none of the machine's: it comes from unpacking.
        _ if error.raw_os_error().is_none() => DataError::Archive { path, source: error },
        _ => DataError::Unreadable { path, source: error },
    }
}

#[cfg(test)]
#[path = "bytes_tests.rs"]
mod tests;
