//! Golden reports of a run: figures, verdicts, what changed, what was mistaken for what.

use std::collections::HashMap;
use std::path::Path;

use rtune_metrics::compare::{Comparison, Settings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Table;
use super::cases::{Case, Shown};
use super::chart::reliability;
use super::curves::{Drawn, percent};
use super::text::number;
use crate::error::TrainerError;
use crate::evaluate::compare::{Compared, Which, bytes_of, compare_reports};
use crate::evaluate::verdict::{sentence, word};

/// Cases that a page shows; what changed comes first.
const MOST_CASES: usize = 400;
/// Classes of a confusion matrix that is still read.
const MOST_CLASSES: usize = 20;
/// What the probabilities of metrics are: the first was fixed beforehand to decide.
const OWN_P: &str = "p: the first's own, the others' after Holm";
/// Figures of a summary that are parts of a whole.
const SHARES: [&str; 4] = ["exact_match", "normalised_match", "checks_passed", "ended"];

/// Figures that stand deeper in a summary: what they are called, where they are, and whether they are parts of a whole.
const DEEPER: [(&str, &str, bool); 16] = [
    ("BERTScore F1", "/similarity/bert_score/f1", false),
    ("relevancy", "/similarity/relevancy", false),
    ("conversations completed", "/conversations/completed", true),
    ("facts of earlier turns known", "/conversations/retention", true),
    ("paraphrases answered alike", "/stability/same_answer", true),
    ("typos and case: answered alike", "/variants/same_answer", true),
    ("typos and case: right", "/variants/right_varied", true),
    ("answers with unsupported claims", "/groundedness/hallucination_rate", true),
    ("tools called rightly", "/tool_calls/right", true),
    ("the right tools called", "/tool_calls/tools_right", true),
    ("tools called needlessly", "/tool_calls/needless", true),
    ("valid JSON", "/extraction/valid", true),
    ("fits the schema", "/extraction/fits_schema", true),
    ("field F1", "/extraction/fields/f1", false),
    ("perplexity a word of the answers", "/answers/word_perplexity", false),
    ("perplexity a byte of the answers", "/answers/byte_perplexity", false),
];

/// What of a golden report is shown.
#[derive(Deserialize)]
struct Report {
    people: Option<Value>,
    judge: Option<Value>,
    #[serde(default)]
    files: Vec<(String, String)>,
    base: Map<String, Value>,
    tuned: Option<Map<String, Value>>,
    cases: Vec<Case>,
    texts: Option<Value>,
    echo: Option<Value>,
}

/// A golden report as a page shows it.
#[derive(Serialize)]
pub(super) struct Golden {
    name: String,
    files: Vec<(String, String)>,
    cases: usize,
    figures: Table,
    people: Table,
    sentence: Option<String>,
    warnings: Vec<String>,
    comparison: Table,
    slices: Table,
    gained: usize,
    lost: usize,
    shown: Vec<Shown>,
    left_out: usize,
    matrices: Vec<Matrix>,
    reliability: Vec<Drawn>,
    judgements: Vec<String>,
}

/// A confusion matrix.
#[derive(Serialize)]
struct Matrix {
    title: String,
    answers: Vec<String>,
    rows: Vec<MatrixRow>,
    left_out: usize,
}

#[derive(Serialize)]
struct MatrixRow {
    label: String,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    count: u64,
    /// In hundredths of the row's cases.
    share: u64,
    right: bool,
}

impl Golden {
    /// Reads the report in `path`, and compares its two models.
    pub(super) fn read(path: &Path) -> Result<Self, TrainerError> {
        let problem = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
        let report: Report = serde_json::from_slice(&bytes_of(path)?)
            .map_err(|error| problem(format!("not a report of `rtune eval`: {error}")))?;
        let keys = key_classes(&report.base);
        let settings = Settings::default();
        let compare = || compare_reports((path, Which::Base), (path, Which::Tuned), None, &keys, &settings);
        let compared = report.tuned.is_some().then(compare).transpose();
        // Cases that cannot be compared are shown all the same.
        let problem = compared.as_ref().err().map(ToString::to_string);
        let mut golden = Self::of(path, report, compared.ok().flatten().as_ref());
        golden.warnings.extend(problem);
        Ok(golden)
    }

    fn of(path: &Path, report: Report, compared: Option<&Compared>) -> Self {
        let flips = compared.iter().flat_map(|compared| &compared.flips);
        // Rows that stand twice have one id.
        let flips: HashMap<usize, bool> = flips.map(|flip| (flip.index, flip.gained)).collect();
        let gained = flips.values().filter(|gained| **gained).count();
        let decides = compared.and_then(|compared| compared.metrics.first());
        let sides: Vec<(&str, &Map<String, Value>)> =
            [("base", Some(&report.base)), ("tuned", report.tuned.as_ref())]
                .into_iter()
                .filter_map(|(name, side)| side.map(|side| (name, side)))
                .collect();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut figures = figures(&sides, !report.cases.is_empty());
        figures.rows.extend(report.texts.iter().flat_map(|texts| of_texts(texts, sides.len())));
        let believed = report.people.as_ref().and_then(doubt_of_judge);
        figures.rows.extend(report.judge.as_ref().map(|judge| judged(judge, believed, sides.len())));
        let (matrices, reliability) = (matrices(&sides), plots(&sides));
        let mut judgements = judgements(&sides);
        judgements.extend(report.echo.as_ref().and_then(echo));
        let (cases, lost) = (report.cases.len(), flips.len() - gained);
        let shown = report.cases.into_iter().enumerate();
        let mut shown: Vec<Shown> =
            shown.map(|(index, case)| case.shown(flips.get(&index).copied())).collect();
        // What was lost is read first, then what was gained.
        shown.sort_by_key(|case| ["lost", "gained", "same"].iter().position(|change| *change == case.change));
        let left_out = shown.len().saturating_sub(MOST_CASES);
        shown.truncate(MOST_CASES);
        Self {
            name: name.trim_start_matches("golden-").to_owned(),
            files: report.files,
            cases,
            figures,
            people: report.people.as_ref().map(people).unwrap_or_default(),
            sentence: decides
                .map(|one| sentence(one, Settings::default().margin, "the base", "the tuned model")),
            warnings: decides.map(|one| one.warnings.clone()).unwrap_or_default(),
            comparison: compared.map(|all| table(["metric", OWN_P], &all.metrics)).unwrap_or_default(),
            slices: compared.map(|all| table(["slice", "p, Holm"], &all.slices)).unwrap_or_default(),
            gained,
            lost,
            shown,
            left_out,
            matrices,
            reliability,
            judgements,
        }
    }
}

/// Texts that were weighed, beside the figures of `sides` models.
fn of_texts(texts: &Value, sides: usize) -> Vec<Vec<String>> {
    let figures = [
        ("texts: perplexity a token", "token_perplexity"),
        ("texts: perplexity a word", "word_perplexity"),
        ("texts: bits a byte", "bits_per_byte"),
    ];
    let row = |(name, field): (&str, &str)| {
        let values =
            ["base", "tuned"].map(|side| texts[side][field].as_f64().map_or_else(String::new, number));
        std::iter::once(name.to_owned()).chain(values.into_iter().take(sides)).collect()
    };
    figures.map(row).to_vec()
}

/// What repeating the question would come to.
fn echo(echo: &Value) -> Option<String> {
    let [exact, chrf, rouge] = ["exact_match", "chrf", "rougeL"].map(|name| echo[name].as_f64());
    let (exact, chrf, rouge) = (percent(exact?), number(chrf?), number(rouge?));
    Some(format!("repeating the question would come to chrF2 {chrf}, ROUGE-L {rouge}, exact match {exact}"))
}

/// Every figure of the summaries that is a number, by its name; none where no case was asked.
fn figures(sides: &[(&str, &Map<String, Value>)], asked: bool) -> Table {
    let header: Vec<&str> = ["metric"].into_iter().chain(sides.iter().map(|(name, _)| *name)).collect();
    let mut table = Table::new(&header);
    if !asked {
        return table;
    }
    let mut add = |name: String, value: &dyn Fn(&Map<String, Value>) -> Option<String>| {
        let values: Vec<Option<String>> = sides.iter().map(|(_, side)| value(side)).collect();
        if values.iter().any(Option::is_some) {
            let values = values.into_iter().map(Option::unwrap_or_default);
            table.rows.push(std::iter::once(name).chain(values).collect());
        }
    };
    for key in sides.iter().take(1).flat_map(|(_, side)| side.keys()) {
        let shown = |value: f64| if SHARES.contains(&key.as_str()) { percent(value) } else { number(value) };
        add(key.replace('_', " "), &|side| side.get(key).and_then(Value::as_f64).map(shown));
    }
    for (name, pointer, is_share) in DEEPER {
        add(name.to_owned(), &|side| {
            let (first, rest) = pointer.strip_prefix('/')?.split_once('/')?;
            let value = side.get(first)?.pointer(&format!("/{rest}"))?.as_f64()?;
            Some(if is_share { percent(value) } else { number(value) })
        });
    }
    for (way, name) in [("greedy", "greedy labels"), ("scored", "likeliest labels")] {
        let of = |side: &Map<String, Value>, pointer: &str| {
            side.get("classification")?.pointer(&format!("/{way}/report{pointer}"))?.as_f64()
        };
        add(format!("{name}: accuracy"), &|side| of(side, "/accuracy").map(percent));
        add(format!("{name}: always the commonest"), &|side| of(side, "/majority_accuracy").map(percent));
        add(format!("{name}: macro F1"), &|side| of(side, "/macro/f1").map(number));
        add(format!("{name}: MCC"), &|side| of(side, "/mcc").map(number));
        let classes = |side: &Map<String, Value>| {
            side.get("classification")?.pointer(&format!("/{way}/report/classes"))?.as_array().cloned()
        };
        let named = sides.first().and_then(|(_, side)| classes(side)).unwrap_or_default();
        for (index, class) in named.iter().enumerate().take(MOST_CLASSES) {
            let label = class["label"].as_str().unwrap_or_default();
            add(format!("{name}: precision, recall, F1 of {label}"), &|side| {
                let class = classes(side)?.get(index)?.clone();
                let parts = ["precision", "recall", "f1"]
                    .map(|name| class[name].as_f64().map_or_else(String::new, number));
                Some(parts.join(", "))
            });
        }
    }
    table
}

/// Why the judge is not to be believed, where people scored the same answers; empty where it is.
fn doubt_of_judge(people: &Value) -> Option<String> {
    let metrics = people["metrics"].as_array()?;
    let judge =
        metrics.iter().find(|one| one["metric"].as_str().is_some_and(|name| name.starts_with("judge ")))?;
    Some(judge["doubt"].as_str().map_or_else(String::new, |doubt| format!(", not to be believed: {doubt}")))
}

/// The judge's mean scores, beside the figures of `sides` models.
fn judged(judge: &Value, doubt: Option<String>, sides: usize) -> Vec<String> {
    let text = |name: &str| judge[name].as_str().unwrap_or_default();
    let doubt = doubt.unwrap_or_else(|| ", not held against people's scores".to_owned());
    let name = format!("judge {} ({}), of 5{doubt}", text("model"), text("rubric"));
    let scores = ["base", "tuned"].map(|side| judge[side].as_f64().map_or_else(String::new, number));
    std::iter::once(name).chain(scores.into_iter().take(sides)).collect()
}

/// Metrics beside people's scores.
fn people(people: &Value) -> Table {
    let mut table =
        Table::new(&["metric", "Spearman", "interval", "Kendall", "interval", "answers", "believed"]);
    for one in people["metrics"].as_array().into_iter().flatten() {
        let found = &one["correlation"];
        let signed =
            |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:+.3}"));
        let interval = |of: &Value| format!("{} to {}", signed(&of[0]), signed(&of[1]));
        table.rows.push(vec![
            one["metric"].as_str().unwrap_or_default().to_owned(),
            signed(&found["spearman"]),
            interval(&found["spearman_interval"]),
            signed(&found["kendall"]),
            interval(&found["kendall_interval"]),
            found["pairs"].as_u64().map_or_else(|| "-".to_owned(), |pairs| pairs.to_string()),
            one["doubt"].as_str().map_or_else(|| "yes".to_owned(), |doubt| format!("no: {doubt}")),
        ]);
    }
    table
}

