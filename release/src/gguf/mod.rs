//! A model as one GGUF file, as llama.cpp and what is built on it load it.

mod adapter;
mod blocks;
mod check;
mod choice;
mod file;
pub(crate) mod grid;
mod search;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use rtune_models::{
    Asked, BaseModel, DecoderSpec, GgufChange, GgufLayout, GgufSource, GgufTensor, GgufValue, Licence,
    TensorRole, TensorSpec,
};

use crate::calibrated::{CalibrationRow, Calibrator, RoundingError, Target};
use crate::card::is_listed;
use crate::companions::{Chat, refuse_links_out};
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::packing::Stored;
use crate::pieces::InOrder;
use crate::summed::Summed;
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
    /// What rounding did to each linear; empty where nothing was calibrated.
    pub errors: Vec<RoundingError>,
}

/// Writes the model into `path`, which appears whole or not at all. Of a table, or of any tensor that no adapter is added to,
/// some MB are in memory at a time; of what one is added to, the tensor and what it is made of. `progress` is called with
/// (tensors written, tensors in all). llama.cpp takes more from a file's name than a name: that of `about` stands in the file as
/// far as [`GgufLayout::name`] leaves it.
///
/// # Errors
/// Those of reading the base; [`ReleaseError::Model`] for what llama.cpp has no architecture, key or tokenizer for;
/// [`ReleaseError::NotEqual`] where what was written is not what was meant; [`ReleaseError::Outside`] for a tokenizer or template that
/// is a link out of the base's folder; [`ReleaseError::Exists`], [`ReleaseError::Io`].
pub fn write_gguf<'a>(
    path: &Path,
    base: &BaseModel,
    content: Content<'_>,
    kind: GgufType,
    about: impl Into<About<'a>>,
    chat: Chat<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<WrittenGguf, ReleaseError> {
    write_gguf_calibrated(path, base, content, kind, about, chat, &[], progress)
}

/// [`write_gguf`] with codes of the linears of the blocks that make up for one another, as GPTQ chooses them, by what the linears read
/// of `rows`; without rows each number has the nearest code. The layout of a file, and what reads it, is the same.
///
/// # Errors
/// As [`write_gguf`]; [`ReleaseError::Unwritable`] for experts, [`ReleaseError::Uncalibrated`] for rows that the linears make no finite
/// numbers of.
#[expect(clippy::too_many_arguments, reason = "what is written, how, and of what it is said")]
pub fn write_gguf_calibrated<'a>(
    path: &Path,
    base: &BaseModel,
    content: Content<'_>,
    kind: GgufType,
    about: impl Into<About<'a>>,
    chat: Chat<'_>,
    rows: &[CalibrationRow],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<WrittenGguf, ReleaseError> {
    if !rows.is_empty() && base.config.differences.experts.is_some() {
        let path = base.weights.path().to_owned();
        let problem =
            "blocks are calibrated for linears that every token goes through, and this model has experts";
        return Err(ReleaseError::Unwritable { path, problem: problem.to_owned() });
    }
    // Template and tokenizer stand in the file.
    refuse_links_out(base)?;
    let Chat { template, end_of_turn, stop_tokens } = chat;
    let layout = GgufLayout::new(base, Asked { template, end_of_turn, stop_tokens })?;
    let spec = DecoderSpec::new(&base.config);
    // It would be lost.
    spec.refuse_unread(base.weights.as_ref())?;
    let specs = spec.tensors();
    let mut computer = Computer::new(base, content, Dtype::Float32);
    let types: Vec<_> = layout.tensors.iter().map(|tensor| kind.of(tensor, &layout, &base.config)).collect();
    let mut metadata = layout.metadata.clone();
    let about = about.into();
    let name = GgufLayout::name(base, about.name);
    metadata.splice(1..1, About { name: &name, ..about }.metadata("model", kind));
    let entries = layout.tensors.iter().zip(&types);
    let entries: Vec<Entry<'_>> = entries
        .map(|(tensor, element)| Entry { name: &tensor.name, shape: &tensor.shape, element: *element })
        .collect();
    let mut file = File::begin(path, &metadata, &entries)?;
    let summed = Summed::new(base, content, Dtype::Float32)?;
    let mut calibrator = match rows {
        [] => None,
        rows => {
            let target = Target::Blocks(elements(&layout, &types, &specs));
            Some(Calibrator::begin(&summed, target, rows)?)
        }
    };
    for (done, (tensor, element)) in layout.tensors.iter().zip(&types).enumerate() {
        progress(done, layout.tensors.len());
        match calibrator.as_mut().filter(|calibrator| calibrator.has(tensor)) {
            Some(calibrator) => add_blocks(&mut file, tensor, &specs, calibrator)?,
            None => add(&mut file, tensor, *element, &specs, &mut computer)?,
        }
    }
    let errors = calibrator.map(|calibrator| calibrator.errors).unwrap_or_default();
    let tensors = layout.tensors.len();
    progress(tensors, tensors);
    check::refuse_other(file.path()?, path, base, layout.repeats_embedding)?;
    let (size_bytes, sha256) = file.finish()?;
    let begins =
        layout.metadata.iter().any(|(key, value)| key == ADDS_BEGIN && *value == GgufValue::Switch(true));
    let linears = [summed.found().0, computer.linears].concat();
    Ok(WrittenGguf { tensors, size_bytes, sha256, begins, linears, errors })
}

