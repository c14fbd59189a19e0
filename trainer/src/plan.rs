//! From the configuration as written to the one that is run: what "auto" means on this machine.

use rtune_adapters::{Biases, peft};
use rtune_models::{BaseOutline, DecoderSpec, SavePolicy};

use crate::config::{Config, Device, LoraSection, QuantizationSection, SaveActivations};
use crate::error::TrainerError;
use crate::machine::available_memory_bytes;
use crate::memory::{self, RowSizes, TrainingMemory};

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

/// What a GPU's memory has to hold beside weights, what is trained, and activations: a chunk of logits, what cuBLAS works in,
/// and the driver's own.
const GPU_BESIDE_BYTES: usize = 1 << 30;
/// Of each trained number on a GPU: itself, its gradient, two moments, and its shadow in 16 bits.
const GPU_TRAINED_BYTES: usize = 4 * size_of::<f32>() + 2;

/// [`resolve`] for a run on a GPU.
#[must_use]
pub fn resolve_on_gpu(config: &Config, choice: SaveActivations) -> Config {
    let mut resolved = resolve(config, choice);
    resolved.model.device = Device::Cuda;
    resolved
}

/// [`choose`] for a GPU with so much free memory.
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
    let may_take = gpu_room_bytes(memory_bytes);
    let fits = |policy| -> Result<bool, TrainerError> {
        let memory = memory::of_policy(outline, config, rows, policy)?;
        Ok(GpuMemory::of(&memory, config).bytes() <= may_take)
    };
    match most_kept(outline.spec.blocks.len(), fits)? {
        SaveActivations::InputOnly if !fits(SavePolicy::InputOnly)? => Ok(SaveActivations::Offloaded),
        choice => Ok(choice),
    }
}

/// What a run may take of a GPU with so much free memory.
#[must_use]
pub fn gpu_room_bytes(memory_bytes: usize) -> usize {
    (FREE_SHARE * memory_bytes as f64) as usize
}

/// Memory of a run on a GPU, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// The frozen base.
    pub base_bytes: usize,
    /// What is trained, its gradients, moments and shadow.
    pub trained_bytes: usize,
    /// What the forward pass keeps for the backward pass.
    pub kept_bytes: usize,
    /// What one block, or the head, works in.
    pub work_bytes: usize,
    /// What comes beside: a chunk of logits, cuBLAS, the driver.
    pub beside_bytes: usize,
}

impl GpuMemory {
    /// That of a run which takes `memory` on the processor.
    #[must_use]
    pub fn of(memory: &TrainingMemory, config: &Config) -> Self {
        // What the processor holds in 8 bits a GPU holds in 16; activations are in bf16 there, and those that are put aside in the
        // host's memory.
        let wide = if config.quantization == QuantizationSection::Int8 { 2 } else { 1 };
        let kept = if memory.policy == SavePolicy::Offloaded { 0 } else { memory.kept_bytes / 2 };
        Self {
            base_bytes: memory.base_bytes.saturating_mul(wide),
            trained_bytes: memory.trained.saturating_mul(GPU_TRAINED_BYTES),
            kept_bytes: kept,
            work_bytes: memory.work_bytes / 2,
            beside_bytes: GPU_BESIDE_BYTES,
        }
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Self { base_bytes, trained_bytes, kept_bytes, work_bytes, beside_bytes } = *self;
        [base_bytes, trained_bytes, kept_bytes, work_bytes]
            .into_iter()
            .fold(beside_bytes, usize::saturating_add)
    }
}

/// As many of the last blocks as may keep everything.
fn most_kept(
    blocks: usize,
    fits: impl Fn(SavePolicy) -> Result<bool, TrainerError>,
) -> Result<SaveActivations, TrainerError> {
    if fits(SavePolicy::All)? {
        return Ok(SaveActivations::All);
    }
    // None always goes on as if it fitted: there is nothing that takes less.
    let (mut known, mut too_many) = (0, blocks);
    while known + 1 < too_many {
        let middle = known.midpoint(too_many);
        match fits(SavePolicy::Last(middle))? {
            true => known = middle,
            false => too_many = middle,
        }
    }
    Ok(if known == 0 { SaveActivations::InputOnly } else { SaveActivations::Last(known) })
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
    free_bytes_beside(0)
}

