//! `rtune eval`: a golden set, base and tuned side by side.

mod classification;
mod curve;

use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::presets;
use comfy_table::{CellAlignment, Table};
use rtune_data::Source;
use rtune_models::generate::Sampling;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::golden::{Case, GoldenReport, Side, Summary, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::files::write_whole;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::{Settings, Speaker};

use crate::args::talk::EvalArgs;
use crate::commands::opened;
use crate::failure::DONE;
use crate::reporter::{Work, say};

/// Characters of an id that a table shows.
const SHOWN_ID: usize = 32;

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<u8> {
    if args.learning_curve {
        return curve::run(args);
    }
    let (subject, model) = opened::open(&args.subject)?;
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { subject.config.data.golden.clone() } else { named };
    if golden.is_empty() {
        return Err(TrainerError::NoGolden { subject: subject.name() }.into());
    }
    let settings = Settings {
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: args.max_new_tokens as usize,
        batch: args.batch.map_or_else(|| batch(&model), |rows| rows as usize),
    };
    let labels = LabelOptions {
        labels: args.labels.iter().map(|label| label.trim().to_owned()).collect(),
        key_classes: args.key_classes.clone(),
        train: if subject.run.is_some() { subject.config.data.train.clone() } else { Vec::new() },
    };
    let speaker = Speaker::new(&model)?;
    let mut work = Work::new("asking");
    let report = examine(&speaker, &golden, &settings, &labels, &mut |progress| {
        work.rename(match (progress.scoring, progress.tuned) {
            (false, true) => "asking the tuned model",
            (false, false) => "asking the base",
            (true, true) => "scoring labels by the tuned model",
            (true, false) => "scoring labels by the base",
        });
        work.show(progress.done, progress.total);
    })?;
    work.finish();
    let text = serde_json::to_string_pretty(&report)? + "\n";
    let places = places(&subject, &golden, args.out.as_deref());
    for place in &places {
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        write_whole(place, text.as_bytes()).map_err(TrainerError::from)?;
    }
    if args.json {
        say(text.trim_end());
        return Ok(DONE);
    }
    if args.answers {
        report.cases.iter().for_each(show);
    }
    say(&case_table(&report).to_string());
    say("");
    say(&summary_table(&report).to_string());
    say(&format!("{} cases; {}; {}", report.cases.len(), report.chrf_signature, report.bleu_signature));
    if report.labels.is_some() {
        classification::show(&report);
    }
    for place in &places {
        say(&format!("report: {}", place.display()));
    }
    Ok(DONE)
}

/// A batch whose keys and values take about 4 GiB, if each of its conversations has 512 tokens. It follows from the model
/// alone, not from the memory that happens to be free, so that a report is the same everywhere.
pub(super) fn batch(model: &Opened) -> usize {
    const MEMORY_BYTES: usize = 4 << 30;
    const TOKENS: usize = 512;
    // More rows make the products no faster.
    const MOST_ROWS: usize = 128;
    let config = &model.base.config;
    let row = config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
    let bytes = 2 * row * TOKENS * size_of::<f32>();
    (MEMORY_BYTES / bytes.max(1)).clamp(1, MOST_ROWS)
}

/// Where the report goes: beside the other evaluations of a run, and where the user wants it.
fn places(subject: &Subject, golden: &[Source], out: Option<&Path>) -> Vec<PathBuf> {
    let stems: Vec<String> = golden
        .iter()
        .map(|source| source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let in_run =
        subject.run.as_ref().map(|run| run.join("eval").join(format!("golden-{}.json", stems.join("-"))));
    in_run.into_iter().chain(out.map(Path::to_owned)).collect()
}

fn table(header: Vec<&str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn case_table(report: &GoldenReport) -> Table {
    let tuned = report.tuned.is_some();
    let header = ["case", "chrF base", "perplexity base", "exact base"];
    let header_tuned = ["case", "chrF base", "tuned", "perplexity base", "tuned", "exact base", "tuned"];
    let mut table = table(if tuned { header_tuned.to_vec() } else { header.to_vec() });
    for case in &report.cases {
        let sides: Vec<&Side> = std::iter::once(&case.base).chain(&case.tuned).collect();
        let mut row = vec![case.id.chars().take(SHOWN_ID).collect::<String>()];
        row.extend(sides.iter().map(|side| format!("{:.1}", side.chrf)));
        row.extend(sides.iter().map(|side| format!("{:.3}", side.perplexity)));
        row.extend(sides.iter().map(|side| if side.exact_match { "yes" } else { "-" }.to_owned()));
        table.add_row(row);
    }
    align(&mut table);
    table
}

fn summary_table(report: &GoldenReport) -> Table {
    let mut table = table(if report.tuned.is_some() { vec!["", "base", "tuned"] } else { vec!["", "base"] });
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    type Figure<'a> = &'a dyn Fn(&Summary) -> String;
    let rows: [(&str, Figure<'_>); 8] = [
        ("chrF2", &|s| format!("{:.2}", s.chrf)),
        ("BLEU", &|s| format!("{:.2}", s.bleu)),
        ("answer perplexity", &|s| format!("{:.3}", s.answer_perplexity)),
        ("exact match", &|s| percent(s.exact_match)),
        ("normalised match", &|s| percent(s.normalised_match)),
        ("checks passed", &|s| s.checks_passed.map_or_else(String::new, percent)),
        ("ended by itself", &|s| percent(s.ended)),
        ("answer tokens", &|s| s.answer_tokens.to_string()),
    ];
    let is_checked = report.base.checks_passed.is_some();
    for (name, value) in rows.into_iter().filter(|(name, _)| is_checked || *name != "checks passed") {
        let sides = std::iter::once(&report.base).chain(&report.tuned);
        let mut row = vec![name.to_owned()];
        row.extend(sides.map(value));
        table.add_row(row);
    }
    align(&mut table);
    table
}

/// A case with its texts.
fn show(case: &Case) {
    say(&format!("=== {} ({}:{})", case.id, case.file, case.line));
    for message in &case.prompt {
        say(&format!("{}: {}", message.role, message.content));
    }
    for expected in &case.expected {
        say(&format!("--- expected\n{expected}"));
    }
    let side = |name: &str, side: &Side| {
        say(&format!("--- {name}\n{}", side.answer));
        for reason in &side.failed_checks {
            say(&format!("check failed: {reason}"));
        }
    };
    side("base", &case.base);
    if let Some(tuned) = &case.tuned {
        side("tuned", tuned);
    }
}
