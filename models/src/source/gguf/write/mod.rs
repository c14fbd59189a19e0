//! A model as a GGUF file: what [`super::GgufFile`] reads, the other way round.
//!
//! Keys and names come from the tables that reading uses, so that what is written is what would be read; whoever writes a
//! file opens it again and compares. Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod keys;
mod place;

use crate::tokenizer::{model_name, to_gguf};
use crate::{BaseModel, DecoderSpec, ModelConfig, ModelError};

use super::architectures::{self, Architecture};
use super::names::{Change, Parts, Place};
use super::rope;

/// A value of the metadata, in the type that llama.cpp reads.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// `u32`.
    Size(u32),
    /// `f32`.
    Number(f32),
    /// `bool`.
    Switch(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of `i32`.
    Integers(Vec<i32>),
    /// An array of `f32`.
    Numbers(Vec<f32>),
    /// An array of `bool`.
    Switches(Vec<bool>),
}

/// Metadata and tensors of a file.
#[derive(Clone, Debug)]
pub struct GgufLayout {
    /// Keys and values, the architecture first.
    pub metadata: Vec<(String, GgufValue)>,
    /// Tensors in the order of the file.
    pub tensors: Vec<GgufTensor>,
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Experts of a block, if it has several.
    pub experts: Option<usize>,
    /// Whether the embedding stands there a second time, as the head: llama.cpp loads some architectures in no other way.
    pub repeats_embedding: bool,
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// llama.cpp's name.
    pub name: String,
    /// Row-major, outermost first.
    pub shape: Vec<usize>,
    /// Number of its block, for those of blocks.
    pub block: Option<usize>,
    /// What it is made of.
    pub from: GgufSource,
}

/// What a tensor of a file is made of.
#[derive(Clone, Debug)]
pub enum GgufSource {
    /// Tensors of the model, by transformers' names, one behind the other, each put into llama.cpp's order.
    Tensors(Vec<String>, GgufChange),
    /// These numbers.
    Numbers(Vec<f32>),
}

/// What llama.cpp wants done to a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgufChange(Change);

impl GgufChange {
    /// Whether a tensor stands in the file as it is.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == Change::None
    }

    /// A tensor of `rows` rows as it stands in the file.
    ///
    /// # Panics
    /// If the rows are not those of whole heads.
    #[must_use]
    pub fn apply(self, values: Vec<f32>, rows: usize) -> Vec<f32> {
        self.0.apply(values, rows)
    }
}

/// How a model is asked, and what ends its answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The chat template that it was trained with.
    pub template: Option<&'a str>,
    /// The token that the template puts behind every answer.
    pub end_of_turn: Option<u32>,
    /// All tokens that end an answer.
    pub stop_tokens: &'a [u32],
}

impl GgufLayout {
    /// What a file of `base` holds.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for what llama.cpp has no architecture, key or rule of words for.
    pub fn new(base: &BaseModel, asked: Asked<'_>) -> Result<Self, ModelError> {
        let mut layout = Self::without_tokenizer(base)?;
        layout.metadata.extend(to_gguf::keys(base, asked)?);
        Ok(layout)
    }

    /// [`Self::new`] without tokenizer and template, of which a file beside that of `base` says nothing.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for what llama.cpp has no architecture or key for.
    pub fn without_tokenizer(base: &BaseModel) -> Result<Self, ModelError> {
        let config = &base.config;
        let path = base.weights.path();
        let unsupported = |key: &str, found: String, supported: &str| ModelError::Unsupported {
            path: path.to_owned(),
            key: key.to_owned(),
            found,
            supported: supported.to_owned(),
        };
        let Some(architecture) = architectures::for_config(config) else {
            let known = architectures::names().join(", ");
            return Err(unsupported("model_type", format!("\"{}\"", config.model_type), &known));
        };
        if let Some(misfit) = place::misfit(config, architecture) {
            return Err(unsupported(misfit.key, misfit.found.to_owned(), &misfit.supported));
        }
        let metadata = keys::of(config, architecture)
            .map_err(|(key, found)| unsupported(&key, found, "what llama.cpp has a key for"))?;
        let repeats_embedding = place::repeats_embedding(config, architecture);
        let mut tensors = tensors(config, architecture);
        tensors.extend(rope_tensors(config));
        let experts = config.differences.experts.map(|experts| experts.choice.experts);
        Ok(Self { metadata, tensors, architecture: architecture.name, experts, repeats_embedding })
    }

    /// `general.name`: the name as near as may be to `wanted`. llama.cpp takes a model that is called `phi3` for one whose
    /// special tokens swallow the white space behind them, and no other, so that a name must say what the tokenizer does.
    #[must_use]
    pub fn name(base: &BaseModel, wanted: &str) -> String {
        model_name::fitting(wanted, &base.tokenizer)
    }
}

/// Every tensor of the decoder under llama.cpp's name.
fn tensors(config: &ModelConfig, architecture: &Architecture) -> Vec<GgufTensor> {
    let spec = DecoderSpec::new(config);
    let shapes: std::collections::BTreeMap<String, Vec<usize>> =
        spec.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
    let parts = Parts::new(config.family.names);
    let (mut tensors, mut taken) = (Vec::new(), std::collections::BTreeSet::new());
    let mut add = |stem: &str, block: Option<usize>| {
        for kind in ["weight", "bias"] {
            let name = format!("{stem}.{kind}");
            let (names, change) = match parts.place(&name, config, architecture.interleaved) {
                Some(Place::One(own, change)) => (vec![own], change),
                Some(Place::Experts(names)) => (names, Change::None),
                None => continue,
            };
            let Some(one) = names.first().and_then(|own| shapes.get(own)) else { continue };
            // Where one norm serves both halves of a block, it has the first's name.
            if !taken.insert(names.clone()) {
                continue;
            }
            let shape = match names.len() {
                1 => one.clone(),
                count => std::iter::once(count).chain(one.iter().copied()).collect(),
            };
            tensors.push(GgufTensor {
                name,
                shape,
                block,
                from: GgufSource::Tensors(names, GgufChange(change)),
            });
        }
    };
    add("token_embd", None);
    for block in 0..config.num_hidden_layers {
        parts.stems().for_each(|stem| add(&format!("blk.{block}.{stem}"), Some(block)));
    }
    add("output_norm", None);
    if !config.tie_word_embeddings {
        add("output", None);
    }
    if place::repeats_embedding(config, architecture)
        && let Some(embedding) = tensors.first().cloned()
    {
        tensors.push(GgufTensor { name: "output.weight".to_owned(), ..embedding });
    }
    tensors
}

/// The divisors of rope's frequencies, where the configuration has a scaling that llama.cpp keeps as such.
fn rope_tensors(config: &ModelConfig) -> Vec<GgufTensor> {
    let of = |(name, values): (&str, Vec<f32>)| GgufTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        block: None,
        from: GgufSource::Numbers(values),
    };
    rope::divisors_of(config).into_iter().map(of).collect()
}
