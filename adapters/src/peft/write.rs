//! Writing an adapter folder.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::tensors::{MAX_FILE_BYTES, refuse_too_large};
use super::{
    BASE_LAYER, BIAS_SUFFIX, CONFIG_FILE, Kind, PREFIX, RESIDUAL, TOKENS_SUFFIX, WEIGHTS_FILE, check_pairs,
    kind_of,
};
use crate::targets::{block_of, is_called};
use crate::{AdapterError, Biases, Floats, LoraConfig, Parameters, Scaling, Start};

/// The version of PEFT whose files these are.
const PEFT_VERSION: &str = "0.21.2";
/// Whole numbers up to here are exact in `f64`, so an alpha below is written without a point, as PEFT's type has it.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes an adapter into `dir`, an empty folder, and has both files on the disk before it returns; making the folder
/// appear under its name at once is the caller's part. Weights are F32. Equal input gives equal bytes.
///
/// `linears` are the names of all linears of the blocks, adapted or not. Where all of those that share a last part
/// with an adapted one are adapted, of the blocks in question, `target_modules` are the last parts (`q_proj`), else the full names.
/// `tied` are the names of embedding and head where they are one: PEFT wants what is trained of it under both names.
///
/// # Errors
/// If a file exists, cannot be written or would be too large for [`super::read`], a parameter is not half of a pair of the rank that `config` says, or an
/// adapted linear is not in `linears`.
pub fn write(
    dir: &Path,
    config: &LoraConfig,
    parameters: &Parameters<f32>,
    linears: &[&str],
    tied: Option<[&str; 2]>,
    base_model: &str,
) -> Result<(), AdapterError> {
    write_within(dir, config, parameters, linears, tied, base_model, MAX_FILE_BYTES)
}

/// [`write`] of weights of at most `most_bytes` bytes.
pub(super) fn write_within(
    dir: &Path,
    config: &LoraConfig,
    parameters: &Parameters<f32>,
    linears: &[&str],
    tied: Option<[&str; 2]>,
    base_model: &str,
    most_bytes: u64,
) -> Result<(), AdapterError> {
    let shapes = parameters.entries().iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()));
    let adapted = check_pairs(shapes, config).map_err(AdapterError::Config)?;
    let mut settings = settings(config, &adapted, &target_modules(config, &adapted, linears)?, base_model);
    settings["trainable_token_indices"] = token_indices(config, parameters);
    settings["modules_to_save"] = modules_to_save(config, parameters);
    // A head that is the embedding stays it, where that is trained; where PEFT sees none by these names, it warns.
    let is_known = |module: &String| TIED_NAMES.iter().any(|name| is_called(module, name));
    settings["ensure_weight_tying"] =
        (tied.is_some() && config.alongside.modules.iter().any(is_known)).into();
    let mut text =
        serde_json::to_string_pretty(&settings).map_err(|error| AdapterError::Config(error.to_string()))?;
    text.push('\n');
    store(&dir.join(CONFIG_FILE), text.as_bytes())?;
    let path = dir.join(WEIGHTS_FILE);
    let bytes = serialize(parameters, &adapted, tied)
        .map_err(|error| AdapterError::File { path: path.clone(), problem: error.to_string() })?;
    refuse_too_large(&path, bytes.len() as u64, most_bytes)?;
    store(&path, &bytes)
}

fn store(path: &Path, bytes: &[u8]) -> Result<(), AdapterError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| AdapterError::Io { path: path.to_owned(), source })
}

