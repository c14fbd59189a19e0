//! From the configuration as written to the one that is run: what "auto" means on this machine.

use rtune_adapters::Biases;
use rtune_models::{DecoderSpec, ModelConfig, SavePolicy};

use crate::config::{Config, Device, LoraSection, SaveActivations};
use crate::metrics::available_memory_bytes;

/// The part of the free memory that activations may take; the rest is for weights, logits and everybody else.
const ACTIVATIONS_SHARE: f64 = 0.5;

/// Fills in every "auto". `longest_tokens` is the longest row, which stands alone where it exceeds a micro-batch.
pub fn resolve(config: &Config, base: &ModelConfig, longest_tokens: usize) -> Config {
    let mut resolved = config.clone();
    resolved.model.device = Device::Cpu;
    if config.train.save_activations == SaveActivations::Auto {
        let tokens = config.train.micro_batch_tokens.max(longest_tokens);
        let needed = activation_bytes(base, rank(config), tokens);
        resolved.train.save_activations = choose(needed, available_memory_bytes());
    }
    resolved
}

/// [`resolve`] for a run on a GPU with so much memory.
pub fn resolve_on_gpu(
    config: &Config,
    base: &ModelConfig,
    longest_tokens: usize,
    memory_bytes: usize,
) -> Config {
    let mut resolved = config.clone();
    resolved.model.device = Device::Cuda;
    if config.train.save_activations == SaveActivations::Auto {
        let tokens = config.train.micro_batch_tokens.max(longest_tokens);
        // In bf16 there.
        let needed = activation_bytes(base, rank(config), tokens) / 2;
        resolved.train.save_activations = choose(needed, Some(memory_bytes as u64));
    }
    resolved
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

/// The engine's name for a resolved choice; an unresolved one takes the least memory.
pub fn policy(choice: SaveActivations) -> SavePolicy {
    match choice {
        SaveActivations::All => SavePolicy::All,
        SaveActivations::InputOnly | SaveActivations::Auto => SavePolicy::InputOnly,
    }
}

fn choose(needed_bytes: u64, available_bytes: Option<u64>) -> SaveActivations {
    match available_bytes {
        Some(available) if needed_bytes as f64 > ACTIVATIONS_SHARE * available as f64 => {
            SaveActivations::InputOnly
        }
        _ => SaveActivations::All,
    }
}

fn rank(config: &Config) -> usize {
    /// Of an adapter that is read later; its projections are small beside the rest.
    const UNKNOWN_RANK: usize = 64;
    match &config.lora {
        LoraSection::New(lora) => lora.rank,
        LoraSection::From(_) => UNKNOWN_RANK,
        LoraSection::Full => 0,
    }
}

/// Bytes of what all blocks keep of a row of `tokens` tokens, in f32.
fn activation_bytes(base: &ModelConfig, rank: usize, tokens: usize) -> u64 {
    (DecoderSpec::new(base).kept_elements(rank) * size_of::<f32>()) as u64 * tokens as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_alone_are_kept_where_memory_is_short() {
        assert_eq!(choose(50, Some(100)), SaveActivations::All);
        assert_eq!(choose(51, Some(100)), SaveActivations::InputOnly);
        assert_eq!(choose(u64::MAX, None), SaveActivations::All);
    }
}
