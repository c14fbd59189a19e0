//! From the configuration as written to the one that is run: what "auto" means on this machine.

use rtune_adapters::peft;
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
