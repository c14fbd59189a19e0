//! A run, from prepared inputs to its last checkpoint.

mod folder;
mod observer;
mod order;
mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtune_data::Example;
use rtune_models::Decoder;

use crate::adapter;
use crate::checkpoint::{self, Checkpoints, State};
use crate::config::{Config, LoraSection};
use crate::dist::Collective;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::evaluate::perplexity::ValidationSet;
use crate::inputs::Inputs;
use crate::manifest::{self, Environment, Manifest, Program};
use crate::metrics::Metrics;
use crate::optimizer::Optimizer;
use crate::plan;
use crate::subject::quantization;
use folder::RunFolder;
use order::Order;
use session::Session;

pub use folder::check_folder;
pub use observer::{Event, Observer, Ready};

/// How a run is to be started.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Go on from the last checkpoint if there is one.
    pub resume: bool,
    /// What runs, for the manifest.
    pub program: Program,
    /// Where it runs, for the manifest.
    pub environment: Environment,
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
    let folder = RunFolder::open(&config.output.dir, options.resume)?;
    let resolved =
        folder.settle(config, plan::resolve(config, &inputs.base.config, inputs.longest_tokens()))?;
    write_manifest(&resolved, inputs, options, &folder)?;
    let order = Order::new(&inputs.prepared.train, &resolved.train, resolved.data.shuffle);
    let state = folder.last.as_ref().map_or_else(State::start, |last| last.state.clone());
    if folder.last.is_some() && state.step >= order.total {
        return Ok(Outcome::WasComplete(state));
    }
    let resumed = folder.last.as_ref().map(|last| last.folder.as_path());
    let mut load = |done, total| observer.on(Event::Loading { done, total });
    let base = &inputs.base;
    let mut decoder = Decoder::load(&base.config, base.weights.as_ref(), quantization(&resolved), &mut load)?;
    let (shape, parameters) = adapter::attach(&mut decoder, &resolved, resumed)?;
    let policy = plan::policy(resolved.train.save_activations);
    let engine = Engine::new(decoder, parameters, policy, resolved.train.micro_batch_tokens);
    let mut optimizer = Optimizer::new(&resolved.train, engine.parameters().flat().len());
    if let Some(folder) = resumed {
        optimizer.restore(folder, &engine.slices())?;
    }
    let rows: &[Example] = &inputs.prepared.train;
    let validation = ValidationSet::new(&inputs.prepared.validation, resolved.train.micro_batch_tokens);
    observer.on(Event::Ready(&Ready {
        trainable: engine.parameters().flat().len(),
        parameters: engine.parameters().flat().len() + engine.decoder().parameter_count(),
        base_bytes: engine.decoder().size_bytes(),
        train_rows: rows.len(),
        validation_rows: inputs.prepared.validation.len(),
        step: state.step,
        steps: order.total,
    }));
    // Before the base is evaluated nothing has been measured that counts.
    let measured = (state.step > 0 || state.best.is_some()).then_some(state.step);
    folder.forget_evaluations_after(measured)?;
    let session = Session {
        metrics: Metrics::open(&folder.path, measured)?,
        checkpoints: Checkpoints::of(&folder.path),
        run: &folder.path,
        config: &resolved,
        shape,
        rows,
        validation,
        order,
        engine,
        optimizer,
        state,
        collective,
        observer,
    };
    session.run()
}

/// Writes what the run is made of, or, where it goes on, compares it with what it was made of.
fn write_manifest(
    config: &Config,
    inputs: &Inputs,
    options: &RunOptions,
    folder: &RunFolder,
) -> Result<(), TrainerError> {
    let tokenizer = inputs.base.tokenizer.to_string(false).map_err(|error| TrainerError::Unreadable {
        file: inputs.base_path.clone(),
        problem: format!("the tokenizer cannot be written down: {error}"),
    })?;
    let data: Vec<&PathBuf> = inputs.prepared.files.iter().map(|(path, _)| path).collect();
    let manifest = Manifest {
        format: checkpoint::FORMAT,
        base: manifest::hashes_by_name(inputs.base.files.iter())?,
        tokenizer: crate::files::sha256_of(tokenizer.as_bytes()),
        template: crate::files::sha256_of(inputs.template.source().as_bytes()),
        data: manifest::hashes_by_name(data.into_iter())?,
        prepared_rows: manifest::hash_of_rows(&inputs.prepared),
        initial_adapter: initial_adapter(&config.lora)?,
        config: crate::files::sha256_of(config.without_output().to_toml().as_bytes()),
        program: options.program.clone(),
        device: "cpu".to_owned(),
        seed: config.train.seed,
        environment: options.environment.clone(),
    };
    if folder.last.is_some() {
        return manifest.check_unchanged(&folder.path);
    }
    checkpoint::write_json(&folder.path.join("data-report.json"), &inputs.prepared.report)?;
    manifest.write(&folder.path)
}

/// Hashes of the adapter that a run starts from; none for fresh ones.
fn initial_adapter(lora: &LoraSection) -> Result<BTreeMap<String, String>, TrainerError> {
    let LoraSection::From(folder) = lora else { return Ok(BTreeMap::new()) };
    // The adapter was copied into the first checkpoint: a run that goes on no longer needs it.
    let there = |path: &PathBuf| path.is_file();
    let files = ["adapter_config.json", "adapter_model.safetensors"].map(|name| Path::new(folder).join(name));
    manifest::hashes_by_name(files.iter().filter(|path| there(path)))
}
