//! Configurations as they stand on the hub, and as they stood there two years ago.

use rtune_kernels::activation::Activation;
use serde_json::{Value, json};

use super::read;
use crate::families::DecoderSpec;
use crate::{ModelConfig, Rope, RopeScaling};

fn sizes(model_type: &str, more: Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 4,
        "num_attention_heads": 4, "vocab_size": 199
    });
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    config
}

fn valid(model_type: &str, more: Value) -> ModelConfig {
    read(sizes(model_type, more)).expect("valid")
}

fn refused(model_type: &str, more: Value) -> String {
    read(sizes(model_type, more)).expect_err("must be refused").to_string()
}

fn windows(config: &ModelConfig) -> Vec<Option<usize>> {
    DecoderSpec::new(config).blocks.iter().map(|block| block.attention.window).collect()
}

#[test]
fn mistral_has_a_window_where_the_key_is_absent_and_none_where_it_is_null() {
    let absent = valid("mistral", json!({"num_attention_heads": 8}));
    assert_eq!((windows(&absent), absent.num_key_value_heads), (vec![Some(4096); 4], 8));
    let null = valid("mistral", json!({"sliding_window": null, "num_key_value_heads": 2}));
    assert_eq!((windows(&null), null.num_key_value_heads), (vec![None; 4], 2));
    let types = json!({"sliding_window": 8, "num_key_value_heads": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]});
    let text = refused("mistral", types);
    assert!(text.contains("`layer_types` is \"full_attention\" for layer 1"), "{text}");
}

#[test]
fn qwens_window_has_a_switch() {
    let off = json!({"use_sliding_window": false, "sliding_window": 32768, "max_window_layers": 2});
    assert_eq!(windows(&valid("qwen2", off)), [None; 4]);
    let on = json!({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 2});
    assert_eq!(windows(&valid("qwen2", on)), [None, None, Some(16), Some(16)]);
    let named = json!({"use_sliding_window": true, "sliding_window": 16, "layer_types":
        ["full_attention", "sliding_attention", "full_attention", "full_attention"]});
    assert_eq!(windows(&valid("qwen3", named)), [None, Some(16), None, None]);
    let block = DecoderSpec::new(&valid("qwen2", json!({"attention_bias": false}))).blocks[0].attention;
    assert!(block.input_bias && !block.output_bias, "Qwen 2 has these whatever a key says");
    assert_eq!(valid("qwen3", json!({"num_key_value_heads": 4})).head_dim, 128);
    assert_eq!(valid("qwen3", json!({"num_key_value_heads": 4, "head_dim": null})).head_dim, 16);
}

#[test]
fn yarn_stands_in_either_place() {
    let old = json!({"rope_theta": 1e6, "max_position_embeddings": 131_072, "rope_scaling":
        {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}});
    let new = json!({"max_position_embeddings": 131_072, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6,
        "factor": 4.0, "original_max_position_embeddings": 32768}});
    let expected = RopeScaling::Yarn {
        factor: 4.0,
        attention_factor: 0.1 * 4f64.ln() + 1.0,
        bounds: [32.0, 1.0],
        original_max_position_embeddings: 32_768,
        truncate: true,
    };
    let rope = valid("qwen2", old).rope;
    assert_eq!(rope, valid("qwen2", new).rope);
    assert_eq!(rope, Rope { theta: 1e6, fraction: 1.0, scaling: expected });
}

