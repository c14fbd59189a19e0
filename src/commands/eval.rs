//! `rtune eval`: a golden set, base and tuned side by side.

mod benchmark;
mod classification;
pub(super) mod code;
mod curve;
mod judge;
mod people;
mod place;
mod tables;
mod texts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rtune_data::Source;
use rtune_models::generate::Sampling;
use rtune_models::hub::HubOptions;
use rtune_models::tagger::TextEncoder;
use rtune_sandbox::Sandbox;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::export::{Layout, export};
use rtune_trainer::evaluate::golden::{ExamOptions, GoldenReport, Work as Doing, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::evaluate::people::{PersonsScore, refuse_scores_of_others};
use rtune_trainer::evaluate::similarity::measure;
use rtune_trainer::files::{sha256_of, sha256_of_file};
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::{Settings, Speaker};

use self::place::{of_conversations, places, stem};
use crate::args::talk::{EncoderArgs, EvalArgs, Preset};
use crate::commands::out::{refuse_unwritable, write};
use crate::commands::{evaluated, opened};
use crate::failure::{BadInput, DONE};
use crate::reporter::{Work, complain, say};

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<u8> {
    if args.learning_curve {
        return curve::run(args);
    }
    check(args)?;
    let read: Vec<PathBuf> = [&args.golden[..], args.benchmark.as_slice(), args.human.as_slice()].concat();
    args.out.iter().try_for_each(|file| refuse_unwritable(file, &read))?;
    if let Some(file) = &args.benchmark {
        for (number, name) in args.subjects.iter().enumerate() {
            let (subject, model) = opened::open_named(name, &args.overrides)?;
            heading(args, name);
            benchmark::run(args, file, &subject, &model, args.out.get(number).map(PathBuf::as_path))?;
        }
        return Ok(DONE);
    }
    let exports = exports(&args.export)?;
    exports.iter().try_for_each(|(_, file)| refuse_unwritable(file, &read))?;
    let tools = Tools {
        exports,
        judge: judge::Judge::named(&args.judge, &HubOptions::from_env().rtune_cache.join("judge"))?,
        sandbox: code::sandbox(&args.code.sandbox)?,
        encoder: encoder(&args.encoder)?,
        people: people::read(args.human.as_deref())?,
    };
    let mut done: Vec<Done> = Vec::with_capacity(args.subjects.len());
    for (number, name) in args.subjects.iter().enumerate() {
        let out = args.out.get(number).map(PathBuf::as_path);
        let one = one(args, name, out, &tools, &done)?;
        done.push(one);
    }
    if args.json {
        let values: Vec<&serde_json::Value> = done.iter().map(|one| &one.value).collect();
        say(&match values.as_slice() {
            [only] => serde_json::to_string_pretty(only)?,
            several => serde_json::to_string_pretty(&serde_json::json!({"format": 1, "reports": several}))?,
        });
    } else if done.len() > 1 {
        say("");
        let all: Vec<_> = done.iter().map(|one| (one.subject.name(), &*one.report)).collect();
        if let Some(texts) = texts::beside(&all) {
            say(&texts.to_string());
        }
        if all.iter().any(|(_, report)| !report.cases.is_empty()) {
            say(&tables::beside(&all).to_string());
        }
        say("which differences are real: `rtune compare REPORT REPORT`");
    }
    // What was asked of the models stands; the command fails all the same.
    match done.iter_mut().find_map(|one| one.given_up.take()) {
        Some(reason) => anyhow::bail!(reason),
        None => Ok(DONE),
    }
}

/// What several models cannot share.
fn check(args: &EvalArgs) -> anyhow::Result<()> {
    let models = args.subjects.len();
    if models > 1 && !args.out.is_empty() && args.out.len() != models {
        let problem =
            format!("expected `--out` {models} times, once for each model; found {}", args.out.len());
        return Err(BadInput::new(problem).into());
    }
    if models == 1 && args.out.len() > 1 {
        return Err(BadInput::new("`--out` names several files for one model").into());
    }
    let only_one = [(!args.export.is_empty(), "--export"), (args.json && args.benchmark.is_some(), "--json")];
    match only_one.iter().find(|(is_there, _)| models > 1 && *is_there) {
        Some((_, flag)) => Err(BadInput::new(format!("`{flag}` is for one model, found {models}")).into()),
        None => Ok(()),
    }
}

fn heading(args: &EvalArgs, name: &str) {
    if args.subjects.len() > 1 && !args.json {
        say(&format!("\n=== {name}"));
    }
}

/// What every model is asked with.
struct Tools {
    exports: Vec<(Layout, PathBuf)>,
    judge: Option<judge::Judge>,
    sandbox: Option<Sandbox>,
    encoder: Option<TextEncoder>,
    people: Vec<PersonsScore>,
}

/// A model that was asked.
struct Done {
    subject: Subject,
    golden: Vec<Source>,
    report: Arc<GoldenReport>,
    value: serde_json::Value,
    /// Why the judge was not asked any more.
    given_up: Option<String>,
    /// Whether the base beside it is one whose numbers nobody changed.
    plain: bool,
}

impl Done {
    /// Whether `subject` has this base, read in the same way, beside it.
    fn has_base_of(&self, subject: &Subject, golden: &[Source], plain: bool) -> bool {
        let is_read_alike = is_read_alike(&self.subject.config, &subject.config);
        self.plain && plain && self.golden == golden && is_read_alike
    }
}

/// Whether the base of both is one, held alike, and is asked in the same words.
fn is_read_alike(one: &Config, other: &Config) -> bool {
    one.model == other.model
        && one.quantization == other.quantization
        && one.tokens == other.tokens
        && one.data.template == other.data.template
        && one.data.template_date == other.data.template_date
}

/// Says of each golden file that the run was trained on it: its figures tell what was learnt by heart.
fn warn_of_trained(train: &[Source], golden: &[Source]) {
    let length = |file: &Path| {
        std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|found| found.len())
    };
    let is_same = |one: &Path, other: &Path| {
        length(one).is_some_and(|bytes| length(other) == Some(bytes))
            && sha256_of_file(one).ok() == sha256_of_file(other).ok()
    };
    for file in golden.iter().filter(|file| train.iter().any(|one| is_same(&one.path, &file.path))) {
        complain(&format!(
            "warning: `{}` is what the run was trained on: its figures do not say how the model answers what it has not seen",
            file.path.display()
        ));
    }
}

