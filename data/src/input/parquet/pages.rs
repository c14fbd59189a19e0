//! A Parquet file whose pages are held against their columns before the library reads them: it asks for as much memory as the header of a
//! page says, which may be 2 GiB in a file of some bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use ::bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::header::Claims;
use super::unpacked::is_within;

/// Values of a dictionary: the library asks for 32 bytes of memory for each before it reads one. Writers end a dictionary at some MiB.
const MOST_DICTIONARY_VALUES: i64 = 1 << 24;

/// A file, and what it says of its columns.
pub(super) struct Pages {
    file: Arc<File>,
    bytes: u64,
    /// By where they begin. No two have a byte in common, so that a page is one column's.
    columns: Vec<Arc<Column>>,
    headed: Arc<Headers>,
}

/// By where what follows a header begins, what the header says: of headers that were read and their pages not yet.
type Headers = Mutex<HashMap<u64, Claims>>;

/// A column of a row group.
struct Column {
    /// How it is called in messages.
    name: String,
    begin: u64,
    end: u64,
    /// Bytes of all its pages when they are unpacked, with their headers.
    unpacked_bytes: i64,
    compression: Compression,
}

impl Pages {
    /// The pages of `file`, which says `metadata` of itself; no number of that is below 0.
    ///
    /// # Errors
    /// In words, for columns that the file does not hold, or that begin within others.
    pub(super) fn new(file: File, metadata: &ParquetMetaData) -> Result<Self, String> {
        let bytes = file.len();
        let mut columns = Vec::new();
        for (group, number) in metadata.row_groups().iter().zip(1..) {
            for column in group.columns() {
                let (begin, length) = column.byte_range();
                let name = format!("column `{}` of row group {number}", column.column_path().string());
                let (end, unpacked_bytes) = (begin + length, column.uncompressed_size());
                if end > bytes {
                    return Err(format!(
                        "{name}: expected it to end within the {bytes} bytes of the file, found {end}: copy or download the file again"
                    ));
                }
                if length > 0 {
                    let compression = column.compression();
                    columns.push(Arc::new(Column { name, begin, end, unpacked_bytes, compression }));
                }
            }
        }
        columns.sort_by_key(|column| column.begin);
        match columns.windows(2).find(|pair| pair[0].end > pair[1].begin) {
            None => Ok(Self { file: Arc::new(file), bytes, columns, headed: Arc::default() }),
            Some(pair) => Err(format!(
                "{}: expected it behind {}, found that it begins within it: write the file anew",
                pair[1].name, pair[0].name
            )),
        }
    }

    fn column_at(&self, place: u64) -> Option<&Arc<Column>> {
        let behind = self.columns.partition_point(|column| column.begin <= place);
        self.columns[..behind].last().filter(|column| place < column.end)
    }

