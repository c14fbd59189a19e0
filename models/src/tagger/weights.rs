//! The tensors of a classifier, from safetensors or unpacked from ONNX.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::onnx;
use crate::{ModelError, SafetensorsFolder, WeightSource};

/// What is unpacked stands here, where transformers looks for weights too.
const SAFETENSORS: &str = "model.safetensors";
/// Where a folder may have an ONNX file, the likeliest place first. One whose products are quantised on the way is not read, and may stand
/// beside one that is.
const ONNX_FILES: &[&str] =
    &["onnx/model_q4.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx", "model_q4.onnx", "model.onnx"];

/// All tensors by the names that were asked for.
pub(super) struct Weights {
    pub(super) tensors: HashMap<String, Tensor>,
    /// Over names, shapes and elements, in hex: the same from safetensors and from the ONNX file it was made of.
    pub(super) sha256: String,
}

/// Names of tensors and their shapes.
pub(super) type Expected = [(String, Vec<usize>)];

/// Reads the tensors `expected` of a folder; `whole` are all that the model has, of which those are some. An ONNX file is
/// unpacked once into `model.safetensors` beside it, and again when it is another one; where the folder cannot be written, it
/// is unpacked each time.
pub(super) fn read(folder: &Path, expected: &Expected, whole: &Expected) -> Result<Weights, ModelError> {
    let onnx: Option<PathBuf> = ONNX_FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let Some(path) = onnx else { return read_safetensors(folder, expected) };
    let kept = folder.join(SAFETENSORS);
    let has_safetensors = kept.is_file() || folder.join("model.safetensors.index.json").is_file();
    let source = if kept.is_file() { onnx::source_of(&kept) } else { None };
    match source {
        None if has_safetensors => return read_safetensors(folder, expected),
        Some(sha256) if sha256 == onnx::sha256(&path)? => match read_safetensors(folder, expected) {
            // What somebody kept who knew of fewer.
            Err(ModelError::MissingTensor { .. }) => {}
            read => return read,
        },
        _ => {}
    }
    // A part alone is not kept: whoever wants more would miss it.
    let unpacked = match onnx::unpack(&path, whole) {
        Ok(unpacked) => {
            onnx::keep(&kept, whole, &unpacked);
            unpacked
        }
        Err(ModelError::MissingTensor { .. }) => onnx::unpack(&path, expected)?,
        Err(error) => return Err(error),
    };
    collect(&path, expected, |name| {
        let values = unpacked.tensors.get(name).cloned();
        values.ok_or_else(|| ModelError::MissingTensor { path: path.clone(), tensor: name.to_owned() })
    })
}

fn read_safetensors(folder: &Path, expected: &Expected) -> Result<Weights, ModelError> {
    let source = SafetensorsFolder::open(folder)?;
    let names = Names::of(&source);
    collect(folder, expected, |name| names.read(&source, name))
}

/// Checks each expected tensor and takes it, reading one at a time.
fn collect(
    path: &Path,
    expected: &Expected,
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
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(ModelError::tensor(path, name, format!("element {place} is not a finite number")));
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
