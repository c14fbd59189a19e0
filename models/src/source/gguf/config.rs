//! The configuration that a GGUF file's metadata and tensors say.

use std::path::Path;

use super::header::{Entry, Header};
use super::metadata::{Metadata, Value};
use super::read_entry;
use super::types::ElementType;
use crate::config::Differences;
use crate::config::bounds::{
    MAX_EPSILON, MAX_FACTOR, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_THETA, MAX_VOCABULARY,
    MAX_WIDTH,
};
use crate::families::LLAMA;
use crate::{ModelConfig, ModelError, Rope, RopeScaling};

/// Divisors of the rope frequencies, which is how llama.cpp keeps Llama 3's rope scaling.
pub(super) const ROPE_FREQUENCIES: &str = "rope_freqs.weight";

/// The embedding; its rows are the vocabulary.
const EMBEDDING: &str = "token_embd.weight";

/// `GGMLRoPEFreqBase`'s default in llama.cpp.
const DEFAULT_THETA: f64 = 10_000.0;

/// Keys that change what other models of the `llama` architecture compute (Granite, Mixtral and such).
const REFUSED_KEYS: &[&str] = &[
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.attention.scale",
    "llama.attention.clamp_kqv",
    "llama.embedding_scale",
    "llama.logit_scale",
    "llama.residual_scale",
];

/// Reads the configuration of a Llama.
pub(super) fn read(path: &Path, header: &Header) -> Result<ModelConfig, ModelError> {
    let metadata = &header.metadata;
    refuse_other_models(metadata)?;
    let hidden_size = metadata.required_size("llama.embedding_length", MAX_WIDTH)?;
    let num_attention_heads = metadata.required_size("llama.attention.head_count", MAX_HEADS)?;
    let key_value_heads =
        metadata.size("llama.attention.head_count_kv", MAX_HEADS)?.unwrap_or(num_attention_heads);
    if !num_attention_heads.is_multiple_of(key_value_heads) {
        let supported = format!("a divisor of the {num_attention_heads} query heads");
        return Err(metadata.unsupported(
            "llama.attention.head_count_kv",
            key_value_heads.to_string(),
            &supported,
        ));
    }
    let head_dim = head_dim(metadata, hidden_size, num_attention_heads)?;
    let vocab_size = vocabulary(path, header)?;
    Ok(ModelConfig {
        family: &LLAMA,
        differences: Differences::default(),
        model_type: "llama".to_owned(),
        hidden_size,
        intermediate_size: metadata.required_size("llama.feed_forward_length", MAX_WIDTH)?,
        num_hidden_layers: metadata.required_size("llama.block_count", MAX_LAYERS)?,
        num_attention_heads,
        num_key_value_heads: key_value_heads,
        head_dim,
        vocab_size,
        rms_norm_eps: metadata
            .positive("llama.attention.layer_norm_rms_epsilon", MAX_EPSILON)?
            .ok_or_else(|| metadata.missing("llama.attention.layer_norm_rms_epsilon", "a number above 0"))?,
        tie_word_embeddings: !header.tensors.contains_key("output.weight"),
        attention_bias: biases(path, header, &["attn_q", "attn_k", "attn_v", "attn_output"])?,
        mlp_bias: biases(path, header, &["ffn_gate", "ffn_up", "ffn_down"])?,
        rope: rope(path, header, head_dim)?,
        max_position_embeddings: metadata.required_size("llama.context_length", MAX_POSITIONS)?,
        bos_token_id: metadata.token_id("tokenizer.ggml.bos_token_id", vocab_size)?,
        eos_token_ids: metadata.token_id("tokenizer.ggml.eos_token_id", vocab_size)?.into_iter().collect(),
        pad_token_id: metadata.token_id("tokenizer.ggml.padding_token_id", vocab_size)?,
    })
}

fn refuse_other_models(metadata: &Metadata) -> Result<(), ModelError> {
    for (key, expected) in [("general.type", "model"), ("general.architecture", "llama")] {
        match metadata.string(key)? {
            Some(found) if found != expected => {
                return Err(metadata.unsupported(key, format!("\"{found}\""), expected));
            }
            None if key == "general.architecture" => return Err(metadata.missing(key, "\"llama\"")),
            _ => {}
        }
    }
    if let Some(parts) = metadata.size("split.count", usize::from(u16::MAX))?
        && parts > 1
    {
        let supported = "1: join the parts with llama.cpp's `llama-gguf-split --merge`";
        return Err(metadata.unsupported("split.count", parts.to_string(), supported));
    }
    for key in REFUSED_KEYS {
        if metadata.get(key).is_some_and(|value| *value != Value::Integer(0)) {
            return Err(metadata.unsupported(key, "given", "a plain Llama, without this key"));
        }
    }
    Ok(())
}