#[test]
fn phi3_reads_longrope_by_each_of_its_names() {
    let lists = |kind: &str| {
        json!({"rope_theta": 10000.0, "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": kind, "short_factor": vec![1.0; 8], "long_factor": vec![2.0; 8]}})
    };
    let rope = valid("phi3", lists("longrope")).rope;
    for old in ["su", "yarn"] {
        assert_eq!(valid("phi3", lists(old)).rope, rope);
    }
    let RopeScaling::LongRope { attention_factor, original_max_position_embeddings, .. } = rope.scaling
    else {
        panic!("another scaling");
    };
    assert_eq!(original_max_position_embeddings, 4096);
    assert!((attention_factor - (1.0 + 32f64.ln() / 4096f64.ln()).sqrt()).abs() < 1e-12);
    let mut short = lists("longrope");
    short["rope_scaling"]["long_factor"] = json!([1.0, 2.0]);
    assert!(refused("phi3", short).contains("expected 8 numbers, one for each pair, found 2"));
    // Phi-4-mini: three quarters of a head, and lists of that length.
    let partial = json!({"partial_rotary_factor": 0.75, "rope_scaling":
        {"type": "longrope", "short_factor": vec![1.0; 6], "long_factor": vec![1.0; 6]}});
    assert_eq!(DecoderSpec::new(&valid("phi3", partial)).ropes[0].frequencies.len(), 6);
}

