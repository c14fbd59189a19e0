//! Parquet: columns put together to rows, row by row.

mod header;
mod pages;
mod unpacked;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use self::pages::Pages;
use super::bytes::{Bytes, fault};
use super::{Found, MAX_LINE_BYTES, Rows};
use crate::error::DataError;
use crate::problem::ProblemKind;

/// Bytes of one column of a row group when it is unpacked; writers keep whole groups under half of it.
const MOST_COLUMN_BYTES: i64 = 1 << 30;

/// The rows of a Parquet file.
pub(super) struct ParquetRows {
    path: Arc<Path>,
    bytes: Bytes,
    rows: RowIter<'static>,
    number: u64,
}

impl ParquetRows {
    /// Reads what the file says of itself.
    ///
    /// # Errors
    /// [`DataError::Format`] for a packed file, whose end cannot be reached first, for one that is no Parquet, and for one with
    /// columns that are larger than any memory should be asked for, or that it does not hold.
    pub(super) fn new(path: Arc<Path>, bytes: Bytes) -> Result<Self, DataError> {
        let refused = |reason: String| DataError::Format { path: path.to_path_buf(), reason };
        if !bytes.is_plain() {
            return Err(refused("a Parquet file packs itself: unpack it once more".to_owned()));
        }
        let file = File::open(&path).map_err(|error| fault(&path, error))?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
        let metadata = metadata.map_err(|error| wrong(&path, &error))?;
        if let Some(reason) = beyond_bounds(&metadata) {
            return Err(refused(reason));
        }
        let pages = Pages::new(file, &metadata).map_err(refused)?;
        let reader = SerializedFileReader::new(pages).map_err(|error| wrong(&path, &error))?;
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok(Self { path, bytes, rows, number: 0 })
    }
}

/// What the file says of its columns, where that cannot be or is too much. The library takes these numbers as they are.
fn beyond_bounds(file: &ParquetMetaData) -> Option<String> {
    file.row_groups().iter().enumerate().find_map(|(group, columns)| {
        columns.columns().iter().find_map(|column| {
            let begins = [column.data_page_offset(), column.dictionary_page_offset().unwrap_or(0)];
            let sizes = [column.compressed_size(), column.uncompressed_size(), column.num_values()];
            let place = || format!("column `{}` of row group {}", column.column_path().string(), group + 1);
            let unpacked = column.uncompressed_size();
            if begins.iter().chain(&sizes).any(|&number| number < 0) {
                Some(format!("{}: sizes and places cannot be below 0", place()))
            } else if unpacked > MOST_COLUMN_BYTES {
                let most = MOST_COLUMN_BYTES >> 20;
                Some(format!(
                    "{}: expected at most {most} MiB, found {} MiB: write smaller row groups",
                    place(),
                    unpacked >> 20
                ))
            } else {
                None
            }
        })
    })
}

fn wrong(path: &Path, error: &ParquetError) -> DataError {
    // What another library says, or our own look at a page, says where it is from.
    let reason = match error {
        ParquetError::External(error) => error.to_string(),
        error => error.to_string(),
    };
    DataError::Format { path: path.to_owned(), reason }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let row = row.map_err(|error| wrong(&self.path, &error))?;
        self.number += 1;
        let row = match bytes_of(&row) > MAX_LINE_BYTES {
            true => Err(ProblemKind::RowTooLong),
            false => object(row),
        };
        Ok(Some(Found { line: self.number, row }))
    }

    fn hash(self: Box<Self>) -> Result<String, DataError> {
        self.bytes.hash().map_err(|error| fault(&self.path, error))
    }
}

/// Bytes of all texts in a row.
fn bytes_of(row: &Row) -> usize {
    row.get_column_iter().map(|(_, field)| bytes_of_cell(field)).sum()
}

fn bytes_of_cell(field: &Field) -> usize {
    match field {
        Field::Str(text) => text.len(),
        Field::Bytes(bytes) => bytes.len(),
        Field::Group(row) => bytes_of(row),
        Field::ListInternal(list) => list.elements().iter().map(bytes_of_cell).sum(),
        Field::MapInternal(map) => {
            map.entries().iter().map(|(key, value)| bytes_of_cell(key) + bytes_of_cell(value)).sum()
        }
        _ => 0,
    }
}

