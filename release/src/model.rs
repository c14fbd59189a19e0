//! A model as transformers loads it: the base, or the base with an adapter in it.

use std::collections::BTreeMap;

use rtune_adapters::peft::{self, PeftAdapter};
use rtune_models::{BaseModel, DecoderSpec, ModelError, TensorRole};

use crate::checkpoint::VerifiedCheckpoint;
use crate::companions::{self, Chat};
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::folder::NewFolder;
use crate::shards::Plan;
use crate::weights::{Computer, Content, LinearFigures, Rounding, check_adapter, refuse_missing};

/// How a model is laid out on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The element type of all tensors.
    pub dtype: Dtype,
    /// Most bytes of tensors in one file; a larger tensor has a file of its own.
    pub shard_bytes: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Tensors.
    pub tensors: usize,
    /// Their bytes.
    pub size_bytes: u64,
    /// Files of weights to their SHA-256.
    pub files: BTreeMap<String, String>,
    /// Every adapted linear; empty for a base alone.
    pub linears: Vec<LinearFigures>,
    /// What rounding did.
    pub rounding: Rounding,
}

/// An adapter whose files are those of its checkpoint's manifest, and that fits a base.
#[derive(Clone, Debug)]
pub struct VerifiedAdapter {
    /// Settings and tensors.
    pub adapter: PeftAdapter,
    /// Its files to their SHA-256.
    pub files: BTreeMap<String, String>,
}

impl VerifiedAdapter {
    /// Reads the adapter of the checkpoint `folder`.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::open`]; [`ReleaseError::Adapter`] for what cannot be read or belongs to another model,
    /// [`ReleaseError::Untrained`] for a `lora_B` of zeros.
    pub fn open(folder: &std::path::Path, base: &BaseModel) -> Result<Self, ReleaseError> {
        let checkpoint = VerifiedCheckpoint::open(folder, &[peft::CONFIG_FILE, peft::WEIGHTS_FILE])?;
        let adapter = peft::read(folder)?;
        let spec = DecoderSpec::new(&base.config);
        check_adapter(&adapter, &spec, folder)?;
        for (name, bytes) in checkpoint.files() {
            if name == peft::CONFIG_FILE {
                refuse_missing(bytes, &adapter, &spec, folder)?;
            }
        }
        Ok(Self { adapter, files: checkpoint.hashes() })
    }
}

/// The element type of the base's linears, where they are not packed.
#[must_use]
pub fn dtype_of(base: &BaseModel) -> Option<Dtype> {
    let tensors = DecoderSpec::new(&base.config).tensors();
    let linear = tensors.iter().find(|tensor| tensor.role == TensorRole::BlockLinear)?;
    Dtype::of(base.weights.precision(&linear.name)?)
}

/// Writes `config.json`, weights, tokenizer, chat template and `generation_config.json` into `folder`. One tensor of the
/// base, what is added to it and their sum are in memory at a time. `progress` is called with (tensors written,
/// tensors in all).
///
/// A base that came as a folder hands on its tokenizer, and JSON that is not known here, as they are; one that came as a
/// GGUF file gets them written from it. A tied head is not written twice.
///
/// # Errors
/// Those of reading the base; [`ReleaseError::Unwritable`] for a number that the element type cannot hold or a
/// configuration that transformers has no keys for; [`ReleaseError::Io`].
pub fn write_model(
    folder: &NewFolder,
    base: &BaseModel,
    content: Content<'_>,
    layout: Layout,
    chat: Chat<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Written, ReleaseError> {
    let spec = DecoderSpec::new(&base.config);
    let tensors = spec.tensors();
    refuse_unknown(base, &spec)?;
    companions::write_model(folder, base, layout.dtype, chat)?;
    let plan = Plan::new(tensors, layout.dtype, layout.shard_bytes);
    let (mut done, total) = (0, plan.tensor_count());
    let mut computer = Computer::new(base, content, layout.dtype);
    let files = plan.write(folder.path(), &mut |tensor| {
        let values = computer.values(tensor)?;
        done += 1;
        progress(done, total);
        Ok(values)
    })?;
    Ok(Written {
        tensors: total,
        size_bytes: plan.size_bytes(),
        files: files.into_iter().map(|file| (file.name, file.sha256)).collect(),
        linears: computer.linears,
        rounding: computer.rounding,
    })
}

/// A tensor that the decoder has no place for would be lost.
fn refuse_unknown(base: &BaseModel, spec: &DecoderSpec) -> Result<(), ReleaseError> {
    let tensors = spec.tensors();
    let known = |name: &String| spec.passes_over(name) || tensors.iter().any(|tensor| tensor.name == *name);
    match base.weights.names().into_iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(tensor) => {
            let path = base.weights.path().to_owned();
            let problem = "the configuration has no place for it".to_owned();
            Err(ModelError::Tensor { path, tensor, problem }.into())
        }
    }
}
