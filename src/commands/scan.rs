//! `rtune scan`: where personal data stands in a file. It changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use anyhow::Context;
use rayon::prelude::*;
use rtune_data::NamesBy;
use rtune_privacy::{Entity, Mode, Replacement, ScanOptions, Scanner, Scope, Scrubber, code_points};
use serde_json::{Value, json};

use crate::args::scan::{Entities, ScanArgs};
use crate::commands::opened::name_finder;
use crate::failure::{BadInput, DONE};
use crate::reporter::say;

/// A text is looked at in blocks of whole lines of about this size, in bytes, so that a file of any size can be.
const BLOCK_BYTES: usize = 1 << 20;

/// Rows that one thread takes at a time; a model is asked about all of their texts at once.
const ROWS_AT_ONCE: usize = 64;

/// The longest line, in bytes: what is longer is no text of a person's, and no row that is trained on.
const LONGEST_LINE_BYTES: usize = 64 << 20;

/// The longest file of JSON, in bytes: its values stand in memory.
const LONGEST_DOCUMENT_BYTES: u64 = 512 << 20;

/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Digits of a number from which on it may be somebody's.
const LONG_DIGITS: usize = 6;

pub(crate) fn run(args: &ScanArgs) -> anyhow::Result<u8> {
    let scrubber = scrubber(args)?;
    let mut scan = Scan { args, scrubber, counts: BTreeMap::new(), texts: 0 };
    let end = args.file.extension().unwrap_or_default();
    let is = |ends: &[&str]| ends.iter().any(|known| end.eq_ignore_ascii_case(known));
    if args.file == Path::new("-") {
        let mut reader = std::io::stdin().lock();
        refuse_packed(&mut reader, &args.file)?;
        pass_mark(&mut reader, &args.file)?;
        scan.text(&mut reader)?;
    } else {
        let mut reader = BufReader::new(open(&args.file)?);
        refuse_packed(&mut reader, &args.file)?;
        pass_mark(&mut reader, &args.file)?;
        if is(&["jsonl", "ndjson"]) {
            scan.rows(&mut reader)?;
        } else if is(&["json"]) {
            scan.document(&mut reader)?;
        } else {
            scan.text(&mut reader)?;
        }
    }
    if !args.json {
        scan.summarise();
    }
    Ok(DONE)
}

fn scrubber(args: &ScanArgs) -> anyhow::Result<Scrubber> {
    let entities = if args.entities.contains(&Entities::All) {
        Entity::ALL.to_vec()
    } else {
        args.entities
            .iter()
            .filter_map(|entity| if let Entities::One(one) = entity { Some(*one) } else { None })
            .collect()
    };
    let options = ScanOptions {
        entities,
        threshold: args.threshold,
        allow: args.allow.clone(),
        phone_regions: args.regions.clone(),
        names: args.names != NamesBy::Off,
        ..ScanOptions::default()
    };
    let scanner = Scanner::new(&options).map_err(|error| BadInput::new(error.to_string()))?;
    let unused = Replacement { mode: Mode::Tag, scope: Scope::Record, salt: None };
    let finder = match &args.names {
        NamesBy::Off | NamesBy::Rules => None,
        NamesBy::Model(model) => Some(name_finder(model)?),
    };
    Scrubber::new(&unused, scanner, finder).map_err(|error| BadInput::new(error.to_string()).into())
}

fn open(path: &Path) -> anyhow::Result<File> {
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_dir()) => {
            let hint = "name one file; a shell's pattern or a loop goes over many";
            Err(BadInput::new(format!("{}: a folder", path.display())).with_hint(hint).into())
        }
        Ok(file) => Ok(file),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = "paths are relative to the working directory";
            Err(BadInput::new(format!("{}: no such file", path.display())).with_hint(hint).into())
        }
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    }
}

/// Packed bytes are no text, whatever the file is called.
fn refuse_packed(reader: &mut dyn BufRead, path: &Path) -> anyhow::Result<()> {
    let first = reader.fill_buf().with_context(|| format!("{}: cannot be read", path.display()))?;
    let kind = match first {
        [0x1f, 0x8b, ..] => "gzip",
        // A frame, or one that holds no data and may stand first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => "zstd",
        _ => return Ok(()),
    };
    let problem = format!("{}: packed by {kind}, and texts are looked at as they stand", path.display());
    let hint = format!("unpack it first: `{kind} -dk FILE`");
    Err(BadInput::new(problem).with_hint(hint).into())
}

