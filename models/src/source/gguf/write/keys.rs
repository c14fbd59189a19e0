//! What the metadata says of a configuration.

use serde_json::Value;

use super::GgufValue;
use crate::config::yarn_factor;
use crate::families::{LayerWindows, NormKind};
use crate::source::gguf::architectures::{Architecture, Kind, LongRope, WINDOW};
use crate::{ModelConfig, RopeScaling};

/// Which key could not be written, and what it is.
type Problem = (String, String);

/// The keys of an architecture for this configuration.
pub(super) fn of(
    config: &ModelConfig,
    architecture: &Architecture,
) -> Result<Vec<(String, GgufValue)>, Problem> {
    let json = config.to_json("float32").ok_or_else(|| {
        ("rope_scaling".to_owned(), "a scaling that transformers has no key for".to_owned())
    })?;
    let mut keys = vec![("general.architecture".to_owned(), GgufValue::Text(architecture.name.to_owned()))];
    let mut set = |suffix: &str, value: GgufValue| {
        let key = architecture.key(suffix);
        keys.retain(|(known, _)| *known != key);
        keys.push((key, value));
    };
    let size = |value: usize| GgufValue::Size(u32::try_from(value).unwrap_or(u32::MAX));
    let head = config.head_dim;
    set("block_count", size(config.num_hidden_layers));
    set("context_length", size(config.max_position_embeddings));
    set("embedding_length", size(config.hidden_size));
    set("feed_forward_length", size(config.intermediate_size));
    set("attention.head_count", size(config.num_attention_heads));
    set("attention.head_count_kv", size(config.num_key_value_heads));
    set("attention.key_length", size(head));
    set("attention.value_length", size(head));
    set("vocab_size", size(config.vocab_size));
    let epsilon = match config.family.norm {
        NormKind::Layer => "attention.layer_norm_epsilon",
        _ => "attention.layer_norm_rms_epsilon",
    };
    set(epsilon, GgufValue::Number(config.rms_norm_eps as f32));
    set("rope.freq_base", GgufValue::Number(config.rope.theta as f32));
    set("rope.dimension_count", size(config.rope.rotary_width(head)));
    for &(suffix, name, kind) in architecture.keys {
        let Some(value) = json.get(name) else { continue };
        if value.is_null() {
            // No window is one of 0; other sizes that are not said are not there.
            if suffix == WINDOW {
                set(suffix, GgufValue::Size(0));
            }
            continue;
        }
        let written = match kind {
            Kind::Size(_) => {
                value.as_u64().and_then(|number| u32::try_from(number).ok()).map(GgufValue::Size)
            }
            Kind::Number(_) => value.as_f64().map(|number| GgufValue::Number(number as f32)),
            Kind::Switch => value.as_bool().map(GgufValue::Switch),
        };
        set(suffix, written.ok_or_else(|| (name.to_owned(), value.to_string()))?);
    }
    for &(name, wanted) in architecture.fixed {
        // Falcon's older layout is written as the newer one.
        if json
            .get(name)
            .is_some_and(|value| *value != Value::Bool(wanted) && name != "new_decoder_architecture")
        {
            return Err((name.to_owned(), json[name].to_string()));
        }
    }
    // Read as a list by `load_swa_pattern`; loaders from before it (2026) take the family's own period whatever stands here.
    if matches!(config.family.keys.windows, LayerWindows::AllButEvery { .. }) {
        let windows = config.layers().iter().map(|layer| layer.window.is_some()).collect();
        set("attention.sliding_window_pattern", GgufValue::Switches(windows));
    }
    match architecture.name {
        // llama.cpp's reader of Phi-3 asks for it, scaled or not.
        "phi3" => set("rope.scaling.original_context_length", size(config.max_position_embeddings)),
        // How the converter lays out queries, keys and values.
        "falcon" => set("tensor_data_layout", GgufValue::Text("jploski".to_owned())),
        _ => {}
    }
    scaling(&config.rope.scaling, architecture, &mut set);
    Ok(keys)
}

fn scaling(scaling: &RopeScaling, architecture: &Architecture, set: &mut impl FnMut(&str, GgufValue)) {
    let number = |value: f64| GgufValue::Number(value as f32);
    let kind = |name: &str| GgufValue::Text(name.to_owned());
    let size = |value: usize| GgufValue::Size(u32::try_from(value).unwrap_or(u32::MAX));
    match scaling {
        // As a tensor of divisors.
        RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::Divisors(_) => {}
        RopeScaling::Linear { factor } => {
            set("rope.scaling.type", kind("linear"));
            set("rope.scaling.factor", number(*factor));
        }
        RopeScaling::Yarn { factor, attention_factor, original_max_position_embeddings, .. } => {
            set("rope.scaling.type", kind("yarn"));
            set("rope.scaling.factor", number(*factor));
            set("rope.scaling.original_context_length", size(*original_max_position_embeddings));
            // llama.cpp multiplies its own factor by this one. Keys for bounds it reads for few architectures, none of them here: a
            // file without them is one with the usual bounds, and held against the configuration it is refused.
            let own = yarn_factor(*factor, 1.0);
            if *attention_factor != own {
                set("rope.scaling.attn_factor", number(*attention_factor / own));
            }
        }
        RopeScaling::LongRope { attention_factor, original_max_position_embeddings, .. } => {
            // The lists are tensors, by which it is known; but for Phi-3 they are looked for where the type says so.
            if architecture.long_rope == LongRope::ByType {
                set("rope.scaling.type", kind("longrope"));
            }
            set("rope.scaling.attn_factor", number(*attention_factor));
            set("rope.scaling.original_context_length", size(*original_max_position_embeddings));
        }
    }
}
