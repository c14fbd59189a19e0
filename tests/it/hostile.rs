//! Model files that somebody made to do harm, or that do not belong together: each is refused, and the message says which
//! file and what in it.

use std::fs;

use serde_json::{Value, json};

use crate::workplace::{CONFIG, Ran, Workplace};

const WEIGHTS: &str = "model/model.safetensors";
const INDEX: &str = "model/model.safetensors.index.json";
/// Most address space that a refusal may need, in KiB: what the program itself and its threads' stacks take, twice.
const ADDRESS_SPACE_KIB: u32 = 4 << 20;

/// The header of the tiny model's weights and the bytes behind it.
fn weights(place: &Workplace) -> (Value, Vec<u8>) {
    let bytes = fs::read(place.path(WEIGHTS)).expect("readable");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    (header, bytes[8 + length..].to_vec())
}

fn write_weights(place: &Workplace, header: &Value, data: &[u8]) {
    let text = header.to_string();
    place.write(WEIGHTS, [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat());
}

/// Where the bytes of a tensor begin in the data.
fn start(header: &Value, tensor: &str) -> usize {
    header[tensor]["data_offsets"][0].as_u64().expect("an offset") as usize
}

/// Training, in no more memory than a program needs that believes none of the lengths.
fn train(place: &Workplace) -> Ran {
    fs::remove_dir_all(place.path("run")).ok();
    let mut command = std::process::Command::new("sh");
    place.settle(&mut command);
    let program = env!("CARGO_BIN_EXE_rtune");
    let script = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec '{program}' train config.toml");
    Ran::of(command.args(["-c", &script]).output().expect("started"))
}

#[track_caller]
fn refused(place: &Workplace, parts: &[&str]) {
    train(place).fails(2, parts);
    assert!(!place.path("run/checkpoints").exists(), "nothing was trained");
}

/// Changes keys of a JSON file of the model.
fn change(place: &Workplace, file: &str, changes: &Value) {
    let mut keys: Value = serde_json::from_str(&place.read(file)).expect("JSON");
    for (key, value) in changes.as_object().expect("an object") {
        keys[key] = value.clone();
    }
    place.write(file, keys.to_string());
}

#[test]
fn headers_that_lie() {
    let place = Workplace::new();
    let (header, data) = weights(&place);
    let norm = "model.norm.weight";
    let lie = |key: &str, value: Value, expected: &str| {
        let mut lying = header.clone();
        lying[norm][key] = value;
        write_weights(&place, &lying, &data);
        refused(&place, &[&format!("error: {WEIGHTS}: tensor `"), expected]);
    };
    let at = start(&header, norm);
    lie("data_offsets", json!([at - 4, at + 60]), "of the data, but the tensor before ends at");
    lie("data_offsets", json!([0, 64]), "of the data, but the tensor before ends at");
    lie("data_offsets", json!([at, u64::MAX]), "of the data, which has");
    lie("data_offsets", json!([-1, 63]), "header entry");
    lie("shape", json!([1_u64 << 56]), "needs");
    lie("shape", json!([1_u64 << 62]), "more elements than any file");
    lie("shape", json!([1_u64 << 40, 1_u64 << 40]), "more elements than any file");
    lie("dtype", json!("F64"), "needs 128 bytes");
    write_weights(&place, &header, &data);
    train(&place).succeeds();
}

/// The tiny model in two shards; gives the tensors of the first.
fn shard(place: &Workplace) -> Vec<String> {
    let (header, data) = weights(place);
    let mut names: Vec<String> = header.as_object().expect("an object").keys().cloned().collect();
    names.retain(|name| name != "__metadata__");
    names.sort_by_key(|name| start(&header, name));
    let first = names[..names.len() / 2].to_vec();
    let mut map = serde_json::Map::new();
    for (file, part) in
        [("a.safetensors", &names[..names.len() / 2]), ("b.safetensors", &names[names.len() / 2..])]
    {
        let (mut shard, mut bytes) = (json!({}), Vec::new());
        for name in part {
            let [from, to] = [0, 1].map(|end| header[name]["data_offsets"][end].as_u64().expect("an offset"));
            shard[name] = header[name].clone();
            shard[name]["data_offsets"] = json!([bytes.len(), bytes.len() as u64 + to - from]);
            bytes.extend_from_slice(&data[from as usize..to as usize]);
            map.insert(name.clone(), json!(file));
        }
        let text = shard.to_string();
        let whole = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &bytes].concat();
        place.write(&format!("model/{file}"), whole);
    }
    fs::remove_file(place.path(WEIGHTS)).expect("removed");
    place.write(INDEX, json!({"metadata": {}, "weight_map": map}).to_string());
    first
}