/// A byte order mark is no part of what follows it.
fn pass_mark(reader: &mut dyn BufRead, path: &Path) -> anyhow::Result<()> {
    let first = reader.fill_buf().with_context(|| format!("{}: cannot be read", path.display()))?;
    if first.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// The strings of a row, with their places as JSON pointers.
struct Row {
    line: usize,
    fields: Vec<String>,
    texts: Vec<String>,
}

impl Row {
    /// Of a value at `pointer`.
    fn of(value: &Value, line: usize, mut pointer: String) -> Self {
        let mut strings = Vec::new();
        collect(value, &mut pointer, &mut strings);
        let (fields, texts) = strings.into_iter().unzip();
        Self { line, fields, texts }
    }
}

struct Scan<'a> {
    args: &'a ScanArgs,
    scrubber: Scrubber,
    counts: BTreeMap<Entity, usize>,
    /// Strings of rows, or lines of a text, that were looked at.
    texts: usize,
}

impl Scan<'_> {
    /// Every string of every row; places are counted in code points of the string.
    fn rows(&mut self, reader: &mut dyn BufRead) -> anyhow::Result<()> {
        let mut number = 0;
        loop {
            let mut rows = Vec::new();
            let mut bytes = 0;
            while bytes < BLOCK_BYTES
                && let Some(line) = self.line(reader, number + 1)?
            {
                number += 1;
                bytes += line.len();
                if !line.trim().is_empty() {
                    rows.push(self.row(&line, number)?);
                }
            }
            if bytes == 0 {
                return Ok(());
            }
            self.of_rows(&rows)?;
        }
    }

    /// The same of a file of JSON, of whose list each element is a row; what is no JSON is a text. What stands behind an escape is
    /// seen as what it means. There are no lines but the first: pointers are places.
    fn document(&mut self, reader: &mut dyn BufRead) -> anyhow::Result<()> {
        let place = || format!("{}: cannot be read", self.args.file.display());
        let mut bytes = Vec::new();
        let mut limited = std::io::Read::take(&mut *reader, LONGEST_DOCUMENT_BYTES + 1);
        std::io::Read::read_to_end(&mut limited, &mut bytes).with_context(place)?;
        if bytes.len() as u64 > LONGEST_DOCUMENT_BYTES {
            let most = LONGEST_DOCUMENT_BYTES >> 20;
            let problem = format!("{}: longer than {most} MiB of JSON", self.args.file.display());
            return Err(BadInput::new(problem).with_hint("write it as .jsonl, a value a line").into());
        }
        let values: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_slice(&bytes).into_iter().collect();
        let values: Vec<Value> = match values {
            Ok(values) => values,
            Err(_) => return self.text(&mut bytes.as_slice()),
        };
        drop(bytes);
        let rows = values.iter().flat_map(|value| match value {
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| Row::of(item, 1, format!("/{index}"))).collect()
            }
            other => vec![Row::of(other, 1, String::new())],
        });
        self.of_rows(&rows.collect::<Vec<_>>())
    }

    fn of_rows(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let found = rows.par_chunks(ROWS_AT_ONCE).map(|rows| {
            let texts: Vec<&[String]> = rows.iter().map(|row| row.texts.as_slice()).collect();
            self.scrubber.find_batch(&texts)
        });
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        for (row, of_texts) in rows.iter().zip(found.into_iter().flatten()) {
            self.texts += row.texts.len();
            for ((field, text), findings) in row.fields.iter().zip(&row.texts).zip(of_texts) {
                for finding in findings {
                    let span = &text[finding.start..finding.end];
                    self.show(row.line, Some(field), code_points(text, &finding), &finding, span);
                }
            }
        }
        Ok(())
    }

    fn row(&self, line: &str, number: usize) -> anyhow::Result<Row> {
        let row: Value = serde_json::from_str(line).map_err(|error| {
            let place = format!("{}:{number}:{}", self.args.file.display(), error.column());
            BadInput::new(format!("{place}: invalid JSON"))
                .with_hint("a .jsonl file has one JSON value a line")
        })?;
        Ok(Row::of(&row, number, String::new()))
    }

    /// Lines of a text; places are counted in code points of the whole text.
    fn text(&mut self, reader: &mut dyn BufRead) -> anyhow::Result<()> {
        let mut lines_before = 0;
        let mut characters_before = 0;
        loop {
            let mut block = String::new();
            let mut lines = 0;
            while block.len() < BLOCK_BYTES
                && let Some(line) = self.line(reader, lines_before + lines + 1)?
            {
                block.push_str(&line);
                lines += 1;
            }
            if lines == 0 {
                return Ok(());
            }
            let found = self.scrubber.find(std::slice::from_ref(&block))?;
            // Places are counted on from the last finding: a block may hold thousands.
            let (mut at, mut characters, mut line) = (0, characters_before, lines_before + 1);
            for finding in found.into_iter().flatten() {
                let skipped = &block[at..finding.start];
                characters += skipped.chars().count();
                line += skipped.bytes().filter(|byte| *byte == b'\n').count();
                at = finding.start;
                let span = &block[finding.start..finding.end];
                self.show(line, None, (characters, characters + span.chars().count()), &finding, span);
            }
            characters_before = characters + block[at..].chars().count();
            lines_before += lines;
            self.texts += lines;
        }
    }

    /// The next line with its end, if there is one.
    fn line(&self, reader: &mut dyn BufRead, number: usize) -> anyhow::Result<Option<String>> {
        let place = || format!("{}:{number}", self.args.file.display());
        let mut bytes = Vec::new();
        let mut limited = std::io::Read::take(reader, LONGEST_LINE_BYTES as u64 + 1);
        limited.read_until(b'\n', &mut bytes).with_context(|| format!("{}: cannot be read", place()))?;
        if bytes.len() > LONGEST_LINE_BYTES {
            let problem = format!("{}: the line is longer than {} MiB", place(), LONGEST_LINE_BYTES >> 20);
            return Err(BadInput::new(problem).into());
        }
        match String::from_utf8(bytes) {
            Ok(line) => Ok(Some(line).filter(|line| !line.is_empty())),
            Err(error) => {
                let column = error.utf8_error().valid_up_to() + 1;
                let problem =
                    format!("{}:{column}: invalid UTF-8: the byte here starts no character", place());
                Err(BadInput::new(problem).with_hint("convert the file to UTF-8").into())
            }
        }
    }

    fn show(
        &mut self,
        line: usize,
        field: Option<&str>,
        (start, end): (usize, usize),
        finding: &rtune_privacy::Finding,
        span: &str,
    ) {
        *self.counts.entry(finding.entity).or_default() += 1;
        let score = (f64::from(finding.score) * 100.0).round() / 100.0;
        if self.args.json {
            let mut object = json!({"line": line, "start": start, "end": end, "entity": finding.entity.name(),
                "score": score, "rule": finding.rule});
            if let Some(field) = field {
                object["field"] = field.into();
            }
            if self.args.show {
                object["text"] = span.into();
            }
            say(&object.to_string());
            return;
        }
        let field = field.map(|field| format!(" {field}")).unwrap_or_default();
        let shown = if self.args.show { format!("  {}", span.escape_debug()) } else { String::new() };
        say(&format!(
            "{line}{field} {start}..{end}  {}  {score:.2}  {}{shown}",
            finding.entity, finding.rule
        ));
    }

    fn summarise(&self) {
        let kinds: Vec<String> =
            self.counts.iter().map(|(entity, count)| format!("{entity} {count}")).collect();
        let total: usize = self.counts.values().sum();
        let unit = if total == 1 { "finding" } else { "findings" };
        let list = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        say(&format!("{total} {unit} in {} texts{list}", self.texts));
    }
}

/// Whether a text may be somebody's though it is no string: a name of a field that is more than a name, a number that is long.
fn may_be_personal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= LONG_DIGITS || !text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The strings of `value` with their places as JSON pointers (RFC 6901), and what else [`may_be_personal`].
fn collect(value: &Value, pointer: &mut String, strings: &mut Vec<(String, String)>) {
    let length = pointer.len();
    match value {
        Value::String(text) => strings.push((pointer.clone(), text.clone())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                collect(item, pointer, strings);
                pointer.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                if may_be_personal(name) {
                    strings.push((pointer.clone(), name.clone()));
                }
                collect(field, pointer, strings);
                pointer.truncate(length);
            }
        }
        Value::Number(number) if !number.is_f64() && may_be_personal(&number.to_string()) => {
            strings.push((pointer.clone(), number.to_string()));
        }
        _ => {}
    }
}