fn table([header, probability]: [&str; 2], comparisons: &[Comparison]) -> Table {
    let mut table =
        Table::new(&[header, "cases", "base", "tuned", "difference", "interval", probability, "tuned is"]);
    for one in comparisons {
        let shares = one.outcomes.is_some();
        let plain = |value: f64| if shares { percent(value) } else { number(value) };
        let signed =
            |value: f64| if shares { format!("{:+.1}", 100.0 * value) } else { format!("{value:+.3}") };
        let [low, high] = one.interval.map(signed);
        table.rows.push(vec![
            one.slice.clone().unwrap_or_else(|| one.metric.clone()),
            one.cases.to_string(),
            plain(one.first),
            plain(one.second),
            signed(one.difference),
            format!("{low} to {high}"),
            format!("{:.3}", one.adjusted_p),
            word(one.verdict).to_owned(),
        ]);
    }
    table
}

/// The labels that matter most, as the report has them.
fn key_classes(side: &Map<String, Value>) -> Vec<String> {
    let named = side.get("classification").and_then(|of| of["average_precision"].as_array());
    named.into_iter().flatten().filter_map(|pair| pair[0].as_str().map(str::to_owned)).collect()
}

fn matrices(sides: &[(&str, &Map<String, Value>)]) -> Vec<Matrix> {
    let of = |name: &str, side: &Map<String, Value>, way: &str, kind: &str| {
        let report = side.get("classification")?.pointer(&format!("/{way}/report"))?;
        let texts = |name: &str| -> Vec<String> {
            let list = report[name].as_array().into_iter().flatten();
            list.filter_map(|value| value.as_str().or(value["label"].as_str()).map(str::to_owned)).collect()
        };
        let (labels, answers) = (texts("classes"), texts("answers"));
        let counts = report["confusion"].as_array()?;
        let rows =
            labels.iter().zip(counts).enumerate().take(MOST_CLASSES).map(|(index, (label, counts))| {
                let counts: Vec<u64> =
                    counts.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
                let all = counts.iter().sum::<u64>().max(1);
                let cell = |(answer, &count): (usize, &u64)| Cell {
                    count,
                    share: 100 * count / all,
                    right: answer == index,
                };
                MatrixRow { label: label.clone(), cells: counts.iter().enumerate().map(cell).collect() }
            });
        let left_out = labels.len().saturating_sub(MOST_CLASSES);
        Some(Matrix { title: format!("{name}, {kind}"), rows: rows.collect(), answers, left_out })
    };
    let ways = [("greedy", "greedy answers"), ("scored", "likeliest labels")];
    let each = sides.iter().flat_map(|side| ways.map(|way| (side, way)));
    each.filter_map(|((name, side), (way, kind))| of(name, side, way, kind)).collect()
}

