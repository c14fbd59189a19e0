//! An adapter as a GGUF file, which llama.cpp adds to its base while it runs.
//!
//! Format as `convert_lora_to_gguf.py` of llama.cpp has it: `A` under the name of its tensor and `.lora_a`, `B` under
//! `.lora_b`, and one alpha for all. What llama.cpp adds is `alpha / rank · B A`, with the rank of each pair.

use std::path::Path;

use rtune_adapters::peft::{AdapterTensor, PeftAdapter};
use rtune_models::{BaseModel, GgufChange, GgufLayout, GgufSource, GgufValue};

use super::file::{Entry, File};
use super::{About, GgufType, WrittenGguf, blocks};
use crate::change::{beginning, beside_products};
use crate::error::ReleaseError;
use crate::model::VerifiedAdapter;
use crate::plain;

/// One pair under llama.cpp's name, its rows as llama.cpp has them.
struct Pair {
    name: String,
    a: AdapterTensor,
    b: AdapterTensor,
    /// Rank times factor: the alpha that this pair wants.
    alpha: f64,
}

/// Writes the adapter of the checkpoint `folder` into `path`, which appears whole or not at all, for a GGUF file of its base.
/// `kind` is F32, F16 or BF16. One that stands beside what PiSSA left of a base, or makes up for what quantising took from it, is
/// written as one beside the whole base.
///
/// # Errors
/// [`ReleaseError::NotPlain`] for what llama.cpp's adapters have no place for; [`ReleaseError::NoBeginning`]; [`ReleaseError::Model`] for a base that
/// llama.cpp does not have; [`ReleaseError::Unwritable`] for adapted experts or a type of whole blocks;
/// [`ReleaseError::Exists`], [`ReleaseError::Io`].
pub fn write_gguf_adapter<'a>(
    path: &Path,
    base: &BaseModel,
    adapter: &VerifiedAdapter,
    folder: &Path,
    kind: GgufType,
    about: impl Into<About<'a>>,
) -> Result<WrittenGguf, ReleaseError> {
    if let Some(found) = beside_products(adapter, folder) {
        let wanted = "written as an adapter for llama.cpp";
        return Err(ReleaseError::NotPlain { path: folder.to_owned(), wanted, found });
    }
    let unwritable =
        |problem: &str| ReleaseError::Unwritable { path: path.to_owned(), problem: problem.to_owned() };
    if !matches!(kind, GgufType::F32 | GgufType::F16 | GgufType::Bf16) {
        return Err(unwritable("an adapter's rows are no whole blocks: expected f32, f16 or bf16"));
    }
    beginning(&adapter.adapter, adapter.initial.as_ref())?;
    // Tokens are the business of the base's file.
    let layout = GgufLayout::without_tokenizer(base)?;
    let pairs = pairs(&layout, adapter).map_err(|problem| unwritable(&problem))?;
    // The alpha of the first; where another pair wants another, its `B` is multiplied.
    let alpha = pairs.first().map_or(1.0, |pair| pair.alpha);
    let element = kind.element();
    let names: Vec<[String; 2]> =
        pairs.iter().map(|pair| ["lora_a", "lora_b"].map(|half| format!("{}.{half}", pair.name))).collect();
    let entries = pairs.iter().zip(&names).flat_map(|(pair, [a, b])| {
        [Entry { name: a, shape: &pair.a.shape, element }, Entry { name: b, shape: &pair.b.shape, element }]
    });
    let mut metadata =
        vec![("general.architecture".to_owned(), GgufValue::Text(layout.architecture.to_owned()))];
    metadata.extend(about.into().metadata("adapter", kind));
    metadata.push(("adapter.type".to_owned(), GgufValue::Text("lora".to_owned())));
    metadata.push(("adapter.lora.alpha".to_owned(), GgufValue::Number(alpha as f32)));
    let mut file = File::begin(path, &metadata, &entries.collect::<Vec<_>>())?;
    for (pair, names) in pairs.iter().zip(&names) {
        let factor = (pair.alpha / alpha) as f32;
        let b: Vec<f32> = pair.b.values.iter().map(|value| value * factor).collect();
        for ((values, columns), name) in
            [(&pair.a.values, pair.a.shape[1]), (&b, pair.b.shape[1])].into_iter().zip(names)
        {
            let fault = |problem| ReleaseError::Element { tensor: name.clone(), problem };
            file.put(&blocks::encode(values, columns, element).map_err(fault)?)?;
            file.align()?;
        }
    }
    let (size_bytes, sha256) = file.finish()?;
    Ok(WrittenGguf {
        tensors: 2 * pairs.len(),
        size_bytes,
        sha256,
        begins: false,
        linears: Vec::new(),
        errors: Vec::new(),
    })
}

/// The pairs in the order of the base's file.
fn pairs(layout: &GgufLayout, adapter: &VerifiedAdapter) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for tensor in &layout.tensors {
        let GgufSource::Tensors(names, change) = &tensor.from else { continue };
        for linear in names.iter().filter_map(|name| name.strip_suffix(".weight")) {
            let Some(pair) = pair(&tensor.name, linear, *change, adapter)? else { continue };
            if names.len() > 1 {
                return Err(format!(
                    "`{linear}` is one of several experts, which stand in one tensor there: merge the adapter instead"
                ));
            }
            pairs.push(pair);
        }
    }
    let halves = adapter.adapter.tensors.len();
    match halves == 2 * pairs.len() {
        true => Ok(pairs),
        false => Err(format!("expected a place for {halves} tensors, found one for {}", 2 * pairs.len())),
    }
}

fn pair(
    name: &str,
    linear: &str,
    change: GgufChange,
    adapter: &VerifiedAdapter,
) -> Result<Option<Pair>, String> {
    let VerifiedAdapter { adapter: PeftAdapter { config, tensors, .. }, initial, .. } = adapter;
    let half = |half: &str| {
        let name = format!("{linear}.{half}.weight");
        let Some(now) = tensors.get(&name) else { return Ok(None) };
        let Some(initial) = initial else { return Ok(Some(now.clone())) };
        let (shape, values) = plain::with_initial(&name, now, &initial.tensors)?;
        Ok::<_, String>(Some(AdapterTensor { shape, values }))
    };
    let (Some(a), Some(mut b)) = (half("lora_A")?, half("lora_B")?) else { return Ok(None) };
    let (_, scale) = config.of(linear).map_err(|error| error.to_string())?;
    b.values = change.apply(b.values, b.shape[0]);
    let alpha = scale * b.shape[1] as f64;
    Ok(Some(Pair { name: name.to_owned(), a, b, alpha }))
}
