//! `rtune score`: how near answers are to references.

mod bert;

use std::path::Path;

use clap::ValueEnum;
use rtune_trainer::evaluate::text::bleu::{self, BleuStatistics};
use rtune_trainer::evaluate::text::chrf::{self, ChrfStatistics, Kind};
use rtune_trainer::evaluate::text::rouge::{self, RougeScores};
use rtune_trainer::evaluate::text::ter::{self, TerStatistics};
use rtune_trainer::evaluate::text::{MOST_WORDS, count_words, exact_match, normalised_match, signed};
use serde_json::{Value, json};

use crate::args::tools::{Metric, ScoreArgs};
use crate::failure::{BadInput, DONE};
use crate::reporter::say;

/// Where a row of JSONL has its text: what an evaluation writes, then what a training row has.
const TEXT_FIELDS: [&str; 2] = ["answer", "output"];

/// A text and its line.
type Text = (usize, String);

/// One metric over all lines.
struct Scored {
    name: &'static str,
    score: f64,
    /// How it was computed.
    signature: String,
    /// Precision and recall, where the score is their harmonic mean.
    parts: Option<[f64; 2]>,
}

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<u8> {
    let answers = read(&args.system)?;
    let references =
        args.references.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<Vec<Text>>>>()?;
    for (path, texts) in args.references.iter().zip(&references) {
        if texts.len() != answers.len() {
            let message = format!(
                "{} has {} lines, {} has {}",
                args.system.display(),
                answers.len(),
                path.display(),
                texts.len()
            );
            let hint = "line 1 is compared with line 1, and so on: write an empty line for an answer that is not there";
            return Err(BadInput::new(message).with_hint(hint).into());
        }
    }
    let pairs: Vec<(&str, Vec<&str>)> = answers
        .iter()
        .enumerate()
        .map(|(index, (_, answer))| {
            (answer.as_str(), references.iter().map(|all| all[index].1.as_str()).collect())
        })
        .collect();
    let mut metrics = args.metrics.clone();
    if metrics.is_empty() {
        let with_encoder = |metric: &Metric| *metric != Metric::BertScore || args.encoder.is_some();
        metrics = Metric::value_variants().iter().copied().filter(with_encoder).collect();
    }
    for (path, texts) in
        std::iter::once((&args.system, &answers)).chain(args.references.iter().zip(&references))
    {
        refuse_long(path, texts, &metrics)?;
    }
    let mut scored = Vec::with_capacity(metrics.len());
    for metric in metrics {
        scored.push(score(metric, args, &pairs, references.len())?);
    }
    if args.json {
        let metrics: Vec<Value> = scored
            .iter()
            .map(|one| {
                let mut value = json!({"name": one.name, "score": one.score, "signature": one.signature});
                if let Some(parts) = &one.parts {
                    value["precision"] = json!(parts[0]);
                    value["recall"] = json!(parts[1]);
                }
                value
            })
            .collect();
        say(&serde_json::to_string_pretty(&json!({"format": 1, "lines": pairs.len(), "metrics": metrics}))?);
        return Ok(DONE);
    }
    say(&format!("{} lines", pairs.len()));
    for Scored { name, score, signature, .. } in scored {
        say(&format!("{name:<16} {score:>6.2}  {signature}"));
    }
    Ok(DONE)
}

/// Refuses what TER and ROUGE would take more memory for than there is.
fn refuse_long(path: &Path, texts: &[Text], metrics: &[Metric]) -> Result<(), BadInput> {
    let takes_tables = |metric: &Metric| {
        matches!(metric, Metric::Ter | Metric::Rouge1 | Metric::Rouge2 | Metric::RougeL | Metric::RougeLsum)
    };
    if !metrics.iter().any(takes_tables) {
        return Ok(());
    }
    for (line, text) in texts {
        let words = count_words(text);
        if words > MOST_WORDS {
            let place = format!("{}:{line}", path.display());
            let problem =
                format!("{place}: expected at most {MOST_WORDS} words for TER and ROUGE, found {words}");
            return Err(BadInput::new(problem)
                .with_hint("name metrics without a table: `--metric chrf --metric bleu`"));
        }
    }
    Ok(())
}

