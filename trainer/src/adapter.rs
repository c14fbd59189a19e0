//! Adapters in and out of a run: fresh, or from a folder that `peft` can read.

use std::path::Path;

use rtune_adapters::peft::{self, PeftAdapter};
use rtune_adapters::seeing::in_whole_model;
use rtune_adapters::targets::is_called;
use rtune_adapters::{AdapterError, Linear, LoraConfig, Parameters, Start, Targets};
use rtune_models::{BaseModel, Decoder, Quantization};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{read_json, read_value};
use crate::config::{Config, LoraSection};
use crate::error::TrainerError;
use crate::subject::quantization;
use crate::{full, init, tensors};

/// The tokens that the tokenizer got, in a checkpoint and in an exported adapter.
pub(crate) const NEW_TOKENS_FILE: &str = "new_tokens.json";

/// [`NEW_TOKENS_FILE`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokens {
    /// [`checkpoint::FORMAT`](crate::checkpoint::FORMAT).
    pub(crate) format: u64,
    /// In the order of their ids.
    pub(crate) tokens: Vec<String>,
}

/// Adapters as they began, in a checkpoint, where they began with something of the base: what was taken off it before the
/// first step (PiSSA), or what quantising took from it (LoftQ).
pub(crate) const INITIAL_FILE: &str = "initial.safetensors";

/// What is trained, and how it began.
pub(crate) struct Attached {
    /// Of the adapters; `None` where every number of the base is trained.
    pub(crate) shape: Option<LoraConfig>,
    pub(crate) parameters: Parameters<f32>,
    /// The parameters as they began, where that is something of the base.
    pub(crate) initial: Option<Parameters<f32>>,
    /// With these the model is its base, where it is not without any: numbers of the base that were trained, or were taken
    /// off it.
    pub(crate) untrained: Option<Parameters<f32>>,
    /// What of an adapter from elsewhere is not used, in words.
    pub(crate) note: Option<String>,
}

/// Puts adapters beside the linears of `decoder` with their first values: those of the checkpoint `resumed`, else
/// those of `lora.from`, else fresh ones; or lets every number be trained. Gives the adapters' shape too, and what they began with.
///
/// # Errors
/// When a target names no linear, an adapter that makes up for quantisation is to stand beside a base that is not quantised, or the folder's tensors are not exactly those that its settings and the model ask
/// for; [`TrainerError::NoSuchTokenName`], [`TrainerError::OtherTokens`].
pub(crate) fn attach(
    decoder: &mut Decoder,
    base: &BaseModel,
    config: &Config,
    resumed: Option<&Path>,
) -> Result<Attached, TrainerError> {
    let folder = match (resumed, &config.lora) {
        (resumed, LoraSection::Full) => {
            let mut parameters = decoder.train_all()?;
            let untrained = resumed.map(|_| parameters.clone());
            if let Some(folder) = resumed {
                tensors::read(&folder.join(full::WEIGHTS_FILE), &mut parameters)?;
            }
            return Ok(Attached { shape: None, parameters, initial: None, untrained, note: None });
        }
        (Some(folder), _) => folder,
        (None, LoraSection::From(folder)) => folder.as_path(),
        (None, LoraSection::New(shape)) => {
            let shape = with_tokens(shape, base, config)?;
            let mut parameters = decoder.attach_lora(&shape)?;
            init::draw(&mut parameters, config.train.seed);
            let draw = |name: &str, out: &mut [f32]| init::draw_start(config.train.seed, name, out);
            decoder.begin(shape.start, &*base.weights, quantization(config), &mut parameters, &draw)?;
            let initial = (shape.start != Start::Drawn).then(|| parameters.clone());
            return Ok(Attached { shape: Some(shape), parameters, initial, untrained: None, note: None });
        }
    };
    let beside = folder.join(INITIAL_FILE);
    let began = beside.is_file();
    // Only what a run took off its base can be taken off again.
    let adapter = match resumed.is_some() && began {
        true => peft::read_on_changed_base(folder)?,
        false => peft::read(folder)?,
    };
    if resumed.is_none() {
        refuse_other_tokens(folder, &adapter.config, decoder.spec().names.embedding, base, config)?;
    }
    let makes_up = adapter.config.start == Start::Loftq;
    if makes_up && quantization(config) == Quantization::None {
        let folder = folder.display();
        let problem = format!("`{folder}` makes up for quantisation (LoftQ), and the base is not quantised");
        return Err(AdapterError::Config(problem).into());
    }
    let linears: Vec<&str> = decoder.linears().map(Linear::name).collect();
    refuse_other_model(folder, &adapter.config, &linears)?;
    let widths = decoder.linears().map(|linear| (linear.name(), linear.in_features(), linear.out_features()));
    refuse_other_widths(folder, &adapter, widths)?;
    let mut parameters = decoder.attach_lora(&adapter.config)?;
    let mut initial = None;
    let mut untrained = decoder.trains_base().then(|| parameters.clone());
    if began && adapter.config.start != Start::Drawn {
        let mut began = parameters.clone();
        tensors::read(&beside, &mut began)?;
        if adapter.config.start.changes_base() {
            decoder.take_off(began.flat(), &*base.weights, quantization(config))?;
            untrained = Some(began.clone());
        }
        initial = Some(began);
    }
    adapter.load_into(&mut parameters, folder)?;
    let note = (adapter.left_out > 0).then(|| {
        format!(
            "{} tensors of `{}` are of parts that see, which nothing is computed of here: they are left out",
            adapter.left_out,
            folder.display()
        )
    });
    Ok(Attached { shape: Some(adapter.config), parameters, initial, untrained, note })
}

