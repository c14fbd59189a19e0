//! Adapters whose base is something else to the programs that load them: a part of a model that sees besides, experts in one parameter.

use std::fs;

use rtune_adapters::peft;
use serde_json::{Value, json};

use crate::families::configurations;
use crate::release::json_of;
use crate::workplace::{Workplace, write_base};

const ALL: &str = "lora.targets=['q_proj', 'up_proj']";

/// A place whose base has the configuration of the case `name`.
fn beside(name: &str) -> Workplace {
    let (_, config) = configurations().into_iter().find(|(case, _)| case == name).expect("a case");
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    write_base(&place.path("model"), config);
    place
}

fn names_of(place: &Workplace, folder: &str) -> Vec<String> {
    let bytes = fs::read(place.path(folder).join(peft::WEIGHTS_FILE)).expect("weights");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a file");
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn an_adapter_of_a_model_that_sees_has_the_names_of_its_repository_and_is_read_again() {
    let place = beside("gemma3");
    let text = json_of(&place.path("model/config.json"));
    let whole = json!({"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text});
    place.write("model/config.json", whole.to_string());
    let few = ["train.steps=3", "data.validation=0", ALL, "lora.layers=[1]"];
    let own = ["lora.rank-pattern={ q_proj = 2 }", "lora.alpha-pattern={ 'layers.1.mlp.up_proj' = 3.0 }"];
    place.train(&[&few[..], &own].concat()).succeeds();
    let ran = place.rtune(&["export", "run", "out"]);
    ran.succeeds();
    assert!(ran.stderr.contains("a model that sees besides"), "{}", ran.stderr);

    let names = names_of(&place, "out");
    let part = "base_model.model.model.language_model.layers.1.";
    assert!(names.len() == 4 && names.iter().all(|name| name.starts_with(part)), "{names:?}");
    let keys = json_of(&place.path("out").join(peft::CONFIG_FILE));
    let [q, up] =
        ["self_attn.q_proj", "mlp.up_proj"].map(|linear| format!("model.language_model.layers.1.{linear}"));
    assert_eq!(keys["target_modules"], json!([up, q]));
    assert_eq!(keys["rank_pattern"], json!({ q.as_str(): 2 }));
    assert_eq!(keys["alpha_pattern"], json!({ up.as_str(): 3.0 }));
    assert_eq!([&keys["layers_to_transform"], &keys["layers_pattern"]], [&Value::Null; 2]);

    // What is read of it is what was trained.
    let [trained, exported] = ["run/checkpoints/step-000003", "out"]
        .map(|folder| peft::read(&place.path(folder)).expect("an adapter"));
    assert_eq!(exported.tensors, trained.tensors);
    assert_eq!(exported.config.targets, trained.config.targets);
    for name in ["model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj"] {
        assert_eq!(exported.config.of(name).expect("a scale"), trained.config.of(name).expect("a scale"));
    }

    // Also where the base is not at hand any more: the run wrote down what it is.
    fs::rename(place.path("model"), place.path("away")).expect("moved");
    let ran = place.rtune(&["export", "run", "alone"]);
    ran.succeeds();
    assert!(ran.stderr.contains("a model that sees besides"), "{}", ran.stderr);
    assert_eq!(names_of(&place, "alone"), names_of(&place, "out"));
    fs::rename(place.path("away"), place.path("model")).expect("moved back");

    // A checkpoint without one of its pairs is not taken for whole.
    let from = ["lora.from='out'", "output.dir='on'", "train.steps=1", "data.validation=0"];
    place.train(&from).succeeds();
    let mut keys = keys;
    keys["target_modules"] = json!([up, q, up.replace("up_proj", "gate_proj")]);
    place.write("out/adapter_config.json", keys.to_string());
    place.train(&[&from[..], &["output.dir='no'"]].concat()).fails(2, &["asked for by `target_modules`"]);

    // One server looks for the names of a text model, whatever it serves.
    place.train(&["train.steps=3", "data.validation=0", ALL, "output.dir='plain'"]).succeeds();
    let ran = place.rtune(&["export", "plain", "tgi", "--for", "tgi"]);
    ran.succeeds();
    for said in [&ran.stderr, &place.read("tgi/README.md")] {
        assert!(said.contains("which this server looks for"), "{said}");
    }
    let names = names_of(&place, "tgi");
    assert!(names.iter().all(|name| name.starts_with("base_model.model.model.layers.")), "{names:?}");
    place.rtune(&["export", "plain", "vllm", "--for", "vllm"]).succeeds();
    assert!(names_of(&place, "vllm").iter().all(|name| name.contains(".language_model.")));
}

#[test]
fn adapters_on_experts_are_loaded_as_they_were_trained_or_not_written() {
    let place = beside("mixtral");
    let train = |dir: &str, own: &[&str]| {
        let dir = format!("output.dir='{dir}'");
        place.train(&[&["train.steps=3", "data.validation=0", &dir], own].concat()).succeeds();
    };
    let all = "lora.targets=['w1', 'w2', 'w3']";
    train("run", &[all, "lora.scaling='rank-stabilized'", "lora.dropout=0.2", "lora.rank=4", "lora.alpha=3"]);
    place.rtune(&["export", "run", "out"]).succeeds();
    let keys = json_of(&place.path("out").join(peft::CONFIG_FILE));
    assert_eq!(
        [&keys["use_rslora"], &keys["lora_dropout"], &keys["lora_alpha"]],
        [&json!(false), &json!(0.0), &json!(6)]
    );
    let [trained, exported] = ["run/checkpoints/step-000003", "out"]
        .map(|folder| peft::read(&place.path(folder)).expect("an adapter"));
    assert_eq!(exported.tensors, trained.tensors);

    train("half", &["lora.targets=['w1', 'w2']"]);
    let ran = place.rtune(&["export", "half", "no"]);
    ran.fails(2, &["PEFT adapts `w1` and `w3` of experts as one matrix", "merge it"]);
    assert!(!place.path("no").exists());
    place.rtune(&["export", "half", "merged", "--format", "safetensors"]).succeeds();
}
