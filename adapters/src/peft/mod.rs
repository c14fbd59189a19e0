//! Adapter folders as the Python library PEFT (0.21) reads and writes them: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! Keys are strict both ways. PEFT only warns where a tensor is missing or left over, and then serves the base model
//! under the adapter's name; here that is an error. A setting that would change what the adapter computes is refused
//! by name, and one that nobody here has heard of counts as such unless it is switched off.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rtune_kernels::real::Real;

use crate::lora::MAGNITUDE_SUFFIX;
use crate::{AdapterError, LoraConfig, Parameters, Targets};

mod settings;
mod tensors;
#[cfg(test)]
mod tests;
mod write;

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

/// An adapter folder in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PeftAdapter {
    /// Ranks and scales; `targets` are the full names of the linears that the weights' file adapts, sorted, whatever
    /// `target_modules` says.
    pub config: LoraConfig,
    /// By name without PEFT's prefix, as in `model.layers.0.self_attn.q_proj.lora_A.weight`.
    pub tensors: BTreeMap<String, AdapterTensor>,
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
    let (mut config, base_model) = settings::read(&dir.join(CONFIG_FILE))?;
    let path = dir.join(WEIGHTS_FILE);
    let pickle = dir.join(PICKLE_FILE);
    if !path.exists() && pickle.exists() {
        return Err(AdapterError::Pickle { path: pickle });
    }
    let tensors = tensors::read(&path)?;
    let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()));
    let modules = check_pairs(shapes, &config).map_err(|problem| AdapterError::File { path, problem })?;
    // Without a pattern PEFT may take an expert's number for a block's; then the tensors alone say which linears it meant.
    if modules.iter().any(|module| !config.is_in_layers(module)) {
        config.layers = None;
    }
    config.targets = Targets::Names(modules.into_iter().map(str::to_owned).collect());
    Ok(PeftAdapter { config, tensors, base_model })
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

/// The tensors of one linear.
#[derive(Default)]
struct Parts {
    /// Of both halves.
    ranks: [Option<usize>; 2],
    /// Whether there are DoRA's magnitudes.
    magnitude: bool,
}

/// Checks that tensors, named without the prefix, are pairs of the ranks that `config` says; gives the names of the
/// adapted linears, or what is wrong.
fn check_pairs<'a>(
    shapes: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    config: &LoraConfig,
) -> Result<BTreeSet<&'a str>, String> {
    let mut pairs: BTreeMap<&str, Parts> = BTreeMap::new();
    for (name, shape) in shapes {
        if shape.contains(&0) {
            return Err(format!("tensor `{name}`: expected elements, found shape {shape:?}"));
        }
        if let Some(module) = name.strip_suffix(MAGNITUDE_SUFFIX) {
            if shape.len() != 1 {
                return Err(format!("tensor `{name}`: expected one dimension, found shape {shape:?}"));
            }
            pairs.entry(module).or_default().magnitude = true;
            continue;
        }
        let (module, half) = if let Some(module) = name.strip_suffix(A_SUFFIX) {
            (module, 0)
        } else if let Some(module) = name.strip_suffix(B_SUFFIX) {
            (module, 1)
        } else {
            return Err(format!(
                "tensor `{name}`: expected a name that ends with `{A_SUFFIX}` or `{B_SUFFIX}`"
            ));
        };
        let &[rows, columns] = shape else {
            return Err(format!("tensor `{name}`: expected two dimensions, found shape {shape:?}"));
        };
        pairs.entry(module).or_default().ranks[half] = Some(if half == 0 { rows } else { columns });
    }
    if pairs.is_empty() {
        return Err("expected tensors of an adapter, found none".to_owned());
    }
    for (module, parts) in &pairs {
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
    }
    Ok(pairs.into_keys().collect())
}