/// Asks one model; `before` are those that were asked.
fn one(
    args: &EvalArgs,
    name: &str,
    out: Option<&Path>,
    tools: &Tools,
    before: &[Done],
) -> anyhow::Result<Done> {
    let (subject, model) = opened::open_named(name, &args.overrides)?;
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { subject.config.data.golden.clone() } else { named };
    if golden.is_empty() {
        return Err(TrainerError::NoGolden { subject: subject.name() }.into());
    }
    if subject.run.is_some() {
        warn_of_trained(&subject.config.data.train, &golden);
    }
    // Before hours of answers: what was named may be the scores of another set.
    refuse_scores_of_others(&tools.people, &golden, subject.config.gate.sealed)?;
    let settings = settings(args, &model);
    let train = if subject.run.is_some() { subject.config.data.train.clone() } else { Vec::new() };
    let plain = model.untrained.is_empty();
    let same_base = before.iter().find(|one| one.has_base_of(&subject, &golden, plain));
    let options = ExamOptions {
        sandbox: tools.sandbox.clone(),
        known: same_base.map(|one| Arc::clone(&one.report)),
        sealed: subject.config.gate.sealed,
        ..exam_options(args, train)
    };
    let speaker = Speaker::new(&model)?;
    let mut work = Work::new("asking");
    let mut report = examine(&speaker, &golden, &settings, &options, &mut |progress| {
        work.rename(match (progress.work, progress.tuned) {
            (Doing::Answering, true) => "asking the tuned model",
            (Doing::Answering, false) => "asking the base",
            (Doing::Scoring, true) => "scoring labels by the tuned model",
            (Doing::Scoring, false) => "scoring labels by the base",
            (Doing::Weighing, true) => "weighing texts by the tuned model",
            (Doing::Weighing, false) => "weighing texts by the base",
        });
        work.show(progress.done, progress.total);
    })?;
    if let Some(encoder) = &tools.encoder {
        work.rename("comparing vectors");
        measure(&mut report, encoder, args.encoder.idf)?;
    }
    work.finish();
    let template = model.template.as_ref().map(|template| sha256_of(template.source().as_bytes()));
    let of = evaluated::evaluated(&subject, template.as_deref())?;
    let (value, given_up) = finish(args, name, (&subject, &golden, out), (&report, of), tools)?;
    Ok(Done { subject, golden, report: Arc::new(report), value, given_up, plain })
}