fn plots(sides: &[(&str, &Map<String, Value>)]) -> Vec<Drawn> {
    let of = |(name, side): &(&str, &Map<String, Value>)| {
        let calibration = side.get("classification")?.get("calibration")?;
        let bins = calibration["bins"].as_array()?.iter().filter_map(|bin| {
            Some((bin["confidence"].as_f64()?, bin["accuracy"].as_f64()?, bin["cases"].as_u64()?))
        });
        let bins: Vec<(f64, f64, u64)> = bins.collect();
        let error = calibration["expected_error"].as_f64()?;
        let title = format!("{name}: expected calibration error {}", number(error));
        let lines = bins.iter().filter(|bin| bin.2 > 0).map(|(confidence, accuracy, cases)| {
            [format!("{cases} cases"), String::new(), number(*confidence), number(*accuracy)]
        });
        Some(Drawn { svg: reliability(&title, &bins), lines: lines.collect(), title })
    };
    sides.iter().filter_map(of).collect()
}

/// What known limits make of the labels, in words.
fn judgements(sides: &[(&str, &Map<String, Value>)]) -> Vec<String> {
    let mut said = Vec::new();
    for (name, side) in sides {
        for (way, kind) in [("greedy", "greedy"), ("scored", "likeliest")] {
            let Some(judged) = side.get("classification").map(|of| &of[way]["judgement"]) else { continue };
            for key in ["failures", "shortfalls", "warnings"] {
                let reasons = judged[key].as_array().into_iter().flatten().filter_map(Value::as_str);
                said.extend(reasons.map(|reason| format!("{name}, {kind}: {reason}")));
            }
        }
    }
    said
}
