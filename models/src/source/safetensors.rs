//! Safetensors: one file, or the shards that an index names.

mod header;
mod index;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use rtune_adapters::seeing::{in_text_model, is_of_other_part};

use super::read::{Element, read_elements, read_pieces};
use super::{HostTensor, Piece, Precision, Take, WeightSource};
use crate::ModelError;
use header::{DataType, Entry, Extent};

/// Name of the only file of an unsharded checkpoint.
const SINGLE_FILE: &str = "model.safetensors";
/// Name of the list of shards.
const INDEX_FILE: &str = "model.safetensors.index.json";

/// The head of GPT-NeoX, as files on the hub have it and as transformers' class calls it since version 5.
const HEAD_OF_NEOX: [&str; 2] = ["embed_out.weight", "lm_head.weight"];

/// The weights of a folder in the hub's layout: `model.safetensors`, or `model.safetensors.index.json` and the
/// shards it names.
#[derive(Debug)]
pub struct SafetensorsFolder {
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// The list of shards, if there is one.
    index: Option<PathBuf>,
    /// By tensor name: which of `files`, and where in it.
    tensors: BTreeMap<String, (usize, Entry)>,
}

impl SafetensorsFolder {
    /// Reads and checks the headers of all files; no tensor is read. Of a model that sees besides there are the tensors of its
    /// text part alone, under the names that they have in a text model.
    ///
    /// Errors when there are no weights in this format, when a file is truncated, when a header contradicts its
    /// file, and when the index and the shards contradict each other.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Self::open_as_far(folder, Extent::Whole)
    }

    /// The same for files of which the headers alone need be there: names, shapes and types are known, and no tensor can
    /// be read.
    ///
    /// Errors as [`Self::open`], but for what only the length of a file tells.
    pub(crate) fn open_headers(folder: &Path) -> Result<Self, ModelError> {
        Self::open_as_far(folder, Extent::Header)
    }

    fn open_as_far(folder: &Path, extent: Extent) -> Result<Self, ModelError> {
        let single = folder.join(SINGLE_FILE);
        let index = folder.join(INDEX_FILE);
        if single.is_file() {
            let entries = header::read(&single, extent)?;
            let tensors = entries.into_iter().map(|(name, entry)| (name, (0, entry))).collect();
            Self { folder: folder.to_owned(), files: vec![single], index: None, tensors }.of_text()
        } else if index.is_file() {
            Self::open_shards(folder, &index, extent)
        } else {
            let hint =
                "rtune reads safetensors and GGUF: if the folder has pytorch_model.bin, convert it with \
                        transformers' save_pretrained, which writes model.safetensors"
                    .to_owned();
            Err(ModelError::MissingFile { path: single, what: "the model's weights", hint })
        }
    }

    fn open_shards(folder: &Path, index: &Path, extent: Extent) -> Result<Self, ModelError> {
        let weight_map = index::read(index)?;
        let mut names: Vec<&String> = weight_map.values().collect();
        names.sort_unstable();
        names.dedup();
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let mut tensors: BTreeMap<String, (usize, Entry)> = BTreeMap::new();
        for (number, path) in files.iter().enumerate() {
            if !path.is_file() {
                let hint = format!("{} names this shard: fetch it again", index.display());
                return Err(ModelError::MissingFile {
                    path: path.clone(),
                    what: "a shard of the weights",
                    hint,
                });
            }
            for (name, entry) in header::read(path, extent)? {
                if let Some((first, _)) = tensors.get(&name) {
                    let problem = format!("stands in {} too", files[*first].display());
                    return Err(ModelError::tensor(path, &name, problem));
                }
                tensors.insert(name, (number, entry));
            }
        }
        for (tensor, shard) in &weight_map {
            let found = tensors.get(tensor).map(|(number, _)| &files[*number]);
            if found != Some(&folder.join(shard)) {
                let place = found.map_or("not there".to_owned(), |path| format!("in {}", path.display()));
                let problem = format!("the index says it stands in {shard}, but it is {place}");
                return Err(ModelError::tensor(index, tensor, problem));
            }
        }
        Self { folder: folder.to_owned(), files, index: Some(index.to_owned()), tensors }.of_text()
    }

    /// Takes the tensors of the text part of a model that sees besides; those of another model stay as they are.
    fn of_text(mut self) -> Result<Self, ModelError> {
        let [in_files, name] = HEAD_OF_NEOX;
        if let (Some(head), false) = (self.tensors.get(in_files).cloned(), self.tensors.contains_key(name)) {
            self.tensors.remove(in_files);
            self.tensors.insert(name.to_owned(), head);
        }
        if !self.tensors.keys().any(|name| in_text_model(name).is_some()) {
            return Ok(self);
        }
        let mut tensors = BTreeMap::new();
        for (name, (file, entry)) in self.tensors {
            if is_of_other_part(&name) {
                continue;
            }
            let plain = in_text_model(&name).unwrap_or_else(|| name.clone());
            if tensors.insert(plain, (file, entry)).is_some() {
                let problem = "stands in the file under two names";
                return Err(ModelError::tensor(&self.files[file], &name, problem));
            }
        }
        self.tensors = tensors;
        Ok(self)
    }

    /// The files that hold the weights, in the order of their names, and the index if there is one.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.files.clone();
        files.extend(self.index.clone());
        files
    }

    /// What the header says of a tensor.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(name).map(|(_, entry)| entry)
    }

    /// The file that holds a tensor, or the folder if none does; for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.tensors.get(name).map_or(&self.folder, |(file, _)| &self.files[*file]).clone()
    }

    /// Fails unless a tensor is there with one of these types and this shape; a vector may have more dimensions of one.
    pub(super) fn expect(&self, name: &str, types: &[&str], shape: &[usize]) -> Result<(), ModelError> {
        let entry = self.required(name)?;
        let found = entry.data_type.name();
        let same = match shape {
            [count] => {
                entry.element_count == *count && entry.shape.iter().filter(|size| **size != 1).count() <= 1
            }
            _ => entry.shape == shape,
        };
        if types.contains(&found) && same {
            return Ok(());
        }
        let types = types.join(" or ");
        let problem = format!("expected the shape {shape:?} of {types}, found {:?} of {found}", entry.shape);
        Err(ModelError::tensor(&self.path_of(name), name, problem))
    }

    /// Fails unless a tensor is there, of whatever type, with so many bytes.
    pub(super) fn expect_bytes(&self, name: &str, count: usize) -> Result<(), ModelError> {
        let found = self.required(name)?.size_bytes;
        if found == count as u64 {
            return Ok(());
        }
        let problem = format!("expected {count} bytes of packed numbers, found {found}");
        Err(ModelError::tensor(&self.path_of(name), name, problem))
    }

    /// The bytes of a tensor of whatever type.
    pub(super) fn read_bytes(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let entry = self.required(name)?;
        let count = usize::try_from(entry.size_bytes)
            .map_err(|_| ModelError::tensor(&self.path_of(name), name, "too large for this machine"))?;
        read_elements(&self.path_of(name), name, entry.start_bytes, count)
    }

    /// The elements of a tensor whose type is known to have the size of `T`.
    pub(super) fn read_words<T: Element>(&self, name: &str) -> Result<Vec<T>, ModelError> {
        let entry = self.required(name)?;
        read_elements(&self.path_of(name), name, entry.start_bytes, entry.element_count)
    }

    fn required(&self, name: &str) -> Result<&Entry, ModelError> {
        self.entry(name)
            .ok_or_else(|| ModelError::MissingTensor { path: self.folder.clone(), tensor: name.to_owned() })
    }
}

