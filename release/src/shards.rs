//! `model.safetensors`, or shards and their index, written one tensor at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rtune_models::{TensorRole, TensorSpec};
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::dtype::Dtype;
use crate::error::{At, ReleaseError};
use crate::packing::{Packing, Part, Stored};

/// The only file of a model that fits into one.
const SINGLE_FILE: &str = "model.safetensors";
/// The list of shards.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// Headers are padded with spaces to a multiple of this, so that tensors are aligned, in bytes.
const ALIGNMENT_BYTES: usize = 8;
/// Numbers that are encoded at a time: 4 MiB of `f32`.
const PIECE_ELEMENTS: usize = 1 << 20;

/// Which tensors stand in which file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    held: Held,
    shards: Vec<Vec<TensorSpec>>,
}

/// How numbers stand in files: those of this element type, but for linears of blocks that are quantised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) dtype: Dtype,
    pub(crate) packing: Option<Packing>,
}

impl Held {
    /// What a tensor of the model is in the file.
    fn parts(self, tensor: &TensorSpec) -> Vec<Part> {
        match self.of(tensor) {
            Some(packing) => packing.parts(tensor),
            None => {
                let (name, shape) = (tensor.in_files.clone(), tensor.shape.clone());
                vec![Part { name, tag: self.dtype.tag(), shape }]
            }
        }
    }

    /// How a tensor is quantised, if it is.
    fn of(self, tensor: &TensorSpec) -> Option<Packing> {
        self.packing.filter(|_| tensor.role == TensorRole::BlockLinear && tensor.shape.len() == 2)
    }

    fn size_bytes(self, tensor: &TensorSpec) -> usize {
        self.parts(tensor).iter().map(Part::size_bytes).sum()
    }
}

/// Gives what is written of a tensor.
pub(crate) type Values<'a> = dyn FnMut(&TensorSpec) -> Result<Stored, ReleaseError> + 'a;

/// A file of weights on the disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShardFile {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

impl Plan {
    /// Fills shards in order; none has more than `shard_bytes` of tensors, except one of a single larger tensor.
    pub(crate) fn new(tensors: Vec<TensorSpec>, held: Held, shard_bytes: u64) -> Self {
        let mut shards: Vec<Vec<TensorSpec>> = Vec::new();
        let mut filled = 0;
        for tensor in tensors {
            let size = held.size_bytes(&tensor) as u64;
            match shards.last_mut() {
                Some(shard) if filled + size <= shard_bytes => {
                    filled += size;
                    shard.push(tensor);
                }
                _ => {
                    filled = size;
                    shards.push(vec![tensor]);
                }
            }
        }
        Self { held, shards }
    }

    /// Tensors of the model in all.
    pub(crate) fn tensor_count(&self) -> usize {
        self.shards.iter().map(Vec::len).sum()
    }

    /// Bytes of all tensors.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.shards.iter().flatten().map(|tensor| self.held.size_bytes(tensor) as u64).sum()
    }

    /// Writes all files into `folder`; `values` is called once for each tensor, in order. Gives
    /// the files of weights, and writes the index if there are several.
    pub(crate) fn write(
        &self,
        folder: &Path,
        values: &mut Values<'_>,
    ) -> Result<Vec<ShardFile>, ReleaseError> {
        let mut files = Vec::new();
        for (number, tensors) in self.shards.iter().enumerate() {
            let name = self.file_name(number);
            let sha256 = write_shard(&folder.join(&name), tensors, self.held, values)?;
            files.push(ShardFile { name, sha256 });
        }
        if self.shards.len() > 1 {
            let path = folder.join(INDEX_FILE);
            let mut text = format!("{:#}", self.index());
            text.push('\n');
            let mut file = File::create(&path).at("write", &path)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at("write", &path)?;
        }
        Ok(files)
    }

    fn file_name(&self, number: usize) -> String {
        match self.shards.len() {
            1 => SINGLE_FILE.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        }
    }

    /// As transformers 5 writes it.
    fn index(&self) -> serde_json::Value {
        let places = self.shards.iter().enumerate().flat_map(|(number, shard)| {
            let parts = shard.iter().flat_map(|tensor| self.held.parts(tensor));
            parts.map(move |part| (part.name, self.file_name(number)))
        });
        let weight_map: BTreeMap<String, String> = places.collect();
        let parameters: usize = self.shards.iter().flatten().map(element_count).sum();
        json!({
            "metadata": {"total_parameters": parameters, "total_size": self.size_bytes()},
            "weight_map": weight_map,
        })
    }
}

