//! Everything a page shows, read from the files of a run.

use std::fs;
use std::path::{Path, PathBuf};

use rtune_data::DataReport;
use serde::Serialize;

use super::Table;
use super::chart::{Axis, Series};
use super::curves::{Drawn, charts, drawn, evaluations, percent};
use super::golden::Golden;
use super::text::number;
use crate::checkpoint::{State, read_json};
use crate::config::Config;
use crate::error::TrainerError;
use crate::evaluate::by_name::VALIDATION_LOSS;
use crate::evaluate::perplexity::EVALUATIONS;
use crate::files::At;
use crate::inputs::REPORT_FILE;
use crate::learning_curve::LearningCurve;
use crate::manifest::{self, Manifest};
use crate::metrics::{Line, METRICS_FILE, read_lines};
use crate::run::CONFIG_FILE;

/// A run.
#[derive(Serialize)]
pub(super) struct Page {
    name: String,
    base: String,
    /// (what, number), the most important figures.
    tiles: Vec<(String, String)>,
    charts: Vec<Drawn>,
    evaluations: Table,
    samples: Vec<Sample>,
    data: Option<Data>,
    golden: Vec<Golden>,
    curve: Option<CurvePart>,
    config: String,
    environment: Vec<(String, String)>,
    /// What happened on the way, and what is not there.
    notes: Vec<String>,
}

/// A held-out prompt and its last answer.
#[derive(Serialize)]
struct Sample {
    prompt: String,
    expected: String,
    answer: String,
}

/// The learning curve.
#[derive(Serialize)]
struct CurvePart {
    sentence: String,
    points: Table,
    gains: Table,
    chart: Option<Drawn>,
}

/// What became of the rows.
#[derive(Serialize)]
struct Data {
    files: Table,
    stages: Table,
    sets: Table,
    figures: Vec<(String, String)>,
}

impl Page {
    pub(super) fn read(run: &Path) -> Result<Self, TrainerError> {
        let path = run.join(CONFIG_FILE);
        if !path.is_file() || !run.join(manifest::FILE).is_file() {
            return Err(TrainerError::NotARun { folder: run.to_owned() });
        }
        let config = Config::load(&path, &[])?;
        let manifest = Manifest::read(run)?;
        let read = read_lines(&run.join(METRICS_FILE))?;
        let (lines, complaint) = (&read.lines, read.complaint());
        let state = run.join("last/state.json");
        let state: Option<State> = if state.is_file() { Some(read_json(&state)?) } else { None };
        let mut notes = notes(&manifest, state.as_ref());
        notes.extend(complaint.map(|complaint| format!("{complaint}: what it told of is not shown.")));
        let report = run.join(REPORT_FILE);
        let report: Option<DataReport> = match fs::read(&report).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(report)) => Some(report),
            _ => {
                notes.push(format!("`{REPORT_FILE}` cannot be read: nothing is said of the data."));
                None
            }
        };
        let golden: Vec<Golden> =
            golden_files(run)?.iter().map(|path| Golden::read(path)).collect::<Result<_, _>>()?;
        if golden.is_empty() {
            notes.push("There is no golden report yet; `rtune eval RUN --golden FILE` makes one.".to_owned());
        }
        let best = state.as_ref().and_then(|state| state.best.as_ref()).map(|best| best.step);
        Ok(Self {
            name: run
                .canonicalize()
                .ok()
                .as_deref()
                .unwrap_or(run)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            base: config.model.base.clone(),
            tiles: tiles(lines, state.as_ref()),
            charts: charts(lines, &config),
            evaluations: evaluations(lines, &config, best),
            samples: samples(lines),
            data: report.as_ref().map(data),
            golden,
            curve: LearningCurve::read(run)?.map(curve),
            config: config.to_toml(),
            environment: environment(&manifest),
            notes,
        })
    }
}

