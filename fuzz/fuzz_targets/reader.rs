//! Bytes as a file of any format: rows or errors, the same rows when it is read again, and rows that can be written.
//!
//! The first byte chooses the format, the rest is the file; archives are known by their own first bytes.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_data::{Format, Reader, Record, Source};

const FORMATS: [&str; 8] = ["jsonl", "json", "csv", "tsv", "text", "zendesk", "intercom", "mbox"];

/// A file of this process, in memory where the system has such a folder.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("rtune-fuzz-{}", std::process::id()))
});

/// Everything that a source gives, and whether it ended in an error.
fn read(source: &Source) -> (Vec<Result<Record, String>>, Option<String>) {
    let mut reader = Reader::open(std::slice::from_ref(source)).expect("the file is there");
    let mut rows = Vec::new();
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some(row)) => rows.push(match row.record {
                Ok((record, _)) => Ok(record),
                Err(problem) => Err(problem.to_string()),
            }),
            Err(error) => return (rows, Some(error.to_string())),
        }
    }
    let counted: usize = reader.files().iter().map(|file| file.rows + file.problems).sum();
    assert_eq!(counted, rows.len());
    (rows, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    std::fs::write(&*FILE, bytes).expect("written");
    let mut source = Source::new(&*FILE);
    source.format = FORMATS.get(usize::from(choice) % 9).and_then(|name| name.parse::<Format>().ok());
    source.agents = vec!["example.org".to_owned(), "7".to_owned()];
    if choice & 0x80 != 0 {
        source.fields =
            [("instruction", "a.0"), ("output", "b")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    }
    let first = read(&source);
    assert_eq!(read(&source), first);
    let lines: Vec<String> = first.0.iter().flatten().map(|record| record.to_json().to_string()).collect();
    if lines.is_empty() {
        return;
    }
    std::fs::write(&*FILE, lines.join("\n")).expect("written");
    source.format = Some(Format::Jsonl);
    source.fields.clear();
    let (again, error) = read(&source);
    assert_eq!(error, None);
    for (one, other) in first.0.iter().flatten().zip(again) {
        let other = other.expect("what was read is readable");
        assert_eq!((&one.id, &one.messages, &one.tools), (&other.id, &other.messages, &other.tools));
    }
});