fn target_modules(
    config: &LoraConfig,
    adapted: &BTreeSet<&str>,
    linears: &[&str],
) -> Result<Vec<String>, AdapterError> {
    fn last(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
    let known: BTreeSet<&str> = linears.iter().copied().collect();
    if let Some(name) = adapted.difference(&known).next() {
        return Err(AdapterError::Config(format!("the model has no linear called `{name}`")));
    }
    let parts: BTreeSet<&str> = adapted.iter().map(|name| last(name)).collect();
    let mut in_layers = linears.iter().filter(|name| config.is_in_layers(name));
    let whole = in_layers.all(|name| !parts.contains(last(name)) || adapted.contains(name));
    let targets = if whole { &parts } else { adapted };
    Ok(targets.iter().map(|&name| name.to_owned()).collect())
}

/// What PEFT knows embeddings and heads by that may be one (its `EMBEDDING_LAYER_NAMES`).
const TIED_NAMES: [&str; 2] = ["embed_tokens", "lm_head"];

/// Every key that PEFT writes, in its order; those that are off carry its defaults.
fn settings(config: &LoraConfig, adapted: &BTreeSet<&str>, targets: &[String], base_model: &str) -> Value {
    // The part before a block's number, lest PEFT take an expert's number for it.
    let block = || adapted.iter().find_map(|name| block_of(name));
    let blocks = config.layers.as_ref().and_then(|_| block()).map(|(before, _)| before);
    json!({
        "alora_invocation_tokens": null,
        "alpha_pattern": pattern(&config.alpha_pattern, number),
        "arrow_config": null,
        "auto_mapping": null,
        "base_model_name_or_path": base_model,
        "bias": match config.alongside.biases {
            Biases::None => "none",
            Biases::Adapted => "lora_only",
            Biases::All => "all",
        },
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "exclude_modules": null,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": match config.start {
            // PEFT would take off the base what it computes itself; it refuses this name.
            Start::Pissa => json!(RESIDUAL),
            Start::Drawn | Start::Loftq => json!(true),
        },
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": blocks,
        "layers_to_transform": config.layers,
        // PEFT reads this only where it computes such a start itself; here it says what the adapter makes up for.
        "loftq_config": if config.start == Start::Loftq { json!({"loftq_iter": 1}) } else { json!({}) },
        "lora_alpha": number(config.alpha),
        "lora_bias": false,
        "lora_dropout": config.dropout,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": null,
        "monteclora_config": null,
        "peft_type": "LORA",
        "peft_version": PEFT_VERSION,
        "qalora_group_size": 16,
        "r": config.rank,
        "rank_pattern": pattern(&config.rank_pattern, |rank| json!(rank)),
        "revision": null,
        "target_modules": targets,
        "target_parameters": null,
        "task_type": "CAUSAL_LM",
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": config.dora,
        "use_qalora": false,
        "use_rslora": config.scaling == Scaling::RankStabilized,
        "velora_config": null,
    })
}

/// The whole names of what is trained whole: PEFT takes whatever ends like a shorter one for it, `input_layernorm` for
/// `norm`.
fn modules_to_save(config: &LoraConfig, parameters: &Parameters<f32>) -> Value {
    let whole = |name: &str| matches!(kind_of(name, config), Some(Kind::Module));
    let names = parameters.entries().iter().map(|entry| entry.name.as_str()).filter(|name| whole(name));
    let modules: BTreeSet<&str> = names.filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
    if modules.is_empty() { Value::Null } else { json!(modules) }
}

/// The ids whose rows are trained, for the embedding alone or by the names of embedding and head.
fn token_indices(config: &LoraConfig, parameters: &Parameters<f32>) -> Value {
    let modules = parameters.entries().iter().filter_map(|entry| entry.name.strip_suffix(TOKENS_SUFFIX));
    let names: Vec<&str> = modules.filter_map(|module| module.rsplit('.').next()).collect();
    match names.as_slice() {
        [] => Value::Null,
        [_] => json!(config.alongside.tokens),
        names => names.iter().map(|&name| (name.to_owned(), json!(config.alongside.tokens))).collect(),
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < MAX_EXACT { json!(value as i64) } else { json!(value) }
}

/// In the order of the configuration, since the first match counts; of a pattern that stands twice, the first.
fn pattern<T: Copy>(entries: &[(String, T)], value: impl Fn(T) -> Value) -> Value {
    let mut object = Map::new();
    for (pattern, of) in entries {
        object.entry(pattern).or_insert_with(|| value(*of));
    }
    Value::Object(object)
}

/// The file of weights; the crate sorts the tensors by name.
fn serialize(
    parameters: &Parameters<f32>,
    adapted: &BTreeSet<&str>,
    tied: Option<[&str; 2]>,
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let twice = tied.and_then(|[embedding, head]| {
        let values = parameters.range_of(&format!("{embedding}.weight"))?;
        let entry = parameters.entries().iter().find(|entry| entry.range == values)?;
        let tensor = Floats { shape: &entry.shape, values: &parameters.flat()[values] };
        Some((format!("{PREFIX}{head}.weight"), tensor))
    });
    let tensors = parameters.entries().iter().map(|entry| {
        let values = &parameters.flat()[entry.range.clone()];
        let name = match entry.name.strip_suffix(BIAS_SUFFIX).filter(|linear| adapted.contains(linear)) {
            Some(linear) => format!("{PREFIX}{linear}{BASE_LAYER}bias"),
            None => format!("{PREFIX}{}", entry.name),
        };
        (name, Floats { shape: &entry.shape, values })
    });
    safetensors::serialize(
        tensors.chain(twice),
        Some(HashMap::from([("format".to_owned(), "pt".to_owned())])),
    )
}
