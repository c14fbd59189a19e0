//! An adapter beside what is left of a base, as one beside the whole base: `B A - B0 A0`, of twice the rank, where `A0` and
//! `B0` are what it began with. What PEFT calls converting PiSSA to LoRA.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rtune_adapters::peft::{self, AdapterTensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value};

use crate::checkpoint::VerifiedCheckpoint;
use crate::error::ReleaseError;
use crate::model::{INITIAL_FILE, own_tensors};
use crate::settings;

/// In front of every name of PEFT's.
const PREFIX: &str = "base_model.model.";

/// A tensor of the file in the making: element type, shape, bytes.
type Made = (Dtype, Vec<usize>, Vec<u8>);

/// Settings and weights of the adapter beside the whole base.
///
/// # Errors
/// [`ReleaseError::Adapter`], [`ReleaseError::Unreadable`].
pub(crate) fn converted(
    checkpoint: &VerifiedCheckpoint,
    folder: &Path,
) -> Result<(Map<String, Value>, Vec<u8>), ReleaseError> {
    let adapter = checkpoint.adapter(folder, true)?;
    let initial = own_tensors(checkpoint, INITIAL_FILE, folder)?;
    let path = folder.join(peft::WEIGHTS_FILE);
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.clone(), problem };
    // The names of the file, not those of the adapter in memory: there PEFT calls the bias of an adapted linear otherwise, and
    // has an embedding that is the head twice.
    let file = SafeTensors::deserialize(checkpoint.file(peft::WEIGHTS_FILE));
    let file = file.map_err(|error| unreadable(error.to_string()))?;
    let mut tensors: Vec<(String, Made)> = Vec::new();
    for (name, tensor) in file.iter() {
        let half = name.strip_prefix(PREFIX).filter(|name| is_half(name));
        let made = match half.and_then(|half| Some((half, adapter.tensors.get(half)?))) {
            Some((half, now)) => {
                let (shape, values) = with_initial(half, now, &initial).map_err(|problem| {
                    ReleaseError::Unreadable { path: folder.join(INITIAL_FILE), problem }
                })?;
                (Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            None => (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()),
        };
        tensors.push((name.to_owned(), made));
    }
    let mut views = HashMap::new();
    for (name, (dtype, shape, bytes)) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        views.insert(name.as_str(), view.map_err(|error| unreadable(error.to_string()))?);
    }
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(format)).map_err(|error| unreadable(error.to_string()))?;
    let keys = settings::keys(checkpoint, folder)?;
    Ok((settings::doubled(keys, adapter.config.scaling), file))
}

fn is_half(name: &str) -> bool {
    name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight")
}

/// Half of a pair with the half it began as behind it: rows of `A`, columns of `B`, those negative.
pub(crate) fn with_initial(
    name: &str,
    now: &AdapterTensor,
    initial: &BTreeMap<String, AdapterTensor>,
) -> Result<(Vec<usize>, Vec<f32>), String> {
    let began = initial.get(name).filter(|began| began.shape == now.shape);
    let began = began.ok_or_else(|| format!("`{name}` is missing, or of another shape"))?;
    if name.ends_with(".lora_A.weight") {
        let rows = now.values.iter().chain(&began.values).copied().collect();
        return Ok((vec![2 * now.shape[0], now.shape[1]], rows));
    }
    let rank = now.shape[1];
    let rows = now.values.chunks_exact(rank).zip(began.values.chunks_exact(rank));
    let values = rows.flat_map(|(now, began)| now.iter().copied().chain(began.iter().map(|v| -v)));
    Ok((vec![now.shape[0], 2 * rank], values.collect()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::checkpoint::hex;

    const SETTINGS: &str = r#"{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "bias": "lora_only", "init_lora_weights": "residual",
        "modules_to_save": ["model.embed_tokens"], "target_modules": ["q_proj"]}"#;

    fn file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("a tensor"))
        });
        safetensors::serialize(views, None).expect("a file")
    }

    /// A trained bias, and an embedding that is the head: PEFT's names of both are kept, or it serves the base there.
    #[test]
    fn biases_and_tied_tables_keep_the_names_that_peft_gives_them() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("step");
        fs::create_dir(&folder).expect("made");
        let q = "base_model.model.model.layers.0.self_attn.q_proj";
        let table: (&[usize], &[f32]) = (&[2, 2], &[7.0, 8.0, 9.0, 10.0]);
        let weights = file(&[
            (&format!("{q}.lora_A.weight"), &[1, 2], &[1.0, 2.0]),
            (&format!("{q}.lora_B.weight"), &[2, 1], &[3.0, 4.0]),
            (&format!("{q}.base_layer.bias"), &[2], &[5.0, 6.0]),
            ("base_model.model.model.embed_tokens.weight", table.0, table.1),
            ("base_model.model.lm_head.weight", table.0, table.1),
        ]);
        let own = "model.layers.0.self_attn.q_proj";
        let initial = file(&[
            (&format!("{own}.lora_A.weight"), &[1, 2], &[0.5, 0.25]),
            (&format!("{own}.lora_B.weight"), &[2, 1], &[0.125, 1.0]),
        ]);
        let mut files = Map::new();
        for (name, bytes) in [
            (peft::CONFIG_FILE, SETTINGS.as_bytes()),
            (peft::WEIGHTS_FILE, &weights),
            (INITIAL_FILE, &initial),
        ] {
            fs::write(folder.join(name), bytes).expect("written");
            files.insert(name.to_owned(), json!(hex(&Sha256::digest(bytes))));
        }
        fs::write(folder.join("manifest.json"), json!({"format": 1, "files": files}).to_string())
            .expect("written");
        let wanted = [peft::CONFIG_FILE, peft::WEIGHTS_FILE, INITIAL_FILE];
        let checkpoint = VerifiedCheckpoint::open(&folder, &wanted).expect("whole");
        let out = home.path().join("out");
        fs::create_dir(&out).expect("made");
        let (keys, bytes) = converted(&checkpoint, &folder).expect("converted");
        fs::write(out.join(peft::CONFIG_FILE), Value::Object(keys).to_string()).expect("written");
        fs::write(out.join(peft::WEIGHTS_FILE), bytes).expect("written");

        let bytes = fs::read(out.join(peft::WEIGHTS_FILE)).expect("there");
        let written = SafeTensors::deserialize(&bytes).expect("a file");
        let mut names: Vec<String> = written.names().into_iter().map(str::to_owned).collect();
        let theirs = SafeTensors::deserialize(&weights).expect("a file");
        let mut expected: Vec<String> = theirs.names().into_iter().map(str::to_owned).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
        // The pair is twice as wide, and what is read of the rest is what was trained.
        let (before, after) =
            (peft::read_on_changed_base(&folder).expect("read"), peft::read(&out).expect("read"));
        assert_eq!(after.config.rank, 2);
        assert_eq!(after.tensors[&format!("{own}.lora_A.weight")].values, [1.0, 2.0, 0.5, 0.25]);
        assert_eq!(after.tensors[&format!("{own}.lora_B.weight")].values, [3.0, -0.125, 4.0, -1.0]);
        for name in [format!("{own}.bias"), "model.embed_tokens.weight".to_owned()] {
            assert_eq!(after.tensors[&name], before.tensors[&name], "{name}");
        }
    }
}