/// The element types of the linears of the blocks, by the names of the model's tensors.
fn elements(layout: &GgufLayout, types: &[GgmlDType], specs: &[TensorSpec]) -> BTreeMap<String, GgmlDType> {
    let mut elements = BTreeMap::new();
    for (tensor, element) in layout.tensors.iter().zip(types) {
        let GgufSource::Tensors(names, _) = &tensor.from else { continue };
        let is_linear = |name: &&String| {
            let spec = specs.iter().find(|spec| spec.name == **name);
            spec.is_some_and(|spec| spec.role == TensorRole::BlockLinear)
        };
        elements.extend(names.iter().filter(is_linear).map(|name| (name.clone(), *element)));
    }
    elements.retain(|_, element| grid::Grid::of(*element).is_some());
    elements
}

/// A tensor whose blocks were calibrated.
fn add_blocks(
    file: &mut File,
    tensor: &GgufTensor,
    specs: &[TensorSpec],
    calibrator: &mut Calibrator<'_>,
) -> Result<(), ReleaseError> {
    let GgufSource::Tensors(names, change) = &tensor.from else { return Ok(()) };
    for name in names {
        let spec = specs.iter().find(|spec| spec.name == *name);
        let spec = spec.expect("the layout names the decoder's tensors");
        let Stored::Parts(parts) = calibrator.stored(spec)? else {
            let problem = "it was not calibrated".to_owned();
            return Err(ReleaseError::Uncalibrated { linear: name.clone(), problem });
        };
        file.put(&in_order(&parts.concat(), *change, spec.shape[0]))?;
    }
    file.align()
}

/// Rows of bytes in the order of the file: a change of a linear moves its rows, and blocks lie along rows.
fn in_order(bytes: &[u8], change: GgufChange, rows: usize) -> Vec<u8> {
    // Numbers up to 2^24 are exact; no linear has more outputs.
    let order = change.apply((0..rows).map(|row| row as f32).collect(), rows);
    let length = bytes.len() / rows;
    order.iter().flat_map(|row| &bytes[*row as usize * length..][..length]).copied().collect()
}

/// What a file says of itself. A name alone is one too.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the model is called.
    pub name: &'a str,
    /// What the base says of its licence, if that is passed on.
    pub licence: Option<&'a Licence>,
}

impl<'a> From<&'a str> for About<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, licence: None }
    }
}

impl About<'_> {
    /// What stands behind the architecture, which readers want first.
    fn metadata(&self, what: &str, kind: GgufType) -> Vec<(String, GgufValue)> {
        let text = |key: &str, text: &str| (key.to_owned(), GgufValue::Text(text.to_owned()));
        let size = |key: &str, size: u32| (key.to_owned(), GgufValue::Size(size));
        let mut metadata = vec![text("general.type", what), text("general.name", self.name)];
        if let Some(licence) = self.licence {
            match licence.ids.as_slice() {
                [] => {}
                [id] if is_listed(id) => metadata.push(text("general.license", id)),
                ids => metadata.extend([
                    text("general.license", "other"),
                    text("general.license.name", &ids.join(", ")),
                ]),
            }
            metadata.extend(licence.link.iter().map(|link| text("general.license.link", link)));
        }
        metadata.extend([
            size("general.file_type", kind.number()),
            size("general.quantization_version", QUANTIZATION_VERSION),
        ]);
        metadata
    }
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
