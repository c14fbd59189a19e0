//! The keys of a Llama's `config.json`.

use serde_json::Value;

use super::bounds::{
    MAX_EPSILON, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH,
};
use super::rope;
use super::{Fields, ModelConfig};
use crate::ModelError;

/// `LlamaConfig`'s default.
const DEFAULT_EPSILON: f64 = 1e-6;
/// `LlamaConfig`'s default, in tokens.
const DEFAULT_POSITIONS: usize = 2048;

pub(super) fn read(fields: &Fields, model_type: String) -> Result<ModelConfig, ModelError> {
    refuse_other_computations(fields)?;
    let hidden_size = fields.required_size("hidden_size", MAX_WIDTH)?;
    let num_attention_heads = fields.required_size("num_attention_heads", MAX_HEADS)?;
    let config = ModelConfig {
        model_type,
        hidden_size,
        intermediate_size: fields.required_size("intermediate_size", MAX_WIDTH)?,
        num_hidden_layers: fields.required_size("num_hidden_layers", MAX_LAYERS)?,
        num_attention_heads,
        num_key_value_heads: fields.size("num_key_value_heads", MAX_HEADS)?.unwrap_or(num_attention_heads),
        head_dim: head_dim(fields, hidden_size, num_attention_heads)?,
        vocab_size: fields.required_size("vocab_size", MAX_VOCABULARY)?,
        rms_norm_eps: fields.positive("rms_norm_eps", MAX_EPSILON)?.unwrap_or(DEFAULT_EPSILON),
        tie_word_embeddings: fields.boolean("tie_word_embeddings", false)?,
        attention_bias: fields.boolean("attention_bias", false)?,
        mlp_bias: fields.boolean("mlp_bias", false)?,
        rope: rope::read(fields)?,
        max_position_embeddings: fields
            .size("max_position_embeddings", MAX_POSITIONS)?
            .unwrap_or(DEFAULT_POSITIONS),
        bos_token_id: token_id(fields, "bos_token_id")?,
        eos_token_ids: token_ids(fields, "eos_token_id")?,
        pad_token_id: token_id(fields, "pad_token_id")?,
    };
    if !config.num_attention_heads.is_multiple_of(config.num_key_value_heads) {
        let expected = format!("a divisor of num_attention_heads, which is {}", config.num_attention_heads);
        return Err(fields.wrong("num_key_value_heads", &expected, &Value::from(config.num_key_value_heads)));
    }
    Ok(config)
}

/// Keys that would make the checkpoint compute something else than the plain Llama block.
fn refuse_other_computations(fields: &Fields) -> Result<(), ModelError> {
    if let Some(activation) = fields.string("hidden_act")?
        && !matches!(activation.as_str(), "silu" | "swish")
    {
        return Err(fields.unsupported("hidden_act", format!("\"{activation}\""), "silu"));
    }
    if let Some(value) = fields.get("pretraining_tp")
        && value.as_u64() != Some(1)
    {
        return Err(fields.unsupported("pretraining_tp", value.to_string(), "1"));
    }
    match fields.get("architectures") {
        Some(Value::Array(names)) if !names.iter().any(|name| name == "LlamaForCausalLM") => {
            let found = super::json::excerpt(&Value::Array(names.clone()));
            Err(fields.unsupported("architectures", found, "LlamaForCausalLM"))
        }
        _ => Ok(()),
    }
}

fn head_dim(fields: &Fields, hidden_size: usize, heads: usize) -> Result<usize, ModelError> {
    let width = match fields.size("head_dim", MAX_HEAD_DIM)? {
        Some(width) => width,
        None if hidden_size.is_multiple_of(heads) && hidden_size / heads <= MAX_HEAD_DIM => {
            hidden_size / heads
        }
        None => {
            let expected =
                format!("a divisor of hidden_size, which is {hidden_size}, as there is no head_dim");
            return Err(fields.wrong("num_attention_heads", &expected, &Value::from(heads)));
        }
    };
    if !width.is_multiple_of(2) {
        return Err(fields.wrong("head_dim", "an even number (rope turns pairs)", &Value::from(width)));
    }
    Ok(width)
}

/// A token id; the first Llama configurations wrote -1 for none.
fn token_id(fields: &Fields, key: &str) -> Result<Option<u32>, ModelError> {
    match fields.get(key) {
        None => Ok(None),
        Some(value) if value.as_i64() == Some(-1) => Ok(None),
        Some(value) => one_id(fields, key, value).map(Some),
    }
}

fn token_ids(fields: &Fields, key: &str) -> Result<Vec<u32>, ModelError> {
    match fields.get(key) {
        Some(Value::Array(values)) => values.iter().map(|value| one_id(fields, key, value)).collect(),
        _ => Ok(token_id(fields, key)?.into_iter().collect()),
    }
}

fn one_id(fields: &Fields, key: &str, value: &Value) -> Result<u32, ModelError> {
    value
        .as_u64()
        .filter(|id| *id < MAX_VOCABULARY as u64)
        .and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| fields.wrong(key, &format!("a token id below {MAX_VOCABULARY}"), value))
}
