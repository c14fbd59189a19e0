//! The configuration of a base model: Hugging Face's `config.json`, typed and bounded.

pub(crate) mod bounds;
mod differences;
mod falcon;
mod json;
mod keys;
mod layers;
mod refuse;
mod rope;
mod text;
mod write;

use std::path::Path;

pub use differences::{Differences, ExpertsConfig, Layer};
pub use rope::{Rope, RopeScaling};

pub(crate) use rope::yarn_factor;
pub(crate) use write::llama3_divisor;

pub(crate) use json::{Fields, excerpt, read_json, read_text};

use crate::families::{self, Family};
use crate::{FAMILIES, ModelError};

/// Everything about a decoder that changes its mathematics. Sizes are counts of elements.
///
/// The fields have the names of transformers' `LlamaConfig`; where a key is absent, the default of the family's own
/// configuration class holds. Every value was checked when it was read: sizes are positive and bounded,
/// `num_attention_heads` is a multiple of `num_key_value_heads`, rope turns pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: &'static Family,
    /// What the file calls the family.
    pub model_type: String,
    /// Whether it is the text part of a model that sees besides, whose repository has other names for it.
    pub sees: bool,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// What is added to the mean square of a norm before its root.
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether query, key and value projections have a bias, and the output's where `differences` do not say otherwise.
    pub attention_bias: bool,
    /// Whether the projections of the MLP have a bias.
    pub mlp_bias: bool,
    /// Rotary position embedding.
    pub rope: Rope,
    /// What a Llama does not have.
    pub differences: Differences,
    /// Longest sequence that the base was trained on, in tokens.
    pub max_position_embeddings: usize,
    /// Token that starts a sequence.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a sequence.
    pub eos_token_ids: Vec<u32>,
    /// Token that pads a batch.
    pub pad_token_id: Option<u32>,
}

impl ModelConfig {
    /// Reads a `config.json`, as transformers 4 or 5 writes it.
    ///
    /// Errors when the file is not there or not JSON, when a key has a value out of its bounds, and when it names
    /// a family, an activation or a rope variant that is not computed here. How the weights are quantised is
    /// [`crate::open_weights`]'s to read.
    pub fn from_file(path: &Path) -> Result<Self, ModelError> {
        let fields = Fields::new(path, read_json(path, "the model's configuration")?)?;
        Self::from_fields(fields)
    }

    /// Reads what would stand in a `config.json`; `name` stands in messages.
    ///
    /// # Errors
    /// As [`ModelConfig::from_file`].
    pub fn from_json(name: &Path, value: serde_json::Value) -> Result<Self, ModelError> {
        Self::from_fields(Fields::new(name, value)?)
    }

    /// Reads the keys of a `config.json`, from wherever they come.
    pub(crate) fn from_fields(fields: Fields) -> Result<Self, ModelError> {
        let (mut fields, sees) = text::of(fields)?;
        let model_type = fields.required_string("model_type")?;
        let Some(family) = families::of_model_type(&model_type) else {
            let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_types[0]).collect();
            return Err(fields.unsupported("model_type", refuse::other_kind(&model_type), &known.join(", ")));
        };
        fields.rename(family.keys.renamed);
        let family = falcon::plain_keys(&mut fields, family, &model_type)?;
        Ok(Self { sees, ..keys::read(&fields, family, model_type)? })
    }
}

#[cfg(test)]
mod tests;
