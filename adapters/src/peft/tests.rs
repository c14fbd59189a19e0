mod damage;
mod refusals;
mod seeing;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::Scaling;

/// The committed reference cases, whose adapters PEFT 0.21.2 wrote.
const CASES: [&str; 5] = ["llama", "llama3", "llama_linear", "llama_patterns", "llama_rslora"];

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn case(name: &str) -> PathBuf {
    repository().join("tests/fixtures/reference").join(name)
}

fn fixture(name: &str) -> PeftAdapter {
    read(&case(name).join("adapter")).expect("the fixture")
}

/// Parameters of the adapter's shapes, filled from it.
fn parameters(adapter: &PeftAdapter) -> Parameters<f32> {
    let mut parameters = Parameters::new();
    // Another order than that of the file, as that of a model is.
    for (name, tensor) in adapter.tensors.iter().rev() {
        parameters.push(name.clone(), tensor.shape.clone());
    }
    adapter.load_into(&mut parameters, Path::new("adapter")).expect("fits itself");
    parameters
}

fn names(adapter: &PeftAdapter) -> Vec<String> {
    let Targets::Names(names) = &adapter.config.targets else { panic!("names") };
    names.clone()
}

fn write_to(dir: &Path, adapter: &PeftAdapter, linears: &[String]) -> Result<(), AdapterError> {
    let linears: Vec<&str> = linears.iter().map(String::as_str).collect();
    write(dir, &adapter.config, &parameters(adapter), &linears, None, "a base")
}

fn settings_of(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join(CONFIG_FILE)).expect("settings")).expect("JSON")
}

#[test]
fn files_in_memory_are_read_as_those_on_the_disk() {
    for name in CASES {
        let folder = case(name).join("adapter");
        let [settings, weights] =
            [CONFIG_FILE, WEIGHTS_FILE].map(|file| fs::read(folder.join(file)).expect("read"));
        assert_eq!(from_bytes(Path::new("x"), &settings, &weights, false).expect("read"), fixture(name));
        let cut =
            from_bytes(Path::new("x"), &settings, &weights[..weights.len() - 1], false).expect_err("cut");
        assert!(cut.to_string().contains("adapter_model.safetensors"), "{cut}");
    }
}

#[test]
fn what_peft_wrote_is_read_with_its_ranks_and_scales() {
    let down = "model.layers.1.mlp.down_proj";
    for (name, of_q, of_v, of_down) in [
        ("llama", (4, 2.0), (4, 2.0), (4, 2.0)),
        ("llama3", (4, 2.0), (4, 2.0), (4, 2.0)),
        ("llama_linear", (4, 2.0), (4, 2.0), (4, 2.0)),
        ("llama_rslora", (4, 4.0), (4, 4.0), (4, 4.0)),
        ("llama_patterns", (2, 4.0), (4, 0.75), (7, 8.0 / 7.0)),
    ] {
        let adapter = fixture(name);
        assert_eq!((adapter.tensors.len(), names(&adapter).len()), (28, 14), "{name}");
        assert_eq!(adapter.base_model, None);
        let of = |linear: &str| adapter.config.of(linear).expect("rank");
        assert_eq!(of("model.layers.0.self_attn.q_proj"), of_q, "{name}");
        assert_eq!(of("model.layers.1.self_attn.v_proj"), of_v, "{name}");
        assert_eq!(of(down), of_down, "{name}");
        assert_eq!(adapter.tensors[&format!("{down}.lora_A.weight")].shape, [of_down.0, 160]);
        assert_eq!(adapter.tensors[&format!("{down}.lora_B.weight")].shape, [64, of_down.0]);
    }
}

#[test]
fn what_is_written_equals_what_peft_wrote() {
    for name in CASES {
        let adapter = fixture(name);
        let dir = TempDir::new().expect("a folder");
        write_to(dir.path(), &adapter, &names(&adapter)).expect("written");
        let source = case(name).join("adapter");
        let (mut ours, mut theirs) = (settings_of(dir.path()), settings_of(&source));
        assert_eq!(ours["base_model_name_or_path"], "a base");
        let last_parts = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"];
        assert_eq!(ours["target_modules"], serde_json::json!(last_parts));
        for settings in [&mut ours, &mut theirs] {
            let object = settings.as_object_mut().expect("an object");
            object.remove("base_model_name_or_path");
            object.remove("target_modules");
        }
        assert_eq!(ours.to_string(), theirs.to_string(), "{name}: with the order of the keys");
        let weights = |dir: &Path| fs::read(dir.join(WEIGHTS_FILE)).expect("weights");
        assert!(weights(dir.path()) == weights(&source), "{name}: the bytes of the weights");
        let again = read(dir.path()).expect("reads back");
        assert_eq!(again, PeftAdapter { base_model: Some("a base".to_owned()), ..adapter });
    }
}

