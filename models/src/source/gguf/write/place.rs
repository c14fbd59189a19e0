//! What llama.cpp has no place for, or misses: it loads no file with a tensor that it does not look for, or without one that it
//! does. Loaders: `src/models/*.cpp`, `load_arch_tensors`.

use crate::source::gguf::architectures::{Architecture, Head, LongRope};
use crate::{ModelConfig, RopeScaling};

/// A key of `config.json` for which llama.cpp has no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) key: &'static str,
    pub(super) found: &'static str,
    /// What it may be instead, and why.
    pub(super) supported: String,
}

/// The first thing of a configuration that an architecture would not load.
pub(super) fn misfit(config: &ModelConfig, architecture: &Architecture) -> Option<Misfit> {
    let name = architecture.name;
    let misfit = |key, found, supported: String| Some(Misfit { key, found, supported });
    if let Some(key) = bias_without_place(config, architecture) {
        let supported = format!("false: in {name} llama.cpp has no place for these biases");
        return misfit(key, "true", supported);
    }
    if architecture.wants_biases && !config.attention_bias {
        let supported = format!("true: llama.cpp loads no {name} without these biases");
        return misfit("attention_bias", "false", supported);
    }
    if architecture.head == Head::Embedding && !config.tie_word_embeddings {
        let supported = format!("true: in {name} llama.cpp has no place for a head of its own");
        return misfit("tie_word_embeddings", "false", supported);
    }
    // `GGML_ASSERT(hparams.is_swa_any())`: the cache that it is given has windows.
    if name == "gemma2" && config.layers().iter().all(|layer| layer.window.is_none()) {
        let supported = format!("a number: llama.cpp computes no {name} in which no block has a window");
        return misfit("sliding_window", "null", supported);
    }
    let (found, is_known) = match &config.rope.scaling {
        RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Yarn { .. } => return None,
        RopeScaling::Llama3 { .. } => ("llama3", architecture.loads_divisors),
        RopeScaling::Divisors(_) => ("divisors", architecture.loads_divisors),
        RopeScaling::LongRope { .. } => ("longrope", architecture.long_rope != LongRope::Unknown),
    };
    if is_known {
        return None;
    }
    let supported = format!("linear or yarn: in {name} llama.cpp has no place for a list of divisors");
    misfit("rope_scaling", found, supported)
}

/// Whether the embedding is written a second time, as the head that llama.cpp looks for.
pub(super) fn repeats_embedding(config: &ModelConfig, architecture: &Architecture) -> bool {
    architecture.head == Head::Own && config.tie_word_embeddings
}

