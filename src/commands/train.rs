//! `rtune train`: a run, from its configuration to its last checkpoint.

mod successor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use rtune_models::Decoder;
use rtune_trainer::checkpoint::State;
use rtune_trainer::config::Config;
use rtune_trainer::dist::Alone;
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::by_name::VALIDATION_LOSS;
use rtune_trainer::files::sha256_of_file;
use rtune_trainer::inputs::Inputs;
use rtune_trainer::manifest::{Environment, FILE as MANIFEST_FILE, Program};
use rtune_trainer::run::{Outcome, RunOptions, check_folder, train_beside};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::TrainArgs;
use crate::commands::opened::preparation;
use crate::commands::{gpu, next, resolve_base, sealing, unix_seconds};
use crate::failure::{BY_SIGNAL, BadInput, DONE, FAILED};
use crate::reporter::{Lines, Reporter, complain, say};

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<u8> {
    let config = successor::config(args)?;
    if let Some(named) = args.config.as_deref().filter(|_| args.resume) {
        refuse_other_run(named, &config.output.dir)?;
    }
    let runs = seeds(&config, args.seeds);
    for run in &runs {
        check_folder(&run.output.dir, args.resume)?;
    }
    if config.gate.sealed {
        sealing::seal(&config.data.golden)?;
    }
    let base = resolve_base(&config)?;
    let inputs = prepared(&config, &base).inspect_err(|error| {
        if let Some(advice) = successor::advice(error) {
            complain(&format!("note: {advice}"));
        }
    })?;
    let signal = listen()?;
    let (mut resident, mut all) = (None, DONE);
    for run in &runs {
        match one(args, run, &inputs, &signal, &mut resident)? {
            DONE => {}
            // An adapter of no use says nothing of other seeds.
            FAILED => all = FAILED,
            stopped => return Ok(stopped),
        }
    }
    Ok(all)
}

/// Refuses to go on with one run where the configuration of another is named: that of a run folder which was moved or copied still says
/// where it was.
fn refuse_other_run(named: &Path, dir: &Path) -> anyhow::Result<()> {
    let Some(folder) = named.parent().filter(|folder| folder.join(MANIFEST_FILE).is_file()) else {
        return Ok(());
    };
    let is_there = || Some(folder.canonicalize().ok()? == dir.canonicalize().ok()?);
    if is_there() == Some(true) {
        return Ok(());
    }
    let (folder, dir) = (folder.display(), dir.display());
    let there = next::for_shell(&format!("output.dir={folder}"));
    let problem = format!(
        "`{}` is the configuration of the run in `{folder}`, and its `output.dir` is another folder: `{dir}`",
        named.display()
    );
    let hint = format!(
        "to go on with the run in `{folder}`: --set {there}; to go on with `{dir}` name its own config.toml"
    );
    Err(BadInput::new(problem).with_hint(hint).into())
}

/// The configuration, and what is the same but for seed and folder: `NAME`, `NAME-seed-1` and so on.
fn seeds(config: &Config, count: u32) -> Vec<Config> {
    let one = |number: u32| {
        let mut config = config.clone();
        if number > 0 {
            let name = config.output.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            config.output.dir.set_file_name(format!("{name}-seed-{number}"));
            config.train.seed = (config.train.seed + u64::from(number)) & i64::MAX as u64;
        }
        config
    };
    (0..count).map(one).collect()
}

/// One run, beside the base of the one before.
fn one(
    args: &TrainArgs,
    config: &Config,
    inputs: &Inputs,
    signal: &Arc<AtomicUsize>,
    resident: &mut Option<Decoder>,
) -> anyhow::Result<u8> {
    let lines = if args.json { Lines::Json } else { Lines::People };
    let (outcome, useless) =
        go_beside(config, inputs, args.resume, Reporter::new(lines, Arc::clone(signal)), resident)?;
    let (state, words, code) = match outcome {
        Outcome::Complete(state) => (state, "done", DONE),
        Outcome::WasComplete(state) => (state, "was complete already", DONE),
        Outcome::Stopped(state) => (state, "stopped", BY_SIGNAL + signal.load(Ordering::SeqCst) as u8),
    };
    if !args.json {
        // Where the file that was named does not say all by itself, one goes on with the one that the run wrote.
        let says_all = args.next.from.is_none() && args.next.queues.is_empty() && args.overrides.is_empty();
        let named: PathBuf = match &args.config {
            Some(named) if says_all && args.seeds == 1 => named.clone(),
            _ => config.output.dir.join("config.toml"),
        };
        say(&farewell(&state, words, &config.output.dir, &named, code));
        if code == DONE {
            say(&next::after_training(config));
        }
    }
    Ok(match useless {
        // What is built on the exit code must not take an adapter that does nothing for a model.
        Some(reason) => {
            complain(&format!("warning: {reason}"));
            if code == DONE { FAILED } else { code }
        }
        None => code,
    })
}

