//! A run, from prepared inputs to its last checkpoint.

mod ahead;
mod best;
mod continuation;
mod evaluation;
mod folder;
mod observer;
mod odd;
mod order;
mod rules;
mod session;
pub(crate) mod sums;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtune_adapters::Start;
use rtune_data::{DataError, Examples, Prepared};
use rtune_kernels::cuda::Device;
use rtune_models::{BaseOutline, Decoder};

use crate::adapter::{self, Attached};
use crate::checkpoint::{Checkpoint, Checkpoints, Remembered, State, Undone};
use crate::config::{Config, LoraSection, OnNotFinite, OnSpike, SaveActivations};
use crate::dist::Collective;
use crate::engine::{Engine, EngineOptions, MicroBatch};
use crate::error::TrainerError;
use crate::forgetting::Skills;
use crate::inputs::Inputs;
use crate::manifest::{Environment, Manifest, Program};
use crate::metrics::{METRICS_FILE, Measured, Metrics, OddLine, read_lines};
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::outlook::Outlook;
use crate::overfitting::Fit;
use crate::plan;
use crate::subject::quantization;
use crate::useless;
use ahead::Ahead;
use continuation::GoingOn;
pub(crate) use evaluation::Exam;
pub use evaluation::asks;
use folder::RunFolder;
use session::Session;
use sums::Sums;

pub(crate) use folder::CONFIG_FILE;
pub use folder::check_folder;
pub use observer::{Event, Observer, Ready};
pub(crate) use order::Order;
pub use rules::{CONTINUATION_RULES, Rule};

/// How a run is to be started.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Go on from the last checkpoint if there is one.
    pub resume: bool,
    /// The GPU to train on, opened; `None` for this machine's processor.
    pub gpu: Option<Device>,
    /// What runs, for the manifest.
    pub program: Program,
    /// Where it runs, for the manifest.
    pub environment: Environment,
}

/// Whether nothing is left to do of a run of `config` on these training rows whose last checkpoint has this state: all steps are done, or
/// it ended early, as `eval.patience` says.
///
/// # Errors
/// Those of reading rows.
pub fn has_ended(config: &Config, train: &Examples, state: &State) -> Result<bool, DataError> {
    let order = Order::new(train, &config.train, config.data.shuffle)?;
    Ok(state.step >= order.total || best::is_over(state, &config.eval))
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Complete(State),
    /// All steps were done before; nothing was computed.
    WasComplete(State),
    /// The observer asked for a stop; a checkpoint was written.
    Stopped(State),
}

/// How one try at a run ended.
pub(crate) enum Ended {
    /// The run's own end.
    As(Outcome),
    /// At a step before which others are to be undone.
    Back(Back),
}

/// What a try hands to the one that goes back for it.
pub(crate) struct Back {
    /// The step that was odd.
    line: OddLine,
    /// What is to be left out.
    undone: Undone,
    /// What was known then.
    remembered: Remembered,
    /// What was found odd, by step.
    odd: BTreeMap<u64, OddLine>,
}

