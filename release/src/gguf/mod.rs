//! A model as one GGUF file, as llama.cpp and what is built on it load it.

mod adapter;
mod blocks;
mod check;
mod choice;
mod file;
mod search;

use std::path::Path;

use candle_core::quantized::GgmlDType;
use rtune_models::{BaseModel, DecoderSpec, GgufLayout, GgufSource, GgufTensor, GgufValue, TensorSpec};

use crate::companions::Chat;
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::pieces::InOrder;
use crate::weights::{Computer, Content, LinearFigures};
use file::{Entry, File};

pub use adapter::write_gguf_adapter;
pub use choice::GgufType;

/// `GGML_QNT_VERSION`: that of the blocks' layouts.
const QUANTIZATION_VERSION: u32 = 2;
/// The key that says whether a tokenizer puts the token that begins a document before every prompt.
const ADDS_BEGIN: &str = "tokenizer.ggml.add_bos_token";

/// What was written.
#[derive(Clone, Debug)]
pub struct WrittenGguf {
    /// Tensors.
    pub tensors: usize,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Whether its tokenizer puts the token that begins a document before every prompt.
    pub begins: bool,
    /// Every adapted linear; empty for a base alone.
    pub linears: Vec<LinearFigures>,
}

/// Writes the model into `path`, which appears whole or not at all. Of a table, or of any tensor that no adapter is added to,
/// some MB are in memory at a time; of what one is added to, the tensor and what it is made of. `progress` is called with
/// (tensors written, tensors in all). llama.cpp takes more from a file's name than a name: `name` stands in the file as far as
/// [`GgufLayout::name`] leaves it.
///
/// # Errors
/// Those of reading the base; [`ReleaseError::Model`] for what llama.cpp has no architecture, key or tokenizer for;
/// [`ReleaseError::NotEqual`] where what was written is not what was meant; [`ReleaseError::Exists`], [`ReleaseError::Io`].
pub fn write_gguf(
    path: &Path,
    base: &BaseModel,
    content: Content<'_>,
    kind: GgufType,
    name: &str,
    chat: Chat<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<WrittenGguf, ReleaseError> {
    let layout = GgufLayout::new(base, chat.template, chat.stop_tokens)?;
    let specs = DecoderSpec::new(&base.config).tensors();
    let mut computer = Computer::new(base, content, Dtype::Float32);
    let types: Vec<_> = layout.tensors.iter().map(|tensor| kind.of(tensor, &layout, &base.config)).collect();
    let mut metadata = layout.metadata.clone();
    let name = GgufLayout::name(base, name);
    metadata.splice(1..1, about("model", &name, kind));
    let entries = layout.tensors.iter().zip(&types);
    let entries: Vec<Entry<'_>> = entries
        .map(|(tensor, element)| Entry { name: &tensor.name, shape: &tensor.shape, element: *element })
        .collect();
    let mut file = File::begin(path, &metadata, &entries)?;
    for (done, (tensor, element)) in layout.tensors.iter().zip(&types).enumerate() {
        progress(done, layout.tensors.len());
        add(&mut file, tensor, *element, &specs, &mut computer)?;
    }
    let tensors = layout.tensors.len();
    progress(tensors, tensors);
    check::refuse_other(file.path()?, path, base)?;
    let (size_bytes, sha256) = file.finish()?;
    let begins =
        layout.metadata.iter().any(|(key, value)| key == ADDS_BEGIN && *value == GgufValue::Switch(true));
    Ok(WrittenGguf { tensors, size_bytes, sha256, begins, linears: computer.linears })
}

/// What every file says of itself behind its architecture, which readers want first.
fn about(what: &str, name: &str, kind: GgufType) -> [(String, GgufValue); 4] {
    [
        ("general.type", GgufValue::Text(what.to_owned())),
        ("general.name", GgufValue::Text(name.to_owned())),
        ("general.file_type", GgufValue::Size(kind.number())),
        ("general.quantization_version", GgufValue::Size(QUANTIZATION_VERSION)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
}

fn add(
    file: &mut File,
    tensor: &GgufTensor,
    element: GgmlDType,
    specs: &[TensorSpec],
    computer: &mut Computer<'_>,
) -> Result<(), ReleaseError> {
    let columns = *tensor.shape.last().unwrap_or(&1);
    let encode = |values: &[f32]| {
        let fault = |problem| ReleaseError::Element { tensor: tensor.name.clone(), problem };
        blocks::encode(values, columns, element).map_err(fault)
    };
    match &tensor.from {
        GgufSource::Numbers(values) => file.put(&encode(values)?)?,
        GgufSource::Tensors(names, change) => {
            for name in names {
                let spec = specs.iter().find(|spec| spec.name == *name);
                let spec = spec.expect("the layout names the decoder's tensors");
                if change.is_none() {
                    let mut put = |bytes: &[u8]| file.put(bytes);
                    let in_order = InOrder::new(&mut put);
                    computer.pieces(spec, &|number, rows| in_order.add(number, encode(&rows)?))?;
                } else {
                    let values = change.apply(computer.values(spec)?, spec.shape[0]);
                    file.put(&encode(&values)?)?;
                }
            }
        }
    }
    file.align()
}

#[cfg(test)]
mod tests;
