//! From the configuration as written to the one that is run: what "auto" means on this machine.

use rtune_adapters::{Biases, peft};
use rtune_models::{BaseOutline, DecoderSpec, SavePolicy};

use crate::config::{Config, Device, LoraSection, SaveActivations};
use crate::error::TrainerError;
use crate::memory::{self, RowSizes};
use crate::metrics::available_memory_bytes;

/// The part of the free memory that a run may take; the rest is for everybody else.
pub const FREE_SHARE: f64 = 0.9;

/// Fills in every "auto", where blocks keep what `choice` says.
#[must_use]
pub fn resolve(config: &Config, choice: SaveActivations) -> Config {
    let mut resolved = config.clone();
    resolved.model.device = Device::Cpu;
    resolved.train.save_activations = choice;
    resolved
}

/// The part of a GPU's memory that activations may take; the rest is for weights, what is trained, and the logits.
const GPU_ACTIVATIONS_SHARE: f64 = 0.5;

/// [`resolve`] for a run on a GPU. Answers are made by the processor, which a run on a GPU is not to wait for: sample answers
/// and general skills are left out.
#[must_use]
pub fn resolve_on_gpu(config: &Config, choice: SaveActivations) -> Config {
    let mut resolved = resolve(config, choice);
    resolved.model.device = Device::Cuda;
    (resolved.eval.samples, resolved.eval.general) = (0, false);
    resolved
}

/// [`choose`] for a GPU with so much memory.
///
/// # Errors
/// As [`choose`].
pub fn choose_on_gpu(
    outline: &BaseOutline,
    config: &Config,
    rows: &RowSizes,
    memory_bytes: usize,
) -> Result<SaveActivations, TrainerError> {
    if config.train.save_activations != SaveActivations::Auto {
        return Ok(config.train.save_activations);
    }
    let in_f32 = memory::of_policy(outline, config, rows, SavePolicy::All)?.kept_bytes;
    // In bf16 there.
    Ok(match in_f32 as f64 / 2.0 > GPU_ACTIVATIONS_SHARE * memory_bytes as f64 {
        true => SaveActivations::InputOnly,
        false => SaveActivations::All,
    })
}

/// Whether a GPU computes all that `config` asks for.
///
/// # Errors
/// What it does not, in words.
pub fn fits_gpu(config: &Config) -> Result<(), &'static str> {
    let lora = match &config.lora {
        LoraSection::Full => return Err("training every number of the base runs on the processor only"),
        LoraSection::From(_) => return Ok(()),
        LoraSection::New(lora) => lora,
    };
    let alongside = &lora.alongside;
    match () {
        () if lora.dora => Err("DoRA runs on the processor only"),
        () if alongside.biases != Biases::None => Err("biases are trained on the processor only"),
        () if !alongside.modules.is_empty() => Err("whole modules are trained on the processor only"),
        () if !alongside.tokens.is_empty() => Err("rows of tokens are trained on the processor only"),
        () => Ok(()),
    }
}

/// Whether examples that begin alike share what is computed of that: where `train.share-prefixes` says so, nothing is drawn
/// for single tokens, and a document's beginning does not depend on its length.
///
/// # Errors
/// [`TrainerError::Adapter`] for an adapter that cannot be read.
pub fn shares_prefixes(config: &Config, spec: &DecoderSpec) -> Result<bool, TrainerError> {
    let dropout = match &config.lora {
        LoraSection::New(lora) => lora.dropout,
        LoraSection::From(folder) => peft::read(folder)?.config.dropout,
        LoraSection::Full => 0.0,
    };
    let draws = dropout > 0.0 || config.train.neftune_alpha > 0.0;
    Ok(config.train.share_prefixes && !draws && spec.shares_prefixes())
}

/// What a run may take of this machine's memory, in bytes, where the system tells.
#[must_use]
pub fn free_bytes() -> Option<u64> {
    available_memory_bytes().map(|bytes| (FREE_SHARE * bytes as f64) as u64)
}

/// What blocks keep: what the configuration says, or everything where that fits into `free_bytes`.
///
/// # Errors
/// [`TrainerError::Adapter`] for targets that the base does not have, or an adapter that cannot be read.
pub fn choose(
    outline: &BaseOutline,
    config: &Config,
    rows: &RowSizes,
    free_bytes: Option<u64>,
) -> Result<SaveActivations, TrainerError> {
    if config.train.save_activations != SaveActivations::Auto {
        return Ok(config.train.save_activations);
    }
    let all = memory::of_policy(outline, config, rows, SavePolicy::All)?.peak_bytes();
    Ok(match free_bytes {
        Some(free) if all as u64 > free => SaveActivations::InputOnly,
        _ => SaveActivations::All,
    })
}

/// The engine's name for a resolved choice; an unresolved one takes the least memory.
#[must_use]
pub fn policy(choice: SaveActivations) -> SavePolicy {
    match choice {
        SaveActivations::All => SavePolicy::All,
        SaveActivations::InputOnly | SaveActivations::Auto => SavePolicy::InputOnly,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_inputs_alone_are_kept_where_memory_is_short() {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        let outline = BaseOutline::open(&case).expect("a case");
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let rows = memory::longest_rows(&outline, &config, 2);
        let all = memory::of_policy(&outline, &config, &rows, SavePolicy::All).expect("bytes").peak_bytes();
        let chosen = |free| choose(&outline, &config, &rows, free).expect("a choice");
        assert_eq!(chosen(Some(all as u64)), SaveActivations::All);
        assert_eq!(chosen(Some(all as u64 - 1)), SaveActivations::InputOnly);
        assert_eq!(chosen(None), SaveActivations::All);
        let said = ["train.save-activations=all".to_owned()];
        let config = Config::parse("c.toml", text, &said).expect("valid");
        assert_eq!(choose(&outline, &config, &rows, Some(1)).expect("a choice"), SaveActivations::All);
    }
}
