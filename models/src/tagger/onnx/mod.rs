//! Weights of an ONNX file, under the names that transformers gives them.
//!
//! The file is not run: its constants are taken out. Those that the exporter has renamed (`onnx::MatMul_743`) are named
//! after the operation that multiplies by them, which carries the module's path.

mod proto;
mod tensor;
mod unpack;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use prost::Message;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use self::proto::{Graph, Model, Node};
use self::tensor::{Constant, Values};
use super::weights::Expected;
use crate::ModelError;

/// Longest file, in bytes: a large BERT in 4 bits has 220 MB. What is decoded takes some ten times its bytes in memory
/// where it is made to do harm.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The key of the metadata under which what was unpacked says of which file it is.
const SOURCE_KEY: &str = "unpacked_from_sha256";
/// Longest header of a safetensors file that is looked at for it: the tensors of a BERT take some 100 bytes each.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) tensors: HashMap<String, Vec<f32>>,
    /// Of the file that it came from, in hex.
    pub(super) sha256: String,
}

/// The tensors of `expected`, each with the shape that is expected of it.
///
/// # Errors
/// [`ModelError::Damaged`] when the file is no ONNX file, [`ModelError::Tensor`] when a tensor does not fit what is
/// said of it or what is expected or stands there twice, [`ModelError::MissingTensor`] when one is not there.
pub(super) fn unpack(path: &Path, expected: &Expected) -> Result<Unpacked, ModelError> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(ModelError::io(path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ModelError::damaged(path, format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    let no_onnx = |problem: String| ModelError::damaged(path, format!("this is no ONNX file: {problem}"));
    let model = Model::decode(bytes.as_slice()).map_err(|error| no_onnx(error.to_string()))?;
    let sha256 = crate::hub::hex(&Sha256::digest(&bytes));
    drop(bytes);
    let graph = model.graph.ok_or_else(|| no_onnx("it has no graph".to_owned()))?;
    let wanted: HashMap<&str, &[usize]> =
        expected.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let tensors = Reader::new(path, &graph).matrices(&wanted)?;
    match expected.iter().find(|(name, _)| !tensors.contains_key(name)) {
        Some((name, _)) => Err(ModelError::MissingTensor { path: path.to_owned(), tensor: name.clone() }),
        None => Ok(Unpacked { tensors, sha256 }),
    }
}

/// The sha256 of a file, in hex.
pub(super) fn sha256(path: &Path) -> Result<String, ModelError> {
    let (mut file, mut hash) = (File::open(path).map_err(ModelError::io(path))?, Sha256::new());
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part).map_err(ModelError::io(path))? {
            0 => return Ok(crate::hub::hex(&hash.finalize())),
            count => hash.update(&part[..count]),
        }
    }
}

/// The sha256 of the file that the safetensors file at `path` was unpacked from, if it says that it was; whoever reads its
/// tensors says what else is wrong with it.
pub(super) fn source_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(MAX_HEADER_BYTES)).read_to_end(&mut header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header["__metadata__"][SOURCE_KEY].as_str().map(str::to_owned)
}

/// Writes what was unpacked as safetensors: beside its place, synced, then renamed; what was unpacked of another file, or was
/// less, is replaced. Where that fails, as in a folder that may not be written, nothing is left and the next reader unpacks
/// again.
pub(super) fn keep(path: &Path, expected: &Expected, unpacked: &Unpacked) {
    let Some(folder) = path.parent() else { return };
    let views: BTreeMap<&str, TensorView<'_>> = expected
        .iter()
        .filter_map(|(name, shape)| {
            let bytes = bytemuck::cast_slice(unpacked.tensors.get(name)?);
            Some((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).ok()?))
        })
        .collect();
    let metadata = [("format", "pt"), (SOURCE_KEY, unpacked.sha256.as_str())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let Ok(bytes) = safetensors::serialize(&views, Some(metadata)) else { return };
    let Ok(mut file) = tempfile::NamedTempFile::new_in(folder) else { return };
    if file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).is_ok() {
        // Somebody else's file is never replaced, and whoever was faster has written the same bytes.
        let _ = match source_of(path) {
            Some(_) => file.persist(path),
            None => file.persist_noclobber(path),
        };
    }
}

/// The constants of a graph by name, and what uses them.
struct Reader<'g> {
    path: &'g Path,
    graph: &'g Graph,
    constants: HashMap<&'g str, &'g proto::TensorProto>,
    /// Which constant an output of `Gather` is rows of.
    gathered: HashMap<&'g str, &'g str>,
}

