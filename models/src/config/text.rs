//! Models that see besides: the configuration of their text part, which is what is computed here.

use serde_json::{Value, json};

use super::Fields;
use crate::ModelError;

/// `model_type` of Gemma 3 with its eyes, from 4B up.
const GEMMA3: &str = "gemma3";
const TEXT: &str = "text_config";
const ARCHITECTURE: &str = "Gemma3ForConditionalGeneration";

/// Defaults of `Gemma3TextConfig` that its row of the table has not, since other files say them: those of 4B do not.
const DEFAULTS: &[(&str, u32)] = &[
    ("bos_token_id", 2),
    ("eos_token_id", 1),
    ("hidden_size", 2304),
    ("intermediate_size", 9216),
    ("num_attention_heads", 8),
    ("num_hidden_layers", 26),
    ("pad_token_id", 0),
    ("vocab_size", 262_208),
];

/// Keys of the whole that count before those of the text part.
const OF_THE_WHOLE: &[&str] = &["bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"];

/// The fields of the text part, and whether there is more; those of a model that is all text as they are.
pub(super) fn of(fields: Fields) -> Result<(Fields, bool), ModelError> {
    if fields.string("model_type")?.as_deref() != Some(GEMMA3) {
        return Ok((fields, false));
    }
    let Some(mut text) = fields.nested(TEXT)? else {
        return Err(fields.missing(TEXT, "an object, the configuration of the text part"));
    };
    if let Some(Value::Array(names)) = fields.get("architectures")
        && !names.contains(&json!(ARCHITECTURE))
    {
        let found = super::excerpt(&Value::Array(names.clone()));
        return Err(fields.unsupported("architectures", found, ARCHITECTURE));
    }
    // The text part of the whole is computed as the family's text model.
    text.set("model_type", json!("gemma3_text"));
    text.remove("architectures");
    for key in OF_THE_WHOLE {
        if let Some(value) = fields.get(key) {
            text.set(key, value.clone());
        }
    }
    for &(key, value) in DEFAULTS {
        if text.is_absent(key) {
            text.set(key, json!(value));
        }
    }
    Ok((text, true))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ModelConfig, RopeScaling};

    fn read(value: Value) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_fields(Fields::new(Path::new("config.json"), value)?)
    }

    /// As 4B has it: what is not said are the defaults of the class.
    #[test]
    fn the_text_part_is_read_with_the_defaults_of_its_class() {
        let text = json!({"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024});
        let config =
            read(json!({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
            "eos_token_id": [1, 106], "image_token_index": 262144, "text_config": text,
            "vision_config": {"hidden_size": 1152}}))
            .expect("valid");
        assert_eq!((config.model_type.as_str(), config.vocab_size), ("gemma3_text", 262_208));
        assert_eq!((config.num_attention_heads, config.num_key_value_heads, config.head_dim), (8, 4, 256));
        assert_eq!((config.bos_token_id, config.eos_token_ids), (Some(2), vec![1, 106]));
        assert_eq!(config.rope.scaling, RopeScaling::Linear { factor: 8.0 });
        assert_eq!(config.differences.layers.iter().filter(|layer| layer.window == Some(1024)).count(), 29);
        assert!(config.tie_word_embeddings);
    }

    #[test]
    fn what_is_wrong_inside_is_named_with_its_place() {
        let text = read(json!({"model_type": "gemma3"})).expect_err("no text part").to_string();
        assert!(text.contains("`text_config`: expected an object"), "{text}");
        let value = json!({"model_type": "gemma3", "text_config": {"hidden_size": 0}});
        let text = read(value).expect_err("no width").to_string();
        assert!(text.contains("`text_config.hidden_size`"), "{text}");
        let other = json!({"model_type": "gemma3", "architectures": ["Other"], "text_config": {}});
        assert!(read(other).expect_err("another").to_string().contains("Gemma3ForConditionalGeneration"));
    }
}
