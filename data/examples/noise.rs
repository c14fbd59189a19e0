//! What the steps of normalising would change, and the rules would drop, in a file: to look for false alarms.
//!
//!     cargo run --release -p rtune-data --example noise -- FILE [STEP ...]
//!
//! FILE is CSV or TSV with the prompt in the column `--prompt N` (counted from 0, 0 unless given) and the answer in
//! `--answer N` (1), or a folder of texts, each a prompt. Without steps, all that need no file are on. `--most N`
//! changes of each step are shown; each `--language CODE` is allowed (all are, unless one is named); `--write JSONL` writes the prompts before and after.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rtune_data::clean::normalise::{Changes, Collector, NormaliseOptions, Normaliser, Part, Step};
use rtune_data::clean::quality::{
    FilterOptions, Filters, Labels, LanguageOptions, RefusalOptions, RepetitionOptions, SymbolOptions, Tally,
    ToxicityOptions,
};
use rtune_data::{Message, Origin, Record};

struct Arguments {
    path: PathBuf,
    steps: Vec<Step>,
    prompt: usize,
    answer: usize,
    most: usize,
    dictionary: Option<PathBuf>,
    terms: Option<PathBuf>,
    write: Option<PathBuf>,
    languages: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let rows = rows(&arguments)?;
    let mut out = io::stdout().lock();
    let options = options(&arguments);
    let mut collector = Collector::new(&options)?;
    for row in &rows {
        collector.push(row.messages.iter().map(|message| (Part::of(message), message.content.as_str())));
    }
    let collected = collector.finish();
    for line in collected.boilerplate().map(|boilerplate| boilerplate.removed()).unwrap_or_default() {
        writeln!(out, "boilerplate in {} rows: {}", line.rows, line.line)?;
    }
    let normaliser = Normaliser::new(&options, collected)?;
    let normalised = normalise(&normaliser, &rows, arguments.most, &mut out)?;
    if let Some(path) = &arguments.write {
        let texts =
            |rows: &[Record]| rows.iter().map(|row| row.messages[0].content.clone()).collect::<Vec<_>>();
        let pairs =
            texts(&rows).into_iter().zip(texts(&normalised)).filter(|(before, after)| before != after);
        let lines: Result<Vec<String>, _> = pairs.map(|pair| serde_json::to_string(&pair)).collect();
        std::fs::write(path, lines?.join("\n"))?;
    }
    speed(&normaliser, &rows, &mut out)?;
    judge(&rows, "as read", &arguments.languages, &mut out)?;
    judge(&normalised, "normalised", &arguments.languages, &mut out)
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments {
        path: PathBuf::new(),
        steps: Vec::new(),
        prompt: 0,
        answer: 1,
        most: 5,
        dictionary: None,
        terms: None,
        write: None,
        languages: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--prompt" => found.prompt = value()?.parse()?,
            "--answer" => found.answer = value()?.parse()?,
            "--most" => found.most = value()?.parse()?,
            "--dictionary" => found.dictionary = Some(value()?.into()),
            "--write" => found.write = Some(value()?.into()),
            "--language" => found.languages.push(value()?),
            "--terms" => found.terms = Some(value()?.into()),
            _ if found.path.as_os_str().is_empty() => found.path = word.into(),
            name => found.steps.push(serde_json::from_value(name.into())?),
        }
    }
    Ok(found)
}

fn options(arguments: &Arguments) -> NormaliseOptions {
    let mut options = NormaliseOptions::default();
    let (needs_file, chosen) = ([Step::Terminology, Step::Spelling], &arguments.steps);
    options.steps = match chosen.is_empty() {
        true => Step::ALL.into_iter().filter(|step| !needs_file.contains(step)).collect(),
        false => chosen.iter().copied().collect(),
    };
    options.spelling.dictionary = arguments.dictionary.clone();
    options.terminology.file = arguments.terms.clone();
    options
}

fn rows(arguments: &Arguments) -> Result<Vec<Record>, Box<dyn Error>> {
    let path: &Path = &arguments.path;
    let row = |line: usize, prompt: &str, answer: &str| {
        let origin = Origin { file: path.into(), line: line as u64 };
        Record::new(None, origin, vec![Message::new("user", prompt), Message::new("assistant", answer)])
    };
    if path.is_dir() {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.sort();
        let texts = files.iter().enumerate();
        let read = |(index, file): (usize, &PathBuf)| {
            Ok(row(index + 1, &String::from_utf8_lossy(&std::fs::read(file)?), "read"))
        };
        return texts.map(read).collect();
    }
    let tabs = path.extension().is_some_and(|extension| extension == "tsv");
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(if tabs { b'\t' } else { b',' }).quoting(!tabs).has_headers(!tabs).flexible(true);
    let mut rows = Vec::new();
    for record in reader.from_path(path)?.byte_records() {
        let record = record?;
        let field =
            |index: usize| String::from_utf8_lossy(record.get(index).unwrap_or_default()).into_owned();
        rows.push(row(rows.len() + 1, &field(arguments.prompt), &field(arguments.answer)));
    }
    Ok(rows)
}

