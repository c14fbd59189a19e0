use std::path::Path;

use serde_json::{Value, json};

use super::{Fields, ModelConfig, RopeScaling};
use crate::ModelError;

mod families;

fn read(value: Value) -> Result<ModelConfig, ModelError> {
    ModelConfig::from_fields(Fields::new(Path::new("config.json"), value)?)
}

fn base() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 160,
        "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 199
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut config = base();
    config[key] = value;
    config
}

fn message(value: Value) -> String {
    read(value).expect_err("must be refused").to_string()
}

#[test]
fn defaults_are_those_of_transformers() {
    let config = read(base()).expect("valid");
    assert_eq!((config.num_key_value_heads, config.head_dim), (4, 16));
    assert_eq!(config.rms_norm_eps, 1e-6);
    assert_eq!(config.rope.theta, 10_000.0);
    assert_eq!(config.rope.scaling, RopeScaling::None);
    assert_eq!(config.max_position_embeddings, 2048);
    assert!(!config.tie_word_embeddings && !config.attention_bias && !config.mlp_bias);
    assert_eq!((config.bos_token_id, config.eos_token_ids, config.pad_token_id), (None, vec![], None));
}

#[test]
fn reads_both_shapes_of_rope() {
    let new = json!({"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32});
    let mut old = with("rope_scaling", new.clone());
    old["rope_scaling"].as_object_mut().expect("object").remove("rope_theta");
    old["rope_theta"] = json!(500000.0);
    let new = read(with("rope_parameters", new)).expect("valid").rope;
    assert_eq!(new, read(old).expect("valid").rope);
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 32,
    };
    assert_eq!((new.theta, new.scaling), (500_000.0, expected));
    let linear = read(with("rope_scaling", json!({"type": "linear", "factor": 4}))).expect("valid").rope;
    assert_eq!(linear.scaling, RopeScaling::Linear { factor: 4.0 });
}

/// A card's YaRN put beside what transformers 5 saved: transformers computes the former, and here it was not seen.
#[test]
fn two_ropes_that_say_different_things_are_refused() {
    let yarn =
        json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "rope_theta": 1e6});
    let both = |new: &Value, old: &Value| {
        let mut config = with("rope_parameters", new.clone());
        config["rope_scaling"] = old.clone();
        config
    };
    let plain = json!({"rope_type": "default", "rope_theta": 1e6});
    for (new, old) in [(&plain, &yarn), (&yarn, &plain)] {
        let text = message(both(new, old));
        assert!(text.contains("`rope_scaling`: expected what `rope_parameters` beside it says"), "{text}");
    }
    let expected = read(with("rope_scaling", yarn.clone())).expect("valid");
    assert!(matches!(expected.rope.scaling, RopeScaling::Yarn { .. }));
    // The same said in other words, and what says nothing.
    let mut renamed = yarn.clone();
    renamed["rope_type"] = renamed.as_object_mut().and_then(|block| block.remove("type")).expect("a type");
    for (new, old) in
        [(&yarn, &yarn), (&renamed, &yarn), (&yarn, &json!({})), (&json!({}), &yarn), (&yarn, &Value::Null)]
    {
        assert_eq!(read(both(new, old)).expect("valid"), expected, "{new} {old}");
    }
}

/// Nothing reads `pretraining_tp` any more, and it never changed the products that were cut by it.
#[test]
fn slices_of_the_pretraining_change_nothing() {
    assert_eq!(read(with("pretraining_tp", json!(2))).expect("valid"), read(base()).expect("valid"));
}

#[test]
fn reads_a_list_of_end_tokens_and_the_old_no_token() {
    let mut config = with("eos_token_id", json!([128001, 128008]));
    config["pad_token_id"] = json!(-1);
    let config = read(config).expect("valid");
    assert_eq!((config.eos_token_ids, config.pad_token_id), (vec![128_001, 128_008], None));
}

#[test]
fn refuses_by_name_what_is_not_computed() {
    for (key, value, found) in [
        ("model_type", json!("mamba"), "\"mamba\""),
        ("hidden_act", json!("gelu"), "\"gelu\""),
        ("architectures", json!(["LlamaForSequenceClassification"]), "LlamaForSequenceClassification"),
        ("rope_scaling", json!({"type": "dynamic", "factor": 4.0}), "\"dynamic\""),
        ("rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": 0.5}), "0.5"),
    ] {
        let text = message(with(key, value));
        assert!(
            text.contains(found) && text.contains("not supported") && text.contains("config.json"),
            "{text}"
        );
    }
}

#[test]
fn errors_name_key_expected_and_found() {
    for (key, value, expected) in [
        (
            "hidden_size",
            json!("64"),
            "`hidden_size`: expected a whole number from 1 to 1048576, found \"64\"",
        ),
        ("hidden_size", json!(0), "found 0"),
        ("hidden_size", json!(u64::MAX), "found 18446744073709551615"),
        ("num_hidden_layers", json!(2.5), "found 2.5"),
        (
            "num_hidden_layers",
            Value::Null,
            "`num_hidden_layers`: expected a whole number from 1 to 4096, found no",
        ),
        ("num_key_value_heads", json!(3), "a divisor of num_attention_heads, which is 4, found 3"),
        ("num_attention_heads", json!(5), "a divisor of hidden_size, which is 64"),
        ("head_dim", json!(15), "an even number"),
        ("rms_norm_eps", json!(-1.0), "above 0"),
        ("tie_word_embeddings", json!(1), "true or false, found 1"),
        ("eos_token_id", json!([2, -3]), "a token id below"),
        ("rope_scaling", json!({"type": "linear"}), "`rope_scaling.factor`"),
        ("rope_scaling", json!("linear"), "an object"),
        ("rope_theta", json!(0), "above 0"),
    ] {
        let text = message(with(key, value));
        assert!(text.contains(expected), "{text}");
    }
    let llama3 = json!({"type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    assert!(message(with("rope_scaling", llama3)).contains("above low_freq_factor, which is 4"));
}

#[test]
fn a_file_that_is_not_there_or_not_json_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("config.json");
    let error = ModelConfig::from_file(&path).expect_err("no file");
    assert!(error.to_string().contains("the model's configuration is missing"), "{error}");
    assert!(error.hint().is_some());
    std::fs::write(&path, "{\n\"hidden_size\": }").expect("write");
    let text = ModelConfig::from_file(&path).expect_err("not JSON").to_string();
    assert!(text.contains("line 2, column 16"), "{text}");
    std::fs::write(&path, b"{\"a\": \"\xff\"}").expect("write");
    let text = ModelConfig::from_file(&path).expect_err("not UTF-8").to_string();
    assert!(text.contains("not valid UTF-8 at byte 7"), "{text}");
    std::fs::write(&path, "[]").expect("write");
    assert!(
        ModelConfig::from_file(&path).expect_err("a list").to_string().contains("expected a JSON object")
    );
}
