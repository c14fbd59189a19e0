use std::path::Path;

use super::*;
use crate::FAMILIES;
use crate::config::Fields;

fn read_back(config: &ModelConfig) -> ModelConfig {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_json("bfloat16").expect("can be said").to_string()).expect("written");
    ModelConfig::from_file(&path).expect("read")
}

/// Every configuration of the reference cases, which are of every family.
#[test]
fn what_is_written_reads_as_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
    let mut families: Vec<&str> = Vec::new();
    for case in std::fs::read_dir(&folder).expect("cases").map(|case| case.expect("a case").path()) {
        let path = case.join("config.json");
        if !path.is_file() {
            continue;
        }
        let mut config = ModelConfig::from_file(&path).expect("read");
        assert_eq!(read_back(&config), config, "{}", case.display());
        config.eos_token_ids = vec![2, 7];
        config.tie_word_embeddings ^= true;
        assert_eq!(read_back(&config), config, "{}", case.display());
        families.extend(config.family.model_types);
    }
    for family in FAMILIES {
        assert!(families.contains(&family.model_types[0]), "no case of {}", family.model_types[0]);
    }
}

#[test]
fn keys_of_every_family_read_as_the_same() {
    let windows = json!(["full_attention", "sliding_attention", "sliding_attention"]);
    let longrope = json!({"type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 3.25]});
    let yarn = json!({"type": "yarn", "factor": 4.0, "beta_fast": 16.0, "attention_factor": 1.5, "truncate": false,
        "original_max_position_embeddings": 32});
    for (family, more) in [
        ("qwen2", json!({"use_sliding_window": true, "sliding_window": 7, "max_window_layers": 1})),
        ("qwen2", json!({"use_sliding_window": true, "sliding_window": 7, "max_window_layers": 0})),
        ("qwen3", json!({"use_sliding_window": true, "sliding_window": 7, "layer_types": windows})),
        ("qwen3", json!({"attention_bias": true, "rope_scaling": yarn, "num_key_value_heads": 2})),
        (
            "qwen3_moe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "norm_topk_prob": true,
            "mlp_only_layers": [1], "use_sliding_window": true, "sliding_window": 5}),
        ),
        ("mixtral", json!({"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 9})),
        ("mistral", json!({})),
        ("mistral", json!({"sliding_window": null, "head_dim": 16})),
        ("smollm3", json!({"use_sliding_window": true, "sliding_window": 7, "no_rope_layers": [1, 0, 0]})),
        (
            "granite",
            json!({"attention_multiplier": 0.1, "embedding_multiplier": 12.0, "logits_scaling": 8.0,
            "residual_multiplier": 0.22, "mlp_bias": true}),
        ),
        ("phi3", json!({"original_max_position_embeddings": 16, "rope_scaling": longrope, "head_dim": 4})),
        ("phi3", json!({"partial_rotary_factor": 0.5, "sliding_window": 12})),
        ("gemma", json!({"head_dim": 6, "num_key_value_heads": 1})),
        (
            "gemma2",
            json!({"query_pre_attn_scalar": 0.3, "attn_logit_softcapping": null, "layer_types": windows}),
        ),
        (
            "gemma2",
            json!({"sliding_window": null, "layer_types": ["full_attention", "full_attention", "full_attention"]}),
        ),
        (
            "gemma3_text",
            json!({"rope_local_base_freq": 5000.0, "rope_scaling": {"type": "linear", "factor": 8.0},
            "query_pre_attn_scalar": 168, "final_logit_softcapping": 20.0}),
        ),
        (
            "gpt_neox",
            json!({"rotary_emb_base": 5000, "rotary_pct": 0.5, "use_parallel_residual": false, "hidden_act": "gelu_fast"}),
        ),
        ("falcon", json!({"multi_query": false, "bias": true})),
        (
            "falcon",
            json!({"new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}),
        ),
        ("falcon", json!({"new_decoder_architecture": true, "num_kv_heads": 2, "ffn_hidden_size": 40})),
        ("olmo2", json!({"rope_theta": 500000.0, "attention_bias": true})),
    ] {
        let mut keys = json!({"model_type": family, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40, "max_position_embeddings": 64});
        for (key, value) in more.as_object().expect("an object") {
            keys[key] = value.clone();
        }
        let fields = Fields::new(Path::new("config.json"), keys).expect("an object");
        let config =
            ModelConfig::from_fields(fields).unwrap_or_else(|error| panic!("{family} {more}: {error}"));
        assert_eq!(read_back(&config), config, "{family} {more}");
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
        let divisors: Vec<f32> = (0..64)
            .map(|i| {
                llama3_divisor(wavelength(i), factor, f64::from(context), [LLAMA3_LOW, LLAMA3_HIGH]) as f32
            })
            .collect();
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
