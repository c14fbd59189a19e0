//! A model as transformers loads it: the base, or the base with an adapter in it.

use std::collections::BTreeMap;

use rtune_adapters::LoraConfig;
use rtune_adapters::peft::{self, AdapterTensor, PeftAdapter};
use rtune_models::{BaseModel, DecoderSpec, TensorRole, TensorSpec};
use safetensors::SafeTensors;

use crate::calibrated::{CalibrationRow, Calibrator, RoundingError, Target};
use crate::change::beginning;
use crate::checkpoint::VerifiedCheckpoint;
use crate::companions::{self, Chat};
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::fits::{check_adapter, idle, refuse_missing};
use crate::folder::NewFolder;
use crate::packing::{Packing, Stored};
use crate::shards::{Held, Plan};
use crate::summed::Summed;
use crate::weights::{Content, LinearFigures, Rounding};

/// How a model is laid out on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The element type of all tensors.
    pub dtype: Dtype,
    /// Most bytes of tensors in one file; a larger tensor has a file of its own.
    pub shard_bytes: u64,
    /// How the linears of the blocks are quantised, if they are.
    pub packing: Option<Packing>,
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
    /// What rounding did to numbers that are not packed.
    pub rounding: Rounding,
    /// What it did to linears that were calibrated; empty where none was.
    pub errors: Vec<RoundingError>,
}

/// An adapter whose files are those of its checkpoint's manifest, and that fits a base.
#[derive(Clone, Debug)]
pub struct VerifiedAdapter {
    /// Settings and tensors. Of a run that trained every number of its base, these are the tensors.
    pub adapter: PeftAdapter,
    /// The adapter as it began, where that is something of the base: what was taken off it before it was quantised (PiSSA), or
    /// what quantising took (LoftQ), as its `start` says.
    pub initial: Option<PeftAdapter>,
    /// Its files to their SHA-256.
    pub files: BTreeMap<String, String>,
}

impl VerifiedAdapter {
    /// Reads the adapter of the checkpoint `folder`.
    ///
    /// # Errors
    /// As [`VerifiedCheckpoint::open`]; [`ReleaseError::Adapter`] for what cannot be read or belongs to another model,
    /// [`ReleaseError::Untrained`] where every `lora_B` is zeros.
    pub fn open(folder: &std::path::Path, base: &BaseModel) -> Result<Self, ReleaseError> {
        let spec = DecoderSpec::new(&base.config);
        if is_full(folder) {
            let checkpoint = VerifiedCheckpoint::open(folder, &[FULL_FILE])?;
            let tensors = own_tensors(&checkpoint, FULL_FILE, folder)?;
            let adapter =
                PeftAdapter { config: LoraConfig::new(1, 1.0), tensors, left_out: 0, base_model: None };
            check_adapter(&adapter, &spec, folder)?;
            return Ok(Self { adapter, initial: None, files: checkpoint.hashes() });
        }
        let mut wanted = vec![peft::CONFIG_FILE, peft::WEIGHTS_FILE];
        let changed = folder.join(INITIAL_FILE).is_file();
        wanted.extend(changed.then_some(INITIAL_FILE));
        let checkpoint = VerifiedCheckpoint::open(folder, &wanted)?;
        let adapter = checkpoint.adapter(folder, changed)?;
        let mut initial = None;
        if changed {
            let tensors = own_tensors(&checkpoint, INITIAL_FILE, folder)?;
            initial = Some(PeftAdapter { tensors, ..adapter.clone() });
        }
        check_adapter(&adapter, &spec, folder)?;
        refuse_missing(checkpoint.file(peft::CONFIG_FILE), &adapter, &spec, folder)?;
        Ok(Self { adapter, initial, files: checkpoint.hashes() })
    }

    /// The linears that the adapter has a pair for and leaves as they are: those of an expert that no token was sent to.
    #[must_use]
    pub fn idle(&self) -> Vec<&str> {
        idle(&self.adapter)
    }

    /// Looks that what the adapter holds of its base is known, for whoever puts it beside the whole base.
    ///
    /// # Errors
    /// [`ReleaseError::NoBeginning`].
    pub fn refuse_lost_beginning(&self) -> Result<(), ReleaseError> {
        beginning(&self.adapter, self.initial.as_ref()).map(drop)
    }
}

/// Every number of a base, trained, in a checkpoint.
const FULL_FILE: &str = "model.safetensors";
/// The adapter as it began, in a checkpoint.
pub(crate) const INITIAL_FILE: &str = "initial.safetensors";