#[test]
fn shards_and_indices_that_lie() {
    let place = Workplace::new();
    let first = shard(&place);
    train(&place).succeeds();
    let index: Value = serde_json::from_str(&place.read(INDEX)).expect("JSON");
    let lie = |shard: &str, parts: &[&str]| {
        let mut lying = index.clone();
        lying["weight_map"][&first[0]] = json!(shard);
        place.write(INDEX, lying.to_string());
        refused(&place, parts);
    };
    lie("c.safetensors", &["error: model/c.safetensors: a shard of the weights is missing", "hint: "]);
    lie("b.safetensors", &[&format!("tensor `{}`", first[0]), "the index says it stands in b.safetensors"]);
    for elsewhere in ["../a.safetensors", "/etc/passwd", "..", "a/b.safetensors", ".a.safetensors", ""] {
        lie(elsewhere, &["error: model/model.safetensors.index.json: `weight_map.", "in the same folder"]);
    }
    place.write(INDEX, index.to_string());
    let whole = fs::read(place.path("model/b.safetensors")).expect("readable");
    for end in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        place.write("model/b.safetensors", &whole[..end]);
        refused(&place, &["error: model/b.safetensors: "]);
    }
    place.write("model/b.safetensors", [&whole[..], &[0]].concat());
    refused(&place, &["error: model/b.safetensors: the tensors end at byte"]);
    place.write("model/b.safetensors", whole);
    for text in ["{}", "[]", "{\"weight_map\": 3}", "{\"weight_map\": {\"a\": 3}}", "{\"weight_map\": {}}"] {
        place.write(INDEX, text);
        refused(&place, &["error: model"]);
    }
}

#[test]
fn shapes_beyond_all_measure() {
    let place = Workplace::new();
    let huge = |keys: Value, expected: &str| {
        let before = place.read("model/config.json");
        change(&place, "model/config.json", &keys);
        refused(&place, &["error: model", expected]);
        place.write("model/config.json", before);
    };
    huge(json!({"hidden_size": 1_u64 << 40}), "`hidden_size`: expected a whole number from 1 to");
    huge(json!({"num_hidden_layers": u64::MAX}), "`num_hidden_layers`: expected a whole number from 1 to");
    huge(json!({"vocab_size": -1}), "`vocab_size`: expected a whole number from 1 to");
    // Within the bounds, and still no file of this size.
    huge(json!({"vocab_size": 1 << 24}), "expected shape [16777216, 16] as the configuration says");
    huge(json!({"num_hidden_layers": 4096}), "tensor `model.layers.2.");
    huge(json!({"intermediate_size": 1 << 20}), "expected shape [1048576, 16] as the configuration says");
}

#[test]
fn weights_that_are_no_numbers() {
    let place = Workplace::new();
    let (header, data) = weights(&place);
    for (tensor, element, value) in [
        ("model.embed_tokens.weight", 40, f32::NAN),
        ("model.layers.1.mlp.down_proj.weight", 3, f32::INFINITY),
        ("model.layers.0.input_layernorm.weight", 0, f32::NEG_INFINITY),
    ] {
        let mut spoilt = data.clone();
        let at = start(&header, tensor) + 4 * element;
        spoilt[at..at + 4].copy_from_slice(&value.to_le_bytes());
        write_weights(&place, &header, &spoilt);
        refused(&place, &[&format!("tensor `{tensor}`: element {element} is not a finite number"), "hint: "]);
    }
}

#[test]
fn a_tokenizer_of_another_model() {
    let place = Workplace::new();
    let before = place.read("model/tokenizer.json");
    // Ids that the embedding has no rows for.
    let mut tokenizer: Value = serde_json::from_str(&before).expect("JSON");
    for (index, token) in tokenizer["added_tokens"].as_array_mut().expect("a list").iter_mut().enumerate() {
        token["id"] = json!(258 + index);
    }
    tokenizer["model"]["vocab"]["zz"] = json!(256);
    tokenizer["model"]["vocab"]["yy"] = json!(257);
    place.write("model/tokenizer.json", tokenizer.to_string());
    refused(
        &place,
        &[
            "error: `model`: the tokenizer gives token ",
            "hint: tokenizer.json and config.json are of two models",
        ],
    );
    place.write("model/tokenizer.json", before);
    // An end that the tokenizer does not have.
    change(&place, "model/config.json", &json!({"eos_token_id": 128_009, "vocab_size": 258}));
    refused(&place, &["error: model/tokenizer.json: ", "128009", "hint: "]);
    change(&place, "model/config.json", &json!({"eos_token_id": [128_009, 257]}));
    train(&place).succeeds();
}

#[test]
fn a_tokenizer_that_is_none() {
    let place = Workplace::new();
    for text in
        ["{}", "[]", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 4294967296}, \"merges\": []}}"]
    {
        place.write("model/tokenizer.json", text);
        refused(&place, &["error: model/tokenizer.json: tokenizer: "]);
    }
}

#[test]
fn a_template_without_end() {
    let place = Workplace::new();
    let endless =
        "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = 1 %}{% endfor %}{% endfor %}";
    change(&place, "model/tokenizer_config.json", &json!({"chat_template": endless}));
    refused(&place, &["error: ", "template", "fuel"]);
    place.write("endless.jinja", "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}");
    place.write("config.toml", CONFIG.replace("[data]", "[data]\ntemplate = \"endless.jinja\""));
    refused(&place, &["error: ", "template"]);
}