/// From 0 to 100, as all of these metrics are but TER, which has no highest.
///
/// # Errors
/// Those of the encoder.
fn score(
    metric: Metric,
    args: &ScoreArgs,
    pairs: &[(&str, Vec<&str>)],
    references: usize,
) -> anyhow::Result<Scored> {
    let stem = args.stem;
    let share = |equal: fn(&str, &str) -> bool| {
        let count = pairs.iter().filter(|(answer, all)| all.iter().any(|text| equal(answer, text))).count();
        100.0 * count as f64 / pairs.len() as f64
    };
    let chrf = |kind| {
        let statistics = pairs.iter().map(|(answer, all)| chrf::statistics_of_best(answer, all, kind));
        (statistics.sum::<ChrfStatistics>().score_of(kind), chrf::signature(kind, references))
    };
    let rouge = |f1: fn(&RougeScores) -> f64| {
        let all = pairs.iter().map(|(answer, all)| f1(&rouge::scores_of_best(answer, all, stem)));
        (100.0 * all.sum::<f64>() / pairs.len() as f64, rouge::signature(references, stem))
    };
    let (name, (score, signature)) = match metric {
        Metric::Exact => ("exact match", (share(exact_match), format!("exact|nrefs:{references}|trimmed"))),
        Metric::Normalised => (
            "normalised match",
            (share(normalised_match), format!("exact|nrefs:{references}|case:lc|punctuation:no|space:one")),
        ),
        Metric::Chrf => ("chrF2", chrf(Kind::Plain)),
        Metric::ChrfPlusPlus => ("chrF2++", chrf(Kind::PlusPlus)),
        Metric::Bleu => {
            let statistics = pairs.iter().map(|(answer, all)| bleu::statistics_of_all(answer, all));
            ("BLEU", (statistics.sum::<BleuStatistics>().score(), bleu::signature(references)))
        }
        Metric::Ter => {
            let statistics = pairs.iter().map(|(answer, all)| ter::statistics_of_all(answer, all));
            ("TER", (statistics.sum::<TerStatistics>().score(), ter::signature(references)))
        }
        Metric::Rouge1 => ("ROUGE-1", rouge(|scores| scores.rouge1.f1)),
        Metric::Rouge2 => ("ROUGE-2", rouge(|scores| scores.rouge2.f1)),
        Metric::RougeL => ("ROUGE-L", rouge(|scores| scores.rouge_l.f1)),
        Metric::RougeLsum => ("ROUGE-Lsum", rouge(|scores| scores.rouge_lsum.f1)),
        Metric::BertScore => return bert::score(args, pairs, references),
    };
    Ok(Scored { name, score, signature: signed(&signature), parts: None })
}

/// The texts of a file with their lines, one a line; of a `.jsonl` file, one a row.
fn read(path: &Path) -> anyhow::Result<Vec<Text>> {
    let bytes = std::fs::read(path)
        .map_err(|error| BadInput::new(format!("{}: cannot be read: {error}", path.display())))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        let message =
            format!("{}:{line}:{column}: invalid UTF-8: the byte here starts no character", path.display());
        BadInput::new(message).with_hint("save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8` converts)")
    })?;
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    let texts = match path.extension().is_some_and(|extension| extension == "jsonl") {
        false => lines.zip(1..).map(|(line, number)| (number, line.to_owned())).collect(),
        true => lines
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| Ok((index + 1, text_of_row(path, index + 1, line)?)))
            .collect::<Result<Vec<Text>, BadInput>>()?,
    };
    if texts.is_empty() {
        let hint = "one answer a line, or a .jsonl file with one row a line";
        return Err(BadInput::new(format!("{}: the file is empty", path.display())).with_hint(hint).into());
    }
    Ok(texts)
}

/// What a row says: its field `answer` or `output`, or the last answer of its `messages`.
fn text_of_row(path: &Path, line: usize, row: &str) -> Result<String, BadInput> {
    let problem = |message: &str| BadInput::new(format!("{}:{line}: {message}", path.display()));
    let value: Value = serde_json::from_str(row).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let message = format!("column {}: invalid JSON: {reason}", error.column());
        problem(&message).with_hint("one whole JSON object a line")
    })?;
    if let Some(text) = TEXT_FIELDS.iter().find_map(|field| value.get(field)) {
        return text.as_str().map(str::to_owned).ok_or_else(|| problem("expected the answer to be a text"));
    }
    let messages = value.get("messages").and_then(Value::as_array);
    let answer = messages
        .and_then(|turns| turns.iter().rev().find(|turn| turn["role"] == "assistant"))
        .and_then(|turn| turn["content"].as_str());
    answer.map(str::to_owned).ok_or_else(|| {
        problem("expected `answer`, `output` or an assistant turn in `messages`; found none")
            .with_hint("a file of plain lines needs another ending than .jsonl")
    })
}