/// Judges, writes and shows a report, with the weights that it is `of`; with why the judge was given up, if it was.
fn finish(
    args: &EvalArgs,
    name: &str,
    (subject, golden, out): (&Subject, &[Source], Option<&Path>),
    (report, of): (&GoldenReport, serde_json::Value),
    tools: &Tools,
) -> anyhow::Result<(serde_json::Value, Option<String>)> {
    let judged = tools.judge.as_ref().map(|judge| judge::judge(judge, report));
    let people = people::compare(report, &tools.people, judged.as_ref());
    let given_up = judged.as_ref().and_then(judge::JudgeReport::given_up);
    let mut value = serde_json::to_value(report)?;
    value[evaluated::KEY] = of;
    value["people"] = serde_json::to_value(&people)?;
    if let Some(judged) = &judged {
        value["judge"] = serde_json::to_value(judged)?;
    }
    let stems = golden.iter().map(|source| stem(&source.path)).collect::<Vec<String>>().join("-");
    let places = places(subject, "golden", &stems, &report.files, out);
    write(&places, &(serde_json::to_string_pretty(&value)? + "\n"))?;
    for (layout, file) in &tools.exports {
        for part in export(report, *layout) {
            let file = if part.conversations { of_conversations(file) } else { file.clone() };
            write(&[file], &part.text)?;
        }
    }
    if args.json {
        return Ok((value, given_up));
    }
    heading(args, name);
    tables::show(report, args.answers);
    if report.labels.is_some() {
        classification::show(report);
    }
    report.notes.iter().for_each(|note| say(&format!("note: {note}")));
    judged.iter().flat_map(judge::JudgeReport::lines).for_each(|line| say(&line));
    people::show(people.as_ref(), judged.is_some());
    for place in &places {
        say(&format!("report: {}", place.display()));
    }
    Ok((value, given_up))
}

/// The encoder of the flags, if there is one.
fn encoder(args: &EncoderArgs) -> anyhow::Result<Option<TextEncoder>> {
    let open = |folder: &PathBuf| TextEncoder::open(folder, args.encoder_layer).map_err(TrainerError::from);
    Ok(args.encoder.as_ref().map(open).transpose()?)
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
    let variants = args.variants as usize;
    ExamOptions { labels, all_tokens: args.all_tokens, variants, ..ExamOptions::default() }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the template says of the day stands in every prompt.
    #[test]
    fn a_base_that_was_asked_on_another_day_is_asked_again() {
        let on = |date: &str| {
            let text = "[model]\nbase = \"m\"\n[data]\ntrain = \"t\"\n[output]\ndir = \"r\"\n";
            Config::parse("c.toml", text, &[format!("data.template-date={date}")]).expect("valid")
        };
        assert!(is_read_alike(&on("2025-01-01"), &on("2025-01-01")));
        assert!(!is_read_alike(&on("2025-01-01"), &on("2025-07-01")));
    }
}