/// Whether the checkpoint has no adapter, but every number of the base.
#[must_use]
pub fn is_full(folder: &std::path::Path) -> bool {
    folder.join(FULL_FILE).is_file() && !folder.join(peft::CONFIG_FILE).is_file()
}

/// The tensors of a file that a run wrote under its own names, f32.
pub(crate) fn own_tensors(
    checkpoint: &VerifiedCheckpoint,
    file: &str,
    folder: &std::path::Path,
) -> Result<BTreeMap<String, AdapterTensor>, ReleaseError> {
    let path = folder.join(file);
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.clone(), problem };
    let tensors =
        SafeTensors::deserialize(checkpoint.file(file)).map_err(|error| unreadable(error.to_string()))?;
    let mut found = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        if tensor.dtype() != safetensors::Dtype::F32 {
            return Err(unreadable(format!("`{name}`: expected F32, found {:?}", tensor.dtype())));
        }
        let numbers = tensor.data().as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
        let values: Vec<f32> = numbers.collect();
        found.insert(name.to_owned(), AdapterTensor { shape: tensor.shape().to_vec(), values });
    }
    Ok(found)
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
/// tensors in all). `rows` are read by [`Packing::Calibrated`] alone: one block of the base is in memory then, and what the rows
/// are before it.
///
/// A base that came as a folder hands on its tokenizer, and JSON that is not known here, as they are; one that came as a
/// GGUF file gets them written from it. A tied head is not written twice.
///
/// # Errors
/// Those of reading the base; [`ReleaseError::Unwritable`] for a number that the element type cannot hold or a
/// configuration that transformers has no keys for; [`ReleaseError::Uncalibrated`]; [`ReleaseError::Overflow`];
/// [`ReleaseError::Io`].
pub fn write_model(
    folder: &NewFolder,
    base: &BaseModel,
    content: Content<'_>,
    layout: Layout,
    chat: Chat<'_>,
    rows: &[CalibrationRow],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Written, ReleaseError> {
    let spec = DecoderSpec::new(&base.config);
    let tensors = spec.tensors();
    // It would be lost.
    spec.refuse_unread(base.weights.as_ref())?;
    if let Some(packing) = layout.packing {
        refuse_unquantizable(base, &spec, packing)?;
    }
    companions::write_model(folder, base, layout, chat)?;
    let held = Held { dtype: layout.dtype, packing: layout.packing };
    let plan = Plan::new(tensors, held, layout.shard_bytes);
    let (mut done, total) = (0, plan.tensor_count());
    let mut write = |values: &mut dyn FnMut(&TensorSpec) -> Result<Stored, ReleaseError>| {
        plan.write(folder.path(), &mut |tensor| {
            let values = values(tensor)?;
            done += 1;
            progress(done, total);
            Ok(values)
        })
    };
    let summed = Summed::new(base, content, layout.dtype)?;
    let (files, errors) = match layout.packing {
        Some(Packing::Calibrated(settings)) => {
            let mut calibrator = Calibrator::begin(&summed, Target::Packed(settings, layout.dtype), rows)?;
            (write(&mut |tensor| calibrator.stored(tensor))?, calibrator.errors)
        }
        _ => {
            let mut values = |tensor: &TensorSpec| {
                let values = summed.values(tensor)?;
                summed.count(&values);
                Ok(Stored::Numbers(values))
            };
            (write(&mut values)?, Vec::new())
        }
    };
    let (linears, rounding) = summed.found();
    Ok(Written {
        tensors: total,
        size_bytes: plan.size_bytes(),
        files: files.into_iter().map(|file| (file.name, file.sha256)).collect(),
        linears,
        rounding,
        errors,
    })
}

/// What is not packed here, or was by bitsandbytes before.
fn refuse_unquantizable(base: &BaseModel, spec: &DecoderSpec, packing: Packing) -> Result<(), ReleaseError> {
    let path = base.weights.path().to_owned();
    if base.config.differences.experts.is_some() {
        let problem = "4 bits are for linears, and transformers keeps experts otherwise".to_owned();
        return Err(ReleaseError::Unwritable { path, problem });
    }
    if matches!(packing, Packing::Calibrated(_)) {
        return Ok(());
    }
    if let Some(tensor) = spec.tensors().iter().find(|tensor| base.weights.is_nf4(&tensor.name)) {
        let problem =
            format!("`{}` came in bitsandbytes' 4 bits: rounding it again would change it", tensor.name);
        return Err(ReleaseError::Unwritable { path, problem });
    }
    Ok(())
}
