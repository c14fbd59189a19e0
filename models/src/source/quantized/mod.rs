//! Folders whose linears were quantised by others: bitsandbytes, GPTQ, AWQ.

mod bitsandbytes;
mod integers;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtune_adapters::{Weight, merge};

use super::safetensors::SafetensorsFolder;
use super::{HostTensor, Precision, Take, WeightSource};
use crate::ModelError;
use bitsandbytes::{ByteRows, Nf4Tensor, STATE};
use integers::Integers;
use settings::Method;

pub(super) use bitsandbytes::{FP4_STATE, ROW_SCALES, STATE as NF4_STATE, refuse_fp4};
pub(super) use integers::PACKED;

/// The element types that scales may have.
const FLOATS: &[&str] = &["F32", "F16", "BF16"];

/// Ends of names that belong to a packed weight, in place of `weight`.
const PARTS: [&str; 4] = [PACKED, ".qzeros", ".scales", ".g_idx"];

/// Opens the weights of a folder in the hub's layout, whether they are numbers or were quantised by bitsandbytes, GPTQ or
/// AWQ, and gives the files that are or were read, `config.json` aside.
///
/// # Errors
/// Those of [`SafetensorsFolder::open`]; [`ModelError::Unsupported`] for another quantisation, [`ModelError::Tensor`]
/// where the tensors of a weight contradict each other or the folder's settings.
pub fn open_weights(folder: &Path) -> Result<(Box<dyn WeightSource>, Vec<PathBuf>), ModelError> {
    let (method, settings_file) = settings::read(folder)?;
    let raw = SafetensorsFolder::open(folder)?;
    let mut files = raw.files();
    files.extend(settings_file);
    let weights = QuantizedFolder::new(raw, method)?;
    match weights.packed.is_empty() {
        true => Ok((Box::new(weights.raw), files)),
        false => Ok((Box::new(weights), files)),
    }
}

/// Fails where the weights of a folder are quantised in a way that [`open_weights`] does not read.
pub(super) fn refuse_unread(folder: &Path) -> Result<(), ModelError> {
    settings::read(folder).map(drop)
}

/// A folder in which some weights are packed. Those have the names and shapes of the numbers that they stand for.
#[derive(Debug)]
struct QuantizedFolder {
    raw: SafetensorsFolder,
    /// By the name of the weight.
    packed: BTreeMap<String, Packed>,
    /// All tensors that a model has, by name.
    shapes: BTreeMap<String, Vec<usize>>,
}

#[derive(Debug)]
enum Packed {
    Nf4(Nf4Tensor),
    /// With the linear's name.
    Bytes(String, ByteRows),
    /// With the linear's name.
    Integers(String, Integers),
}

impl Packed {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Nf4(tensor) => tensor.shape.clone(),
            Self::Bytes(_, rows) => rows.shape.clone(),
            Self::Integers(_, numbers) => vec![numbers.outputs, numbers.inputs],
        }
    }
}

impl QuantizedFolder {
    fn new(raw: SafetensorsFolder, method: Method) -> Result<Self, ModelError> {
        let mut packed = BTreeMap::new();
        for name in raw.names() {
            if let Some(weight) = name.strip_suffix(FP4_STATE) {
                return Err(bitsandbytes::refuse_fp4(&raw, weight));
            } else if let Some(weight) = name.strip_suffix(STATE) {
                packed.insert(weight.to_owned(), Packed::Nf4(Nf4Tensor::open(&raw, weight)?));
            } else if let Some(base) = name.strip_suffix(ROW_SCALES) {
                let rows = ByteRows::open(&raw, base)?;
                packed.insert(format!("{base}.weight"), Packed::Bytes(base.to_owned(), rows));
            } else if let Some(base) = name.strip_suffix(PACKED) {
                let numbers = match method {
                    Method::Gptq(settings) => Integers::open_gptq(&raw, base, settings)?,
                    Method::Awq { group } => Integers::open_awq(&raw, base, group)?,
                    _ => return Err(unexplained(&raw, &name)),
                };
                packed.insert(format!("{base}.weight"), Packed::Integers(base.to_owned(), numbers));
            }
        }
        let mut shapes: BTreeMap<String, Vec<usize>> =
            packed.iter().map(|(name, tensor)| (name.clone(), tensor.shape())).collect();
        for name in raw.names().into_iter().filter(|name| !is_part(&packed, name)) {
            let shape = raw.shape(&name).unwrap_or_default();
            shapes.entry(name).or_insert(shape);
        }
        Ok(Self { raw, packed, shapes })
    }
}

