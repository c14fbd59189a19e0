//! Every family that llama.cpp has, as rtune writes it, in llama.cpp itself. `RTUNE_PEER_LLAMA` as in `llama_cpp`.

#![expect(clippy::print_stdout, reason = "a table of figures is what this test is for")]

use std::fs;
use std::path::PathBuf;

use rand_core::Rng;
use rtune_data::stream;
use rtune_models::{Decoder, Quantization, open};
use serde_json::{Value, json};

use crate::families::configurations;
use crate::llama_cpp::{asked_of, nats_of};
use crate::workplace::{BYTES, Workplace, write_base};

/// Sequences of a family, and their tokens: more than a window.
const SEQUENCES: usize = 3;
const TOKENS: usize = 96;
/// What llama.cpp computes otherwise, and so is not written.
const REFUSED: [&str; 10] = [
    "phi3 with a window",
    "yarn with bounds",
    "qwen3 with biases",
    "smollm3 with biases",
    "gpt_neox without biases",
    "gemma with a head",
    "gemma2 with a head",
    "gemma2 without windows",
    "qwen2 as Llama 3 scales",
    "qwen2 with LongRoPE",
];
/// How far nats may be from ours, as a part of them: llama.cpp keeps keys and values in float16.
const NATS: f64 = 2e-4;

