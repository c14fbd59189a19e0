//! Adapters of a model that sees besides, as PEFT writes them: names of its text part, and pairs on its tower.

use serde_json::json;

use super::*;

const ONE: [f32; 1] = [1.0];

/// An adapter with tensors of one number, or of one row and one column, by these names behind the prefix.
fn folder(settings: &Value, names: &[&str]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let bytes = ONE[0].to_le_bytes();
    let shape = |name: &str| if name.contains("lora_") { vec![1, 1] } else { vec![1] };
    let tensors = names.iter().map(|name| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape(name), &bytes);
        (format!("{PREFIX}{name}"), view.expect("a tensor"))
    });
    let weights = safetensors::serialize(tensors, None).expect("a file");
    fs::write(dir.path().join(WEIGHTS_FILE), weights).expect("written");
    fs::write(dir.path().join(CONFIG_FILE), settings.to_string()).expect("written");
    dir
}

fn pair(linear: &str) -> [String; 2] {
    ["lora_A", "lora_B"].map(|half| format!("{linear}.{half}.weight"))
}

/// Reads an adapter with pairs on `linears` and the tensors `more`.
fn with(changes: Value, linears: &[&str], more: &[&str]) -> Result<PeftAdapter, AdapterError> {
    let mut settings = json!({"peft_type": "LORA", "r": 1, "lora_alpha": 2});
    settings.as_object_mut().expect("an object").extend(changes.as_object().cloned().expect("an object"));
    let pairs: Vec<String> = linears.iter().flat_map(|linear| pair(linear)).collect();
    let names: Vec<&str> = pairs.iter().map(String::as_str).chain(more.iter().copied()).collect();
    read(folder(&settings, &names).path())
}

const Q: &str = "model.layers.3.self_attn.q_proj";
const Q_THERE: &str = "model.language_model.layers.3.self_attn.q_proj";
const Q_BEFORE: &str = "language_model.model.layers.3.self_attn.q_proj";
const Q_OF_TOWER: &str = "model.vision_tower.encoder.layers.3.self_attn.q_proj";

#[test]
fn names_of_the_text_part_are_those_of_a_text_model() {
    for there in [Q_THERE, Q_BEFORE] {
        let adapter = with(json!({}), &[there], &[]).expect("read");
        assert_eq!((names(&adapter), adapter.left_out), (vec![Q.to_owned()], 0));
    }
    let error = with(json!({}), &[Q_THERE, Q], &[]).expect_err("two of one").to_string();
    assert!(error.contains("under two names"), "{error}");
}

/// Written for the names in the file, they would not match those here, and the scale would be another one without a word.
#[test]
fn patterns_mean_the_names_in_the_file() {
    let patterns = json!({"alpha_pattern": {"language_model.*q_proj": 6, "k_proj": 8}});
    let adapter = with(patterns, &[Q_THERE, &Q_THERE.replace("q_proj", "k_proj"), "lm_head"], &[]);
    let config = adapter.expect("read").config;
    let scales = [Q, &Q.replace("q_proj", "k_proj"), "lm_head"].map(|name| config.of(name).expect("one").1);
    assert_eq!(scales, [6.0, 8.0, 2.0]);
}

#[test]
fn what_is_of_parts_that_see_is_left_out() {
    let modules =
        json!({"modules_to_save": ["multi_modal_projector", "language_model.norm", "embed_tokens"]});
    let whole = [
        "model.multi_modal_projector.mm_soft_emb_norm.weight",
        "model.language_model.norm.weight",
        "model.language_model.embed_tokens.weight",
    ];
    let adapter = with(modules, &[Q_THERE, Q_OF_TOWER], &whole).expect("read");
    assert_eq!(adapter.left_out, 3);
    assert_eq!(names(&adapter), [Q]);
    assert_eq!(adapter.config.alongside.modules, ["model.norm", "embed_tokens"]);
    assert_eq!(adapter.tensors.len(), 4);

    let error = with(json!({}), &[Q_OF_TOWER], &[]).expect_err("nothing is left").to_string();
    assert!(error.contains("expected tensors of an adapter"), "{error}");
    let modules = json!({"modules_to_save": ["language_model.nor"]});
    assert!(with(modules, &[Q_THERE], &["model.language_model.norm.weight"]).is_err());
}
