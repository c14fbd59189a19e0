//! Adapters as GGUF files: what llama.cpp adds by them is what a merged file has more than its base's.

use candle_core::quantized::gguf_file::Value;

use crate::gguf_export::{Read, read};
use crate::workplace::{Workplace, write_base};

/// Makes up for what quantising took, which the file of the base has still.
const LOFTQ: &str = "lora.init=loftq";

fn floats(read: &Read, name: &str) -> Vec<f32> {
    let (_, _, bytes) = &read.tensors[name];
    bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

/// `alpha / rank · B A` of each adapted tensor beside the difference of a merged file and a base's, all in float32.
fn adds_what_a_merge_adds(place: &Workplace, settings: &[&str]) {
    let is_quantized = settings.contains(&LOFTQ);
    let held: &[&str] = if is_quantized { &[] } else { &["quantization.kind=none"] };
    place.train(&[held, settings].concat()).succeeds();
    place.rtune(&["export", "run", "adapter.gguf", "--format", "gguf-adapter"]).succeeds();
    place
        .rtune(&["export", "run", "base.gguf", "--format", "gguf", "--quantize", "f32", "--base-only"])
        .succeeds();
    // llama.cpp is given the base as it is.
    let merged =
        ["export", "run", "merged.gguf", "--format", "gguf", "--quantize", "f32", "--onto", "original"];
    place.rtune(&merged).succeeds();
    let [adapter, base, merged] =
        ["adapter", "base", "merged"].map(|name| read(&place.path(&format!("{name}.gguf"))));
    let text = |key: &str| match &adapter.metadata[key] {
        Value::String(text) => text.clone(),
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!((text("general.type"), text("adapter.type")), ("adapter".to_owned(), "lora".to_owned()));
    let architecture = base.metadata["general.architecture"].to_string().expect("a text");
    assert_eq!(&text("general.architecture"), architecture);
    let alpha = adapter.metadata["adapter.lora.alpha"].to_f32().expect("a number");
    let mut changed = 0;
    for (name, (_, shape, _)) in &base.tensors {
        let (before, after) = (floats(&base, name), floats(&merged, name));
        let difference: Vec<f32> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
        let [a, b] = ["lora_a", "lora_b"].map(|half| format!("{name}.{half}"));
        if !adapter.tensors.contains_key(&a) {
            assert!(difference.iter().all(|value| *value == 0.0), "{name} has no adapter");
            continue;
        }
        let (rows, columns) = (shape[0], shape[1]);
        let rank = adapter.tensors[&a].1[0];
        assert_eq!(
            (&adapter.tensors[&a].1, &adapter.tensors[&b].1),
            (&vec![rank, columns], &vec![rows, rank])
        );
        let (a, b) = (floats(&adapter, &a), floats(&adapter, &b));
        let largest = difference.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!(largest > 1e-3, "{name}: {largest}");
        for (at, difference) in difference.iter().enumerate() {
            let (row, column) = (at / columns, at % columns);
            let product: f32 = (0..rank).map(|k| b[row * rank + k] * a[k * columns + column]).sum();
            let added = alpha / rank as f32 * product;
            assert!(
                (added - difference).abs() <= 1e-5 * largest.max(1.0),
                "{name} {at}: {added} {difference}"
            );
        }
        changed += 1;
    }
    assert_eq!(adapter.tensors.len(), 2 * changed);
}

#[test]
fn what_is_added_is_what_a_merge_adds() {
    for settings in [
        &[][..],
        &[
            "lora.rank-pattern={ q_proj = 2 }",
            "lora.alpha-pattern={ v_proj = 3, \"1.mlp.up_proj\" = 40 }",
            "lora.scaling=rank-stabilized",
        ],
        &["lora.init=pissa", "lora.targets=[\"k_proj\", \"down_proj\"]"],
        &[LOFTQ, "lora.targets=[\"k_proj\", \"down_proj\"]"],
    ] {
        let place = Workplace::new();
        // Two heads of keys, so that their rows are put in another order by head.
        std::fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(
            &place.path("model"),
            serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "max_position_embeddings": 8192, "tie_word_embeddings": true}),
        );
        adds_what_a_merge_adds(&place, settings);
    }
}

