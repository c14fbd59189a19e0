//! `rtune eval`: a golden set, base and tuned side by side.

mod benchmark;
mod classification;
mod curve;
mod judge;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_data::Source;
use rtune_models::generate::Sampling;
use rtune_models::hub::HubOptions;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::export::{Layout, export};
use rtune_trainer::evaluate::golden::{ExamOptions, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::files::write_whole;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::{Settings, Speaker};

use crate::args::talk::{EvalArgs, Preset};
use crate::commands::opened;
use crate::failure::{BadInput, DONE};
use crate::reporter::{Work, say};

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<u8> {
    if args.learning_curve {
        return curve::run(args);
    }
    let exports = exports(&args.export)?;
    let judge = judge::Judge::named(&args.judge, &HubOptions::from_env().rtune_cache.join("judge"))?;
    let (subject, model) = opened::open(&args.subject)?;
    if let Some(file) = &args.benchmark {
        return benchmark::run(args, file, &subject, &model);
    }
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { subject.config.data.golden.clone() } else { named };
    if golden.is_empty() {
        return Err(TrainerError::NoGolden { subject: subject.name() }.into());
    }
    let settings = settings(args, &model);
    let train = if subject.run.is_some() { subject.config.data.train.clone() } else { Vec::new() };
    let options = exam_options(args, train);
    let speaker = Speaker::new(&model)?;
    let mut work = Work::new("asking");
    let report = examine(&speaker, &golden, &settings, &options, &mut |progress| {
        work.rename(match (progress.scoring, progress.tuned) {
            (false, true) => "asking the tuned model",
            (false, false) => "asking the base",
            (true, true) => "scoring labels by the tuned model",
            (true, false) => "scoring labels by the base",
        });
        work.show(progress.done, progress.total);
    })?;
    work.finish();
    let judged = judge.map(|judge| judge::judge(&judge, &report));
    let mut value = serde_json::to_value(&report)?;
    if let Some(judged) = &judged {
        value["judge"] = serde_json::to_value(judged)?;
    }
    let text = serde_json::to_string_pretty(&value)? + "\n";
    let places = places(&subject, &report_name(&golden), args.out.as_deref());
    write(&places, &text)?;
    for (layout, file) in &exports {
        write(std::slice::from_ref(file), &export(&report, *layout))?;
    }
    if args.json {
        say(text.trim_end());
        return Ok(DONE);
    }
    tables::show(&report, args.answers);
    if report.labels.is_some() {
        classification::show(&report);
    }
    judged.iter().flat_map(judge::JudgeReport::lines).for_each(|line| say(&line));
    for place in &places {
        say(&format!("report: {}", place.display()));
    }
    Ok(DONE)
}

/// How golden rows are answered.
fn settings(args: &EvalArgs, model: &Opened) -> Settings {
    Settings {
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: args.max_new_tokens as usize,
        batch: args.batch.map_or_else(|| batch(model), |rows| rows as usize),
    }
}

/// What of golden rows is scored; `train` has the labels of the trivial baselines.
fn exam_options(args: &EvalArgs, train: Vec<Source>) -> ExamOptions {
    let labels = LabelOptions {
        labels: args.labels.iter().map(|label| label.trim().to_owned()).collect(),
        preset: args.preset == Some(Preset::Classification),
        key_classes: args.key_classes.clone(),
        train,
    };
    ExamOptions { labels, all_tokens: args.all_tokens }
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

/// Which tool gets which file.
fn exports(named: &[String]) -> anyhow::Result<Vec<(Layout, PathBuf)>> {
    let pair = |pair: &[String]| {
        let layout = match pair[0].as_str() {
            "deepeval" => Layout::DeepEval,
            "ragas" => Layout::Ragas,
            other => return Err(BadInput::new(format!("expected deepeval or ragas, found `{other}`")).into()),
        };
        Ok((layout, PathBuf::from(&pair[1])))
    };
    named.chunks_exact(2).map(pair).collect()
}

/// Writes a report wherever it goes.
fn write(places: &[PathBuf], text: &str) -> anyhow::Result<()> {
    for place in places {
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        write_whole(place, text.as_bytes()).map_err(TrainerError::from)?;
    }
    Ok(())
}

/// By the names of the files.
fn report_name(golden: &[Source]) -> String {
    let stem = |source: &Source| source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    format!("golden-{}.json", golden.iter().map(stem).collect::<Vec<String>>().join("-"))
}

/// Where the report goes: beside the other evaluations of a run, and where the user wants it.
fn places(subject: &Subject, name: &str, out: Option<&Path>) -> Vec<PathBuf> {
    let in_run = subject.run.as_ref().map(|run| run.join("eval").join(name));
    in_run.into_iter().chain(out.map(Path::to_owned)).collect()
}
