//! An adapter beside what is left of a base, as one beside the whole base: `B A - B0 A0`, of twice the rank, where `A0` and
//! `B0` were taken off. What PEFT calls converting PiSSA to LoRA.

use std::collections::HashMap;
use std::path::Path;

use rtune_adapters::peft;
use rtune_adapters::{AdapterError, Scaling};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::checkpoint::VerifiedCheckpoint;
use crate::error::ReleaseError;
use crate::folder::NewFolder;
use crate::model::{INITIAL_FILE, own_tensors};

/// Writes both files of the adapter.
///
/// # Errors
/// [`ReleaseError::Adapter`], [`ReleaseError::Unreadable`], [`ReleaseError::Io`].
pub(crate) fn write(
    new: &NewFolder,
    checkpoint: &VerifiedCheckpoint,
    folder: &Path,
) -> Result<(), ReleaseError> {
    let adapter = peft::read_on_changed_base(folder)?;
    let initial = own_tensors(checkpoint, INITIAL_FILE, folder)?;
    let path = folder.join(INITIAL_FILE);
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.clone(), problem };
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, tensor) in &adapter.tensors {
        let began = initial.get(name).filter(|began| began.shape == tensor.shape);
        let (shape, values) = if name.ends_with(".lora_A.weight") {
            let began =
                began.ok_or_else(|| unreadable(format!("`{name}` is missing, or of another shape")))?;
            let rows = tensor.values.iter().chain(&began.values).copied().collect();
            (vec![2 * tensor.shape[0], tensor.shape[1]], rows)
        } else if name.ends_with(".lora_B.weight") {
            let began =
                began.ok_or_else(|| unreadable(format!("`{name}` is missing, or of another shape")))?;
            let rank = tensor.shape[1];
            let rows = tensor.values.chunks_exact(rank).zip(began.values.chunks_exact(rank));
            let values: Vec<f32> =
                rows.flat_map(|(now, began)| now.iter().copied().chain(began.iter().map(|v| -v))).collect();
            (vec![tensor.shape[0], 2 * rank], values)
        } else {
            (tensor.shape.clone(), tensor.values.clone())
        };
        let bytes = values.iter().flat_map(|value: &f32| value.to_le_bytes()).collect();
        tensors.push((format!("base_model.model.{name}"), shape, bytes));
    }
    let mut views = HashMap::new();
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.insert(name.as_str(), view.map_err(|error| unreadable(error.to_string()))?);
    }
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(format)).map_err(|error| unreadable(error.to_string()))?;
    let settings =
        checkpoint.files().find(|(name, _)| *name == peft::CONFIG_FILE).map_or(&[][..], |found| found.1);
    let settings = doubled(settings, adapter.config.scaling)
        .map_err(|problem| AdapterError::File { path: folder.join(peft::CONFIG_FILE), problem })?;
    new.write(peft::CONFIG_FILE, settings.as_bytes())?;
    new.write(peft::WEIGHTS_FILE, &file)
}

/// The settings of twice the rank and the same scales.
fn doubled(settings: &[u8], scaling: Scaling) -> Result<String, String> {
    let mut keys: Map<String, Value> = serde_json::from_slice(settings).map_err(|error| error.to_string())?;
    let factor = match scaling {
        Scaling::Standard => 2.0,
        Scaling::RankStabilized => std::f64::consts::SQRT_2,
    };
    let rank = |value: &Value| json!(value.as_u64().map(|rank| 2 * rank));
    let alpha = |value: &Value| json!(value.as_f64().map(|alpha| factor * alpha));
    for (key, change) in [("r", &rank as &dyn Fn(&Value) -> Value), ("lora_alpha", &alpha)] {
        let changed = keys.get(key).map(change);
        keys.insert(key.to_owned(), changed.unwrap_or(Value::Null));
    }
    for (key, change) in [("rank_pattern", &rank as &dyn Fn(&Value) -> Value), ("alpha_pattern", &alpha)] {
        if let Some(Value::Object(pattern)) = keys.get_mut(key) {
            pattern.values_mut().for_each(|value| *value = change(value));
        }
    }
    keys.insert("init_lora_weights".to_owned(), json!(true));
    let mut text = serde_json::to_string_pretty(&Value::Object(keys)).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}