/// One tensor of queries, keys and values, whose rows llama.cpp has in another order, and one of gate and up.
#[test]
fn joint_matrices_are_one_pair() {
    for (config, targets) in [
        (
            serde_json::json!({
            "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_act": "gelu", "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "rotary_pct": 0.25, "rotary_emb_base": 10000,
            "layer_norm_eps": 1e-5, "max_position_embeddings": 512, "use_parallel_residual": true, "tie_word_embeddings": false}),
            "lora.targets=[\"query_key_value\"]",
        ),
        (
            serde_json::json!({
            "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "hidden_act": "silu", "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 4096, "original_max_position_embeddings": 4096,
            "sliding_window": null, "tie_word_embeddings": false}),
            "lora.targets=[\"qkv_proj\", \"gate_up_proj\"]",
        ),
    ] {
        let place = Workplace::new();
        std::fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config);
        adds_what_a_merge_adds(&place, &[targets]);
    }
}

#[test]
fn what_llama_cpp_has_no_place_for_is_refused() {
    let refused = |settings: &[&str], more: &[&str], parts: &[&str]| {
        let place = Workplace::new();
        write_base(
            &place.path("model"),
            serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 8, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "attention_bias": true,
            "max_position_embeddings": 8192, "tie_word_embeddings": true}),
        );
        place.train(settings).succeeds();
        let arguments = ["export", "run", "out.gguf", "--format", "gguf-adapter"];
        place.rtune(&[&arguments[..], more].concat()).fails(2, parts);
        assert!(!place.path("out.gguf").exists() && place.begun("out.gguf").is_empty());
    };
    for (settings, what) in [
        ("lora.method=dora", "lengths of rows (DoRA)"),
        ("lora.bias=all", "biases were trained"),
        ("lora.modules-to-save=[\"norm\"]", "whole modules were trained"),
        ("lora.new-tokens=[\"<|ticket|>\"]", "rows of tokens were trained"),
    ] {
        refused(
            &[settings],
            &[],
            &["cannot be written as an adapter for llama.cpp", what, "hint: plain LoRA"],
        );
    }
    refused(&[], &["--quantize", "q8_0"], &["expected f32, f16 or bf16"]);
    refused(&[], &["--onto", "original"], &["--onto is for what is merged"]);
    refused(&[], &["--base-only"], &["an adapter has no base in it"]);
}

/// An adapter's file says nothing of tokens; the base's does, and is refused.
#[test]
fn a_tokenizer_that_llama_cpp_has_no_rule_for_is_no_hindrance() {
    let place = Workplace::new();
    let mut json: serde_json::Value =
        serde_json::from_str(&place.read("model/tokenizer.json")).expect("JSON");
    let words = serde_json::json!({"type": "Digits", "individual_digits": false});
    json["pre_tokenizer"] =
        serde_json::json!({"type": "Sequence", "pretokenizers": [words, json["pre_tokenizer"].clone()]});
    place.write("model/tokenizer.json", json.to_string());
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "adapter.gguf", "--format", "gguf-adapter"]).succeeds();
    assert!(!read(&place.path("adapter.gguf")).tensors.is_empty());
    place
        .rtune(&["export", "run", "out.gguf", "--format", "gguf"])
        .fails(2, &["no name that llama.cpp has for a rule of words"]);
}

#[test]
fn widths_of_numbers_are_as_asked() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "half.gguf", "--format", "gguf-adapter", "--quantize", "f16"]).succeeds();
    let half = read(&place.path("half.gguf"));
    assert!(half.tensors.values().all(|(kind, ..)| *kind == candle_core::quantized::GgmlDType::F16));
}