#[test]
fn gemmas_keys_changed_their_names() {
    for (key, name) in [("hidden_act", "gelu"), ("hidden_activation", "gelu_pytorch_tanh"), ("_", "")] {
        let config = valid("gemma", json!({key: name, "num_key_value_heads": 1}));
        assert_eq!(config.differences.activation, Activation::GeluTanh);
    }
    let config = valid(
        "gemma2",
        json!({"query_pre_attn_scalar": 64, "sliding_window": 8, "cache_implementation": "hybrid"}),
    );
    assert_eq!(windows(&config), [Some(8), None, Some(8), None]);
    let differences = &config.differences;
    assert_eq!((differences.attention_cap, differences.logit_cap), (Some(50.0), Some(30.0)));
    assert_eq!(differences.attention_multiplier, Some(0.125));
    assert!(config.tie_word_embeddings && config.head_dim == 256);
    let old = json!({"rope_theta": 1e6, "rope_local_base_freq": 10000.0, "sliding_window": 512, "num_hidden_layers": 7,
        "sliding_window_pattern": 3, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}});
    let new = json!({"sliding_window": 512, "num_hidden_layers": 7, "layer_types": ["sliding_attention",
        "sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention",
        "sliding_attention"], "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0,
        "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}});
    let (old, new) = (valid("gemma3_text", old), valid("gemma3_text", new));
    assert_eq!(old, new);
    assert_eq!(old.differences.local_rope, Some(Rope::plain(10_000.0)));
    assert_eq!(windows(&old)[..3], [Some(512), Some(512), None]);
    let ropes: Vec<_> = DecoderSpec::new(&old).blocks.iter().map(|block| block.attention.rope).collect();
    assert_eq!(ropes[..3], [Some(1), Some(1), Some(0)]);
    assert!(
        refused("gemma3_text", json!({"use_bidirectional_attention": true})).contains("use_bidirectional")
    );
}

#[test]
fn falcon_says_the_same_by_other_means() {
    let small = json!({"alibi": false, "bias": false, "multi_query": true, "parallel_attn": true, "n_head": 4,
        "n_layer": 3, "num_attention_heads": null, "num_hidden_layers": null, "architectures": ["RWForCausalLM"]});
    let config = valid("RefinedWebModel", small);
    assert_eq!((config.num_key_value_heads, config.num_hidden_layers, config.intermediate_size), (1, 3, 256));
    assert_eq!(config.family.names.attention_norm, Some("input_layernorm"));
    let large = valid("RefinedWeb", json!({"n_head_kv": 2, "parallel_attn": true}));
    assert_eq!((large.num_key_value_heads, large.family.names.attention_norm), (2, Some("ln_attn")));
    let one = json!({"new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 96});
    let one = valid("falcon", one);
    assert_eq!((one.family.names.mlp_norm, one.intermediate_size), (Some("input_layernorm"), 96));
    assert!(one.differences.parallel_residual && one.tie_word_embeddings);
    assert!(refused("falcon", json!({"alibi": true})).contains("`alibi` is true"));
    assert!(refused("falcon", json!({"parallel_attn": false})).contains("`parallel_attn` is false"));
}

#[test]
fn gpt_neox_turns_a_part_of_a_head() {
    let old = json!({"rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": false, "hidden_act": "gelu_fast"});
    let new = json!({"use_parallel_residual": false, "hidden_act": "gelu_fast", "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}});
    let config = valid("gpt_neox", old);
    assert_eq!(config, valid("gpt_neox", new));
    assert_eq!((config.rope.rotary_width(16), config.num_key_value_heads), (4, 4));
    assert!(config.attention_bias && config.mlp_bias && !config.differences.parallel_residual);
    assert!(valid("gpt_neox", json!({})).differences.parallel_residual);
}

#[test]
fn experts_are_counted_under_either_name() {
    for key in ["num_experts", "num_local_experts"] {
        let more = json!({key: 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "norm_topk_prob": true,
            "mlp_only_layers": [0], "decoder_sparse_step": 2, "num_key_value_heads": 2});
        let config = valid("qwen3_moe", more);
        let experts: Vec<bool> = config.differences.layers.iter().map(|layer| layer.experts).collect();
        assert_eq!(experts, [false, true, false, true]);
        let spec = DecoderSpec::new(&config);
        assert_eq!((spec.blocks[0].mlp.width, spec.blocks[1].mlp.width), (160, 48));
        assert!(spec.blocks[1].mlp.experts.is_some_and(|experts| experts.choice.normalized));
    }
    let text = refused("mixtral", json!({"num_local_experts": 2, "num_experts_per_tok": 4}));
    assert!(text.contains("at most 2, the number of experts, found 4"), "{text}");
}

#[test]
fn smollm3_and_granite_read_what_is_theirs() {
    let config = valid("smollm3", json!({"num_key_value_heads": 2}));
    let without: Vec<bool> = config.differences.layers.iter().map(|layer| layer.without_rope).collect();
    assert_eq!((without, config.rope.theta), (vec![false, false, false, true], 2e6));
    let given = valid("smollm3", json!({"num_key_value_heads": 2, "no_rope_layers": [0, 1, 1, 0]}));
    assert!(given.differences.layers[0].without_rope && !given.differences.layers[1].without_rope);
    assert!(refused("smollm3", json!({"no_rope_layers": [1, 0]})).contains("a list of 4 numbers"));
    let more = json!({"embedding_multiplier": 12, "attention_multiplier": 0.015625, "residual_multiplier": 0.22,
        "logits_scaling": 8, "attention_dropout": 0.1});
    let spec = DecoderSpec::new(&valid("granite", more));
    assert_eq!((spec.embedding_scale, spec.logit_divisor), (12.0, 8.0));
    assert_eq!((spec.blocks[3].residual_scale, spec.blocks[3].attention.scale), (0.22, 0.015_625));
}

#[test]
fn what_changes_the_mathematics_of_another_family_is_refused_by_name() {
    for (model_type, key, value) in [
        ("llama", "residual_multiplier", json!(0.22)),
        ("llama", "attn_logit_softcapping", json!(50.0)),
        ("llama", "num_local_experts", json!(8)),
        ("llama", "no_rope_layers", json!([1, 1, 1, 0])),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("llama", "layer_types", json!(vec!["sliding_attention"; 4])),
        ("mistral", "use_sliding_window", json!(true)),
        ("qwen2", "qk_layernorm", json!(true)),
        ("olmo2", "clip_qkv", json!(8.0)),
        ("qwen3", "layer_types", json!(vec!["linear_attention"; 4])),
        ("gpt_neox", "hidden_act", json!("relu")),
        ("phi3", "rope_scaling", json!({"type": "dynamic", "factor": 2.0})),
        ("qwen2", "rope_scaling", json!({"type": "default", "mrope_section": [2, 3, 3]})),
        ("gemma", "final_logit_softcapping", json!(30.0)),
    ] {
        let text = refused(model_type, json!({key: value, "num_key_value_heads": 2}));
        assert!(text.contains("not supported") && text.contains(key), "{model_type}: {text}");
    }
    valid("llama", json!({"residual_multiplier": 1.0, "num_experts": 0, "alibi": false, "clip_qkv": null}));
}