/// Trains as `config` says. The same configuration, inputs and seed give the same bytes of every file but
/// metrics.jsonl, tensorboard and the manifest's `environment`, however often the run is stopped and resumed.
///
/// # Errors
/// See [`TrainerError`]. Every checkpoint that was written before stays as it is.
pub fn train(
    config: &Config,
    inputs: &Inputs,
    options: &RunOptions,
    collective: &mut dyn Collective,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainerError> {
    train_beside(config, inputs, options, collective, observer, &mut None)
}

/// [`train`] beside a base that is in memory already, where `resident` has one: that of another run of the same configuration, but for
/// seed and folder. What is left there is for the next one. Every byte is that of [`train`].
///
/// # Errors
/// As [`train`].
pub fn train_beside(
    config: &Config,
    inputs: &Inputs,
    options: &RunOptions,
    collective: &mut dyn Collective,
    observer: &mut dyn Observer,
    resident: &mut Option<Decoder>,
) -> Result<Outcome, TrainerError> {
    order::refuse_unknown_rows(&inputs.prepared.train, &config.train)?;
    let (mut back, mut options) = (None, options.clone());
    loop {
        match attempt(config, inputs, &options, collective, observer, resident, back.as_ref())? {
            Ended::As(outcome) => return Ok(outcome),
            Ended::Back(next) => back = Some(next),
        }
        options.resume = true;
    }
}

/// One try at a run: to its end, or to a step that it is to go back for; `back` is what the try before went back for.
fn attempt(
    config: &Config,
    inputs: &Inputs,
    options: &RunOptions,
    collective: &mut dyn Collective,
    observer: &mut dyn Observer,
    resident: &mut Option<Decoder>,
    back: Option<&Back>,
) -> Result<Ended, TrainerError> {
    let mut folder = RunFolder::open(&config.output.dir, options.resume, back.map(|back| back.undone.first))?;
    if let (Some(back), None) = (back, &folder.newest.checkpoint) {
        return Err(TrainerError::OddStep { line: Box::new(back.line.clone()) });
    }
    let outline = BaseOutline::open(&inputs.base_path)?;
    let mut shaped = config.clone();
    if let (LoraSection::From(_), Some(last)) = (&config.lora, &folder.newest.checkpoint) {
        // The adapter that the run began with may be gone; its own has the same shape.
        shaped.lora = LoraSection::From(last.folder.clone());
    }
    let threads = options.environment.threads;
    // A GPU shares none, whatever is asked for: rows are as long there as without.
    let shares_prefixes = options.gpu.is_none() && plan::shares_prefixes(&shaped, &outline.spec)?;
    let Prepared { train, validation, .. } = &inputs.prepared;
    // What is wrong with it is told where a step would need it: a run that is complete needs none.
    let exam = Exam::new(config, inputs);
    let asks = exam.as_ref().map(|exam| exam.asks(inputs)).unwrap_or_default();
    let is_measured = !validation.is_empty() || asks.is_measured() || exam.is_err();
    let sizes = Outlook::of(train, validation, config, shares_prefixes, threads, asks)?.sizes;
    let chosen = match &options.gpu {
        None => {
            // The examples are there, too.
            let held_bytes = resident.as_ref().map_or(0, Decoder::size_bytes) + sizes.bytes;
            plan::choose(&outline, &shaped, &sizes, plan::free_bytes_beside(held_bytes))
        }
        Some(device) => plan::choose_on_gpu(&outline, &shaped, &sizes, device.facts().room_bytes()),
    };
    let choice = match (chosen, &shaped.lora) {
        // An adapter of another base is refused where it is read, by the name of its first tensor that does not fit.
        (Err(TrainerError::Adapter(_)), LoraSection::From(_)) => SaveActivations::InputOnly,
        (chosen, _) => chosen?,
    };
    let resolved = match &options.gpu {
        None => plan::resolve(config, choice),
        Some(_) => plan::resolve_on_gpu(config, choice),
    };
    let Begun { config, sums, state, resumed } = match folder.newest.checkpoint.take() {
        None => begin(&folder, resolved, inputs, options)?,
        Some(last) => go_on(&folder, last, config, resolved, inputs, options, observer)?,
    };
    let mut order = Order::new(&inputs.prepared.train, &config.train, config.data.shuffle)?;
    let is_measured = !is_measured || sums.is_done(state.step);
    let is_over = state.step >= order.total || best::is_over(&state, &config.eval);
    let is_new = resumed.is_none();
    if !is_new && is_over && is_measured {
        // What it was found to be at its end it still is.
        if let Some(reason) = uselessness(&folder, &state)? {
            observer.on(Event::Useless(&reason));
        }
        return Ok(Ended::As(Outcome::WasComplete(state)));
    }
    let mut load = |done, total| observer.on(Event::Loading { done, total });
    let base = &inputs.base;
    let (mut decoder, note) = match resident.take() {
        Some(decoder) => (decoder, None),
        None => folder.unless_new(is_new, base.decoder(quantization(&config), &mut load))?,
    };
    let notes = note.as_deref().into_iter().chain(base.config.not_trained_on());
    notes.for_each(|note| observer.on(Event::Note(note)));
    if observer.stop_requested() {
        // Nothing was computed, so there is nothing to save.
        return Ok(Ended::As(Outcome::Stopped(state)));
    }
    let attached = adapter::attach(&mut decoder, base, &config, resumed.as_deref());
    let Attached { shape, parameters, initial, note, .. } = folder.unless_new(is_new, attached)?;
    note.iter().for_each(|note| observer.on(Event::Note(note)));
    let policy = plan::policy(config.train.save_activations);
    let (seed, neftune_alpha) = (config.train.seed, config.train.neftune_alpha);
    let noise = (shape.as_ref().is_some_and(|shape| shape.dropout > 0.0) || neftune_alpha > 0.0)
        .then_some(Noise { seed, neftune_alpha });
    let micro_batch = MicroBatch { tokens: config.train.micro_batch_tokens, shares_prefixes };
    let mut engine = Engine::new(decoder, parameters, EngineOptions { policy, micro_batch, noise });
    if let Some(device) = &options.gpu {
        let longest_tokens = inputs.prepared.train.longest_tokens();
        let opened = engine.on_gpu(device, longest_tokens, config.model.embeddings);
        engine = folder.unless_new(is_new, opened)?;
    }
    let optimizer = Optimizer::new(&config.train, engine.parameters().flat().len());
    let mut optimizer = optimizer.by_parts(config.train.lora_plus_ratio, &engine.slices());
    if let Some(folder) = &resumed {
        optimizer.restore(folder, &engine.slices())?;
        engine.restore(&optimizer)?;
    }
    let rows = &inputs.prepared.train;
    let exam = folder.unless_new(is_new, exam)?;
    observer.on(Event::Ready(&Ready {
        trainable: engine.parameters().flat().len(),
        parameters: engine.parameters().flat().len() + engine.decoder().frozen_count(),
        base_bytes: engine.decoder().size_bytes(),
        train_rows: rows.len(),
        validation_rows: inputs.prepared.validation.len(),
        step: state.step,
        steps: order.total,
    }));
    let (metrics, kept) = Metrics::open(&folder.path, measured(&state))?;
    if let Some(complaint) = kept.complaint() {
        let what = match &state.remembered {
            Some(_) => "it is for people alone, and the run goes on as if it were whole",
            None => "what the next steps are compared with comes from the other lines",
        };
        observer.on(Event::Warning(&format!("{complaint}: {what}")));
    }
    let mut remembered = state.remembered.clone().unwrap_or_else(|| Remembered::after(&kept.lines));
    back.iter().for_each(|back| remembered.learn(&back.remembered));
    let updates = order.updates(state.step, &remembered.left_out);
    let mut session = Session {
        metrics,
        remembered,
        odd: back.map(|back| back.odd.clone()).unwrap_or_default(),
        is_saved: !is_new,
        fit: Fit::after(&kept.lines),
        skills: Skills::after(&kept.lines),
        checkpoints: Checkpoints::of(&folder.path),
        run: &folder.path,
        config: &config,
        sums,
        shape,
        initial,
        rows,
        inputs,
        exam,
        order,
        ahead: Ahead::default(),
        updates,
        engine,
        optimizer,
        state,
        collective,
        observer,
    };
    drop(kept);
    let outcome = session.run();
    if leaves_base(&config) {
        *resident = session.engine.into_decoder();
    }
    outcome
}

/// Whether the base's own numbers are after a run what they were before: adapters that are drawn take nothing off it, and modules that
/// are trained whole are moved out of it.
fn leaves_base(config: &Config) -> bool {
    matches!(&config.lora, LoraSection::New(shape)
        if shape.start == Start::Drawn && shape.alongside.modules.is_empty())
}

/// What a run goes into its loop with.
struct Begun {
    config: Config,
    sums: Sums,
    state: State,
    resumed: Option<PathBuf>,
}

fn begin(
    folder: &RunFolder,
    config: Config,
    inputs: &Inputs,
    options: &RunOptions,
) -> Result<Begun, TrainerError> {
    let manifest = Manifest::of(&config, inputs, options)?;
    folder.clear()?;
    let sums = folder.evaluations_up_to(None, BTreeMap::new())?;
    folder.begin(&config, &manifest, inputs)?;
    Ok(Begun { config, sums, state: State::start(), resumed: None })
}

fn go_on(
    folder: &RunFolder,
    last: Checkpoint,
    written: &Config,
    resolved: Config,
    inputs: &Inputs,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Begun, TrainerError> {
    let mut state = last.state;
    let going = continuation::go_on(&folder.path, &state, written, resolved, inputs, options)?;
    // Until here nothing was written: a run that is refused is left as it was.
    let from = state.step;
    for (step, problem) in &folder.newest.damaged {
        let what = match *step < from {
            true => "it is removed; those after it that are whole stay".to_owned(),
            false => format!("going on from that of step {from}"),
        };
        observer.on(Event::Warning(&format!("the checkpoint of step {step} is damaged: {problem}; {what}")));
    }
    if let Some(said) = folder.settle_best(&mut state)? {
        observer.on(Event::Warning(&said));
    }
    going.notes.iter().for_each(|note| observer.on(Event::Note(note)));
    let GoingOn { config, mut manifest, .. } = going;
    folder.restore(&state)?;
    let best = state.best.as_ref().map(|best| best.step);
    let reach = state.remembered.as_ref().and_then(|known| reach(&config, state.step, known));
    let checkpoints = Checkpoints::of(&folder.path);
    let needed = reach.map(|step| checkpoints.needed_for(step)).unwrap_or_default();
    checkpoints.prune(config.checkpoint.keep, config.checkpoint.every, best, &needed)?;
    let earlier = std::mem::take(&mut manifest.evaluations);
    let sums = folder.evaluations_up_to(measured(&state).evaluations, earlier)?;
    folder.go_on(&config, &manifest, inputs)?;
    Ok(Begun { config, sums, state, resumed: Some(last.folder) })
}

/// The checkpoint that a run may have to go back to after `done` steps, where `[watchdog]` has it go back.
fn reach(config: &Config, done: u64, remembered: &Remembered) -> Option<u64> {
    let watchdog = &config.watchdog;
    let goes_back = watchdog.not_finite == OnNotFinite::RollBack || watchdog.spike == OnSpike::RollBack;
    goes_back.then(|| remembered.reach(done, config.checkpoint.every))
}

/// Why the adapter of a run that is complete is of no use, if it is of none.
fn uselessness(folder: &RunFolder, state: &State) -> Result<Option<String>, TrainerError> {
    if state.remembered.is_some() {
        return Ok(state.useless.clone());
    }
    // A checkpoint of an earlier version does not say: its lines do.
    let lines = read_lines(&folder.path.join(METRICS_FILE))?.lines;
    let Remembered { base_nats, lowest_nats, .. } = Remembered::after(&lines);
    Ok(useless::no_gain(base_nats, lowest_nats, state.step))
}

/// What of the measurements counts. An evaluation that the state does not know of is done again, and before the first step
/// there is no other.
fn measured(state: &State) -> Measured {
    let steps = (state.step > 0).then_some(state.step);
    // A state of an earlier version knows of the evaluations up to its step.
    let is_of_before = state.evaluated.is_none() && state.best.is_some();
    Measured { steps, evaluations: if is_of_before { Some(state.step) } else { state.evaluated } }
}
