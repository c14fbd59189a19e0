//! Folders in GPTQ's and AWQ's 4 bits.

#![expect(clippy::print_stdout, reason = "figures are what families are compared by")]

use std::fs;
use std::path::Path;
use std::process::Command;

use rtune_data::{Encoder, TrainOn, read_file};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::families::configurations;
use crate::release::{json_of, logits_of, opened, read_back, tensors};
use crate::release_peers::python;
use crate::workplace::{Workplace, rows, write_base};

/// A model with several groups a row, value heads that several query heads read, and biases.
fn place() -> Workplace {
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
        "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 8192, "tie_word_embeddings": true,
        "attention_bias": true, "mlp_bias": true});
    write_base(&place.path("model"), config);
    make_uneven(&place.path("model"));
    place
}

/// Makes channels uneven, as those of trained models are: some factors of norms, and some rows that make values and the MLP's
/// inside, are several times as large.
pub(crate) fn make_uneven(folder: &Path) {
    make_uneven_from(folder, 2);
}

/// [`make_uneven`] of every fifth from `first` on: for each of five numbers another model.
fn make_uneven_from(folder: &Path, first: usize) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).expect("there");
    let file = SafeTensors::deserialize(&bytes).expect("a file");
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, tensor) in file.iter() {
        let shape = tensor.shape().to_vec();
        let is_norm = shape.len() == 1 && name.ends_with(".weight");
        let makes = ["v_proj.weight", "up_proj.weight"].iter().any(|end| name.ends_with(end));
        let width: usize = shape[1..].iter().product();
        let numbers = tensor.data().as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
        let changed = numbers.enumerate().map(|(place, value)| {
            let is_large = (is_norm || makes) && place / width % 5 == first;
            if is_large { 6.0 * value } else { value }
        });
        tensors.push((name.to_owned(), shape, changed.flat_map(f32::to_le_bytes).collect()));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &path).expect("written");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// The sums over all linears: of what calibration left, and of what rounding to the nearest leaves.
fn errors(calibration: &Value) -> [f64; 2] {
    let errors = calibration["errors"].as_array().expect("errors");
    ["error", "to_nearest"].map(|key| errors.iter().map(|of| number(&of[key])).sum())
}

#[test]
fn calibrated_models_are_nearer_than_those_rounded_to_the_nearest() {
    let place = place();
    place.write("train.jsonl", rows(0..120));
    place.train(&[]).succeeds();
    for method in ["gptq", "awq"] {
        let ran = place.rtune(&["merge", "run", method, "--format", method, "--dtype", "float32"]);
        ran.succeeds();
        let title = method.to_uppercase();
        assert!(
            ran.stdout
                .contains(&format!("dequantised, by {title} in 4 bits and groups of 32, calibrated on")),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("the same, were each number rounded to the nearest:"), "{}", ran.stdout);
        let report = json_of(&place.path(method).join("merge-report.json"));
        let calibration = &report["calibration"];
        assert_eq!((&report["quantized"], &calibration["group"]), (&json!(method), &json!(32)));
        assert_eq!(calibration["errors"].as_array().map(Vec::len), Some(14));
        assert!(number(&calibration["tokens"]) > 1000.0, "{calibration}");
        let [ours, nearest] = errors(calibration);
        assert!(ours < 0.7 * nearest, "{method}: {ours} and {nearest}");
        for part in ["answers", "prompts"] {
            let of = |report: &Value| number(&report[part]["kl_mean_nats"]);
            let (ours, nearest) = (of(&report["measured"]), of(&calibration["to_nearest"]));
            assert!(ours > 1e-9 && ours < nearest, "{method}, {part}: {ours} and {nearest}");
        }
        let settings = &json_of(&place.path(method).join("config.json"))["quantization_config"];
        assert_eq!(
            (&settings["quant_method"], &settings["bits"], &settings["group_size"]),
            (&json!(method), &json!(4), &json!(32))
        );

        // What is read back is what an export writes, and what the numbers of a folder without codes are.
        place.rtune(&["export", "run", "again", "--format", method, "--dtype", "float32"]).succeeds();
        let file = "model.safetensors";
        assert_eq!(
            fs::read(place.path(method).join(file)).expect("there"),
            fs::read(place.path("again").join(file)).expect("there"),
            "{method}: the same bytes"
        );
        let (base, decoder) = read_back(&place.path(method));
        let read = logits_of(&decoder, &[]);
        let (base_path, plain) = (base.weights.path().to_owned(), format!("{method}-plain"));
        let ran = place.rtune(&[
            "export",
            base_path.to_str().expect("a path"),
            &plain,
            "--base-only",
            "--dtype",
            "float32",
        ]);
        ran.succeeds();
        assert_eq!(logits_of(&read_back(&place.path(&plain)).1, &[]), read, "{method}");
        fs::remove_dir_all(place.path("again")).expect("removed");
    }
    // GPTQ leaves all but the linears as they are; AWQ divides norms and biases.
    let numbers = |name: &str| tensors(&place.path(name));
    let [run, gptq, awq] = ["model", "gptq-plain", "awq-plain"].map(numbers);
    let divided =
        ["input_layernorm.weight", "post_attention_layernorm.weight", "v_proj.bias", "up_proj.bias"];
    for (name, values) in run.iter().filter(|(_, values)| values.len() <= 160) {
        assert_eq!(gptq[name], *values);
        let is_divided = divided.iter().any(|end| name.ends_with(end));
        assert_eq!(awq[name] != *values, is_divided, "{name}");
    }
}

