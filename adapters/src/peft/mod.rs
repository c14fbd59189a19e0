//! Adapter folders as the Python library PEFT (0.21) reads and writes them: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! Keys are strict both ways. PEFT only warns where a tensor is missing or left over, and then serves the base model
//! under the adapter's name; here that is an error. A setting that would change what the adapter computes is refused
//! by name, and one that nobody here has heard of counts as such unless it is switched off.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rtune_kernels::real::Real;

use crate::lora::MAGNITUDE_SUFFIX;
use crate::targets::is_called;
use crate::{AdapterError, Alongside, Biases, LoraConfig, Parameters, Targets};

mod seeing;
mod settings;
mod tensors;
#[cfg(test)]
mod tests;
mod write;

use seeing::of_text_model;
use tensors::Found;

pub use tensors::AdapterTensor;
pub use write::write;

/// The settings' file in an adapter folder.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// The weights' file in an adapter folder.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// What older versions of PEFT wrote in its place.
const PICKLE_FILE: &str = "adapter_model.bin";
/// In front of every name in the weights' file: the path to the base model inside PEFT's wrapper.
const PREFIX: &str = "base_model.model.";
const A_SUFFIX: &str = ".lora_A.weight";
const B_SUFFIX: &str = ".lora_B.weight";
/// `init_lora_weights` of an adapter that stands beside what is left of a base.
const RESIDUAL: &str = "residual";
const BIAS_SUFFIX: &str = ".bias";
/// Behind the name of an embedding or head: rows that are trained, as PEFT writes them.
pub const TOKENS_SUFFIX: &str = ".token_adapter.trainable_tokens_delta";
/// Inside the name of an adapted linear's own tensors, in PEFT's files alone.
const BASE_LAYER: &str = ".base_layer.";

/// An adapter folder in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PeftAdapter {
    /// Ranks and scales; `targets` are the full names of the linears that the weights' file adapts, sorted, whatever
    /// `target_modules` says.
    pub config: LoraConfig,
    /// By name without PEFT's prefix, as in `model.layers.0.self_attn.q_proj.lora_A.weight`.
    pub tensors: BTreeMap<String, AdapterTensor>,
    /// How many tensors of the file are of parts that see: nothing is computed of them, and they are left out.
    pub left_out: usize,
    /// `base_model_name_or_path`: what the adapter was trained on, as its writer called it.
    pub base_model: Option<String>,
}

/// Reads an adapter folder. Weights may be F32, F16 or BF16 and are widened.
///
/// # Errors
/// If a file is missing, damaged or too large, a setting is wrong or not supported ([`AdapterError::Key`]), the
/// weights are a pickle file, or a tensor is not half of a pair `lora_A [r, in]`, `lora_B [out, r]` with the rank that
/// the settings give it, finite throughout.
pub fn read(dir: &Path) -> Result<PeftAdapter, AdapterError> {
    read_beside(dir, false)
}

/// [`read`] of an adapter whose base had something taken off it, which the caller knows and takes off again.
///
/// # Errors
/// As [`read`].
pub fn read_on_changed_base(dir: &Path) -> Result<PeftAdapter, AdapterError> {
    read_beside(dir, true)
}

/// [`read`], or [`read_on_changed_base`], of files that are in memory, such as those that were compared with their hashes: what is
/// used is what was compared. `dir` is where they stand, for messages.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(
    dir: &Path,
    settings: &[u8],
    weights: &[u8],
    changed_base: bool,
) -> Result<PeftAdapter, AdapterError> {
    let settings = settings::parse(&dir.join(CONFIG_FILE), settings, changed_base)?;
    let path = dir.join(WEIGHTS_FILE);
    let tensors = tensors::read_from(&path, weights, weights.len() as u64)?;
    checked(path, settings, tensors)
}

fn read_beside(dir: &Path, changed_base: bool) -> Result<PeftAdapter, AdapterError> {
    let settings = settings::read(&dir.join(CONFIG_FILE), changed_base)?;
    let path = dir.join(WEIGHTS_FILE);
    let pickle = dir.join(PICKLE_FILE);
    if !path.exists() && pickle.exists() {
        return Err(AdapterError::Pickle { path: pickle });
    }
    let tensors = tensors::read(&path)?;
    checked(path, settings, tensors)
}