#[test]
fn partly_adapted_kinds_are_named_in_full_and_patterns_keep_their_order() {
    let mut adapter = fixture("llama_patterns");
    let linears = names(&adapter);
    let dropped = "model.layers.0.self_attn.q_proj";
    adapter.tensors.retain(|name, _| !name.starts_with(dropped));
    adapter.config.alpha = 2.5;
    adapter.config.rank_pattern =
        vec![("q_proj".into(), 2), (r"layers\.1\.mlp\.down_.*".into(), 7), ("q_proj".into(), 9)];
    let dir = TempDir::new().expect("a folder");
    write_to(dir.path(), &adapter, &linears).expect("written");
    let settings = settings_of(dir.path());
    let full: Vec<&String> = linears.iter().filter(|name| *name != dropped).collect();
    assert_eq!(settings["target_modules"], serde_json::json!(full));
    assert_eq!(settings["lora_alpha"].to_string(), "2.5");
    assert_eq!(settings["rank_pattern"].to_string(), r#"{"q_proj":2,"layers\\.1\\.mlp\\.down_.*":7}"#);
    let again = read(dir.path()).expect("reads back");
    assert_eq!(again.config.rank_pattern, adapter.config.rank_pattern[..2]);
    assert_eq!(again.tensors, adapter.tensors);
    // Every down projection that there is, and no other kind: the last part is enough.
    adapter.tensors.retain(|name, _| name.contains("down_proj"));
    let dir = TempDir::new().expect("a folder");
    write_to(dir.path(), &adapter, &linears).expect("written");
    assert_eq!(settings_of(dir.path())["target_modules"], serde_json::json!(["down_proj"]));
}

#[test]
fn an_adapter_of_another_model_is_refused_by_tensor_and_nothing_is_changed() {
    let adapter = fixture("llama");
    let full = parameters(&adapter);
    let shaped = |skip: &str, longer: &str| {
        let mut parameters = Parameters::<f32>::new();
        for entry in full.entries().iter().filter(|entry| entry.name != skip) {
            let mut shape = entry.shape.clone();
            shape[1] += usize::from(entry.name == longer);
            parameters.push(entry.name.clone(), shape);
        }
        parameters
    };
    let tensor = "model.layers.1.mlp.up_proj.lora_A.weight";
    let mut cases = [
        (shaped(tensor, ""), "in the file, but the model has no place for it"),
        (shaped("", tensor), "expected shape [4, 65], found [4, 64]"),
        (full.clone(), "expected by the model, not in the file"),
    ];
    cases[2].0.flat_mut().fill(0.0);
    for (index, (mut parameters, problem)) in cases.into_iter().enumerate() {
        let mut adapter = adapter.clone();
        if index == 2 {
            adapter.tensors.remove(tensor);
        }
        let error = adapter.load_into(&mut parameters, Path::new("old/run")).expect_err("refused");
        let expected = format!("old/run/{WEIGHTS_FILE}: tensor `{PREFIX}{tensor}`: {problem}");
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().expect("a hint").contains("base model"));
        assert!(parameters.flat().iter().all(|value| *value == 0.0));
    }
}

#[test]
fn an_adapter_is_inert_while_every_b_is_zero() {
    let mut parameters = parameters(&fixture("llama"));
    assert!(!is_inert(&parameters));
    let of_b: Vec<String> = parameters.entries().iter().map(|e| e.name.clone()).collect();
    for name in of_b.iter().filter(|name| name.ends_with("lora_B.weight")) {
        parameters.get_mut(name).expect("there").fill(-0.0);
    }
    assert!(is_inert(&parameters));
    parameters.get_mut(&of_b[0]).expect("there")[3] = f32::NAN;
    assert!(!is_inert(&parameters));
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let adapter = fixture("llama");
    let linears = names(&adapter);
    let dir = TempDir::new().expect("a folder");
    let error = write_to(dir.path(), &adapter, &linears[1..]).expect_err("refused");
    assert_eq!(error.to_string(), format!("the model has no linear called `{}`", linears[0]));
    let mut other = adapter.clone();
    other.config.rank = 5;
    let error = write_to(dir.path(), &other, &linears).expect_err("refused");
    let expected =
        "tensor `model.layers.0.mlp.down_proj.lora_A.weight`: expected rank 5 as configured, found 4";
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 0);
    write_to(dir.path(), &adapter, &linears).expect("written");
    let error = write_to(dir.path(), &adapter, &linears).expect_err("nothing is replaced");
    assert!(matches!(error, AdapterError::Io { .. }), "{error}");
}

/// With RTUNE_PEER_PYTHON, a Python that has peft 0.21: it loads what is written here and finds the expected logits.
#[test]
fn peft_loads_what_is_written() {
    let dir = TempDir::new().expect("a folder");
    let mut folders = Vec::new();
    for (name, adapted) in CASES.map(|name| (name, "")).into_iter().chain([("llama_patterns", "layers.1.")]) {
        let mut adapter = fixture(name);
        let linears = names(&adapter);
        adapter.tensors.retain(|tensor, _| tensor.contains(adapted));
        let folder = dir.path().join(format!("{name}{adapted}"));
        fs::create_dir(&folder).expect("a folder");
        write_to(&folder, &adapter, &linears).expect("written");
        folders.extend([case(name), folder]);
    }
    let Some(python) = std::env::var_os("RTUNE_PEER_PYTHON") else {
        let skipped = b"skipped: RTUNE_PEER_PYTHON names no Python that has peft\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
        return;
    };
    let script = repository().join("tests/peers/peft_roundtrip.py");
    let output = Command::new(python).arg(script).args(&folders).output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("of the largest logit").count(), folders.len() / 2, "{text}");
}
