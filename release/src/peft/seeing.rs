//! An adapter whose base's repository sees besides: under the names that its text part has there.

use rtune_adapters::Targets;
use rtune_adapters::peft::PeftAdapter;
use rtune_adapters::seeing::in_whole_model;
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use super::PREFIX;

/// Settings with whole names: the parts that see have linears called `q_proj`, too, which are not the adapter's. A pattern of names
/// becomes what it comes to for each linear.
pub(super) fn settings(mut keys: Map<String, Value>, adapter: &PeftAdapter) -> Map<String, Value> {
    let config = &adapter.config;
    let linears: &[String] = match &config.targets {
        Targets::Names(names) => names,
        Targets::AllLinear | Targets::Pattern(_) => &[],
    };
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for linear in linears {
        let (rank, alpha) = config.rank_and_alpha(linear).unwrap_or((config.rank, config.alpha));
        if rank != config.rank {
            ranks.insert(in_whole_model(linear), json!(rank));
        }
        if alpha != config.alpha {
            alphas.insert(in_whole_model(linear), json!(alpha));
        }
    }
    let names: Vec<String> = linears.iter().map(|linear| in_whole_model(linear)).collect();
    let mut set = |key: &str, value: Value| keys.insert(key.to_owned(), value);
    set("target_modules", json!(names));
    set("rank_pattern", Value::Object(ranks));
    set("alpha_pattern", Value::Object(alphas));
    set("layers_to_transform", Value::Null);
    set("layers_pattern", Value::Null);
    if let Some(Value::Array(modules)) = keys.get_mut("modules_to_save") {
        for module in modules {
            *module = json!(in_whole_model(module.as_str().unwrap_or_default()));
        }
    }
    keys
}

/// The file of weights with those names.
///
/// # Errors
/// For bytes that are no such file.
pub(super) fn weights(bytes: &[u8]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let file = SafeTensors::deserialize(bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let tensors = file.iter().map(|(name, tensor)| {
        let plain = name.strip_prefix(PREFIX).unwrap_or(name);
        (format!("{PREFIX}{}", in_whole_model(plain)), tensor)
    });
    safetensors::serialize(tensors.collect::<Vec<_>>(), metadata.metadata().clone())
}