fn object(row: Row) -> Result<Map<String, Value>, ProblemKind> {
    row.into_columns().into_iter().map(|(name, field)| Ok((name, value(field)?))).collect()
}

/// A cell as JSON. Times and decimals, which no training row has, are written as the library writes them.
fn value(field: Field) -> Result<Value, ProblemKind> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(value),
        Field::Byte(value) => Value::from(value),
        Field::Short(value) => Value::from(value),
        Field::Int(value) => Value::from(value),
        Field::Long(value) => Value::from(value),
        Field::UByte(value) => Value::from(value),
        Field::UShort(value) => Value::from(value),
        Field::UInt(value) => Value::from(value),
        Field::ULong(value) => Value::from(value),
        Field::Float(value) => number(f64::from(value)),
        Field::Double(value) => number(value),
        Field::Str(text) => Value::from(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::from(text),
            Err(error) => return Err(ProblemKind::InvalidUtf8 { column: error.valid_up_to() + 1 }),
        },
        Field::Group(row) => Value::Object(object(row)?),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value(element.clone())).collect::<Result<_, _>>()?
        }
        Field::MapInternal(map) => {
            let entry = |(key, element): &(Field, Field)| -> Result<(String, Value), ProblemKind> {
                let key = match key {
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                Ok((key, value(element.clone())?))
            };
            Value::Object(map.entries().iter().map(entry).collect::<Result<_, _>>()?)
        }
        other => Value::from(other.to_string()),
    })
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use parquet::basic::{Compression, GzipLevel, ZstdLevel};
    use parquet::data_type::ByteArrayType;
    use parquet::file::metadata::{ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataReader};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::beyond_bounds;
    use crate::input::{Reader, Source};
    use crate::testing::Files;

    /// A file of two columns of texts, some of the second left out.
    pub(super) fn written(
        files: &Files,
        answers: &[Option<&str>],
        compression: Compression,
    ) -> std::path::PathBuf {
        written_as(files, answers, compression, WriterVersion::PARQUET_1_0)
    }

    /// [`written`], with pages of that version.
    fn written_as(
        files: &Files,
        answers: &[Option<&str>],
        compression: Compression,
        version: WriterVersion,
    ) -> std::path::PathBuf {
        let schema = "message row { required binary instruction (UTF8); optional binary output (UTF8); }";
        let schema = std::sync::Arc::new(parse_message_type(schema).expect("a schema"));
        let path = files.path("rows.parquet");
        let file = std::fs::File::create(&path).expect("a file");
        let properties = WriterProperties::builder().set_compression(compression).set_writer_version(version);
        let properties = std::sync::Arc::new(properties.build());
        let mut writer = SerializedFileWriter::new(file, schema, properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let asked: Vec<_> =
            (0..answers.len()).map(|index| format!("say {index}").into_bytes().into()).collect();
        let given: Vec<_> =
            answers.iter().flatten().map(|answer| answer.as_bytes().to_vec().into()).collect();
        let levels: Vec<i16> = answers.iter().map(|answer| i16::from(answer.is_some())).collect();
        for (values, levels) in [(&asked, None), (&given, Some(levels.as_slice()))] {
            let mut column = group.next_column().expect("read").expect("a column");
            column.typed::<ByteArrayType>().write_batch(values, levels, None).expect("written");
            column.close().expect("closed");
        }
        group.close().expect("closed");
        writer.close().expect("closed");
        path
    }

    #[test]
    fn columns_become_rows() {
        let files = Files::new();
        let path = written(&files, &[Some("a"), None, Some("c")], Compression::UNCOMPRESSED);
        let mut reader = Reader::open(&[Source::new(&path)]).expect("opened");
        let mut found = Vec::new();
        while let Some(row) = reader.next().expect("read") {
            found.push(match row.record {
                Ok((record, _)) => format!("{} {:?}", record.origin.line, record.answer()),
                Err(problem) => files.without_folder(&problem),
            });
        }
        assert_eq!(found, ["1 Some(\"a\")", "rows.parquet:2: no answer: `output` is empty", "3 Some(\"c\")"]);
        let bytes = std::fs::read(&path).expect("read");
        assert_eq!(reader.files()[0].hash, blake3::hash(&bytes).to_hex().as_str());
    }

    /// Levels of version 2 stand unpacked before what is packed.
    #[test]
    fn pages_of_both_versions_are_read_however_they_are_packed() {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for compression in [
                Compression::UNCOMPRESSED,
                Compression::SNAPPY,
                Compression::GZIP(GzipLevel::default()),
                Compression::LZ4,
                Compression::LZ4_RAW,
                Compression::ZSTD(ZstdLevel::default()),
            ] {
                let files = Files::new();
                let long = "so it is. ".repeat(1000);
                let answers: Vec<Option<&str>> = (0..500)
                    .map(|number| (number % 7 != 3).then_some(if number % 2 == 0 { &long } else { "b" }))
                    .collect();
                let path = written_as(&files, &answers, compression, version);
                let mut reader = Reader::open(&[Source::new(&path)]).expect("opened");
                for answer in answers {
                    let row = reader.next().expect("read").expect("a row").record;
                    let found = row.as_ref().ok().and_then(|(record, _)| record.answer());
                    // White space around what is said is none of this.
                    assert_eq!(found.map(str::trim), answer.map(str::trim), "{compression} {version:?}");
                }
                assert!(reader.next().expect("read").is_none());
            }
        }
    }

    #[test]
    fn a_row_beyond_the_bound_is_a_problem_of_its_own() {
        let files = Files::new();
        let long = "x".repeat(crate::input::MAX_LINE_BYTES);
        let path = written(&files, &[Some("a"), Some(&long), Some("c")], Compression::UNCOMPRESSED);
        let mut reader = Reader::open(&[Source::new(&path)]).expect("opened");
        let mut found = Vec::new();
        while let Some(row) = reader.next().expect("read") {
            found.push(row.record.map_err(|problem| files.without_folder(&problem)).err());
        }
        assert_eq!(found, [None, Some("rows.parquet:2: the row is longer than 64 MiB".to_owned()), None]);
    }

    /// What is said of a file, with what `said` makes of its second column.
    pub(super) fn saying(
        read: &ParquetMetaData,
        said: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
    ) -> ParquetMetaData {
        let mut groups = Vec::new();
        for group in read.row_groups() {
            let mut columns = group.columns().to_vec();
            columns[1] = said(columns[1].clone().into_builder()).build().expect("a column");
            groups.push(group.clone().into_builder().set_column_metadata(columns).build().expect("a group"));
        }
        read.clone().into_builder().set_row_groups(groups).build()
    }

    #[test]
    fn columns_beyond_all_bounds_are_refused_before_they_are_read() {
        let files = Files::new();
        let path = written(&files, &[Some("a")], Compression::UNCOMPRESSED);
        let file = std::fs::File::open(path).expect("there");
        let read = ParquetMetaDataReader::new().parse_and_finish(&file).expect("read");
        let saying = |said: fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder| {
            beyond_bounds(&saying(&read, said))
        };
        assert_eq!(saying(|column| column), None);
        let large = "column `output` of row group 1: expected at most 1024 MiB, found 2048 MiB: write smaller row groups";
        assert_eq!(saying(|column| column.set_total_uncompressed_size(2 << 30)).as_deref(), Some(large));
        let negative = "column `output` of row group 1: sizes and places cannot be below 0";
        assert_eq!(saying(|column| column.set_total_compressed_size(-1)).as_deref(), Some(negative));
        assert_eq!(saying(|column| column.set_data_page_offset(-1)).as_deref(), Some(negative));
    }

    #[test]
    fn what_is_no_parquet_is_an_error() {
        let files = Files::new();
        let whole = std::fs::read(written(&files, &[Some("a")], Compression::UNCOMPRESSED)).expect("read");
        for bytes in [&b"PAR1"[..], b"", b"{}", &whole[..whole.len() / 2]] {
            let path = files.write("bad.parquet", bytes);
            let mut reader = Reader::open(&[Source::new(&path)]).expect("opened");
            let message = files.without_folder(reader.next().expect_err("no Parquet"));
            assert!(message.starts_with("bad.parquet: "), "{message}");
        }
    }
}
