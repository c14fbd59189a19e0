//! What a run's files say for its model card.

use std::path::Path;

use rtune_adapters::{Start, peft};
use rtune_data::{DataReport, LeakReport, PrivacyMode, PrivacyReport};
use rtune_models::Quantization;
use rtune_release::{DataFile, Evaluation, Figure, Method, Training};
use rtune_trainer::config::{Config, LoraSection};
use rtune_trainer::manifest::Manifest;
use rtune_trainer::subject::{Subject, quantization};
use serde_json::Value;

use crate::commands::evaluated;

/// What a golden report says that the hub has words for: the word, and where it stands in a summary.
const FIGURES: [(&str, &str); 8] = [
    ("exact_match", "/exact_match"),
    ("checks_passed", "/checks_passed"),
    ("chrf", "/chrf"),
    ("bleu", "/bleu"),
    ("perplexity", "/answer_perplexity"),
    ("accuracy", "/classification/greedy/report/accuracy"),
    ("f1", "/classification/greedy/report/macro_averages/f1"),
    ("bertscore", "/similarity/bert_score/f1"),
];
/// The same of the run's own held-out rows.
const HELD_OUT: [(&str, &str); 3] =
    [("loss", "/validation_loss_nats"), ("perplexity", "/perplexity"), ("token_accuracy", "/token_accuracy")];

