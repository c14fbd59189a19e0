//! The tensors of a classifier, from safetensors or unpacked from ONNX.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::onnx;
use crate::{ModelError, SafetensorsFolder, WeightSource};

/// What is unpacked stands here, where transformers looks for weights too.
const SAFETENSORS: &str = "model.safetensors";
/// Where a folder may have an ONNX file, the likeliest place first.
const ONNX_FILES: &[&str] =
    &["onnx/model_q4.onnx", "onnx/model_quantized.onnx", "onnx/model.onnx", "model_q4.onnx", "model.onnx"];

/// All tensors by the names that were asked for.
pub(super) struct Weights {
    pub(super) tensors: HashMap<String, Tensor>,
    /// Over names, shapes and elements, in hex: the same from safetensors and from the ONNX file it was made of.
    pub(super) sha256: String,
}

/// Reads the weights of a folder. An ONNX file is unpacked once into `model.safetensors` beside it; where the folder
/// cannot be written, it is unpacked each time.
pub(super) fn read(folder: &Path, expected: &[(String, Vec<usize>)]) -> Result<Weights, ModelError> {
    let has_safetensors =
        folder.join(SAFETENSORS).is_file() || folder.join("model.safetensors.index.json").is_file();
    let onnx: Option<PathBuf> = ONNX_FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    match onnx {
        Some(path) if !has_safetensors => {
            let unpacked = onnx::unpack(&path, expected)?;
            onnx::keep(&folder.join(SAFETENSORS), expected, &unpacked);
            collect(&path, expected, |name| {
                let values = unpacked.get(name).cloned();
                values
                    .ok_or_else(|| ModelError::MissingTensor { path: path.clone(), tensor: name.to_owned() })
            })
        }
        _ => {
            let source = SafetensorsFolder::open(folder)?;
            let names = Names::of(&source);
            collect(folder, expected, |name| names.read(&source, name))
        }
    }
}

/// Checks each expected tensor and takes it, reading one at a time.
fn collect(
    path: &Path,
    expected: &[(String, Vec<usize>)],
    read: impl Fn(&str) -> Result<Vec<f32>, ModelError>,
) -> Result<Weights, ModelError> {
    let mut hash = Sha256::new();
    let mut tensors = HashMap::with_capacity(expected.len());
    for (name, shape) in expected {
        let values = read(name)?;
        if values.len() != shape.iter().product::<usize>() {
            let problem =
                format!("config.json asks for the shape {shape:?}, the file has {} elements", values.len());
            return Err(ModelError::tensor(path, name, problem));
        }
        hash.update(name.as_bytes());
        hash.update(format!("{shape:?}").as_bytes());
        hash.update(bytemuck::cast_slice::<f32, u8>(&values));
        let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)
            .map_err(|error| ModelError::tensor(path, name, error.to_string()))?;
        tensors.insert(name.clone(), tensor);
    }
    Ok(Weights { tensors, sha256: crate::hub::hex(&hash.finalize()) })
}

/// What stands in front of names where something stands on the encoder.
const PREFIXES: [&str; 2] = ["bert.", "roberta."];

/// How a checkpoint calls its tensors: with or without a prefix, and norms as today or as in TensorFlow's time.
struct Names {
    prefix: &'static str,
}

impl Names {
    fn of(source: &SafetensorsFolder) -> Self {
        let is_there = |prefix: &&str| source.names().iter().any(|name| name.starts_with(prefix));
        Self { prefix: PREFIXES.into_iter().find(is_there).unwrap_or_default() }
    }

    fn read(&self, source: &SafetensorsFolder, name: &str) -> Result<Vec<f32>, ModelError> {
        let own = name.strip_prefix("bert.").map(|rest| format!("{}{rest}", self.prefix));
        let name = own.as_deref().unwrap_or(name);
        let old =
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        let found = if source.shape(name).is_none() && source.shape(&old).is_some() { &old } else { name };
        Ok(source.read(found)?.into_f32())
    }
}
