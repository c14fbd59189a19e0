//! Adapters in and out of a run: fresh, or from a folder that `peft` can read.

use std::path::Path;

use rtune_adapters::{AdapterError, Linear, LoraConfig, Parameters, Targets, peft};
use rtune_models::Decoder;

use crate::checkpoint::read_value;
use crate::config::{Config, LoraSection};
use crate::error::TrainerError;
use crate::init;

/// Puts adapters beside the linears of `decoder` with their first values: those of the checkpoint `resumed`, else
/// those of `lora.from`, else fresh ones. Gives their shape too.
///
/// # Errors
/// When a target names no linear, or the folder's tensors are not exactly those that its settings and the model ask
/// for.
pub(crate) fn attach(
    decoder: &mut Decoder,
    config: &Config,
    resumed: Option<&Path>,
) -> Result<(LoraConfig, Parameters<f32>), TrainerError> {
    let folder = match (resumed, &config.lora) {
        (Some(folder), _) => folder,
        (None, LoraSection::From(folder)) => folder.as_path(),
        (None, LoraSection::New(shape)) => {
            let mut parameters = decoder.attach_lora(shape)?;
            init::draw(&mut parameters, config.train.seed);
            return Ok((shape.clone(), parameters));
        }
    };
    let adapter = peft::read(folder)?;
    let linears: Vec<&str> = decoder.linears().map(Linear::name).collect();
    refuse_other_model(folder, &adapter.config, &linears)?;
    let mut parameters = decoder.attach_lora(&adapter.config)?;
    adapter.load_into(&mut parameters, folder)?;
    Ok((adapter.config, parameters))
}

/// The linears that the tensors adapt must be those that `target_modules` selects in this model: `peft` only warns
/// where some are missing, and trains or serves them untrained.
fn refuse_other_model(folder: &Path, shape: &LoraConfig, linears: &[&str]) -> Result<(), TrainerError> {
    let Targets::Names(adapted) = &shape.targets else { return Ok(()) };
    let wrong = |name: &str, problem: &str| {
        let path = folder.join(peft::WEIGHTS_FILE);
        let tensor = format!("base_model.model.{name}.lora_A.weight");
        TrainerError::from(AdapterError::Tensor { path, tensor, problem: problem.to_owned() })
    };
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
        let called = |name: &&str| {
            linear.strip_suffix(*name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        shape.is_in_layers(linear) && wanted.iter().any(called)
    };
    match linears.iter().find(|linear| is_wanted(linear) && !adapted.iter().any(|name| name == *linear)) {
        Some(name) => Err(wrong(name, "asked for by `target_modules`, not in the file")),
        None => Ok(()),
    }
}
