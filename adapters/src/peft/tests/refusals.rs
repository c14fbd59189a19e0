//! Settings that are refused by name, and those that are not.

use serde_json::json;

use super::*;

/// The settings of a fixture with some keys replaced, read.
fn with(changes: &[(&str, Value)]) -> Result<PeftAdapter, AdapterError> {
    let dir = TempDir::new().expect("a folder");
    let source = case("llama").join("adapter");
    fs::copy(source.join(WEIGHTS_FILE), dir.path().join(WEIGHTS_FILE)).expect("a copy");
    let mut settings = settings_of(&source);
    for (key, value) in changes {
        settings[*key] = value.clone();
    }
    fs::write(dir.path().join(CONFIG_FILE), settings.to_string()).expect("settings");
    read(dir.path())
}

#[test]
fn settings_that_change_the_mathematics_are_refused_by_name() {
    for (key, value) in [
        ("use_dora", json!("yes")),
        ("lora_bias", json!(true)),
        ("fan_in_fan_out", json!(true)),
        ("layer_replication", json!([[0, 2]])),
        ("target_parameters", json!(["experts"])),
        ("trainable_token_indices", json!([3, 3])),
        ("trainable_token_indices", json!({"embed_tokens": [3], "lm_head": [4]})),
        ("bias", json!("some")),
        ("modules_to_save", json!("lm_head")),
        ("lora_dropout", json!(1.5)),
        ("layers_to_transform", json!("1")),
        ("use_qalora", json!(true)),
        ("use_bdlora", json!({"nblocks": 2})),
        ("alora_invocation_tokens", json!([1, 2])),
        ("arrow_config", json!({"top_k": 3})),
        ("corda_config", json!({"corda_method": "ipm"})),
        ("kasa_config", json!({"beta": 1.0})),
        ("lora_ga_config", json!({"scale": "stable"})),
        ("velora_config", json!({"scale": 1.0})),
        ("monteclora_config", json!({"num_samples": 8})),
        ("megatron_config", json!({"tensor_model_parallel_size": 2})),
        ("use_something_new", json!(true)),
        ("something_new", json!("on")),
        ("something_new", json!(0.5)),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("loftq")),
        ("peft_type", json!("ADALORA")),
        ("peft_type", json!(null)),
        ("task_type", json!("SEQ_CLS")),
        ("r", json!(null)),
        ("r", json!(0)),
        ("r", json!(4.5)),
        ("r", json!(4097)),
        ("lora_alpha", json!(null)),
        ("lora_alpha", json!("8")),
        ("lora_alpha", json!(-1)),
        ("use_rslora", json!("yes")),
        ("rank_pattern", json!(["q_proj"])),
        ("base_model_name_or_path", json!(7)),
    ] {
        let error = with(&[(key, value.clone())]).expect_err(key);
        let AdapterError::Key { key: named, found, expected, .. } = &error else { panic!("{key}: {error}") };
        assert_eq!((named.as_str(), found), (key, &value.to_string()), "{error}");
        assert!(!expected.is_empty() && error.hint().is_some());
    }
}

#[test]
fn what_is_said_to_be_trained_and_is_not_there_is_refused() {
    let text = with(&[("modules_to_save", json!(["lm_head"]))]).expect_err("refused").to_string();
    assert!(text.contains("no tensor of `lm_head`, which `modules_to_save` names"), "{text}");
    let text = with(&[("trainable_token_indices", json!([3]))]).expect_err("refused").to_string();
    assert!(text.contains("no rows of the tokens that `trainable_token_indices` names"), "{text}");
    let none = with(&[("bias", json!("all"))]).expect("read");
    assert_eq!(none.config.alongside.biases, Biases::None, "a model without biases has none in the file");
}

#[test]
fn dora_without_its_lengths_is_refused() {
    let text = with(&[("use_dora", json!(true))]).expect_err("refused").to_string();
    assert!(text.contains(".lora_magnitude_vector`: missing"), "{text}");
}

#[test]
fn what_stands_in_a_pattern_is_named_and_long_values_are_cut() {
    let error = with(&[("rank_pattern", json!({"q_proj": 0}))]).expect_err("refused");
    assert!(
        error.to_string().contains("`rank_pattern.q_proj`: expected a whole number from 1 to 4096, found 0")
    );
    let error = with(&[("alpha_pattern", json!({"q_proj": null}))]).expect_err("refused");
    assert!(error.to_string().contains("`alpha_pattern.q_proj`: expected a number above 0, found null"));
    let error = with(&[("alpha_pattern", json!({"q_(proj": 3}))]).expect_err("refused");
    assert!(error.to_string().contains("pattern `q_(proj` is no regular expression"));
    let error = with(&[("use_new", json!("ä".repeat(500)))]).expect_err("refused");
    assert!(error.to_string().chars().count() < 300, "{error}");
}

#[test]
fn harmless_settings_and_switches_that_are_off_are_accepted() {
    let plain = fixture("llama");
    for (key, value) in [
        ("inference_mode", json!(false)),
        ("exclude_modules", json!(["lm_head"])),
        ("target_modules", json!("all-linear")),
        ("task_type", json!(null)),
        ("init_lora_weights", json!("gaussian")),
        ("revision", json!("main")),
        ("peft_version", json!("0.7.0")),
        ("eva_config", json!({"rho": 2.0})),
        ("lora_alpha", json!(8.0)),
        ("rank_pattern", json!(null)),
        ("use_rslora", json!(null)),
        ("modules_to_save", json!([])),
        ("use_something_new", json!(false)),
        ("something_new", json!(0)),
        ("something_else", json!({})),
        ("something_more", json!("")),
    ] {
        assert_eq!(with(&[(key, value)]).expect(key), plain, "{key}");
    }
    let named = with(&[("base_model_name_or_path", json!("org/base"))]).expect("read");
    assert_eq!(named.base_model.as_deref(), Some("org/base"));
    let dropped = with(&[("lora_dropout", json!(0.1))]).expect("read");
    assert_eq!(dropped.config.dropout, 0.1);
    let stable = with(&[("use_rslora", json!(true))]).expect("read");
    assert_eq!(stable.config.scaling, Scaling::RankStabilized);
}
