//! A model as one GGUF file, as llama.cpp and what is built on it load it.

mod blocks;
mod check;
mod choice;
mod file;

use std::path::Path;

use rtune_models::{BaseModel, DecoderSpec, GgufLayout, GgufSource, GgufTensor, TensorSpec};

use crate::companions::Chat;
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::weights::{Computer, Content, LinearFigures};
use file::File;

pub use choice::GgufType;

/// What was written.
#[derive(Clone, Debug)]
pub struct WrittenGguf {
    /// Tensors.
    pub tensors: usize,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Every adapted linear; empty for a base alone.
    pub linears: Vec<LinearFigures>,
}

/// Writes the model into `path`, which appears whole or not at all. One tensor is in memory at a time, and what it is made
/// of. `progress` is called with (tensors written, tensors in all).
///
/// # Errors
/// Those of reading the base; [`ReleaseError::Model`] for what llama.cpp has no architecture, key or tokenizer for;
/// [`ReleaseError::Exists`], [`ReleaseError::Io`].
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
    let mut file = File::begin(path, &layout, &types, kind, name)?;
    for (done, (tensor, element)) in layout.tensors.iter().zip(&types).enumerate() {
        progress(done, layout.tensors.len());
        let values = values(tensor, &specs, &mut computer)?;
        let columns = *tensor.shape.last().unwrap_or(&1);
        let fault = |problem| ReleaseError::Element { tensor: tensor.name.clone(), problem };
        file.add(&blocks::encode(&values, columns, *element).map_err(fault)?)?;
    }
    let tensors = layout.tensors.len();
    progress(tensors, tensors);
    check::refuse_other(file.path()?, path, base)?;
    let (size_bytes, sha256) = file.finish()?;
    Ok(WrittenGguf { tensors, size_bytes, sha256, linears: computer.linears })
}

fn values(
    tensor: &GgufTensor,
    specs: &[TensorSpec],
    computer: &mut Computer<'_>,
) -> Result<Vec<f32>, ReleaseError> {
    let (names, change) = match &tensor.from {
        GgufSource::Numbers(values) => return Ok(values.clone()),
        GgufSource::Tensors(names, change) => (names, *change),
    };
    let mut all = Vec::with_capacity(tensor.shape.iter().product());
    for name in names {
        let spec =
            specs.iter().find(|spec| spec.name == *name).expect("the layout names the decoder's tensors");
        let values = computer.values(spec)?;
        all.append(&mut change.apply(values, spec.shape[0]));
    }
    Ok(all)
}