/// Settings and tensors that agree with one another; `path` is the tensors' file.
fn checked(
    path: PathBuf,
    (mut config, base_model): (LoraConfig, Option<String>),
    found: Found,
) -> Result<PeftAdapter, AdapterError> {
    if !found.elsewhere.is_empty() || !found.left_out.is_empty() {
        config = of_text_model(config, &found)?;
    }
    let Found { mut tensors, left_out, .. } = found;
    let left_out = left_out.len();
    forget_tied(&mut tensors, &config);
    let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()));
    let modules = check_pairs(shapes, &config).map_err(|problem| AdapterError::File { path, problem })?;
    // Without a pattern PEFT may take an expert's number for a block's; then the tensors alone say which linears it meant.
    if modules.iter().any(|module| !config.is_in_layers(module)) {
        config.layers = None;
    }
    config.targets = Targets::Names(modules.into_iter().map(str::to_owned).collect());
    // A model without biases has none to be trained.
    if !tensors.keys().any(|name| matches!(kind_of(name, &config), Some(Kind::Bias(_)))) {
        config.alongside.biases = Biases::None;
    }
    Ok(PeftAdapter { config, tensors, left_out, base_model })
}

impl PeftAdapter {
    /// Copies the tensors into the parameters of a model that the adapter was attached to; `dir` is where the adapter
    /// was read, for messages. On an error nothing is changed.
    ///
    /// # Errors
    /// [`AdapterError::Tensor`] if a parameter has no tensor, a tensor has no parameter, or two shapes differ: the
    /// adapter belongs to another model.
    pub fn load_into<R: Real>(&self, parameters: &mut Parameters<R>, dir: &Path) -> Result<(), AdapterError> {
        let wrong = |name: &str, problem: String| AdapterError::Tensor {
            path: dir.join(WEIGHTS_FILE),
            tensor: format!("{PREFIX}{name}"),
            problem,
        };
        let entries = parameters.entries().to_vec();
        for entry in &entries {
            let Some(tensor) = self.tensors.get(&entry.name) else {
                return Err(wrong(&entry.name, "expected by the model, not in the file".to_owned()));
            };
            if tensor.shape != entry.shape {
                let problem = format!("expected shape {:?}, found {:?}", entry.shape, tensor.shape);
                return Err(wrong(&entry.name, problem));
            }
        }
        let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        if let Some(name) = self.tensors.keys().find(|name| !known.contains(name.as_str())) {
            return Err(wrong(name, "in the file, but the model has no place for it".to_owned()));
        }
        let flat = parameters.flat_mut();
        for entry in &entries {
            let values = &self.tensors[&entry.name].values;
            for (to, &value) in flat[entry.range.clone()].iter_mut().zip(values) {
                *to = R::of_f32(value);
            }
        }
        Ok(())
    }
}

/// Whether the adapter changes nothing: every `lora_B` is zero, as before the first step of training.
#[must_use]
pub fn is_inert<R: Real>(parameters: &Parameters<R>) -> bool {
    let mut of_b = parameters.entries().iter().filter(|entry| entry.name.ends_with(B_SUFFIX));
    of_b.all(|entry| parameters.flat()[entry.range.clone()].iter().all(|value| value.is_zero()))
}

/// Leaves out what stands in the file a second time, under the name of a head that is the embedding.
fn forget_tied(tensors: &mut BTreeMap<String, AdapterTensor>, config: &LoraConfig) {
    let is_module = |name: &str| matches!(kind_of(name, config), Some(Kind::Module));
    let twice = |name: &&String| {
        let tensor = &tensors[name.as_str()];
        kind_of(name, config).is_none() && tensors.iter().any(|(other, of)| is_module(other) && of == tensor)
    };
    let twice: Vec<String> = tensors.keys().filter(twice).cloned().collect();
    twice.iter().for_each(|name| drop(tensors.remove(name)));
}

/// What a tensor of an adapter's file is.
enum Kind<'a> {
    /// Half of the adapter of a linear: 0 for `A`, 1 for `B`.
    Half(&'a str, usize),
    /// DoRA's magnitudes of a linear.
    Magnitude(&'a str),
    /// A bias of the base, trained.
    Bias(&'a str),
    /// Trained rows of an embedding or head.
    Tokens,
    /// A whole trained matrix or vector of the base.
    Module,
}

fn kind_of<'a>(name: &'a str, config: &LoraConfig) -> Option<Kind<'a>> {
    let halves = [A_SUFFIX, B_SUFFIX].into_iter().enumerate();
    let mut half = halves.filter_map(|(half, suffix)| Some(Kind::Half(name.strip_suffix(suffix)?, half)));
    let Alongside { biases, modules, tokens, .. } = &config.alongside;
    let is_module = |module: &str| modules.iter().any(|wanted| is_called(module, wanted));
    half.next().or_else(|| {
        if let Some(linear) = name.strip_suffix(MAGNITUDE_SUFFIX) {
            return Some(Kind::Magnitude(linear));
        }
        if !tokens.is_empty() && name.ends_with(TOKENS_SUFFIX) {
            return Some(Kind::Tokens);
        }
        let (module, last) = name.rsplit_once('.')?;
        if is_module(module) {
            return Some(Kind::Module);
        }
        (last == "bias" && *biases != Biases::None).then_some(Kind::Bias(module))
    })
}