    fn bytes_from(&self, place: u64) -> BufReader<At> {
        BufReader::new(At { file: Arc::clone(&self.file), place })
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Pages {
    type T = Headed;

    fn get_read(&self, start: u64) -> Result<Headed, ParquetError> {
        // Within a column the library reads headers this way, and nothing else; pages come by the other.
        let header = self.column_at(start).map(|column| (Arc::clone(column), self.bytes_from(start)));
        Ok(Headed { bytes: self.bytes_from(start), header, start, headed: Arc::clone(&self.headed) })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.file.get_bytes(start, length)?;
        let Some(column) = self.column_at(start) else { return Ok(bytes) };
        let claims = self.headed.lock().unwrap_or_else(PoisonError::into_inner).remove(&start);
        let wrong = |problem: &str| {
            let place = format!("{}: the page before byte {start}", column.name);
            Err(ParquetError::General(format!(
                "{place}: {problem}: write the file anew, or its rows as JSONL"
            )))
        };
        let Some(claims) = claims else { return wrong("expected a header, found none") };
        let packed = usize::try_from(claims.levels_bytes).ok().and_then(|levels| bytes.get(levels..));
        let Some(packed) = packed else {
            return wrong("expected levels within it, found them beyond its end");
        };
        // What it unpacks to with its levels is never more than it says: both were held against the column.
        let most = u64::try_from(claims.unpacked_bytes).unwrap_or(0);
        match is_within(packed, column.compression, most) {
            true => Ok(bytes),
            false => wrong(&format!("expected {most} bytes when it is unpacked, found more")),
        }
    }
}

/// Bytes from a place on. Where they are a page's header, that is looked at before a byte of it is given out; a header that is read
/// by nobody is not looked at, for the library opens some places twice.
pub(super) struct Headed {
    bytes: BufReader<At>,
    header: Option<(Arc<Column>, BufReader<At>)>,
    start: u64,
    headed: Arc<Headers>,
}

impl Read for Headed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((column, header)) = self.header.take() {
            let mut header = header.take(column.end - self.start);
            let claims = Claims::read(&mut header).and_then(|claims| column.allows(&claims).map(|()| claims));
            let claims = claims.map_err(|problem| {
                let place = format!("{}: the page at byte {}", column.name, self.start);
                io::Error::other(format!("{place}: {problem}: write the file anew, or its rows as JSONL"))
            })?;
            let begin = column.end - header.limit();
            self.headed.lock().unwrap_or_else(PoisonError::into_inner).insert(begin, claims);
        }
        self.bytes.read(buffer)
    }
}

impl Column {
    /// Whether a page of this column can be what it claims.
    fn allows(&self, claims: &Claims) -> Result<(), String> {
        let Self { unpacked_bytes, .. } = *self;
        let packed_bytes = i64::try_from(self.end - self.begin).unwrap_or(i64::MAX);
        let most_values = claims.unpacked_bytes.min(MOST_DICTIONARY_VALUES);
        for (what, most, found) in [
            ("bytes unpacked, which is all that its column has", unpacked_bytes, claims.unpacked_bytes),
            ("bytes packed, which is all that its column has", packed_bytes, claims.packed_bytes),
            ("values in a dictionary of its size", most_values, claims.dictionary_values),
        ] {
            if !(0..=most).contains(&found) {
                return Err(format!("expected at most {most} {what}, found {found}"));
            }
        }
        Ok(())
    }
}