/// The key of a bias that llama.cpp would not look for.
fn bias_without_place(config: &ModelConfig, architecture: &Architecture) -> Option<&'static str> {
    if architecture.biased {
        return None;
    }
    let output = config.differences.output_bias.unwrap_or(config.attention_bias);
    [(output, "attention_bias"), (config.mlp_bias, "mlp_bias")]
        .into_iter()
        .find_map(|(is_there, key)| is_there.then_some(key))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::{GgufSource, GgufValue, keys, rope_tensors, tensors};
    use super::*;
    use crate::source::gguf::architectures;

    /// The configuration of a case with other values under some keys.
    fn config(case: &str, changes: &[(&str, Value)]) -> (ModelConfig, &'static Architecture) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference").join(case);
        let text = std::fs::read_to_string(folder.join("config.json")).expect("there");
        let mut json: Value = serde_json::from_str(&text).expect("JSON");
        changes.iter().for_each(|(key, value)| json[*key] = value.clone());
        let config = ModelConfig::from_json(Path::new("config.json"), json).expect("a configuration");
        let architecture = architectures::for_config(&config).expect("an architecture");
        (config, architecture)
    }

    fn refused(case: &str, changes: &[(&str, Value)]) -> Option<String> {
        let (config, architecture) = config(case, changes);
        misfit(&config, architecture).map(|misfit| format!("{} {}", misfit.key, misfit.found))
    }

    fn llama3() -> Value {
        json!({"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16})
    }

    fn long_rope(pairs: usize) -> Value {
        json!({"rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16,
            "short_factor": vec![1.0; pairs], "long_factor": vec![2.0; pairs]})
    }

    #[test]
    fn divisors_of_rope_are_written_where_they_are_loaded() {
        let cases = [
            "llama",
            "mixtral",
            "granite",
            "smollm3",
            "qwen2",
            "qwen3",
            "qwen3_moe",
            "olmo2",
            "gemma",
            "falcon",
        ];
        for case in cases {
            let pairs = config(case, &[]).0.head_dim / 2;
            let is_loaded = ["llama", "mixtral", "granite"].contains(&case);
            for (kind, scaling) in [("llama3", llama3()), ("longrope", long_rope(pairs))] {
                let found = refused(case, &[("rope_parameters", scaling)]);
                assert_eq!(found, (!is_loaded).then(|| format!("rope_scaling {kind}")), "{case}");
            }
            let linear = json!({"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0});
            assert_eq!(refused(case, &[("rope_parameters", linear)]), None, "{case}");
        }
        assert_eq!(refused("phi3_longrope", &[]), None);
    }

    #[test]
    fn longrope_is_called_so_where_it_is_looked_for_by_its_type() {
        let kind = |(config, architecture): (ModelConfig, &Architecture)| {
            assert_eq!(rope_tensors(&config).len(), 2);
            let keys = keys::of(&config, architecture).expect("keys");
            let key = architecture.key("rope.scaling.type");
            keys.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        for case in ["llama", "granite"] {
            let pairs = config(case, &[]).0.head_dim / 2;
            let found = kind(config(case, &[("rope_parameters", long_rope(pairs))]));
            assert_eq!(found, Some(GgufValue::Text("longrope".to_owned())), "{case}");
        }
        assert_eq!(kind(config("phi3_longrope", &[])), None);
    }

    #[test]
    fn heads_are_where_they_are_looked_for() {
        let heads = |case: &str, is_tied: bool| {
            let (config, architecture) = config(case, &[("tie_word_embeddings", is_tied.into())]);
            let heads: Vec<_> = tensors(&config, architecture)
                .into_iter()
                .filter(|tensor| tensor.name == "output.weight")
                .map(|tensor| match tensor.from {
                    GgufSource::Tensors(names, _) => names.concat(),
                    GgufSource::Numbers(_) => "numbers".to_owned(),
                })
                .collect();
            (misfit(&config, architecture).map(|misfit| misfit.key), heads.concat())
        };
        for case in ["llama", "qwen2", "phi3_longrope", "gemma3", "falcon"] {
            assert_eq!(heads(case, true), (None, String::new()), "{case}");
            assert_eq!(heads(case, false), (None, "lm_head.weight".to_owned()), "{case}");
        }
        for case in ["gemma", "gemma2"] {
            assert_eq!(heads(case, true), (None, String::new()), "{case}");
            assert_eq!(heads(case, false).0, Some("tie_word_embeddings"), "{case}");
        }
        for (case, embedding) in [("olmo2", "model.embed_tokens"), ("gpt_neox", "gpt_neox.embed_in")] {
            assert_eq!(heads(case, true), (None, format!("{embedding}.weight")), "{case}");
            assert_eq!(heads(case, false), (None, "lm_head.weight".to_owned()), "{case}");
        }
    }

    #[test]
    fn a_gemma_2_has_windows() {
        let without = |case: &str| {
            let full = json!(["full_attention", "full_attention"]);
            refused(case, &[("sliding_window", Value::Null), ("layer_types", full)])
        };
        assert_eq!(without("gemma2").as_deref(), Some("sliding_window null"));
        assert_eq!((without("gemma3"), refused("gemma2", &[])), (None, None));
    }

    /// The file has 32 bits of it: what follows from the lengths anyway is not said to be something else.
    #[test]
    fn the_factor_of_longrope_is_the_same_in_32_bits() {
        let pairs = config("llama", &[]).0.head_dim / 2;
        let changes = [("rope_parameters", long_rope(pairs)), ("max_position_embeddings", 64.into())];
        let (mut config, _) = config("llama", &changes);
        let before = config.to_json("float32").expect("keys");
        if let RopeScaling::LongRope { attention_factor, .. } = &mut config.rope.scaling {
            *attention_factor = f64::from(*attention_factor as f32);
        }
        assert_eq!(config.to_json("float32").expect("keys"), before);
    }

    #[test]
    fn biases_are_where_they_are_looked_for() {
        assert_eq!(refused("gpt_neox", &[("attention_bias", true.into())]), None);
        let without = refused("gpt_neox", &[("attention_bias", false.into())]);
        assert_eq!(without.as_deref(), Some("attention_bias false"));
        let with = refused("qwen3", &[("attention_bias", true.into())]);
        assert_eq!(with.as_deref(), Some("attention_bias true"));
    }
}
