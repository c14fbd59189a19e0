use std::io::Write;

use super::*;
use crate::input::{Reader, Source};
use crate::testing::Files;

const ROW: &str = "{\"instruction\": \"a\", \"output\": \"b\"}\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.include_checksum(true).expect("a checksum");
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn told(name: &str, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let files = Files::new();
    files.told(&Source::new(files.write(name, bytes)))
}

#[test]
fn archives_of_several_members_and_hashes_of_what_lies_on_the_disk() {
    let marked = format!("\u{feff}{ROW}");
    let skippable =
        [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(marked.as_bytes()).as_slice()].concat();
    let cases = [
        ("a.jsonl.gz", [gzip(marked.as_bytes()), gzip(b""), gzip(ROW.as_bytes())].concat(), 2),
        ("a.jsonl.zst", [zstd(marked.as_bytes()), zstd(ROW.as_bytes())].concat(), 2),
        ("a.jsonl", gzip(ROW.as_bytes()), 1),
        ("a", zstd(ROW.as_bytes()), 1),
        ("a.jsonl.zst", skippable, 1),
    ];
    for (name, bytes, rows) in cases {
        let files = Files::new();
        let mut reader = Reader::open(&[Source::new(files.write(name, &bytes))]).expect("opened");
        while let Some(row) = reader.next().expect("read") {
            assert_eq!(row.record.expect("usable").0.answer(), Some("b"), "{name}");
        }
        let file = &reader.files()[0];
        assert_eq!((file.rows, file.hash.as_str()), (rows, blake3::hash(&bytes).to_hex().as_str()), "{name}");
    }
}

#[test]
fn archives_that_are_cut_or_damaged() {
    let rows: String = (0..20_000).map(|number| ROW.replace('b', &format!("{}", number * 7919))).collect();
    for (name, whole) in [("a.jsonl.gz", gzip(rows.as_bytes())), ("a.jsonl.zst", zstd(rows.as_bytes()))] {
        for end in [5, whole.len() / 2, whole.len() - 1] {
            let last = told(name, &whole[..end]).pop();
            assert_eq!(last, Some(format!("error {name}: the archive is cut short")), "{end}");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2..][..64].fill(0x55);
        let last = told(name, damaged).pop().expect("a line");
        assert!(last.starts_with(&format!("error {name}: the archive is ")), "{last}");
        let behind = told(name, [whole.as_slice(), b"garbage"].concat()).pop().expect("a line");
        assert!(behind.starts_with(&format!("error {name}: the archive is ")), "{behind}");
        assert_eq!(told(name, b""), [format!("error {name}: the archive is damaged")]);
        assert_eq!(told(name, ROW), [format!("error {name}: the archive is damaged")]);
    }
    assert_eq!(told("a.jsonl.gz", gzip(b"")), ["error a.jsonl.gz: the file has no rows"]);
    assert_eq!(told("a.jsonl.zst", zstd(b"")), ["error a.jsonl.zst: the file has no rows"]);
}

#[test]
fn an_archive_may_not_expand_beyond_all_measure() {
    let files = Files::new();
    let blank = vec![b'\n'; 4 << 20];
    let path = files.write("a.jsonl.gz", gzip(&blank));
    let read = |ratio, free| {
        let mut bytes = Bytes::open_within(&path, Arc::default(), ratio, free)?;
        io::copy(&mut bytes, &mut io::sink()).map_err(|error| fault(&path, error))
    };
    let error = read(100, 1 << 20).expect_err("a bomb");
    assert_eq!(
        files.without_folder(&error),
        "a.jsonl.gz: the archive expands to more than 100 times its size"
    );
    assert!(error.hint().is_some());
    assert_eq!(read(100, 4 << 20).expect("little enough"), 4 << 20);
    assert_eq!(read(2000, 1 << 20).expect("no such ratio"), 4 << 20);
}

/// A frame of zstd that expands to as many zeros as asked, without making them.
fn zeros(count: u64) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    io::copy(&mut io::repeat(b'0').take(count), &mut encoder).expect("packed");
    encoder.finish().expect("packed")
}