/// [`free_bytes`] for a run whose base is in memory already, in `held_bytes`: those it need not take again.
#[must_use]
pub fn free_bytes_beside(held_bytes: usize) -> Option<u64> {
    available_memory_bytes().map(|bytes| may_take(bytes, held_bytes))
}

fn may_take(available_bytes: u64, held_bytes: usize) -> u64 {
    (FREE_SHARE * available_bytes.saturating_add(held_bytes as u64) as f64) as u64
}

/// What blocks keep: what the configuration says, or as much as fits into `free_bytes`.
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
    let Some(free) = free_bytes else { return Ok(SaveActivations::All) };
    most_kept(outline.spec.blocks.len(), |policy| {
        Ok(memory::of_policy(outline, config, rows, policy)?.peak_bytes() as u64 <= free)
    })
}

/// The engine's name for a resolved choice; an unresolved one takes the least memory.
#[must_use]
pub fn policy(choice: SaveActivations) -> SavePolicy {
    match choice {
        SaveActivations::All => SavePolicy::All,
        SaveActivations::Last(last) => SavePolicy::Last(last),
        SaveActivations::Offloaded => SavePolicy::Offloaded,
        SaveActivations::InputOnly | SaveActivations::Auto => SavePolicy::InputOnly,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A run beside a base that lies in memory plans as one that has yet to read it.
    #[test]
    fn a_base_that_is_held_counts_once() {
        let (free, base) = (10 << 30, 3 << 30);
        assert_eq!(may_take(free - base, base as usize), may_take(free, 0));
    }

    /// What does not fit goes to the host's memory, and what does not lie on the GPU is not counted there.
    #[test]
    fn a_gpu_has_what_lies_there() {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        let outline = BaseOutline::open(&case).expect("a case");
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let rows = memory::longest_rows(&outline, &config, 2);
        let of = |policy| {
            let memory = memory::of_policy(&outline, &config, &rows, policy).expect("bytes");
            GpuMemory::of(&memory, &config)
        };
        let chosen = |bytes: usize| {
            let memory = (bytes as f64 / FREE_SHARE).ceil() as usize;
            choose_on_gpu(&outline, &config, &rows, memory).expect("a choice")
        };
        let (all, inputs, aside) =
            (of(SavePolicy::All), of(SavePolicy::InputOnly), of(SavePolicy::Offloaded));
        assert!(all.bytes() > inputs.bytes() && inputs.bytes() > aside.bytes());
        assert_eq!(inputs.bytes() - inputs.kept_bytes, aside.bytes());
        assert_eq!(chosen(all.bytes()), SaveActivations::All);
        assert_eq!(chosen(inputs.bytes() + 4096), SaveActivations::InputOnly);
        assert_eq!(chosen(inputs.bytes() - 4096), SaveActivations::Offloaded);
    }

    #[test]
    fn the_inputs_alone_are_kept_where_memory_is_short() {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        let outline = BaseOutline::open(&case).expect("a case");
        // Where nothing is asked the steps are what takes the most.
        let text =
            "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[eval]\ngeneral=false\nsamples=0\n";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let rows = memory::longest_rows(&outline, &config, 2);
        let all = memory::of_policy(&outline, &config, &rows, SavePolicy::All).expect("bytes").peak_bytes();
        let chosen = |free| choose(&outline, &config, &rows, free).expect("a choice");
        assert_eq!(chosen(Some(all as u64)), SaveActivations::All);
        let blocks = outline.spec.blocks.len();
        assert_eq!(chosen(Some(all as u64 - 1)), SaveActivations::Last(blocks - 1));
        let peak = |policy| memory::of_policy(&outline, &config, &rows, policy).expect("bytes").peak_bytes();
        let one = peak(SavePolicy::Last(1));
        assert_eq!(chosen(Some(one as u64)), SaveActivations::Last(1));
        assert_eq!(chosen(Some(one as u64 - 1)), SaveActivations::InputOnly);
        assert_eq!(chosen(None), SaveActivations::All);
        let said = ["train.save-activations=all".to_owned()];
        let config = Config::parse("c.toml", text, &said).expect("valid");
        assert_eq!(choose(&outline, &config, &rows, Some(1)).expect("a choice"), SaveActivations::All);
    }
}