/// Whether a tensor is what another one is packed with, and not one of the model.
fn is_part(packed: &BTreeMap<String, Packed>, name: &str) -> bool {
    let of_linear = PARTS
        .iter()
        .chain([&ROW_SCALES, &".weight_format"])
        .filter_map(|end| name.strip_suffix(end))
        .any(|base| packed.contains_key(&format!("{base}.weight")));
    let of_weight = name
        .find(".weight.")
        .is_some_and(|place| matches!(packed.get(&name[..place + ".weight".len()]), Some(Packed::Nf4(_))));
    of_linear || of_weight
}

fn unexplained(raw: &SafetensorsFolder, name: &str) -> ModelError {
    let problem = "packed numbers, but neither `quantization_config` of config.json nor quantize_config.json says how \
                   they are packed";
    ModelError::tensor(&raw.path_of(name), name, problem)
}

/// The shape of a tensor that must be there with so many dimensions.
fn shape_of(raw: &SafetensorsFolder, name: &str, dimensions: usize) -> Result<Vec<usize>, ModelError> {
    match raw.shape(name) {
        Some(shape) if shape.len() == dimensions => Ok(shape),
        Some(shape) => {
            let problem = format!("expected {dimensions} dimensions, found the shape {shape:?}");
            Err(ModelError::tensor(&raw.path_of(name), name, problem))
        }
        None => Err(ModelError::MissingTensor { path: raw.path().to_owned(), tensor: name.to_owned() }),
    }
}

fn float_precision(raw: &SafetensorsFolder, name: &str) -> Precision {
    raw.precision(name).unwrap_or(Precision::Other)
}

impl WeightSource for QuantizedFolder {
    fn path(&self) -> &Path {
        self.raw.path()
    }

    fn names(&self) -> Vec<String> {
        self.shapes.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shapes.get(name).cloned()
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.shapes.get(name)?;
        Some(match self.packed.get(name) {
            None => float_precision(&self.raw, name),
            Some(Packed::Nf4(tensor)) => tensor.precision,
            Some(Packed::Bytes(base, _)) => ByteRows::precision(&self.raw, base),
            Some(Packed::Integers(base, _)) => float_precision(&self.raw, &format!("{base}.scales")),
        })
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        match self.packed.get(name) {
            None if !self.shapes.contains_key(name) => {
                Err(ModelError::MissingTensor { path: self.path().to_owned(), tensor: name.to_owned() })
            }
            None => self.raw.read(name),
            Some(Packed::Nf4(tensor)) => {
                tensor.read(&self.raw, name).map(|weight| HostTensor::F32(merge::dense(&weight)))
            }
            Some(Packed::Bytes(base, rows)) => rows.read(&self.raw, base).map(HostTensor::F32),
            Some(Packed::Integers(base, numbers)) => numbers.read(&self.raw, base).map(HostTensor::F32),
        }
    }

    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        match self.packed.get(name) {
            None if self.shapes.contains_key(name) => self.raw.read_pieces(name, take),
            _ => take(0, self.read(name)?.view()),
        }
    }

    fn is_nf4(&self, name: &str) -> bool {
        matches!(self.packed.get(name), Some(Packed::Nf4(_)))
    }

    fn read_nf4(&self, name: &str) -> Result<Option<Weight>, ModelError> {
        match self.packed.get(name) {
            Some(Packed::Nf4(tensor)) => tensor.read(&self.raw, name).map(Some),
            _ => Ok(None),
        }
    }
}
