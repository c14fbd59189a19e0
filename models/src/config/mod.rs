//! The configuration of a base model: Hugging Face's `config.json`, typed and bounded.

pub(crate) mod bounds;
mod json;
mod llama;
mod rope;
mod write;

use std::path::Path;

pub use rope::{Rope, RopeScaling};

pub(crate) use json::{Fields, excerpt, read_json, read_text};

use crate::ModelError;

/// Model types that the decoder computes.
pub const SUPPORTED_MODEL_TYPES: &[&str] = &["llama"];

/// Everything about a decoder that changes its mathematics. Sizes are counts of elements.
///
/// The fields have the names of transformers' `LlamaConfig`, whose defaults hold where a key is absent.
/// Every value was checked when it was read: sizes are positive and bounded, `num_attention_heads` is a multiple
/// of `num_key_value_heads`, `head_dim` is even.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family, one of [`SUPPORTED_MODEL_TYPES`].
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the gated MLP.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// What is added to the mean square before its root.
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o projections have a bias.
    pub attention_bias: bool,
    /// Whether gate, up and down projections have a bias.
    pub mlp_bias: bool,
    /// Rotary position embedding.
    pub rope: Rope,
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
        Self::from_fields(&fields)
    }

    fn from_fields(fields: &Fields) -> Result<Self, ModelError> {
        let model_type = fields.required_string("model_type")?;
        match model_type.as_str() {
            "llama" => llama::read(fields, model_type),
            _ => Err(fields.unsupported(
                "model_type",
                format!("\"{model_type}\""),
                &SUPPORTED_MODEL_TYPES.join(", "),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
