//! `rtune bench`: what it measures adds up.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

fn measured(place: &Workplace, arguments: &[&str]) -> Value {
    let ran = place.rtune(&[&["bench", "--json", "--steps", "2"], arguments].concat());
    ran.succeeds();
    serde_json::from_str(&ran.stdout).expect("JSON")
}

fn losses(value: &Value) -> Vec<f64> {
    value["losses_nats"].as_array().expect("losses").iter().filter_map(Value::as_f64).collect()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn steps_of_a_configuration_are_measured() {
    let place = Workplace::new();
    let all = measured(&place, &["config.toml", "--row-tokens", "32", "--set", "train.save-activations=all"]);
    assert_eq!(number(&all, "rows"), 4.0, "as the configuration says");
    assert_eq!(all["steps_s"].as_array().map(Vec::len), Some(2));
    let phases = all["phases_s"].as_object().expect("phases");
    let spent: f64 = phases.values().filter_map(Value::as_f64).sum();
    let mean = all["steps_s"].as_array().expect("steps").iter().filter_map(Value::as_f64).sum::<f64>() / 2.0;
    assert!((spent - mean).abs() < 0.01 * mean, "{spent} of {mean} s: {phases:?}");
    for phase in [
        "linears, forward",
        "linears, backward",
        "attention, forward",
        "attention, backward",
        "head",
        "loss",
        "update",
    ] {
        assert!(phases[phase].as_f64() > Some(0.0), "{phase}: {phases:?}");
    }
    assert!((losses(&all)[0] - 258_f64.ln()).abs() < 1.5, "random tokens: {all}");
    let fewer = measured(
        &place,
        &["config.toml", "--row-tokens", "32", "--set", "train.save-activations=input-only"],
    );
    assert_eq!(number(&fewer, "useful_operations"), number(&all, "useful_operations"));
    assert!(number(&fewer, "executed_operations") > number(&all, "executed_operations"));
    assert_eq!(losses(&fewer), losses(&all), "a policy changes no bit");
    assert!(number(&fewer, "buffers_bytes") < number(&all, "buffers_bytes"));
    assert!(!place.path("run").exists(), "nothing is written");
}

#[test]
fn a_shape_needs_no_base() {
    let place = Workplace::new();
    let shape =
        measured(&place, &["--shape", "smollm2-135m", "--rows", "1", "--row-tokens", "16", "--warmup", "0"]);
    assert_eq!(number(&shape, "trained"), 4_884_480.0, "rank 16 beside all linears");
    let text = place.rtune(&[
        "bench",
        "--shape",
        "smollm2-135m",
        "--rows",
        "1",
        "--row-tokens",
        "16",
        "--steps",
        "1",
        "--warmup",
        "0",
    ]);
    text.succeeds();
    assert!(text.stdout.contains("tokens/s") && text.stdout.contains("linears, backward"), "{}", text.stdout);
}

#[test]
fn what_cannot_be_measured_is_said() {
    let place = Workplace::new();
    place
        .rtune(&["bench", "--shape", "llama9"])
        .fails(2, &["error: no shape `llama9`", "hint: known are smollm2-135m,"]);
    place.rtune(&["bench"]).fails(2, &["required arguments were not provided"]);
    place.rtune(&["bench", "config.toml", "--shape", "llama3-8b"]).fails(2, &["cannot be used with"]);
    place.rtune(&["bench", "config.toml", "--row-tokens", "1"]).fails(2, &["1 is not in 2.."]);
    let full = [
        "bench",
        "config.toml",
        "--set",
        "quantization.kind=none",
        "--set",
        "lora.method=full",
        "--set",
        "lora.rank=16",
    ];
    place.rtune(&full).fails(2, &["error: "]);
}

/// A base that cannot be used is one fault of the input, whoever reads it first.
#[test]
fn a_base_that_cannot_be_used_is_said_as_train_says_it() {
    let place = Workplace::new();
    let config = place.read("model/config.json");
    let weights = fs::read(place.path("model/model.safetensors")).expect("weights");
    let said = |part: &str| {
        let ran = ["train", "plan", "bench"].map(|verb| place.rtune(&[verb, "config.toml"]));
        ran.iter().for_each(|ran| ran.fails(2, &["error: ", part, "\n  hint: "]));
        let [train, plan, bench] = ran.map(|ran| ran.stderr);
        assert_eq!((&plan, &bench), (&train, &train));
    };
    place.write("model/config.json", config.replace("\"llama\"", "\"nobody\""));
    said("nobody");
    place.write("model/config.json", config.replace("\"silu\"", "\"sine\""));
    said("sine");
    place.write("model/config.json", &config);
    place.write("model/model.safetensors", &weights[..4]);
    said("model.safetensors");
}

/// What is trained is what a run of the configuration trains, and a base that a run refuses is refused.
#[test]
fn a_configuration_is_measured_as_its_run_would_train() {
    let place = Workplace::new();
    let trained = |sets: &[&str]| {
        let mut arguments = vec!["config.toml", "--row-tokens", "32"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        measured(&place, &arguments)
    };
    let plain = trained(&[]);
    assert_eq!(
        number(&trained(&["lora.trainable-tokens=[\"<|im_end|>\"]"]), "trained"),
        number(&plain, "trained") + 16.0
    );
    assert!(number(&trained(&["lora.new-tokens=[\"<new>\"]"]), "trained") > number(&plain, "trained"));
    let unquantised = trained(&["quantization.kind=none"]);
    let begun = trained(&["quantization.kind=none", "lora.init=pissa"]);
    assert_eq!(number(&begun, "trained"), number(&unquantised, "trained"));
    assert!(losses(&begun)[0] != losses(&unquantised)[0], "adapters began with something of the base");
    let unknown = ["bench", "config.toml", "--set", "lora.trainable-tokens=[\"<none>\"]"];
    place.rtune(&unknown).fails(2, &["<none>"]);
    place.write("model/README.md", "---\nlicense: cc-by-nc-4.0\n---\n");
    let licences = ["bench", "config.toml", "--set", "model.licences=[\"mit\"]"];
    place.rtune(&licences).fails(2, &["cc-by-nc-4.0"]);
    let shape = ["bench", "--shape", "smollm2-135m", "--set", "lora.new-tokens=[\"<new>\"]"];
    place.rtune(&shape).fails(2, &["a shape has no tokenizer", "hint: measure a configuration"]);
    place.rtune(&["bench", "config.toml", "--row-tokens", "9000"]).fails(
        2,
        &[
            "--row-tokens: expected at most 8192, as `model` was made for, found 9000",
            "hint: --row-tokens 8192",
        ],
    );
}