fn element_count(tensor: &TensorSpec) -> usize {
    tensor.shape.iter().product()
}

/// Length and header of a file of these tensors.
fn header(path: &Path, tensors: &[TensorSpec], held: Held) -> Result<Vec<u8>, ReleaseError> {
    let mut end = 0;
    let places = tensors.iter().flat_map(|tensor| held.parts(tensor)).map(|part| {
        let start = end;
        end += part.size_bytes();
        (part.name, TensorInfo { dtype: part.tag, shape: part.shape, data_offsets: (start, end) })
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let unwritable = |problem: String| ReleaseError::Unwritable { path: path.to_owned(), problem };
    let metadata =
        Metadata::new(Some(format), places.collect()).map_err(|error| unwritable(error.to_string()))?;
    let mut text = serde_json::to_vec(&metadata).map_err(|error| unwritable(error.to_string()))?;
    text.resize(text.len().next_multiple_of(ALIGNMENT_BYTES), b' ');
    Ok([&(text.len() as u64).to_le_bytes(), &text[..]].concat())
}

/// Writes one file, flushes it to the disk and gives its SHA-256.
fn write_shard(
    path: &Path,
    tensors: &[TensorSpec],
    held: Held,
    values: &mut Values<'_>,
) -> Result<String, ReleaseError> {
    let mut file = BufWriter::new(File::create(path).at("write", path)?);
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| -> Result<(), ReleaseError> {
        hash.update(bytes);
        file.write_all(bytes).at("write", path)
    };
    let dtype = held.dtype;
    put(&header(path, tensors, held)?)?;
    let mut bytes = Vec::with_capacity(PIECE_ELEMENTS * dtype.size_bytes());
    for tensor in tensors {
        let values = match values(tensor)? {
            Stored::Numbers(values) => values,
            Stored::Parts(parts) => {
                refuse_other_sizes(path, tensor, &parts, held)?;
                parts.iter().try_for_each(|part| put(part))?;
                continue;
            }
        };
        refuse_unwritable(path, tensor, &values, dtype)?;
        if let Some(packing) = held.of(tensor) {
            let parts = match packing {
                Packing::Bitsandbytes(quantized) => quantized.encode(tensor, values, dtype),
                // These have no codes but those of their calibration.
                Packing::Calibrated(_) => Vec::new(),
            };
            refuse_other_sizes(path, tensor, &parts, held)?;
            parts.iter().try_for_each(|part| put(part))?;
            continue;
        }
        for piece in values.chunks(PIECE_ELEMENTS) {
            bytes.clear();
            dtype.encode(piece, &mut bytes);
            put(&bytes)?;
        }
    }
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", path)?;
    file.sync_all().at("write", path)?;
    Ok(crate::checkpoint::hex(&hash.finalize()))
}

/// The places of packed parts are as large as their shapes.
fn refuse_other_sizes(
    path: &Path,
    tensor: &TensorSpec,
    parts: &[Vec<u8>],
    held: Held,
) -> Result<(), ReleaseError> {
    let expected: Vec<usize> = held.parts(tensor).iter().map(Part::size_bytes).collect();
    let found: Vec<usize> = parts.iter().map(Vec::len).collect();
    if expected == found {
        return Ok(());
    }
    let problem = format!("tensor `{}`: expected parts of {expected:?} bytes, found {found:?}", tensor.name);
    Err(ReleaseError::Unwritable { path: path.to_owned(), problem })
}

/// The place of a tensor is as large as its shape, and what `float16` cannot hold would become infinite.
fn refuse_unwritable(
    path: &Path,
    tensor: &TensorSpec,
    values: &[f32],
    dtype: Dtype,
) -> Result<(), ReleaseError> {
    let (path, name, expected) = (path.to_owned(), tensor.name.clone(), element_count(tensor));
    if values.len() != expected {
        let problem = format!("tensor `{name}`: expected {expected} numbers, found {}", values.len());
        return Err(ReleaseError::Unwritable { path, problem });
    }
    match values.iter().position(|&value| !dtype.round(value).is_finite()) {
        Some(element) => {
            Err(ReleaseError::OutOfRange { path, tensor: name, element, value: values[element], dtype })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    fn plain(dtype: Dtype) -> Held {
        Held { dtype, packing: None }
    }

    fn tensors(sizes: &[usize]) -> Vec<TensorSpec> {
        let spec = |(index, &size): (usize, &usize)| TensorSpec {
            name: format!("t{index}"),
            in_files: format!("t{index}"),
            shape: vec![size, 2],
            role: TensorRole::BlockLinear,
        };
        sizes.iter().enumerate().map(spec).collect()
    }

    fn values(tensor: &TensorSpec) -> Vec<f32> {
        let first = tensor.name[1..].parse::<f32>().expect("a number");
        (0..element_count(tensor)).map(|i| first + i as f32 / 64.0).collect()
    }

    fn written(folder: &Path, sizes: &[usize], shard_bytes: u64) -> Vec<String> {
        let plan = Plan::new(tensors(sizes), plain(Dtype::Bfloat16), shard_bytes);
        let files = plan.write(folder, &mut |tensor| Ok(Stored::Numbers(values(tensor)))).expect("written");
        for file in &files {
            let bytes = std::fs::read(folder.join(&file.name)).expect("there");
            assert_eq!(file.sha256, crate::checkpoint::hex(&Sha256::digest(&bytes)));
        }
        files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_model_that_fits_is_one_file_without_an_index() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(written(folder.path(), &[3, 5], 32), ["model.safetensors"]);
        assert!(!folder.path().join(INDEX_FILE).exists());
        let bytes = std::fs::read(folder.path().join(SINGLE_FILE)).expect("there");
        let file = SafeTensors::deserialize(&bytes).expect("valid");
        for spec in tensors(&[3, 5]) {
            let tensor = file.tensor(&spec.name).expect("there");
            assert_eq!((tensor.shape(), tensor.dtype()), (&spec.shape[..], safetensors::Dtype::BF16));
            let mut expected = Vec::new();
            Dtype::Bfloat16.encode(&values(&spec), &mut expected);
            assert_eq!(tensor.data(), expected);
        }
    }

    #[test]
    fn shards_are_filled_in_order_and_the_index_adds_up() {
        let folder = tempfile::tempdir().expect("a folder");
        // 12, 12, 40 and 8 bytes: two fit, one is larger than a shard, one is left.
        let names = written(folder.path(), &[3, 3, 10, 2], 24);
        assert_eq!(names, [1, 2, 3].map(|n| format!("model-0000{n}-of-00003.safetensors")));
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join(INDEX_FILE)).expect("there"))
                .expect("JSON");
        assert_eq!(index["metadata"], json!({"total_parameters": 36, "total_size": 72}));
        assert_eq!(
            index["weight_map"],
            json!({"t0": names[0], "t1": names[0], "t2": names[1], "t3": names[2]})
        );
        let mut data_bytes = 0;
        for name in &names {
            let bytes = std::fs::read(folder.path().join(name)).expect("there");
            let file = SafeTensors::deserialize(&bytes).expect("valid");
            data_bytes += file.iter().map(|(_, tensor)| tensor.data().len()).sum::<usize>();
            assert!(file.iter().all(|(tensor, _)| index["weight_map"][tensor] == *name));
        }
        assert_eq!(data_bytes, 72);
        let opened = rtune_models::SafetensorsFolder::open(folder.path()).expect("as our reader wants it");
        assert_eq!(rtune_models::WeightSource::names(&opened).len(), 4);
    }

    #[test]
    fn numbers_that_cannot_be_held_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |dtype, value| {
            let plan = Plan::new(tensors(&[1]), plain(dtype), 100);
            plan.write(folder.path(), &mut |_| Ok(Stored::Numbers(vec![1.0, value])))
                .map_err(|error| error.to_string())
        };
        let problem = refused(Dtype::Float16, 70_000.0).expect_err("too large");
        assert!(problem.ends_with("tensor `t0`: element 1 is 70000, which float16 cannot hold"), "{problem}");
        let hint = Plan::new(tensors(&[1]), plain(Dtype::Float16), 100)
            .write(folder.path(), &mut |_| Ok(Stored::Numbers(vec![1.0, 70_000.0])))
            .map_err(|error| (error.is_input(), error.hint()));
        assert_eq!(
            hint,
            Err((true, Some("bfloat16 reaches as far as float32: `--dtype bfloat16`".to_owned())))
        );
        refused(Dtype::Bfloat16, 70_000.0).expect("fits");
        refused(Dtype::Float32, f32::NAN).expect_err("no number");
        let plan = Plan::new(tensors(&[1]), plain(Dtype::Float32), 100);
        plan.write(folder.path(), &mut |_| Ok(Stored::Numbers(vec![1.0]))).expect_err("too few");
    }
}
