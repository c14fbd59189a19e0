//! What the headers of a checkpoint say of its tensors, without one of them being there.

use std::path::{Path, PathBuf};

use super::quantized::{FP4_STATE, NF4_STATE, PACKED, ROW_SCALES, refuse_fp4, refuse_unread};
use super::safetensors::SafetensorsFolder;
use super::{GgufFile, Precision, WeightSource};
use crate::{ModelConfig, ModelError, TensorSpec};

/// How a checkpoint keeps a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// As plain numbers.
    Plain(Precision),
    /// In NF4, which is used as it is; so many bytes in memory.
    Nf4 { size_bytes: usize },
    /// In few bits of another kind, which are read as 32-bit floats.
    Packed,
}

/// The headers of a checkpoint.
pub(crate) enum Headers {
    /// Of safetensors files, of which nothing but the headers need be there.
    Safetensors(SafetensorsFolder),
    /// Of a GGUF file.
    Gguf(Box<GgufFile>),
}

impl Headers {
    /// Reads `config.json` and the headers of a folder, or the header of a `.gguf` file.
    ///
    /// # Errors
    /// Those of [`crate::open`] that concern configuration and weights.
    pub(crate) fn open(path: &Path) -> Result<(ModelConfig, Self), ModelError> {
        if path.is_dir() {
            let config = ModelConfig::from_file(&path.join("config.json"))?;
            refuse_unread(path)?;
            return Ok((config, Self::Safetensors(SafetensorsFolder::open_headers(path)?)));
        }
        let file = GgufFile::open(path)?;
        Ok((file.config().clone(), Self::Gguf(Box::new(file))))
    }

    /// The file or folder.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Safetensors(folder) => folder.path().to_owned(),
            Self::Gguf(file) => file.path().to_owned(),
        }
    }

    /// How a tensor of the model is kept.
    ///
    /// # Errors
    /// [`ModelError::MissingTensor`], and [`ModelError::Tensor`] for another shape than the model's.
    pub(crate) fn stored(&self, tensor: &TensorSpec) -> Result<Stored, ModelError> {
        let folder = match self {
            Self::Gguf(file) => {
                self.check_shape(tensor, file.shape(&tensor.name))?;
                return Ok(match file.precision(&tensor.name) {
                    Some(Precision::Other) | None => Stored::Packed,
                    Some(precision) => Stored::Plain(precision),
                });
            }
            Self::Safetensors(folder) => folder,
        };
        let name = &tensor.name;
        if folder.entry(&format!("{name}{NF4_STATE}")).is_some() {
            return Ok(Stored::Nf4 { size_bytes: nf4_bytes(folder, name) });
        }
        if folder.entry(&format!("{name}{FP4_STATE}")).is_some() {
            return Err(refuse_fp4(folder, name));
        }
        let base = name.strip_suffix(".weight").unwrap_or(name);
        if folder.entry(&format!("{base}{PACKED}")).is_some()
            || folder.entry(&format!("{base}{ROW_SCALES}")).is_some()
        {
            return Ok(Stored::Packed);
        }
        self.check_shape(tensor, folder.shape(name))?;
        Ok(Stored::Plain(folder.precision(name).unwrap_or(Precision::Other)))
    }

    fn check_shape(&self, tensor: &TensorSpec, found: Option<Vec<usize>>) -> Result<(), ModelError> {
        let name = tensor.name.clone();
        match found {
            None => Err(ModelError::MissingTensor { path: self.path(), tensor: name }),
            Some(found) if found == tensor.shape => Ok(()),
            Some(found) => {
                let expected = &tensor.shape;
                let problem =
                    format!("expected shape {expected:?} as the configuration says, found {found:?}");
                Err(ModelError::tensor(&self.path(), &name, problem))
            }
        }
    }
}

/// What a weight that came in NF4 takes in memory: codes, magnitudes, and the map of nested ones.
fn nf4_bytes(folder: &SafetensorsFolder, name: &str) -> usize {
    let count = |end: &str| folder.entry(&format!("{name}{end}")).map_or(0, |entry| entry.element_count);
    let codes = folder.entry(name).map_or(0, |entry| usize::try_from(entry.size_bytes).unwrap_or(usize::MAX));
    let nested = count(".nested_absmax");
    let magnitudes = match nested {
        0 => count(".absmax").saturating_mul(size_of::<f32>()),
        _ => count(".absmax") + (nested + count(".nested_quant_map") + 1) * size_of::<f32>(),
    };
    codes.saturating_add(magnitudes)
}