/// The KL of a calibrated model of a family, and of one that is rounded to the nearest; `None` where it is refused. `first` as
/// for [`make_uneven_from`].
fn divergences(name: &str, config: &Value, method: &str, first: usize) -> Option<[f64; 2]> {
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    write_base(&place.path("model"), config.clone());
    make_uneven_from(&place.path("model"), first);
    place.write("rows.jsonl", rows(0..90));
    let arguments = ["export", "model", method, "--base-only", "--format", method, "--dtype", "float32"];
    let more = ["--calibration", "rows.jsonl", "--calibration-rows", "60"];
    let ran = place.rtune(&[&arguments[..], &more].concat());
    if ran.code != 0 {
        ran.fails(2, &["transformers keeps experts otherwise"]);
        return None;
    }
    let report = json_of(&place.path(method).join("quantization-report.json"));
    let calibration = &report["calibration"];
    assert_eq!((&calibration["rows"], &report["measured"]["rows"]), (&json!(60), &json!(30)), "{name}");
    let [ours, nearest] = errors(calibration);
    assert!(ours < nearest, "{name}, {method}: {ours} and {nearest}");
    let of = |report: &Value| number(&report["prompts"]["kl_mean_nats"]);
    Some([of(&report["measured"]), of(&calibration["to_nearest"])])
}

/// In every family the written model is the one that was meant: scales that went into the wrong tensor would show. KL of one
/// random model is much a matter of chance: what AWQ leaves is compared with what rounding leaves in the mean of five.
#[test]
fn every_family_is_calibrated_by_itself() {
    let mut refused = Vec::new();
    let mut families = 0;
    for (name, mut config) in configurations() {
        config["hidden_size"] = 32.into();
        config["intermediate_size"] = 48.into();
        config["ffn_hidden_size"] = 48.into();
        config["moe_intermediate_size"] = 48.into();
        // Factors of long documents are as many as half a head is wide.
        if config["model_type"] == "phi3" {
            config["rope_parameters"] = json!({"rope_theta": 10000.0, "rope_type": "default"});
        }
        if config["head_dim"].is_number() {
            config["head_dim"] = 16.into();
        }
        let Some([ours, nearest]) = divergences(&name, &config, "gptq", 2) else {
            assert_eq!(divergences(&name, &config, "awq", 2), None, "{name}");
            refused.push(name);
            continue;
        };
        assert!(ours < 0.75 * nearest, "{name}, gptq: {ours} and {nearest}");
        let pairs: Vec<[f64; 2]> =
            (0..5).filter_map(|first| divergences(&name, &config, "awq", first)).collect();
        let ratios: Vec<f64> = pairs.iter().map(|[ours, nearest]| ours / nearest).collect();
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / 5.0).exp();
        println!("{name}: gptq {:.2}, awq {mean:.2} of {ratios:.2?}", ours / nearest);
        assert!(ratios.len() == 5 && mean < 0.95, "{name}, awq: {mean} of {pairs:?}");
        assert!(ratios.iter().all(|ratio| *ratio < 1.25), "{name}, awq: {pairs:?}");
        families += 1;
    }
    assert!(families > 10, "{families}");
    assert_eq!(refused.len(), 2, "experts alone: {refused:?}");
}