fn head_dim(metadata: &Metadata, hidden_size: usize, heads: usize) -> Result<usize, ModelError> {
    let key_length = metadata.size("llama.attention.key_length", MAX_HEAD_DIM)?;
    let width = match key_length {
        Some(width) => width,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            let supported = format!("a divisor of the embedding's {hidden_size}");
            return Err(metadata.unsupported("llama.attention.head_count", heads.to_string(), &supported));
        }
    };
    for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
        if let Some(found) = metadata.size(key, MAX_HEAD_DIM)?
            && found != width
        {
            let supported = format!("{width}, the width of a head");
            return Err(metadata.unsupported(key, found.to_string(), &supported));
        }
    }
    if !width.is_multiple_of(2) || width > MAX_HEAD_DIM {
        let supported = format!("even widths up to {MAX_HEAD_DIM}");
        return Err(metadata.unsupported("llama.attention.key_length", width.to_string(), &supported));
    }
    Ok(width)
}

/// The vocabulary is as large as the embedding; the metadata may say so too.
fn vocabulary(path: &Path, header: &Header) -> Result<usize, ModelError> {
    let Some(embedding) = header.tensors.get(EMBEDDING) else {
        return Err(ModelError::MissingTensor { path: path.to_owned(), tensor: EMBEDDING.to_owned() });
    };
    let rows = embedding.shape.first().copied().unwrap_or(0);
    if rows == 0 || rows > MAX_VOCABULARY {
        let problem = format!("expected 1 to {MAX_VOCABULARY} rows, found the shape {:?}", embedding.shape);
        return Err(ModelError::tensor(path, EMBEDDING, problem));
    }
    match header.metadata.size("llama.vocab_size", MAX_VOCABULARY)? {
        Some(said) if said != rows => {
            let problem = format!("has {rows} rows, but `llama.vocab_size` is {said}");
            Err(ModelError::tensor(path, EMBEDDING, problem))
        }
        _ => Ok(rows),
    }
}

/// Whether these projections of the blocks have biases: all, or none.
fn biases(path: &Path, header: &Header, projections: &[&str]) -> Result<bool, ModelError> {
    let has = |projection: &&&str| header.tensors.contains_key(&format!("blk.0.{projection}.bias"));
    match projections.iter().filter(has).count() {
        0 => Ok(false),
        count if count == projections.len() => Ok(true),
        _ => {
            let problem =
                format!("biases on some of {}, where a Llama has all or none", projections.join(", "));
            Err(ModelError::damaged(path, problem))
        }
    }
}

fn rope(path: &Path, header: &Header, head_dim: usize) -> Result<Rope, ModelError> {
    let metadata = &header.metadata;
    let theta = metadata.positive("llama.rope.freq_base", MAX_THETA)?.unwrap_or(DEFAULT_THETA);
    let divisors =
        header.tensors.get(ROPE_FREQUENCIES).map(|entry| divisors(path, entry, head_dim)).transpose()?;
    let factor = metadata.positive("llama.rope.scaling.factor", MAX_FACTOR)?;
    let linear = match metadata.string("llama.rope.scaling.type")? {
        None => metadata.positive("llama.rope.scale_linear", MAX_FACTOR)?,
        Some("none") => None,
        Some("linear") => factor,
        Some(other) => {
            let found = format!("\"{other}\"");
            return Err(metadata.unsupported(
                "llama.rope.scaling.type",
                found,
                "none, linear, rope_freqs.weight",
            ));
        }
    };
    let scaling = match (linear.filter(|factor| *factor != 1.0), divisors) {
        (None, None) => RopeScaling::None,
        (Some(factor), None) => RopeScaling::Linear { factor },
        (None, Some(divisors)) => RopeScaling::Divisors(divisors),
        (Some(_), Some(_)) => {
            let found = "given beside rope_freqs.weight";
            return Err(metadata.unsupported("llama.rope.scaling.factor", found, "one of the two"));
        }
    };
    Ok(Rope { theta, fraction: 1.0, scaling })
}

fn divisors(path: &Path, entry: &Entry, head_dim: usize) -> Result<Vec<f32>, ModelError> {
    if entry.shape != [head_dim / 2] || entry.element_type != ElementType::F32 {
        let found = format!("the shape {:?} of {}", entry.shape, entry.element_type.name());
        let problem = format!("expected the shape [{}] of F32, found {found}", head_dim / 2);
        return Err(ModelError::tensor(path, ROPE_FREQUENCIES, problem));
    }
    let values = read_entry(path, ROPE_FREQUENCIES, entry)?.into_f32();
    match values.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
        Some(value) => Err(ModelError::tensor(path, ROPE_FREQUENCIES, format!("divisor {value}"))),
        None => Ok(values),
    }
}