impl<'g> Reader<'g> {
    fn new(path: &'g Path, graph: &'g Graph) -> Self {
        let constants: HashMap<&str, _> =
            graph.initializer.iter().map(|constant| (constant.name.as_str(), constant)).collect();
        let gathers = graph.node.iter().filter(|node| node.op_type == "Gather");
        let gathered =
            gathers.filter_map(|node| Some((node.output.first()?.as_str(), node.input.first()?.as_str())));
        Self { path, graph, gathered: gathered.collect(), constants }
    }

    /// The wanted matrices and vectors under their names, with the shapes that are wanted.
    fn matrices(&self, wanted: &HashMap<&str, &[usize]>) -> Result<HashMap<String, Vec<f32>>, ModelError> {
        let mut matrices = HashMap::new();
        for (name, shape) in wanted.iter().filter(|(name, _)| self.constants.contains_key(**name)) {
            let constant = self.constant(name)?;
            if let Values::Float(values) = constant.values {
                unpack::fits(shape, &constant.shape)
                    .map_err(|problem| ModelError::tensor(self.path, name, problem))?;
                matrices.insert((*name).to_owned(), values);
            }
        }
        for node in &self.graph.node {
            let Some(name) = self.result_name(node) else { continue };
            let Some(shape) = wanted.get(name.as_str()) else { continue };
            // Else a small file could have one constant unpacked any number of times.
            if matrices.contains_key(&name) {
                return Err(ModelError::tensor(self.path, &name, "stands in the file twice"));
            }
            let input = |at: usize| node.input.get(at).map(String::as_str).filter(|name| !name.is_empty());
            let optional = |at: usize| input(at).map(|name| self.constant(name)).transpose();
            let required = |at: usize| {
                optional(at)?.ok_or_else(|| {
                    ModelError::tensor(self.path, &name, format!("{} has no input {at}", node.op_type))
                })
            };
            let unpacked = match node.op_type.as_str() {
                "MatMulNBits" if input(4).is_some() => Err("groups (`g_idx`) are not read".to_owned()),
                "MatMulNBits" => {
                    unpack::matmul_n_bits(node, shape, &required(1)?, &required(2)?, optional(3)?.as_ref())
                }
                "DequantizeLinear" => {
                    let packed = self.constant(self.packed(node).unwrap_or_default())?;
                    unpack::dequantize_linear(node, shape, &packed, &required(1)?, optional(2)?.as_ref())
                }
                _ => unpack::transposed(shape, &required(1)?),
            };
            let matrix = unpacked.map_err(|problem| ModelError::tensor(self.path, &name, problem))?;
            matrices.insert(name, matrix);
        }
        Ok(matrices)
    }

    /// What transformers calls the weight that an operation multiplies by or looks up; `None` for other operations.
    fn result_name(&self, node: &'g Node) -> Option<String> {
        match node.op_type.as_str() {
            "MatMulNBits" => module(&node.name),
            // Attention multiplies activations, which are no constants.
            "MatMul" if node.input.get(1).is_some_and(|name| self.constants.contains_key(name.as_str())) => {
                module(&node.name)
            }
            "DequantizeLinear" => self.packed(node)?.strip_suffix("_quantized").map(str::to_owned),
            _ => None,
        }
    }

    /// The constant that `DequantizeLinear` unpacks, itself or rows of it.
    fn packed(&self, node: &'g Node) -> Option<&'g str> {
        let input = node.input.first()?.as_str();
        let name = self.gathered.get(input).copied().unwrap_or(input);
        self.constants.contains_key(name).then_some(name)
    }

    fn constant(&self, name: &str) -> Result<Constant<'g>, ModelError> {
        let missing = || ModelError::MissingTensor { path: self.path.to_owned(), tensor: name.to_owned() };
        Constant::new(self.path, self.constants.get(name).ok_or_else(missing)?)
    }
}

/// `/bert/encoder/layer.0/attention/self/query/MatMul_Q4` is the weight of `bert.encoder.layer.0.attention.self.query`.
fn module(node: &str) -> Option<String> {
    let (module, _) = node.strip_prefix('/')?.rsplit_once("/MatMul")?;
    Some(format!("{}.weight", module.replace('/', ".")))
}

#[cfg(test)]
mod tests;