/// Configurations with what llama.cpp reads by keys of its own, or does not.
fn variants() -> Vec<(String, Value)> {
    let mut found = configurations();
    let of = |name: &str| found.iter().find(|(known, _)| known == name).expect("a case").1.clone();
    let yarn = |more: Value| {
        let mut config = of("qwen2");
        let mut scaling = json!({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
            "original_max_position_embeddings": 32});
        scaling.as_object_mut().expect("keys").extend(more.as_object().expect("keys").clone());
        config["rope_parameters"] = scaling;
        config
    };
    // As they are published: the score's scale is that of a head's width, and every fourth block is without rope.
    let scaled_by_heads = |name: &str| {
        let mut config = of(name);
        config["query_pre_attn_scalar"] = config["head_dim"].clone();
        config
    };
    let biased = |name: &str| {
        let mut config = of(name);
        config["attention_bias"] = true.into();
        config["mlp_bias"] = true.into();
        config
    };
    let more = [
        ("llama with biases", biased("llama")),
        ("granite with biases", biased("granite")),
        ("qwen3 with biases", biased("qwen3")),
        ("smollm3 with biases", biased("smollm3")),
        ("gemma2 as published", scaled_by_heads("gemma2")),
        ("gemma3 as published", scaled_by_heads("gemma3")),
        ("smollm3 as published", {
            let mut config = of("smollm3");
            config["no_rope_layers"] = json!([1, 1, 1, 0]);
            config["num_hidden_layers"] = 4.into();
            config["layer_types"] =
                json!(["full_attention", "full_attention", "full_attention", "full_attention"]);
            config
        }),
        ("phi3 with a window", {
            let mut config = of("phi3_longrope");
            config["rope_parameters"] =
                json!({"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0});
            config["sliding_window"] = 16.into();
            config
        }),
        ("yarn", yarn(json!({}))),
        ("yarn with a factor", yarn(json!({"attention_factor": 1.0}))),
        ("yarn with bounds", yarn(json!({"beta_fast": 16.0, "beta_slow": 2.0}))),
    ];
    let more = more.into_iter().chain(placed(&of)).map(|(name, config)| (name.to_owned(), config));
    let more: Vec<_> = more.collect();
    found.extend(more);
    found
}

/// Configurations for which llama.cpp looks for tensors that others have not, or the other way round.
fn placed(of: &dyn Fn(&str) -> Value) -> Vec<(&'static str, Value)> {
    let with = |name: &str, key: &str, value: Value| {
        let mut config = of(name);
        if ["gemma2", "gemma3"].contains(&name) {
            config["query_pre_attn_scalar"] = config["head_dim"].clone();
        }
        config[key] = value;
        config
    };
    let without_windows = |name: &str| {
        let mut config = with(name, "sliding_window", Value::Null);
        config["layer_types"] = json!(["full_attention", "full_attention"]);
        config
    };
    let llama3 = json!({"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32});
    let long_rope = |name: &str| {
        let config = of(name);
        let size = |key: &str| config[key].as_u64();
        let width = size("hidden_size").expect("a width") / size("num_attention_heads").expect("a number");
        let pairs = size("head_dim").unwrap_or(width) / 2;
        let list = |by: f64| (0..pairs).map(|pair| 1.0 + by * pair as f64).collect::<Vec<_>>();
        // A document is long for transformers by its own length, for llama.cpp by that of its context: both are.
        let scaling = json!({"rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0,
            "original_max_position_embeddings": 16, "short_factor": list(0.25), "long_factor": list(1.0)});
        with(name, "rope_parameters", scaling)
    };
    vec![
        ("gpt_neox without biases", with("gpt_neox", "attention_bias", false.into())),
        ("gpt_neox without a head", with("gpt_neox", "tie_word_embeddings", true.into())),
        ("olmo2 without a head", with("olmo2", "tie_word_embeddings", true.into())),
        ("gemma with a head", with("gemma", "tie_word_embeddings", false.into())),
        ("gemma2 with a head", with("gemma2", "tie_word_embeddings", false.into())),
        ("gemma3 with a head", with("gemma3", "tie_word_embeddings", false.into())),
        // Which blocks have a window stands in the file: other periods than the family's are no hindrance.
        (
            "gemma2 the other way round",
            with("gemma2", "layer_types", json!(["full_attention", "sliding_attention"])),
        ),
        ("gemma2 without windows", without_windows("gemma2")),
        ("gemma3 without windows", without_windows("gemma3")),
        ("llama as Llama 3 scales", with("llama", "rope_parameters", llama3.clone())),
        ("qwen2 as Llama 3 scales", with("qwen2", "rope_parameters", llama3)),
        ("llama with LongRoPE", long_rope("llama")),
        ("granite with LongRoPE", long_rope("granite")),
        ("qwen2 with LongRoPE", long_rope("qwen2")),
    ]
}

#[test]
fn families_compute_in_llama_cpp_what_they_do_here() {
    let Some(folder) = std::env::var_os("RTUNE_PEER_LLAMA").map(PathBuf::from) else {
        println!("skipped: RTUNE_PEER_LLAMA is not set");
        return;
    };
    let mut random = stream(1, "test", "sequences", 0);
    let mut sequence = || (0..TOKENS).map(|_| random.next_u32() % BYTES as u32).collect::<Vec<u32>>();
    let sequences: Vec<Vec<u32>> = (0..SEQUENCES).map(|_| sequence()).collect();
    let asked = json!({"texts": [], "prompts": [], "new_tokens": 1, "evaluated": sequences});
    let (mut same, mut wrong, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (name, config) in variants() {
        let place = Workplace::new();
        fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config);
        let ran = place.rtune(&[
            "export",
            "model",
            "out.gguf",
            "--base-only",
            "--format",
            "gguf",
            "--quantize",
            "f32",
        ]);
        if ran.code != 0 {
            refused.push(name.clone());
            println!("{name}: {}", ran.stderr.lines().next().unwrap_or_default());
            continue;
        }
        let base = open(&place.path("model")).expect("the model");
        let decoder = Decoder::load(&base.config, base.weights.as_ref(), Quantization::None, &mut |_, _| {})
            .expect("loads");
        let ours: f64 = sequences.iter().map(|tokens| nats_of(&decoder, tokens)).sum();
        let said = asked_of(&folder, &place.path("out.gguf"), &asked);
        let theirs: f64 = said["nats"].as_array().expect("numbers").iter().filter_map(Value::as_f64).sum();
        let apart = (theirs / ours - 1.0).abs();
        println!("{name}: {ours:.4} nats here, {theirs:.4} by llama.cpp, {apart:.1e}");
        if apart < NATS { same.push(name) } else { wrong.push(name) }
    }
    assert!(wrong.is_empty() && same.len() > 12, "{wrong:?}; the same: {same:?}");
    assert!(REFUSED.iter().all(|name| refused.iter().any(|found| found == name)), "{refused:?}");
}