/// The tensors of one linear.
#[derive(Default)]
struct Parts {
    /// Of both halves.
    ranks: [Option<usize>; 2],
    /// Whether there are DoRA's magnitudes.
    magnitude: bool,
}

/// Checks that tensors, named without the prefix, are pairs of the ranks that `config` says, or what it lets be trained
/// alongside; gives the names of the adapted linears, or what is wrong.
fn check_pairs<'a>(
    shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    config: &LoraConfig,
) -> Result<BTreeSet<&'a str>, String> {
    let mut pairs: BTreeMap<&str, Parts> = BTreeMap::new();
    let (mut biases, mut modules, mut tokens) = (Vec::new(), Vec::new(), config.alongside.tokens.is_empty());
    for (name, shape) in shapes {
        if shape.contains(&0) {
            return Err(format!("tensor `{name}`: expected elements, found shape {shape:?}"));
        }
        let wrong =
            |expected: &str| Err(format!("tensor `{name}`: expected {expected}, found shape {shape:?}"));
        match (kind_of(name, config), shape) {
            (None, _) => {
                return Err(format!(
                    "tensor `{name}`: expected a name that ends with `{A_SUFFIX}` or `{B_SUFFIX}`"
                ));
            }
            (Some(Kind::Half(module, half)), &[rows, columns]) => {
                pairs.entry(module).or_default().ranks[half] = Some(if half == 0 { rows } else { columns });
            }
            (Some(Kind::Magnitude(module)), [_]) => pairs.entry(module).or_default().magnitude = true,
            (Some(Kind::Bias(module)), [_]) => biases.push(module),
            (Some(Kind::Module), [_] | [_, _]) => modules.push(name),
            (Some(Kind::Tokens), &[rows, _]) if rows == config.alongside.tokens.len() => tokens = true,
            (Some(Kind::Tokens), _) => {
                return wrong(&format!("a row for each of {} tokens", config.alongside.tokens.len()));
            }
            (Some(Kind::Magnitude(_) | Kind::Bias(_)), _) => return wrong("one dimension"),
            (Some(Kind::Half(..)), _) => return wrong("two dimensions"),
            (Some(Kind::Module), _) => return wrong("one or two dimensions"),
        }
    }
    if pairs.is_empty() {
        return Err("expected tensors of an adapter, found none".to_owned());
    }
    let there = |wanted: &&String| {
        modules.iter().filter_map(|name| name.rsplit_once('.')).any(|(module, _)| is_called(module, wanted))
    };
    if let Some(wanted) = config.alongside.modules.iter().find(|wanted| !there(wanted)) {
        return Err(format!("no tensor of `{wanted}`, which `modules_to_save` names"));
    }
    if !tokens {
        return Err("no rows of the tokens that `trainable_token_indices` names".to_owned());
    }
    if config.alongside.biases == Biases::Adapted
        && let Some(module) = biases.iter().find(|module| !pairs.contains_key(*module))
    {
        return Err(format!(
            "tensor `{module}{BIAS_SUFFIX}`: its linear has no adapter, and `bias` is \"lora_only\""
        ));
    }
    for (module, parts) in &pairs {
        check_parts(module, parts, config)?;
    }
    Ok(pairs.into_keys().collect())
}

fn check_parts(module: &str, parts: &Parts, config: &LoraConfig) -> Result<(), String> {
    let (expected, _scale) = config.of(module).map_err(|error| error.to_string())?;
    for (suffix, rank) in [A_SUFFIX, B_SUFFIX].into_iter().zip(parts.ranks) {
        match rank {
            Some(rank) if rank == expected => {}
            Some(rank) => {
                return Err(format!(
                    "tensor `{module}{suffix}`: expected rank {expected} as configured, found {rank}"
                ));
            }
            None => {
                return Err(format!(
                    "tensor `{module}{suffix}`: missing, but other tensors of its linear are there"
                ));
            }
        }
    }
    if parts.magnitude != config.dora {
        let found = if parts.magnitude { "there, though `use_dora` is false" } else { "missing" };
        return Err(format!("tensor `{module}{MAGNITUDE_SUFFIX}`: {found}"));
    }
    Ok(())
}