/// The base and the rows of `config`, with what is to be said of them.
pub(super) fn prepared(config: &Config, base: &Path) -> anyhow::Result<Inputs> {
    let inputs = Inputs::prepare(config, base, &preparation(config)?, None)?;
    for note in inputs.preparation.iter().flat_map(|used| &used.notes) {
        complain(&format!("note: {note}"));
    }
    Ok(inputs)
}

/// Trains until the end, or until `signal` is no longer zero: how it ended, and why the adapter is of no use, if that was
/// found.
pub(super) fn go(
    config: &Config,
    inputs: &Inputs,
    resume: bool,
    lines: Lines,
    signal: &Arc<AtomicUsize>,
) -> anyhow::Result<(Outcome, Option<String>)> {
    go_beside(config, inputs, resume, Reporter::new(lines, Arc::clone(signal)), &mut None)
}

/// [`go`] on from what is there, up to `step` alone: where a run stands after it.
pub(super) fn go_until(
    config: &Config,
    inputs: &Inputs,
    step: u64,
    lines: Lines,
    signal: &Arc<AtomicUsize>,
) -> anyhow::Result<Outcome> {
    let reporter = Reporter::new(lines, Arc::clone(signal)).until(Some(step));
    Ok(go_beside(config, inputs, true, reporter, &mut None)?.0)
}

/// [`go`] beside a base that is in memory already, where `resident` has one.
fn go_beside(
    config: &Config,
    inputs: &Inputs,
    resume: bool,
    mut reporter: Reporter,
    resident: &mut Option<Decoder>,
) -> anyhow::Result<(Outcome, Option<String>)> {
    let config = &gpu::of_run(config, resume);
    let gpu = gpu::open(config)?;
    let (program, environment) = (program()?, environment(&inputs.base_path)?);
    let mut options = RunOptions { resume, gpu, program, environment };
    let mut outcome = train_beside(config, inputs, &options, &mut Alone, &mut reporter, resident);
    reporter.finish();
    if let Some(why) = gpu::left_to_processor(config, &outcome) {
        // Nothing was computed, and a run that is new took its folder back.
        complain(&why);
        options.gpu = None;
        outcome = train_beside(config, inputs, &options, &mut Alone, &mut reporter, resident);
        reporter.finish();
    }
    Ok((outcome?, reporter.useless().map(str::to_owned)))
}

fn farewell(state: &State, words: &str, run: &Path, config: &Path, code: u8) -> String {
    let step = state.step;
    let next = if code == DONE {
        let which = if state.best.is_some() { "best" } else { "last" };
        format!("adapter: {}", run.join(which).display())
    } else {
        format!("go on: rtune train {} --resume", next::for_shell(&config.display().to_string()))
    };
    match &state.best {
        Some(best) => {
            let value = match best.metric.as_str() {
                VALIDATION_LOSS => format!("validation loss {:.4} nats", best.value),
                metric => format!("{metric} {:.4}", best.value),
            };
            format!("{words} at step {step}: best {value} at step {}\n{next}", best.step)
        }
        None => format!("{words} at step {step}\n{next}"),
    }
}

/// From now on the first SIGINT or SIGTERM is a wish, which the loop grants after a save; a second one ends at once.
pub(super) fn listen() -> anyhow::Result<Arc<AtomicUsize>> {
    let wish = Arc::new(AtomicUsize::new(0));
    let wished = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds nothing wished for yet, and then wishes.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(BY_SIGNAL) + signal,
            Arc::clone(&wished),
        )
        .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&wished)))
        .and_then(|_| signal_hook::flag::register_usize(signal, Arc::clone(&wish), signal as usize))
        .context("cannot listen for signals")?;
    }
    Ok(wish)
}

/// What runs, by the hash of its own file.
pub(crate) fn program() -> anyhow::Result<Program> {
    let file = std::env::current_exe().context("cannot find the program's own file")?;
    let sha256 = sha256_of_file(&file).map_err(TrainerError::from)?;
    Ok(Program { name: "rtune".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), sha256 })
}

fn environment(base: &Path) -> anyhow::Result<Environment> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    Ok(Environment {
        started_unix_seconds: unix_seconds(),
        host: host.map(|name| name.trim().to_owned()),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        threads: rayon::current_num_threads(),
        working_directory: std::env::current_dir().context("cannot find the working directory")?,
        base: base.to_owned(),
        preparation: None,
    })
}
