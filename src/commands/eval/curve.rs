//! `rtune eval RUN --learning-curve`: the run on a quarter and half of its rows, beside itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rtune_data::{Example, Source};
use rtune_metrics::compare::Settings as Comparing;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::compare::{Which, compare_reports};
use rtune_trainer::evaluate::golden::{ExamOptions, examine};
use rtune_trainer::files::write_whole;
use rtune_trainer::learning_curve::{
    FOLDER, Gain, LearningCurve, PARTS, Point, gain, mean_nats, measure, part,
};
use rtune_trainer::loss::LossSum;
use rtune_trainer::run::Outcome;
use rtune_trainer::subject::Subject;
use rtune_trainer::talk::Speaker;

use super::{exam_options, settings};
use crate::args::talk::EvalArgs;
use crate::commands::{gpu, resolve_base, train};
use crate::failure::{BY_SIGNAL, BadInput, DONE};
use crate::reporter::{Lines, Work, complain, say};
use crate::table::{align_right, table};

/// What one run came to.
struct Measured {
    losses: Vec<LossSum>,
    /// The golden report.
    golden: Option<PathBuf>,
}

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<u8> {
    let [name] = args.subjects.as_slice() else {
        return Err(BadInput::new("a learning curve is one of a run; several were named").into());
    };
    let run = Path::new(name);
    if !run.join("config.toml").is_file() {
        return Err(BadInput::new(format!(
            "`{}` is no run, and a learning curve is one of a run",
            run.display()
        ))
        .with_hint("train one first: `rtune train CONFIG`")
        .into());
    }
    let subject = Subject::find(name, &args.overrides)?;
    let config = &subject.config;
    let base = resolve_base(config)?;
    let signal = train::listen()?;
    let lines = if args.json { Lines::None } else { Lines::People };
    let mut folders = Vec::new();
    for (name, share) in PARTS {
        let config = part(run, config, name, share);
        say_unless(args.json, &format!("{name} of the rows: {}", config.output.dir.display()));
        let inputs = train::prepared(&config, &base)?;
        let (outcome, _) = train::go(&config, &inputs, true, lines, &signal)?;
        if let Outcome::Stopped(state) = outcome {
            complain(&format!("stopped at step {} of {name}; the same command goes on there", state.step));
            return Ok(stopped(&signal));
        }
        folders.push((name, config.output.dir.clone(), inputs.prepared.train.len()));
    }
    let inputs = train::prepared(config, &base)?;
    folders.push(("all", run.to_owned(), inputs.prepared.train.len()));
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { config.data.golden.clone() } else { named };
    let mut measured = Vec::new();
    for (name, folder, _) in &folders {
        if signal.load(Ordering::SeqCst) != 0 {
            return Ok(stopped(&signal));
        }
        let out = run.join(FOLDER).join(format!("golden-{name}.json"));
        measured.push(measured_run(folder, &base, &inputs.prepared.validation, &golden, &out, args)?);
    }
    let curve = curve(folders, &measured, args)?;
    let path = curve.write(run)?;
    if args.json {
        say(&serde_json::to_string_pretty(&curve)?);
        return Ok(DONE);
    }
    show(&curve);
    say(&format!("learning curve: {}", path.display()));
    Ok(DONE)
}

fn stopped(signal: &Arc<AtomicUsize>) -> u8 {
    BY_SIGNAL + signal.load(Ordering::SeqCst) as u8
}

fn say_unless(json: bool, text: &str) {
    if !json {
        say(text);
    }
}

/// Opens a run, weighs the held-out rows and asks the golden ones.
fn measured_run(
    folder: &Path,
    base: &Path,
    held_out: &[Example],
    golden: &[Source],
    out: &Path,
    args: &EvalArgs,
) -> anyhow::Result<Measured> {
    let subject = Subject::find(&folder.display().to_string(), &[])?;
    let mut work = Work::new("loading the base");
    let mut opened = subject.open(base, &mut |done, total| work.show(done, total))?;
    gpu::answer(&mut opened, &subject.config, &args.overrides)?;
    work.rename("weighing held-out rows");
    let losses = measure(&opened.model(), held_out, &mut |done, total| work.show(done, total))?;
    let mut measured = Measured { losses, golden: None };
    if !golden.is_empty() {
        let settings = settings(args, &opened);
        let sandbox = super::code::sandbox(&args.code.sandbox)?;
        let sealed = subject.config.gate.sealed;
        let options = ExamOptions { variants: 0, sandbox, sealed, ..exam_options(args, Vec::new()) };
        let speaker = Speaker::new(&opened)?;
        work.rename("asking golden rows");
        let report = examine(&speaker, golden, &settings, &options, &mut |progress| {
            work.show(progress.done, progress.total);
        })?;
        let text = serde_json::to_string_pretty(&report)? + "\n";
        write_whole(out, text.as_bytes()).map_err(TrainerError::from)?;
        measured.golden = Some(out.to_owned());
    }
    work.finish();
    Ok(measured)
}

fn curve(
    folders: Vec<(&'static str, PathBuf, usize)>,
    measured: &[Measured],
    args: &EvalArgs,
) -> anyhow::Result<LearningCurve> {
    let [quarter, half, all] = measured else { anyhow::bail!("a part of the curve is not there") };
    let mut gains = Vec::new();
    if !all.losses.is_empty() {
        gains.push(gain(&half.losses, &all.losses)?);
    }
    let (mut golden_metric, mut golden_values) = (None, [None; 3]);
    if let (Some(first), Some(middle), Some(last)) = (&quarter.golden, &half.golden, &all.golden) {
        let settings = Comparing::default();
        let compared = |first: &Path, second: &Path| {
            let sides = ((first, Which::Tuned), (second, Which::Tuned));
            compare_reports(sides.0, sides.1, None, &args.key_classes, &settings)
        };
        let (to_half, to_all) = (compared(first, middle)?, compared(middle, last)?);
        if let (Some(low), Some(high)) = (to_half.metrics.first(), to_all.metrics.first()) {
            golden_metric = Some(high.metric.clone());
            golden_values = [Some(low.first), Some(high.first), Some(high.second)];
            gains.push(Gain::of(high));
        }
    }
    let points = folders.into_iter().zip(measured).zip(golden_values);
    let points = points.map(|(((name, folder, rows), measured), golden)| Point {
        part: name.to_owned(),
        folder,
        rows,
        validation_loss_nats: mean_nats(&measured.losses),
        golden,
    });
    Ok(LearningCurve::new(points.collect(), gains, golden_metric))
}

fn show(curve: &LearningCurve) {
    let golden = curve.golden_metric.as_ref().map(|metric| format!("golden {metric}"));
    let header = ["part", "rows", "validation loss"].map(str::to_owned).into_iter().chain(golden);
    let mut table = table(header.collect::<Vec<_>>());
    for point in &curve.points {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        let mut row = vec![point.part.clone(), point.rows.to_string(), number(point.validation_loss_nats)];
        if curve.golden_metric.is_some() {
            row.push(number(point.golden));
        }
        table.add_row(row);
    }
    align_right(&mut table, 1);
    say(&table.to_string());
    say("");
    say(&curve.sentence);
}