/// What is not in codes, and what the model is said to be computed in.
#[test]
fn numbers_are_float16_but_for_what_that_does_not_hold() {
    for (kind, element, named) in [
        ("llama", Dtype::F16, "float16"),
        ("gemma2", Dtype::BF16, "bfloat16"),
        ("gemma", Dtype::BF16, "bfloat16"),
    ] {
        let configurations = configurations();
        let config = configurations.iter().find(|(_, config)| config["model_type"] == kind);
        let mut config = config.expect("a family").1.clone();
        config["hidden_size"] = 32.into();
        config["intermediate_size"] = 48.into();
        config["head_dim"] = 16.into();
        let place = Workplace::new();
        fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config);
        place.write("rows.jsonl", rows(0..24));
        for method in ["gptq", "awq"] {
            let more = ["--calibration", "rows.jsonl", "--calibration-rows", "12"];
            let ran = place.rtune(
                &[&["export", "model", method, "--base-only", "--format", method][..], &more].concat(),
            );
            ran.succeeds();
            assert!(ran.stdout.contains(&format!("all else {named} ->")), "{kind}: {}", ran.stdout);
            let config = json_of(&place.path(method).join("config.json"));
            let said = ["dtype", "torch_dtype"].iter().filter_map(|key| config[*key].as_str());
            assert_eq!(said.collect::<Vec<_>>(), [named], "{kind}");
            let bytes = fs::read(place.path(method).join("model.safetensors")).expect("there");
            for (name, tensor) in SafeTensors::deserialize(&bytes).expect("a file").iter() {
                let expected = match name.rsplit_once('.').map(|(_, end)| end) {
                    Some("qweight" | "qzeros" | "g_idx") => Dtype::I32,
                    // Readers know scales in no other, and take them to what they compute in.
                    Some("scales") => Dtype::F16,
                    _ => element,
                };
                assert_eq!(tensor.dtype(), expected, "{kind}, {method}: {name}");
            }
        }
    }
}

#[test]
fn a_model_that_float16_does_not_hold_is_refused_in_it() {
    let place = place();
    let path = place.path("model/model.safetensors");
    let bytes = fs::read(&path).expect("there");
    let file = SafeTensors::deserialize(&bytes).expect("a file");
    let larger = |name: &str, bytes: &[u8]| -> Vec<u8> {
        let by = if name.contains("layers.0.mlp.down_proj") { 2e5 } else { 1.0 };
        let numbers = bytes.as_chunks::<4>().0.iter().map(|number| by * f32::from_le_bytes(*number));
        numbers.flat_map(f32::to_le_bytes).collect()
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec(), larger(name, tensor.data())))
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &path).expect("written");
    place.write("rows.jsonl", rows(0..24));
    for method in ["gptq", "awq"] {
        let arguments = ["export", "model", method, "--base-only", "--format", method];
        let more = ["--calibration", "rows.jsonl", "--calibration-rows", "12"];
        let arguments = [&arguments[..], &more].concat();
        place
            .rtune(&arguments)
            .fails(2, &["block 0 gives numbers of up to", "which float16 cannot hold", "--dtype bfloat16"]);
        assert!(!place.path(method).exists() && place.begun(method).is_empty(), "nothing is half there");
        place.rtune(&[&arguments[..], &["--dtype", "bfloat16"]].concat()).succeeds();
    }
}