/// The golden reports of a run, by name.
fn golden_files(run: &Path) -> Result<Vec<PathBuf>, TrainerError> {
    let folder = run.join(EVALUATIONS);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("read", &folder)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.at("read", &folder)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("golden-") && name.ends_with(".json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn notes(manifest: &Manifest, state: Option<&State>) -> Vec<String> {
    let mut notes = Vec::new();
    if state.is_none() {
        notes.push("There is no checkpoint yet.".to_owned());
    }
    for continuation in &manifest.continuations {
        let changes = continuation.changes.join("; ");
        notes.push(format!("Went on after step {}: {changes}.", continuation.step));
    }
    notes.extend(state.into_iter().flat_map(notes_of));
    notes
}

/// What the last checkpoint says of the run.
fn notes_of(state: &State) -> Vec<String> {
    let left_out: Vec<String> =
        (1..=state.step).filter(|step| state.was_left_out(*step)).map(|step| step.to_string()).collect();
    let left_out = (!left_out.is_empty()).then(|| {
        let (count, steps) = (left_out.len(), state.step);
        format!(
            "`[watchdog]` left out {count} of {steps} steps, whose rows trained nothing there: {}.",
            left_out.join(", ")
        )
    });
    let useless = state.useless.as_ref().map(|reason| format!("Of no use: {reason}."));
    left_out.into_iter().chain(useless).collect()
}

fn tiles(lines: &[Line], state: Option<&State>) -> Vec<(String, String)> {
    let mut tiles = Vec::new();
    let mut add = |what: &str, value: String| tiles.push((what.to_owned(), value));
    if let Some(state) = state {
        add("steps", state.step.to_string());
        add("tokens seen", grouped(state.tokens));
    }
    let losses: Vec<f64> = lines.iter().filter_map(Line::validation_loss_nats).collect();
    if let [first, .., last] = losses.as_slice() {
        add("validation loss before", format!("{first:.4}"));
        add("validation loss at the end", format!("{last:.4}"));
    }
    if let Some(best) = state.and_then(|state| state.best.as_ref()) {
        let name = if best.metric == VALIDATION_LOSS { "validation loss" } else { &best.metric };
        add(&format!("best {name}, at step {}", best.step), number(best.value));
    }
    let right: Vec<f64> = lines
        .iter()
        .filter_map(|line| match line {
            Line::General(line) => Some(line.general_right),
            _ => None,
        })
        .collect();
    if let [first, .., last] = right.as_slice() {
        add("general skills right, before and now", format!("{} → {}", percent(*first), percent(*last)));
    }
    let seconds: f64 = lines
        .iter()
        .filter_map(|line| match line {
            Line::Step(line) => Some(line.seconds),
            _ => None,
        })
        .sum();
    if seconds > 0.0 {
        add("in steps", duration(seconds));
    }
    tiles
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// 1234567 as 1,234,567.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The last answers to the held-out prompts.
fn samples(lines: &[Line]) -> Vec<Sample> {
    let all = || {
        lines.iter().filter_map(|line| match line {
            Line::Sample(line) => Some(line),
            _ => None,
        })
    };
    let last = all().map(|line| line.step).max();
    let of_last = all().filter(|line| Some(line.step) == last).cloned();
    of_last.map(|line| Sample { prompt: line.prompt, expected: line.expected, answer: line.answer }).collect()
}

fn curve(curve: LearningCurve) -> CurvePart {
    let golden = curve.golden_metric.as_ref().map(|metric| format!("golden rows: {metric}"));
    let header = ["part", "rows", "validation loss"].into_iter().chain(golden.as_deref());
    let mut points = Table::new(&header.collect::<Vec<_>>());
    for point in &curve.points {
        let value = |value: Option<f64>| value.map_or_else(String::new, number);
        let mut row = vec![point.part.clone(), grouped(point.rows as u64), value(point.validation_loss_nats)];
        row.extend(golden.iter().map(|_| value(point.golden)));
        points.rows.push(row);
    }
    let mut gains = Table::new(&["all rows beside half", "half", "all", "interval", "p", "all is"]);
    for gain in &curve.gains {
        let [low, high] = gain.interval;
        gains.rows.push(vec![
            gain.metric.clone(),
            number(gain.values[0]),
            number(gain.values[1]),
            format!("{low:+.4} to {high:+.4}"),
            format!("{:.3}", gain.p),
            gain.verdict.clone(),
        ]);
    }
    let losses =
        curve.points.iter().filter_map(|point| Some((point.rows as f64, point.validation_loss_nats?)));
    let series = Series { name: "validation".to_owned(), points: losses.collect(), marked: true };
    let chart = drawn("Validation loss by rows", "rows", Axis::Logarithmic, &[series]);
    CurvePart { sentence: curve.sentence, points, gains, chart }
}

fn data(report: &DataReport) -> Data {
    let mut files = Table::new(&["file", "role", "rows", "licence", "BLAKE3"]);
    for file in &report.files {
        files.rows.push(vec![
            file.path.clone(),
            file.role.clone(),
            grouped(file.rows as u64),
            file.licence.clone().unwrap_or_else(|| "not said".to_owned()),
            file.blake3.chars().take(12).collect(),
        ]);
    }
    let mut stages = Table::new(&["stage", "rows in", "changed", "dropped", "rows out"]);
    for stage in &report.stages {
        let counted = |rows: &std::collections::BTreeMap<String, usize>| {
            let said = rows.iter().map(|(what, rows)| format!("{what} {rows}"));
            said.collect::<Vec<_>>().join(", ")
        };
        stages.rows.push(vec![
            stage.stage.clone(),
            grouped(stage.rows_in as u64),
            counted(&stage.changed),
            counted(&stage.dropped),
            grouped(stage.rows_out as u64),
        ]);
    }
    let mut sets =
        Table::new(&["set", "examples", "tokens", "median", "95 of 100", "longest", "of them trained"]);
    for (name, set) in [("training", &report.train), ("validation", &report.validation)] {
        let counts = [set.examples, set.tokens.total, set.tokens.median, set.tokens.p95, set.tokens.max];
        let counts = counts.map(|count| grouped(count as u64));
        let row = std::iter::once(name.to_owned()).chain(counts);
        sets.rows.push(row.chain([percent(set.supervised_share)]).collect());
    }
    let mut figures = vec![
        ("equal rows".to_owned(), grouped(report.duplicates.exact as u64)),
        (
            "prompts with more than one answer".to_owned(),
            grouped(report.duplicates.conflicting_prompts as u64),
        ),
        ("held-out rows that are trained on".to_owned(), grouped(report.leaks.held_out_rows as u64)),
        ("rows over the limit of tokens".to_owned(), grouped(report.over_long.total as u64)),
    ];
    if report.duplicates.similarity.is_some() {
        figures.insert(1, ("nearly equal rows".to_owned(), grouped(report.duplicates.near as u64)));
    }
    for (entity, count) in &report.privacy.entities {
        let what = format!("personal data, {}: {entity}", report.privacy.mode);
        figures.push((what, grouped(*count as u64)));
    }
    Data { files, stages, sets, figures }
}

fn environment(manifest: &Manifest) -> Vec<(String, String)> {
    let environment = &manifest.environment;
    let program = &manifest.program;
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let mut pairs = vec![
        ("program".to_owned(), format!("{} {} ({})", program.name, program.version, short(&program.sha256))),
        ("platform".to_owned(), format!("{}, {} threads", environment.platform, environment.threads)),
        ("device".to_owned(), manifest.device.to_string()),
        ("seed".to_owned(), manifest.seed.to_string()),
        ("configuration".to_owned(), short(&manifest.config)),
        ("prepared rows".to_owned(), short(&manifest.prepared_rows)),
        ("tokenizer".to_owned(), short(&manifest.tokenizer)),
        ("chat template".to_owned(), short(&manifest.template)),
    ];
    pairs.extend(manifest.base.iter().map(|(name, hash)| (format!("base: {name}"), short(hash))));
    pairs.extend(manifest.data.iter().map(|(name, hash)| (format!("data: {name}"), short(hash))));
    pairs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checkpoint::Remembered;

    #[test]
    fn what_a_checkpoint_says_of_its_run_is_a_note() {
        let remembered = Remembered { left_out: BTreeSet::from([2, 4, 9]), ..Remembered::default() };
        let useless = Some("it learnt nothing".to_owned());
        let state = State { step: 8, remembered: Some(remembered), useless, ..State::start() };
        assert_eq!(
            notes_of(&state),
            [
                "`[watchdog]` left out 2 of 8 steps, whose rows trained nothing there: 2, 4.",
                "Of no use: it learnt nothing."
            ]
        );
        assert!(notes_of(&State { step: 8, ..State::start() }).is_empty());
    }

    #[test]
    fn counts_and_durations_are_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([61.0, 600.0, 9000.0].map(duration), ["61 s", "10 min", "2.5 h"]);
    }
}
