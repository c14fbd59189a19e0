//! A `config.json` for a base that came without one.

use serde_json::{Map, Value, json};

use super::{ModelConfig, Rope, RopeScaling};
use crate::families::LLAMA;

/// Llama 3.1's `low_freq_factor` and `high_freq_factor`: Meta and everyone since has used these. The divisors in a GGUF
/// file determine the two and the context only up to a common factor, so one of the three has to be known.
const LLAMA3_LOW: f64 = 1.0;
const LLAMA3_HIGH: f64 = 4.0;
/// Contexts of the training before the scaling that are tried, in tokens: the powers of two between.
const LLAMA3_CONTEXTS: std::ops::RangeInclusive<u32> = 10..=20;
/// How nearly the divisors must follow from the scaling: they were computed in `f64` and rounded to `f32`.
const DIVISOR_TOLERANCE: f64 = 1e-5;

impl ModelConfig {
    /// The keys of a `config.json` in the manner of transformers 4, which 5 reads too. `dtype` is one of transformers'
    /// names, as in `bfloat16`.
    ///
    /// `None` for a family other than Llama, and where rope's divisors, which a GGUF file may carry, are not those of a Llama 3 scaling: transformers has
    /// no key for others.
    #[must_use]
    pub fn to_json(&self, dtype: &str) -> Option<Value> {
        if self.family != &LLAMA || self.rope.fraction != 1.0 {
            return None;
        }
        let mut keys = Map::new();
        let mut set = |key: &str, value: Value| keys.insert(key.to_owned(), value);
        set("architectures", json!(["LlamaForCausalLM"]));
        set("attention_bias", json!(self.attention_bias));
        set("attention_dropout", json!(0.0));
        set("bos_token_id", json!(self.bos_token_id));
        set("eos_token_id", one_or_many(&self.eos_token_ids));
        set("head_dim", json!(self.head_dim));
        set("hidden_act", json!("silu"));
        set("hidden_size", json!(self.hidden_size));
        set("intermediate_size", json!(self.intermediate_size));
        set("max_position_embeddings", json!(self.max_position_embeddings));
        set("mlp_bias", json!(self.mlp_bias));
        set("model_type", json!(self.model_type));
        set("num_attention_heads", json!(self.num_attention_heads));
        set("num_hidden_layers", json!(self.num_hidden_layers));
        set("num_key_value_heads", json!(self.num_key_value_heads));
        set("pad_token_id", json!(self.pad_token_id));
        set("pretraining_tp", json!(1));
        set("rms_norm_eps", json!(self.rms_norm_eps));
        set("rope_scaling", scaling(&self.rope, self.head_dim)?);
        set("rope_theta", json!(self.rope.theta));
        set("tie_word_embeddings", json!(self.tie_word_embeddings));
        set("torch_dtype", json!(dtype));
        set("use_cache", json!(true));
        set("vocab_size", json!(self.vocab_size));
        Some(Value::Object(keys))
    }
}

/// A token id, a list of several, or null.
fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}

fn scaling(rope: &Rope, head_dim: usize) -> Option<Value> {
    match &rope.scaling {
        RopeScaling::None => Some(Value::Null),
        RopeScaling::Linear { factor } => Some(json!({"factor": factor, "rope_type": "linear"})),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => Some(json!({
            "factor": factor, "high_freq_factor": high_freq_factor, "low_freq_factor": low_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings, "rope_type": "llama3",
        })),
        // No Llama in a GGUF file has them, and only those come without a configuration.
        RopeScaling::Yarn { .. } | RopeScaling::LongRope { .. } => None,
        RopeScaling::Divisors(divisors) => {
            let (factor, context) = llama3_of(divisors, rope.theta, head_dim)?;
            Some(json!({
                "factor": factor, "high_freq_factor": LLAMA3_HIGH, "low_freq_factor": LLAMA3_LOW,
                "original_max_position_embeddings": context, "rope_type": "llama3",
            }))
        }
    }
}

/// Factor and context of the Llama 3 scaling that gives these divisors.
fn llama3_of(divisors: &[f32], theta: f64, head_dim: usize) -> Option<(f64, u64)> {
    let factor = f64::from(divisors.iter().copied().fold(1.0, f32::max));
    let follows = |context: f64| {
        divisors.iter().enumerate().all(|(index, &found)| {
            let wavelength = std::f64::consts::TAU * theta.powf(2.0 * index as f64 / head_dim as f64);
            let expected = llama3_divisor(wavelength, factor, context);
            (f64::from(found) - expected).abs() <= DIVISOR_TOLERANCE * expected
        })
    };
    LLAMA3_CONTEXTS
        .map(|power| 1_u64 << power)
        .find(|&context| follows(context as f64))
        .map(|context| (factor, context))
}

/// As llama.cpp's converter computes it.
fn llama3_divisor(wavelength: f64, factor: f64, context: f64) -> f64 {
    if wavelength < context / LLAMA3_HIGH {
        1.0
    } else if wavelength > context / LLAMA3_LOW {
        factor
    } else {
        let smooth = (context / wavelength - LLAMA3_LOW) / (LLAMA3_HIGH - LLAMA3_LOW);
        1.0 / ((1.0 - smooth) / factor + smooth)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_back(config: &ModelConfig) -> ModelConfig {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_json("bfloat16").expect("can be said").to_string()).expect("written");
        ModelConfig::from_file(&path).expect("read")
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        for case in ["llama", "llama3", "llama_linear"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference").join(case);
            let mut config = ModelConfig::from_file(&folder.join("config.json")).expect("read");
            assert_eq!(read_back(&config), config, "{case}");
            config.eos_token_ids = vec![2, 7];
            assert_eq!(read_back(&config), config, "{case}");
        }
    }

    #[test]
    fn divisors_of_llama3_are_recognised_and_others_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama3");
        let mut config = ModelConfig::from_file(&folder.join("config.json")).expect("read");
        (config.head_dim, config.rope.theta) = (128, 500_000.0);
        // Llama 3.1 8B's, and Llama 3.2 1B's factor.
        for (factor, context) in [(8.0, 8192), (32.0, 8192)] {
            let wavelength = |i: usize| std::f64::consts::TAU * 500_000_f64.powf(2.0 * i as f64 / 128.0);
            let divisors: Vec<f32> =
                (0..64).map(|i| llama3_divisor(wavelength(i), factor, f64::from(context)) as f32).collect();
            config.rope.scaling = RopeScaling::Divisors(divisors.clone());
            let RopeScaling::Llama3 { factor: found, original_max_position_embeddings, .. } =
                read_back(&config).rope.scaling
            else {
                panic!("another scaling");
            };
            assert_eq!((found, original_max_position_embeddings), (factor, context as usize));
            let mut other = divisors;
            other[40] *= 1.01;
            config.rope.scaling = RopeScaling::Divisors(other);
            assert_eq!(config.to_json("bfloat16"), None);
        }
    }
}