#[test]
fn what_cannot_be_calibrated_is_said_with_the_way_out() {
    let place = place();
    place.train(&[]).succeeds();
    let base = ["export", "model", "out", "--base-only", "--format", "awq"];
    place.rtune(&base).fails(2, &["no rows to calibrate on", "--calibration FILE"]);
    let all = ["--calibration", "train.jsonl", "--calibration-rows", "24"];
    place.rtune(&[&base[..], &all].concat()).fails(2, &["none is left to measure on", "--calibration-rows"]);
    let merge = ["merge", "run", "out", "--format", "gptq"];
    place.rtune(&[&merge[..], &["--group", "128"]].concat()).fails(
        2,
        &["`model.layers.0.self_attn.q_proj` has 64 inputs, which are no whole groups of 128; 32 divides all"],
    );
    place.rtune(&[&merge[..], &["--group", "24"]].concat()).fails(2, &["expected a power of two from 16 on"]);
    place.rtune(&[&merge[..], &["--with", "run:0.5"]].concat()).fails(2, &["merge them into a folder"]);
    place.rtune(&["merge", "run", "out", "--group", "32"]).fails(2, &["are for --format gptq and awq"]);
    place
        .rtune(&["export", "run", "out", "--calibration-rows", "3"])
        .fails(2, &["are for --format gptq and awq"]);
    place
        .rtune(&["export", "run", "out", "--format", "awq", "--for", "mlx"])
        .fails(1, &["mlx-lm does not load a folder in GPTQ's or AWQ's 4 bits"]);
    place.rtune(&[&merge[..], &["--calibration", "nothing.jsonl"]].concat()).fails(2, &["nothing.jsonl"]);
    assert!(!place.path("out").exists() && place.begun("out").is_empty(), "nothing is half there");
}

/// GPTQ anew in NumPy on what transformers' own model reads, block by block: the same codes; and both layouts read by
/// their definitions: the same logits.
#[test]
fn codes_and_layouts_are_those_that_numpy_makes() {
    let Some(python) = python("transformers, numpy, safetensors") else { return };
    let place = place();
    place.write("rows.jsonl", rows(200..260));
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "plain", "--format", "safetensors", "--dtype", "float32"]).succeeds();
    let run = opened(&place, "run");
    let encoder = Encoder::new(run.template.as_ref().expect("a template"), &run.base.tokenizer);
    let encoder = encoder.expect("an encoder");
    let tokens: Vec<Vec<u32>> = read_file(&place.path("rows.jsonl"))
        .expect("rows")
        .rows
        .iter()
        .map(|record| {
            encoder.encode_record(record, TrainOn::All, usize::MAX).expect("encoded")[0].tokens.clone()
        })
        .collect();
    place.write("tokens.json", serde_json::to_vec(&tokens).expect("JSON"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/calibrated.py");
    for method in ["gptq", "awq"] {
        let more = ["--calibration", "rows.jsonl", "--dtype", "float32"];
        place.rtune(&[&["export", "run", method, "--format", method][..], &more].concat()).succeeds();
        let dequantised = format!("{method}-numbers");
        let mut command = Command::new(&python);
        command.arg(&script).args([place.path(method), place.path(&dequantised)]);
        if method == "gptq" {
            command.args([place.path("plain"), place.path("tokens.json")]);
        }
        let output = command.output().expect("Python runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("14 linears"), "{said}{failed}");
        assert!(method == "awq" || said.contains("codes are the same"), "{said}");
        let ours = logits_of(&read_back(&place.path(method)).1, &[]);
        assert_eq!(logits_of(&read_back(&place.path(&dequantised)).1, &[]), ours, "{method}");
    }
}
