//! Keys that would make a checkpoint compute something else than its family's row says.

use rtune_kernels::activation::Activation;
use serde_json::Value;

use super::Fields;
use super::json::excerpt;
use crate::ModelError;
use crate::families::{Family, LayerWindows};

/// Keys that change what some model computes. A family that does not read one of them refuses it, unless its value is
/// the neutral one.
const MATHEMATICS: &[(&str, Neutral)] = &[
    ("alibi", Neutral::Off),
    ("altup_num_inputs", Neutral::Off),
    ("attention_chunk_size", Neutral::Off),
    ("attention_multiplier", Neutral::Off),
    ("attn_logit_softcapping", Neutral::Off),
    ("attn_temperature_tuning", Neutral::Off),
    ("clip_qkv", Neutral::Off),
    ("dim_model_base", Neutral::Off),
    ("embedding_multiplier", Neutral::One),
    ("final_logit_softcapping", Neutral::Off),
    ("hidden_size_per_layer_input", Neutral::Off),
    ("kv_lora_rank", Neutral::Off),
    ("logit_scale", Neutral::One),
    ("logits_scaling", Neutral::One),
    ("n_routed_experts", Neutral::Off),
    ("n_shared_experts", Neutral::Off),
    ("no_rope_layers", Neutral::Off),
    ("num_experts", Neutral::Off),
    ("num_local_experts", Neutral::Off),
    ("partial_rotary_factor", Neutral::One),
    ("position_embedding_type", Neutral::Text("rotary")),
    ("q_lora_rank", Neutral::Off),
    ("qk_layernorm", Neutral::Off),
    ("query_pre_attn_scalar", Neutral::Off),
    ("residual_multiplier", Neutral::One),
    ("rotary_pct", Neutral::One),
    ("router_jitter_noise", Neutral::Off),
    ("scale_depth", Neutral::Off),
    ("scale_emb", Neutral::One),
    ("shared_expert_intermediate_size", Neutral::Off),
    ("use_bidirectional_attention", Neutral::Off),
    ("use_parallel_residual", Neutral::Off),
    ("use_qk_norm", Neutral::Off),
    ("use_sliding_window", Neutral::Off),
];

/// The value of a key that changes nothing.
#[derive(Clone, Copy, PartialEq)]
enum Neutral {
    /// False, zero, an empty list.
    Off,
    /// 1.
    One,
    /// A word.
    Text(&'static str),
}

impl Neutral {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Off, Value::Bool(on)) => !on,
            (Self::Off, Value::Array(items)) => items.is_empty(),
            (Self::Off, value) => value.as_f64() == Some(0.0),
            (Self::One, value) => value.as_f64() == Some(1.0),
            (Self::Text(word), value) => value.as_str() == Some(word),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Off => "false, 0 or null".to_owned(),
            Self::One => "1".to_owned(),
            Self::Text(word) => format!("\"{word}\""),
        }
    }
}

/// Refuses by name what the family's row does not compute.
pub(super) fn other_computations(fields: &Fields, family: &Family) -> Result<(), ModelError> {
    let reads = keys_read(family);
    for &(key, neutral) in MATHEMATICS {
        if let Some(value) = fields.get(key)
            && !reads.contains(&key)
            && !neutral.is(value)
        {
            return Err(fields.unsupported(key, excerpt(value), &neutral.name()));
        }
    }
    match fields.get("architectures") {
        Some(Value::Array(names))
            if !names
                .iter()
                .any(|name| name.as_str().is_some_and(|name| family.architectures.contains(&name))) =>
        {
            let found = excerpt(&Value::Array(names.clone()));
            Err(fields.unsupported("architectures", found, family.architectures[0]))
        }
        _ => Ok(()),
    }
}

/// The keys of [`MATHEMATICS`] that a family reads, or that mean nothing in its files.
fn keys_read(family: &Family) -> Vec<&'static str> {
    let keys = &family.keys;
    let mut read = Vec::new();
    let mut add = |if_so: bool, names: &[&'static str]| {
        if if_so {
            read.extend_from_slice(names);
        }
    };
    add(
        keys.multipliers,
        &["attention_multiplier", "embedding_multiplier", "logits_scaling", "residual_multiplier"],
    );
    add(keys.caps[0].is_some(), &["attn_logit_softcapping"]);
    add(keys.caps[1].is_some(), &["final_logit_softcapping"]);
    add(keys.layers_without_rope, &["no_rope_layers"]);
    add(family.has_experts(), &["num_experts", "num_local_experts"]);
    add(keys.query_scalar, &["query_pre_attn_scalar"]);
    add(keys.rotary_fraction.is_some(), &["partial_rotary_factor", "rotary_pct"]);
    add(family.model_types.contains(&"gpt_neox"), &["use_parallel_residual"]);
    let switched = matches!(
        keys.windows,
        LayerWindows::AllSwitched | LayerWindows::FromSwitched { .. } | LayerWindows::WithoutRopeSwitched
    );
    add(switched, &["use_sliding_window"]);
    read
}

/// Beginnings of the `model_type` of encoders: they read texts and write none, whatever is put behind them.
const ENCODERS: &[&str] = &[
    "albert",
    "bert",
    "camembert",
    "deberta",
    "distilbert",
    "electra",
    "ernie",
    "modernbert",
    "mpnet",
    "nomic_bert",
    "roberta",
    "roformer",
    "xlm-roberta",
];
/// The same of models that have an encoder before their decoder.
const ENCODER_DECODERS: &[&str] =
    &["bart", "longt5", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5", "whisper"];

/// A `model_type` that has no row, and what kind of model it is where that is known.
pub(super) fn other_kind(model_type: &str) -> String {
    let is = |kinds: &[&str]| {
        kinds.iter().any(|kind| {
            model_type.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
        })
    };
    if is(ENCODERS) {
        format!("\"{model_type}\", an encoder, which reads texts and writes none")
    } else if is(ENCODER_DECODERS) {
        format!("\"{model_type}\", an encoder with a decoder behind it")
    } else {
        format!("\"{model_type}\"")
    }
}

/// The activation that the configuration names.
pub(super) fn activation(fields: &Fields, family: &Family) -> Result<Activation, ModelError> {
    let keys = &family.keys;
    for key in keys.activation {
        let Some(name) = fields.string(key)? else { continue };
        let found = match name.as_str() {
            "silu" | "swish" => Some(Activation::Silu),
            "gelu" if !keys.gelu_is_tanh => Some(Activation::Gelu),
            "gelu" | "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Some(Activation::GeluTanh),
            _ => None,
        };
        return match found.filter(|found| keys.activations.contains(found)) {
            Some(found) => Ok(found),
            None => {
                let names: Vec<&str> = keys.activations.iter().copied().map(activation_name).collect();
                Err(fields.unsupported(key, format!("\"{name}\""), &names.join(", ")))
            }
        };
    }
    Ok(keys.activations[0])
}

pub(super) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
    }
}