impl WeightSource for SafetensorsFolder {
    fn path(&self) -> &Path {
        &self.folder
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(_, entry)| entry.shape.clone())
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.tensors.get(name).map(|(_, entry)| match entry.data_type {
            DataType::F32 => Precision::F32,
            DataType::F16 => Precision::F16,
            DataType::Bf16 => Precision::Bf16,
            DataType::Other(_) => Precision::Other,
        })
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        let Some((file, entry)) = self.tensors.get(name) else {
            return Err(ModelError::MissingTensor { path: self.folder.clone(), tensor: name.to_owned() });
        };
        let (path, start, count) = (&self.files[*file], entry.start_bytes, entry.element_count);
        match &entry.data_type {
            DataType::F32 => read_elements::<f32>(path, name, start, count).map(HostTensor::F32),
            DataType::F16 => read_elements::<f16>(path, name, start, count).map(HostTensor::F16),
            DataType::Bf16 => read_elements::<bf16>(path, name, start, count).map(HostTensor::Bf16),
            DataType::Other(other) => Err(not_read(path, name, other)),
        }
    }

    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        let Some((file, entry)) = self.tensors.get(name) else {
            return Err(ModelError::MissingTensor { path: self.folder.clone(), tensor: name.to_owned() });
        };
        let (path, start, count) = (&self.files[*file], entry.start_bytes, entry.element_count);
        match &entry.data_type {
            DataType::F32 => read_pieces(path, name, start, count, |at, piece| take(at, Piece::F32(piece))),
            DataType::F16 => read_pieces(path, name, start, count, |at, piece| take(at, Piece::F16(piece))),
            DataType::Bf16 => read_pieces(path, name, start, count, |at, piece| take(at, Piece::Bf16(piece))),
            DataType::Other(other) => Err(not_read(path, name, other)),
        }
    }
}

fn not_read(path: &Path, name: &str, found: &str) -> ModelError {
    ModelError::Unsupported {
        path: path.to_owned(),
        key: name.to_owned(),
        found: found.to_owned(),
        supported: "F32, F16, BF16".to_owned(),
    }
}

#[cfg(test)]
mod tests;