/// A place of a file, read without moving the file's own.
struct At {
    file: Arc<File>,
    place: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.place)?;
        self.place += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::{Compression, GzipLevel};
    use parquet::file::metadata::{ColumnChunkMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter};

    use super::super::tests::{saying, written};
    use crate::input::{Reader, Source};
    use crate::testing::Files;

    /// A number below 2^31 as the header of a page has it.
    fn number(value: u32) -> Vec<u8> {
        let mut rest = u64::from(value) << 1;
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// How long the number at `at` is.
    fn length(bytes: &[u8], at: usize) -> usize {
        bytes[at..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
    }

    /// What reading a file says whose last column, which begins with a dictionary, was changed by `alter`.
    fn altered(
        alter: impl Fn(&mut Vec<u8>),
        said: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
    ) -> Result<usize, String> {
        altered_of(Compression::SNAPPY, &alter, said)
    }

    /// [`altered`], of a file whose pages are packed so.
    fn altered_of(
        compression: Compression,
        alter: &dyn Fn(&mut Vec<u8>),
        said: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
    ) -> Result<usize, String> {
        let files = Files::new();
        let path = written(&files, &[Some("a"), Some("b"), Some("a"), None], compression);
        let whole = std::fs::read(&path).expect("read");
        let file = std::fs::File::open(&path).expect("there");
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).expect("parsed");
        let last = metadata.row_group(0).column(1);
        let (begin, length) = last.byte_range();
        let (begin, end) = (begin as usize, (begin + length) as usize);
        let mut pages = whole[begin..end].to_vec();
        assert_eq!(pages[..3], [0x15, 4, 0x15], "a dictionary first");
        alter(&mut pages);
        let metadata = saying(&metadata, |column| said(column.set_total_compressed_size(pages.len() as i64)));
        let mut bytes = [&whole[..begin], &pages].concat();
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().expect("written");
        let path = files.write("altered.parquet", &bytes);
        let mut reader = Reader::open(&[Source::new(&path)]).expect("opened");
        let mut rows = 0;
        loop {
            match reader.next() {
                Ok(Some(_)) => rows += 1,
                Ok(None) => return Ok(rows),
                Err(error) => return Err(files.without_folder(&error)),
            }
        }
    }

    /// Puts `value` in the place of the first, second or third number of the dictionary's header that says a size.
    fn claim(which: usize, value: u32) -> impl Fn(&mut Vec<u8>) {
        move |pages| {
            let mut at = 3;
            for _ in 0..which {
                // The head of the next field; before the third number stands that of the structure that it is in, too.
                at += length(pages, at) + 1;
            }
            at += usize::from(which == 2);
            let end = at + length(pages, at);
            pages.splice(at..end, number(value));
        }
    }

    #[test]
    fn a_page_that_claims_more_than_its_column_is_refused() {
        let same = |column| column;
        assert_eq!(altered(|_| {}, same), Ok(4));
        for (which, value, said) in [
            (0, i32::MAX as u32, "bytes unpacked, which is all that its column has, found 2147483647"),
            (1, i32::MAX as u32, "bytes packed, which is all that its column has, found 2147483647"),
            (2, i32::MAX as u32, "expected at most 10 values in a dictionary of its size, found 2147483647"),
        ] {
            let error = altered(claim(which, value), same).expect_err("refused");
            assert!(
                error.starts_with("altered.parquet: column `output` of row group 1: the page at byte ")
                    && error.contains(said)
                    && error.ends_with(": write the file anew, or its rows as JSONL"),
                "{error}"
            );
        }
        // A column that itself claims as much is refused by its own bound; below that a dictionary has a bound of its own.
        let error = altered(claim(2, 1 << 25), |column| column.set_total_uncompressed_size(1 << 30));
        assert!(error.expect_err("refused").contains("expected at most 10 values"));
        let both = |pages: &mut Vec<u8>| {
            claim(0, 1 << 29)(pages);
            claim(2, 1 << 25)(pages);
        };
        let error = altered(both, |column| column.set_total_uncompressed_size(1 << 30));
        assert!(error.expect_err("refused").contains("expected at most 16777216 values in a dictionary"));
    }

    /// A page that says less than it holds, packed by something that would first unpack it all.
    #[test]
    fn a_page_that_unpacks_to_more_than_it_says_is_refused() {
        for compression in [Compression::GZIP(GzipLevel::default()), Compression::SNAPPY] {
            let read = |alter: &dyn Fn(&mut Vec<u8>)| altered_of(compression, alter, |column| column);
            assert_eq!(read(&|_| {}), Ok(4));
            let error = read(&claim(0, 9)).expect_err("refused");
            let ours =
                error.contains(": expected 9 bytes when it is unpacked, found more: write the file anew");
            assert_eq!(ours, compression != Compression::SNAPPY, "{error}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        for first in [0, 0x05, 0x18, 0x1e] {
            let error = altered(|pages| pages[0] = first, |column| column).expect_err("refused");
            assert!(error.contains(": the page at byte ") || error.contains("missing"), "{error}");
        }
    }

    #[test]
    fn columns_that_the_file_does_not_hold_are_refused() {
        let error = altered(|_| {}, |column| column.set_total_compressed_size(1 << 40)).expect_err("refused");
        assert!(error.contains("column `output` of row group 1: expected it to end within the "), "{error}");
        let within = altered(|_| {}, |column| column.set_dictionary_page_offset(Some(5)));
        assert!(within.expect_err("refused").contains("found that it begins within it"));
    }
}