#[test]
fn a_row_of_a_gigabyte_is_refused_and_a_bomb_stopped() {
    let row = [zstd(ROW.as_bytes()), zeros(1_000_000_000), zstd(format!("\n{ROW}").as_bytes())].concat();
    assert_eq!(
        told("a.jsonl.zst", &row),
        [
            "a.jsonl.zst:1 u:a / a:b",
            "a.jsonl.zst:2: the line is longer than 64 MiB",
            "a.jsonl.zst:3 u:a / a:b",
            "2 rows, 1 problems"
        ]
    );
    let list = [zstd(b"[\""), zeros(100_000_000), zstd(format!("\",\n{ROW}]").as_bytes())].concat();
    assert_eq!(
        told("a.json.zst", list)[..2],
        ["a.json.zst:1: the row is longer than 64 MiB", "a.json.zst:2 u:a / a:b"]
    );
    let text = zeros(100_000_000);
    assert_eq!(told("a.txt.zst", text)[0], "a.txt.zst:1: the row is longer than 64 MiB");
    let bomb = [zstd(ROW.as_bytes()), zeros(1_200_000_000)].concat();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    assert_eq!(
        told("a.jsonl.zst", bomb).pop().as_deref(),
        Some("error a.jsonl.zst: the archive expands to more than 250 times its size")
    );
}

#[test]
fn what_is_no_file() {
    let files = Files::new();
    std::fs::create_dir(files.path("a.jsonl")).expect("a folder");
    let told = files.told(&Source::new(files.path("a.jsonl")));
    assert_eq!(told, ["error a.jsonl: the folder has no data file"]);
    let error = crate::read_file(&files.path("a.jsonl")).expect_err("a folder");
    assert_eq!(files.without_folder(error), "a.jsonl: expected a file, found a folder");
    let fifo = files.path("pipe.jsonl");
    if std::process::Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
        let told = files.told(&Source::new(fifo));
        assert_eq!(told, ["error pipe.jsonl: expected a file, found a pipe, a socket or a device"]);
    }
    let wide: Vec<u8> = ROW.bytes().flat_map(|byte| [byte, 0]).collect();
    let told = files.told(&Source::new(files.write("wide.jsonl", [b"\xff\xfe".as_slice(), &wide].concat())));
    assert_eq!(told, ["error wide.jsonl: the file is UTF-16, expected UTF-8"]);
}

#[test]
fn patterns_and_folders() {
    let files = Files::new();
    for folder in ["deep", "deep/er"] {
        std::fs::create_dir(files.path(folder)).expect("a folder");
    }
    files.write("deep/b.jsonl.gz", gzip(ROW.as_bytes()));
    files.write("deep/er/a.jsonl.gz", gzip(ROW.as_bytes()));
    files.write("deep/er/note.txt", "a note");
    files.write("deep/er/[1].csv", "text\nx\n");
    let names = |source: Source| -> Vec<String> {
        let found = source.files().expect("found");
        found.iter().map(|path| files.without_folder(path.display())).collect()
    };
    assert_eq!(
        names(Source::new(files.path("deep/**/*.jsonl.gz"))),
        ["deep/b.jsonl.gz", "deep/er/a.jsonl.gz"]
    );
    assert_eq!(names(Source::new(files.path("deep/er"))), ["deep/er/[1].csv", "deep/er/a.jsonl.gz"]);
    assert_eq!(names(Source::new(files.path("deep/er/[1].csv"))), ["deep/er/[1].csv"]);
    let texts = Source { format: Some(crate::Format::Text), ..Source::new(files.path("deep/er")) };
    assert_eq!(names(texts.clone()), ["deep/er/note.txt"]);
    assert_eq!(files.told(&texts)[0], "deep/er/note.txt:1 t:a note");
    let error = Source::new(files.path("*.parquet")).files().expect_err("none");
    assert_eq!(files.without_folder(error), "*.parquet: no file has a name like this");
    let error = Source::new(files.path("a***b")).files().expect_err("no pattern");
    assert!(files.without_folder(&error).starts_with("a***b: not a pattern of names"), "{error}");
    let weightless = Source { weight: 0.0, ..Source::new("x") };
    assert!(Reader::open(&[weightless]).is_err_and(|error| error.to_string().contains("weight")));
}

#[test]
fn texts_that_are_none() {
    assert_eq!(told("a.txt", "one\ntwo\n"), ["a.txt:1 t:one|two|", "1 rows, 0 problems"]);
    assert_eq!(told("a.txt", " \n"), ["error a.txt: the file has no rows"]);
    assert_eq!(told("a.txt", "one\nt\0wo")[0], "a.txt:2: a zero byte stands in the text");
    assert_eq!(
        told("a.txt", b"one\ntw\xff")[0],
        "a.txt:2:3: invalid UTF-8: the byte here starts no character"
    );
}