fn normalise(
    normaliser: &Normaliser,
    rows: &[Record],
    most: usize,
    out: &mut impl Write,
) -> Result<Vec<Record>, Box<dyn Error>> {
    let mut total = Changes::new();
    let mut shown: BTreeMap<Step, Vec<String>> = BTreeMap::new();
    let mut normalised = rows.to_vec();
    for (index, row) in normalised.iter_mut().enumerate() {
        let mut changes = Changes::new();
        changes.at_row(index as u64 + 1);
        normaliser.apply_record(row, &mut changes);
        for (step, change) in &changes.steps {
            let lines =
                change.examples.iter().map(|e| format!("{} {:?}\n        -> {:?}", e.row, e.before, e.after));
            shown.entry(*step).or_default().extend(lines);
        }
        total.merge(changes);
    }
    writeln!(
        out,
        "{} texts, {} changed, {} unsettled",
        total.texts, total.changed_texts, total.unsettled_texts
    )?;
    for (step, changes) in &total.steps {
        let (texts, places) = (changes.texts, changes.places);
        writeln!(
            out,
            "{}: {texts} texts, {places} places, {} -> {} bytes",
            step.name(),
            changes.bytes_before,
            changes.bytes_after
        )?;
        for line in shown.get(step).into_iter().flatten().take(most) {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(normalised)
}

/// The best of several runs over the rows, on one thread.
fn speed(normaliser: &Normaliser, rows: &[Record], out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let bytes: usize = rows.iter().flat_map(|row| &row.messages).map(|message| message.content.len()).sum();
    let mut best_seconds = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let mut changes = Changes::new();
        for message in rows.iter().flat_map(|row| &row.messages) {
            std::hint::black_box(normaliser.apply(Part::of(message), &message.content, &mut changes));
        }
        best_seconds = best_seconds.min(start.elapsed().as_secs_f64());
    }
    Ok(writeln!(out, "{:.1} MB/s normalised", bytes as f64 / best_seconds / 1e6)?)
}

fn judge(
    rows: &[Record],
    what: &str,
    allowed: &[String],
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let filters = Filters::new(&FilterOptions {
        empty_answer: true,
        min_prompt_characters: Some(2),
        mojibake: Some(1),
        symbols: Some(SymbolOptions::default()),
        repetition: Some(RepetitionOptions::default()),
        languages: (!allowed.is_empty())
            .then(|| LanguageOptions { allowed: allowed.to_vec(), ..LanguageOptions::default() }),
        copied_answer: Some(0.95),
        refusals: Some(RefusalOptions::default()),
        toxicity: Some(ToxicityOptions::default()),
        ..FilterOptions::default()
    })?;
    let (mut tally, mut labels) = (Tally::default(), Labels::new());
    let start = Instant::now();
    for (index, row) in rows.iter().enumerate() {
        let verdicts = filters.all(row);
        for verdict in verdicts.iter() {
            let prompt: String = row.messages[0].content.chars().take(100).collect();
            writeln!(out, "    {}: {} in {} {prompt:?}", verdict.rule.name(), verdict.detail, index + 1)?;
        }
        tally.count(index as u64 + 1, &verdicts);
        labels.push(row);
    }
    let bytes: usize = rows.iter().flat_map(|row| &row.messages).map(|message| message.content.len()).sum();
    writeln!(
        out,
        "{what}: {} rows, {} kept, {:.1} MB/s judged",
        tally.rows,
        tally.kept,
        bytes as f64 / start.elapsed().as_secs_f64() / 1e6
    )?;
    for (rule, count) in &tally.rules {
        writeln!(out, "{}: {} dropped, {} alone", rule.name(), count.dropped, count.alone)?;
    }
    let report = labels.report(None);
    let (labels, rare) = (report.labels.len(), report.rare.len());
    Ok(writeln!(
        out,
        "labels: {}, {labels}, imbalance {:.1}, {rare} rare, alike {:?}",
        report.classification, report.imbalance, report.alike
    )?)
}
