//! Adapters in and out of a run: fresh, or from a folder that `peft` can read.

use std::path::Path;

use rtune_adapters::{LoraConfig, Parameters, peft};
use rtune_models::Decoder;

use crate::config::{Config, LoraSection};
use crate::error::TrainerError;
use crate::init;

/// The shape of the adapters of a run that starts: the configuration's, or that of the folder it names.
///
/// # Errors
/// Those of reading the folder.
pub(crate) fn shape(lora: &LoraSection) -> Result<LoraConfig, TrainerError> {
    match lora {
        LoraSection::New(shape) => Ok(shape.clone()),
        LoraSection::From(folder) => Ok(peft::read(folder)?.config),
    }
}

/// Puts adapters beside the linears of `decoder` with their first values: those of the checkpoint `resumed`, else
/// those of `lora.from`, else fresh ones.
///
/// # Errors
/// When a target names no linear, or the folder's tensors are not exactly those of the adapters.
pub(crate) fn attach(
    decoder: &mut Decoder,
    config: &Config,
    shape: &LoraConfig,
    resumed: Option<&Path>,
) -> Result<Parameters<f32>, TrainerError> {
    let mut parameters = decoder.attach_lora(shape)?;
    let folder = match (resumed, &config.lora) {
        (Some(folder), _) => Some(folder),
        (None, LoraSection::From(folder)) => Some(folder.as_path()),
        (None, LoraSection::New(_)) => None,
    };
    match folder {
        Some(folder) => peft::read(folder)?.load_into(&mut parameters, folder)?,
        None => init::draw(&mut parameters, config.train.seed),
    }
    Ok(parameters)
}