/// What the run of `subject` says, with the figures that are of its checkpoint as it speaks by `template`, the SHA-256 of the
/// chat template, or by that of the run; `None` where there is no run, or it cannot be read: a card without it is no wrong one.
pub(super) fn training(subject: &Subject, template: Option<&str>) -> Option<Training> {
    let run = subject.run.as_deref()?;
    let manifest = Manifest::read(run).ok()?;
    let report: Option<DataReport> =
        std::fs::read(run.join("data-report.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let environment = &manifest.environment;
    let hardware = format!("{}, {} threads, {}", manifest.device, environment.threads, environment.platform);
    let (evaluations, left_out) = evaluations(subject, run, &manifest, template);
    Some(Training {
        data: report.as_ref().map(files).unwrap_or_default(),
        findings: report.as_ref().map(findings).unwrap_or_default(),
        settings: settings(&subject.config, &manifest),
        evaluations,
        left_out,
        quantized: quantization(&subject.config) != Quantization::None,
        hardware,
    })
}

/// What was trained, as the checkpoint says.
pub(super) fn method(checkpoint: &Path) -> Method {
    if rtune_release::is_full(checkpoint) {
        return Method::Full;
    }
    match json(&checkpoint.join(peft::CONFIG_FILE)) {
        Some(settings) if settings["use_dora"] == true => Method::Dora,
        _ => Method::Lora,
    }
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn files(report: &DataReport) -> Vec<DataFile> {
    let file = |file: &rtune_data::FileReport| DataFile {
        // Where it lies on this machine says nothing elsewhere.
        name: Path::new(&file.path).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        role: file.role.clone(),
        rows: file.rows,
        licence: file.licence.clone(),
        hash: format!("blake3 {}", file.blake3),
    };
    report.files.iter().map(file).collect()
}

fn findings(report: &DataReport) -> Vec<String> {
    let (train, held_out) = (&report.train, &report.validation);
    let mut findings = vec![format!("{} rows were trained on, {} held out.", train.rows, held_out.rows)];
    findings.push(privacy(&report.privacy));
    findings.push(leaks(&report.leaks));
    let doubles = report.duplicates.exact + report.duplicates.near;
    findings.push(format!("Rows that equal another, or nearly: {doubles}."));
    findings
}

fn privacy(report: &PrivacyReport) -> String {
    let found: Vec<String> =
        report.entities.iter().map(|(entity, count)| format!("{entity} {count}")).collect();
    if report.mode == PrivacyMode::Off.name() {
        return "Personal data was not looked for.".to_owned();
    }
    if found.is_empty() {
        return "Personal data was looked for, and none was found.".to_owned();
    }
    let done = if report.mode == PrivacyMode::Report.name() {
        "and left in the rows".to_owned()
    } else if report.mode == PrivacyMode::DropRow.name() {
        "and its rows were dropped".to_owned()
    } else {
        format!("and replaced (`{}`)", report.mode)
    };
    format!("Personal data was found in {} rows, {done}: {}.", report.rows, found.join(", "))
}

fn leaks(report: &LeakReport) -> String {
    match (report.similarity, report.held_out_rows) {
        (None, _) => "Whether held-out rows are trained on was not looked for.".to_owned(),
        (Some(similarity), 0) => {
            format!("No held-out row is trained on, or one as similar to it as {similarity}.")
        }
        (Some(similarity), rows) => {
            format!("{rows} held-out rows are trained on, or rows as similar to them as {similarity}.")
        }
    }
}

fn settings(config: &Config, manifest: &Manifest) -> Vec<(String, String)> {
    let held = match quantization(config) {
        Quantization::None => "as it is",
        Quantization::Int8 => "in 8 bits",
        Quantization::Nf4 { double: true } => "in NF4, magnitudes quantised too",
        Quantization::Nf4 { double: false } => "in NF4",
    };
    let mut settings = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    match &config.lora {
        LoraSection::New(lora) => {
            set("method", if lora.dora { "DoRA" } else { "LoRA" }.to_owned());
            set("rank", lora.rank.to_string());
            set("alpha", lora.alpha.to_string());
        }
        LoraSection::From(_) => set("method", "LoRA, from an adapter".to_owned()),
        LoraSection::Full => set("method", "every number of the base".to_owned()),
    }
    set("base", held.to_owned());
    set("learning rate", config.train.learning_rate.to_string());
    set("longest row, tokens", config.data.max_tokens.to_string());
    set("seed", manifest.seed.to_string());
    set("program", format!("{} {}", manifest.program.name, manifest.program.version));
    set("configuration", format!("sha256 {}", manifest.config));
    settings
}

/// The held-out rows at the checkpoint's step beside those before the first, and every golden report of this checkpoint as it was
/// trained; and whether there is any that is not of it.
fn evaluations(
    subject: &Subject,
    run: &Path,
    manifest: &Manifest,
    template: Option<&str>,
) -> (Vec<Evaluation>, bool) {
    let folder = run.join("eval");
    let (mut evaluations, mut left_out) = (Vec::new(), false);
    let template = template.unwrap_or(&manifest.template);
    // `best` and `last` are links: what they point at is called by its step.
    let step = subject.adapter.as_ref().and_then(|path| path.canonicalize().ok());
    let step =
        step.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    if let Some(tuned) = step.and_then(|step| json(&folder.join(format!("{step}.json")))) {
        let start = json(&folder.join("step-000000.json"));
        let pair = (start.as_ref(), &tuned);
        let held_out = evaluation("held-out rows", before(&subject.config), &tuned["rows"], &HELD_OUT, pair);
        match template == manifest.template {
            true => evaluations.extend(held_out),
            false => left_out |= held_out.is_some(),
        }
    }
    let mut reports: Vec<_> =
        std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    reports.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("golden-")));
    reports.sort();
    let of = evaluated::evaluated(subject, Some(template)).unwrap_or_default();
    for report in reports.iter().filter_map(|path| json(path)) {
        let files = report["files"].as_array().into_iter().flatten().filter_map(|file| file[0].as_str());
        let names: Vec<_> =
            files.filter_map(|file| Path::new(file).file_name()).map(|name| name.to_string_lossy()).collect();
        let rows = Value::from(report["cases"].as_array().map_or(0, Vec::len));
        let (base, tuned) = (&report["base"], &report["tuned"]);
        if tuned.is_object() {
            let golden = evaluation(&names.join(", "), "base", &rows, &FIGURES, (Some(base), tuned));
            match !of.is_null() && report[evaluated::KEY] == of {
                true => evaluations.extend(golden),
                false => left_out |= golden.is_some(),
            }
        }
    }
    (evaluations, left_out)
}

/// What was there before the first step: the base, or what began with something else.
fn before(config: &Config) -> &'static str {
    match &config.lora {
        LoraSection::New(lora) if lora.start == Start::Drawn => "base",
        LoraSection::Full => "base",
        LoraSection::New(_) | LoraSection::From(_) => "start",
    }
}

fn evaluation(
    on: &str,
    before: &'static str,
    rows: &Value,
    places: &[(&str, &str)],
    (first, tuned): (Option<&Value>, &Value),
) -> Option<Evaluation> {
    let figure = |(metric, place): &(&str, &str)| {
        let base = first.and_then(|first| first.pointer(place)?.as_f64());
        Some(Figure { metric: (*metric).to_owned(), base, tuned: tuned.pointer(place)?.as_f64()? })
    };
    let figures: Vec<Figure> = places.iter().filter_map(figure).collect();
    let rows = rows.as_u64().unwrap_or(0) as usize;
    (!figures.is_empty() && rows > 0).then(|| Evaluation { on: on.to_owned(), rows, before, figures })
}
