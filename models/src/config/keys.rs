//! The keys of a `config.json`, read as the row of its family says.

use serde_json::Value;

use super::bounds::{
    MAX_EPSILON, MAX_FACTOR, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH,
};
use super::differences::Differences;
use super::{Fields, ModelConfig, layers, refuse, rope};
use crate::ModelError;
use crate::families::{Bias, Cap, Family};

pub(super) fn read(
    fields: &Fields,
    family: &'static Family,
    model_type: String,
) -> Result<ModelConfig, ModelError> {
    refuse::other_computations(fields, family)?;
    let keys = &family.keys;
    let hidden_size = fields.required_size("hidden_size", MAX_WIDTH)?;
    let num_attention_heads = fields.required_size("num_attention_heads", MAX_HEADS)?;
    let num_hidden_layers = fields.required_size("num_hidden_layers", MAX_LAYERS)?;
    let max_position_embeddings =
        fields.size("max_position_embeddings", MAX_POSITIONS)?.unwrap_or(keys.positions);
    let head_dim = head_dim(fields, family, hidden_size, num_attention_heads)?;
    let [input_bias, output_bias, mlp_bias] = keys.biases;
    let (rope, local_rope) = rope::read(fields, keys, max_position_embeddings)?;
    for rope in [Some(&rope), local_rope.as_ref()].into_iter().flatten() {
        rope.check(fields, head_dim)?;
    }
    let attention_bias = flag(fields, input_bias)?;
    let differences = Differences {
        output_bias: Some(flag(fields, output_bias)?).filter(|bias| *bias != attention_bias),
        local_rope,
        ..differences(fields, family, num_hidden_layers)?
    };
    let config = ModelConfig {
        family,
        model_type,
        sees: false,
        hidden_size,
        intermediate_size: fields.required_size("intermediate_size", MAX_WIDTH)?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads: kv_heads(fields, family, num_attention_heads)?,
        head_dim,
        vocab_size: fields.required_size("vocab_size", MAX_VOCABULARY)?,
        rms_norm_eps: fields.positive(keys.epsilon.0, MAX_EPSILON)?.unwrap_or(keys.epsilon.1),
        tie_word_embeddings: fields.boolean("tie_word_embeddings", keys.tied)?,
        attention_bias,
        mlp_bias: flag(fields, mlp_bias)?,
        rope,
        differences,
        max_position_embeddings,
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

fn differences(fields: &Fields, family: &Family, layers: usize) -> Result<Differences, ModelError> {
    let keys = &family.keys;
    let multiplier = |key: &str| -> Result<f64, ModelError> {
        let given = if keys.multipliers { fields.positive(key, MAX_FACTOR)? } else { None };
        Ok(given.unwrap_or(1.0))
    };
    let attention_multiplier = if keys.multipliers {
        Some(multiplier("attention_multiplier")?)
    } else if keys.query_scalar {
        /// `Gemma2Config`'s and `Gemma3TextConfig`'s default.
        const DEFAULT_SCALAR: f64 = 256.0;
        let scalar = fields.positive("query_pre_attn_scalar", MAX_FACTOR)?.unwrap_or(DEFAULT_SCALAR);
        Some(scalar.powf(-0.5))
    } else {
        None
    };
    let experts = layers::experts(fields, family)?;
    Ok(Differences {
        activation: refuse::activation(fields, family)?,
        layers: layers::read(fields, family, layers, experts.is_some())?,
        parallel_residual: flag(fields, keys.parallel)?,
        embedding_multiplier: multiplier("embedding_multiplier")?,
        attention_multiplier,
        residual_multiplier: multiplier("residual_multiplier")?,
        logits_scaling: multiplier("logits_scaling")?,
        attention_cap: cap(fields, keys.caps[0])?,
        logit_cap: cap(fields, keys.caps[1])?,
        experts,
        ..Differences::default()
    })
}

pub(super) fn flag(fields: &Fields, bias: Bias) -> Result<bool, ModelError> {
    match bias {
        Bias::Never => Ok(false),
        Bias::Always => Ok(true),
        Bias::Key(key, default) => fields.boolean(key, default),
    }
}

fn cap(fields: &Fields, cap: Cap) -> Result<Option<f64>, ModelError> {
    match cap {
        None => Ok(None),
        Some((key, default)) if fields.is_absent(key) => Ok(default),
        Some((key, _)) => fields.positive(key, MAX_FACTOR),
    }
}

/// An absent key is the class's default, null is one for each query head.
fn kv_heads(fields: &Fields, family: &Family, heads: usize) -> Result<usize, ModelError> {
    const KEY: &str = "num_key_value_heads";
    // GPT-NeoX has no such thing, though transformers 5 writes the key if it was given one.
    if family.model_types.contains(&"gpt_neox") {
        return Ok(heads);
    }
    let absent = if fields.is_absent(KEY) { family.keys.kv_heads } else { None };
    Ok(fields.size(KEY, MAX_HEADS)?.or(absent).unwrap_or(heads))
}

fn head_dim(fields: &Fields, family: &Family, hidden_size: usize, heads: usize) -> Result<usize, ModelError> {
    let absent = if fields.is_absent("head_dim") { family.keys.head_dim } else { None };
    match fields.size("head_dim", MAX_HEAD_DIM)?.or(absent) {
        Some(width) => Ok(width),
        None if hidden_size.is_multiple_of(heads) && hidden_size / heads <= MAX_HEAD_DIM => {
            Ok(hidden_size / heads)
        }
        None => {
            let expected =
                format!("a divisor of hidden_size, which is {hidden_size}, as there is no head_dim");
            Err(fields.wrong("num_attention_heads", &expected, &Value::from(heads)))
        }
    }
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