/// Reads the numbers of another checkpoint of the same run, whose adapters are attached already, into `parameters`; `is_full` where every
/// number of the base is trained.
///
/// # Errors
/// As [`attach`].
pub(crate) fn read_again(
    folder: &Path,
    is_full: bool,
    parameters: &mut Parameters<f32>,
) -> Result<(), TrainerError> {
    if is_full {
        return tensors::read(&folder.join(full::WEIGHTS_FILE), parameters);
    }
    let changed = folder.join(INITIAL_FILE).is_file();
    let adapter = if changed { peft::read_on_changed_base(folder)? } else { peft::read(folder)? };
    Ok(adapter.load_into(parameters, folder)?)
}

/// The shape with the ids of the tokens whose rows are trained.
fn with_tokens(shape: &LoraConfig, base: &BaseModel, config: &Config) -> Result<LoraConfig, TrainerError> {
    let tokens = token_ids(base, config)?;
    let mut shape = shape.clone();
    shape.alongside.of_head = !tokens.is_empty();
    shape.alongside.tokens = tokens;
    Ok(shape)
}

/// The tokens whose rows are trained, in order.
///
/// # Errors
/// [`TrainerError::NoSuchTokenName`].
pub(crate) fn token_ids(base: &BaseModel, config: &Config) -> Result<Vec<u32>, TrainerError> {
    let mut tokens = Vec::new();
    for name in config.tokens.trainable.iter().chain(&config.tokens.new) {
        let id = base.tokenizer.token_to_id(name);
        tokens.push(id.ok_or_else(|| TrainerError::NoSuchTokenName { token: name.clone() })?);
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The tokens that the tokenizer got must be those that the adapter of `folder` has rows for, in the order of their ids: the row of a token
/// that it does not know would stay untrained, and in another order one token would have what another learnt.
fn refuse_other_tokens(
    folder: &Path,
    shape: &LoraConfig,
    embedding: &str,
    base: &BaseModel,
    config: &Config,
) -> Result<(), TrainerError> {
    let asked = &config.tokens.new;
    // PEFT says ids alone, and whoever trains the whole embedding trains every row.
    let trains_all = shape.alongside.modules.iter().any(|module| is_called(embedding, module));
    let has_row = |token: &&String| {
        let id = base.tokenizer.token_to_id(token);
        trains_all || id.is_some_and(|id| shape.alongside.tokens.contains(&id))
    };
    let file = folder.join(NEW_TOKENS_FILE);
    let listed = if file.is_file() { read_json::<NewTokens>(&file)?.tokens } else { asked.clone() };
    let trained = if listed == *asked { asked.iter().filter(has_row).cloned().collect() } else { listed };
    match trained == *asked {
        true => Ok(()),
        false => Err(TrainerError::OtherTokens { folder: folder.to_owned(), trained, asked: asked.clone() }),
    }
}

/// The linears that the tensors adapt must be those that `target_modules` selects in this model: `peft` only warns
/// where some are missing, and trains or serves them untrained.
fn refuse_other_model(folder: &Path, shape: &LoraConfig, linears: &[&str]) -> Result<(), TrainerError> {
    let Targets::Names(adapted) = &shape.targets else { return Ok(()) };
    let wrong = |name: &str, problem: &str| wrong_tensor(folder, &format!("{name}.lora_A.weight"), problem);
    if let Some(name) = adapted.iter().find(|name| !linears.contains(&name.as_str())) {
        return Err(wrong(name, "in the file, but the model has no place for it"));
    }
    let settings = read_value(&folder.join(peft::CONFIG_FILE))?;
    if shape.layers.is_none() && !settings["layers_to_transform"].is_null() {
        return Ok(());
    }
    let wanted: Vec<&str> = match (&settings["target_modules"], &settings["exclude_modules"]) {
        (serde_json::Value::Array(names), serde_json::Value::Null) => {
            names.iter().filter_map(serde_json::Value::as_str).collect()
        }
        // A regular expression, or exceptions: the file alone says what they selected.
        _ => return Ok(()),
    };
    let is_wanted = |linear: &str| {
        // Also by its name in a model that sees besides, where the adapter is one of such.
        let whole = in_whole_model(linear);
        let called = |name: &&str| is_called(linear, name) || is_called(&whole, name);
        shape.is_in_layers(linear) && wanted.iter().any(called)
    };
    match linears.iter().find(|linear| is_wanted(linear) && !adapted.iter().any(|name| name == *linear)) {
        Some(name) => Err(wrong(name, "asked for by `target_modules`, not in the file")),
        None => Ok(()),
    }
}

/// Compares the adapter's matrices with the linears, each with its inputs and outputs, before room is made for any: its rank alone, which
/// a file of a few kilobytes may set as high as any, would decide how much.
fn refuse_other_widths<'a>(
    folder: &Path,
    adapter: &PeftAdapter,
    linears: impl Iterator<Item = (&'a str, usize, usize)>,
) -> Result<(), TrainerError> {
    for (linear, inputs, outputs) in linears {
        for (half, axis, expected) in [("lora_A", 1, inputs), ("lora_B", 0, outputs)] {
            let name = format!("{linear}.{half}.weight");
            let found = adapter.tensors.get(&name).and_then(|tensor| tensor.shape.get(axis));
            if let Some(found) = found.filter(|found| **found != expected) {
                let what = if axis == 1 { "columns" } else { "rows" };
                let problem = format!("expected {expected} {what}, as the model's linear has, found {found}");
                return Err(wrong_tensor(folder, &name, &problem));
            }
        }
    }
    Ok(())
}

fn wrong_tensor(folder: &Path, name: &str, problem: &str) -> TrainerError {
    let (path, tensor) = (folder.join(peft::WEIGHTS_FILE), format!("base_model.model.{name}"));
    AdapterError::Tensor { path, tensor, problem: problem.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use rtune_adapters::peft::AdapterTensor;

    use super::*;

    #[test]
    fn matrices_of_another_width_are_refused_before_there_is_room_for_them() {
        let tensor = |rows: usize, columns: usize| AdapterTensor {
            shape: vec![rows, columns],
            values: vec![0.5; rows * columns],
        };
        let adapter = |inputs, outputs| PeftAdapter {
            config: LoraConfig::new(4096, 1.0),
            tensors: [("q.lora_A.weight", tensor(4096, inputs)), ("q.lora_B.weight", tensor(outputs, 4096))]
                .map(|(name, tensor)| (name.to_owned(), tensor))
                .into(),
            left_out: 0,
            base_model: None,
        };
        let check = |adapter: &PeftAdapter| {
            refuse_other_widths(Path::new("a"), adapter, [("q", 2, 3), ("k", 2, 3)].into_iter())
        };
        check(&adapter(2, 3)).expect("as wide as the linear");
        let error = check(&adapter(1, 3)).expect_err("too narrow").to_string();
        assert!(error.contains("base_model.model.q.lora_A.weight"), "{error}");
        assert!(error.ends_with("expected 2 columns, as the model's linear has, found 1"), "{error}");
        let error = check(&adapter(2, 1)).expect_err("too few").to_string();
        assert!(error.ends_with("expected 3 rows, as the model's linear has, found 1"), "{error}");
    }
}
