//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::ModelError;
use crate::config::{Fields, read_json};

/// Reads the index: tensor name to the name of a file in the same folder.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, ModelError> {
    let fields = Fields::new(path, read_json(path, "the list of shards")?)?;
    let Some(Value::Object(map)) = fields.get("weight_map") else {
        return Err(fields.missing("weight_map", "an object that maps tensors to files"));
    };
    map.iter()
        .map(|(tensor, shard)| match shard.as_str() {
            Some(name) if is_plain_name(name) => Ok((tensor.clone(), name.to_owned())),
            _ => {
                let expected = "the name of a .safetensors file in the same folder";
                Err(fields.wrong(&format!("weight_map.{tensor}"), expected, shard))
            }
        })
        .collect()
}

/// A file of this folder: an index from elsewhere must not make us read another one.
fn is_plain_name(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.contains(['/', '\\']) && !name.starts_with('.')
}
