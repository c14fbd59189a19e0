//! GGUF files whose blocks were calibrated: the same layout, and nearer to the model than with the nearest codes.

#![expect(clippy::print_stdout, reason = "figures are what types are compared by")]

use std::fs;
use std::path::Path;

use rtune_models::{Decoder, Quantization, open};
use serde_json::json;

use crate::calibrated::make_uneven;
use crate::families::configurations;
use crate::gguf_export::read;
use crate::reference::{document, logits};
use crate::workplace::{Workplace, rows, write_base};

/// Rows of 256 and 512 numbers, which are whole blocks of every type.
fn place() -> Workplace {
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 256,
        "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 8192, "tie_word_embeddings": true});
    write_base(&place.path("model"), config);
    make_uneven(&place.path("model"));
    place.write("train.jsonl", rows(0..120));
    place.train(&["train.steps=2"]).succeeds();
    place
}

/// What a file's model gives for questions like those that it was calibrated on, and none of them.
fn answers(file: &Path) -> Vec<f32> {
    let base = open(file).expect("the file");
    let decoder = Decoder::load(&base.config, base.weights.as_ref(), Quantization::None, &mut |_, _| {});
    let decoder = decoder.expect("loads");
    let of = |number: u32| {
        let letter = char::from(b'a' + (number % 26) as u8);
        let text = format!("Letter {number}?\n\nIt is {letter}.");
        let tokens = base.tokenizer.encode(text, false).expect("tokens").get_ids().to_vec();
        let learnt = vec![false; tokens.len()];
        logits::<f32>(&decoder, &[], &document(tokens, learnt))
    };
    (200..232).flat_map(of).collect()
}

/// The two medians of the line on what linears give, in percent.
fn medians(said: &str) -> [f64; 2] {
    let line = said.lines().find(|line| line.starts_with("squared error of what linears give:"));
    let line = line.unwrap_or_else(|| panic!("no figures in\n{said}"));
    let numbers: Vec<f64> = line
        .split("median ")
        .skip(1)
        .map(|rest| rest.split('%').next().unwrap_or_default().parse().expect("a number"))
        .collect();
    numbers.try_into().expect("two medians")
}

#[test]
fn blocks_that_make_up_for_one_another_are_nearer_to_the_model() {
    let place = place();
    place.rtune(&["export", "run", "whole.gguf", "--format", "gguf", "--quantize", "f32"]).succeeds();
    let whole = answers(&place.path("whole.gguf"));
    for kind in ["q4_0", "q4_k_m", "q5_k_m", "q6_k"] {
        let [nearest, ours] = ["nearest", "ours"].map(|name| format!("{kind}-{name}.gguf"));
        let plain = ["export", "run", &nearest, "--format", "gguf", "--quantize", kind];
        let ran = place.rtune(&plain);
        ran.succeeds();
        let hint = "note: every number has its nearest code; `--calibration-rows 128` chooses";
        assert_eq!(ran.stderr.contains(hint), kind != "q6_k", "{kind}: {}", ran.stderr);
        let ran = place.rtune(&[
            "export",
            "run",
            &ours,
            "--format",
            "gguf",
            "--quantize",
            kind,
            "--calibration-rows",
            "64",
        ]);
        ran.succeeds();
        assert!(ran.stdout.contains("calibrated on 64 rows ("), "{}", ran.stdout);
        assert!(!ran.stderr.contains("nearest code"), "{}", ran.stderr);
        let [left, to_nearest] = medians(&ran.stdout);
        assert!(left < 0.8 * to_nearest, "{kind}: {left}% and {to_nearest}%");
        let [nearest, ours] = [nearest, ours].map(|name| place.path(&name));
        let [one, other] = [&nearest, &ours].map(|file| read(file));
        assert_eq!(one.metadata.len(), other.metadata.len(), "{kind}");
        let mut changed = 0;
        for (name, (element, shape, bytes)) in &one.tensors {
            let (own_element, own_shape, own_bytes) = &other.tensors[name];
            assert_eq!((element, shape), (own_element, own_shape), "{kind}: {name}");
            changed += usize::from(bytes != own_bytes);
        }
        assert_eq!(changed, 14, "{kind}: the linears of two blocks, and nothing else");
        let distance = |file: &Path| -> f64 {
            let squares = answers(file).into_iter().zip(&whole).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum()
        };
        let [nearest, ours] = [nearest, ours].map(|file| distance(&file));
        println!(
            "{kind}: what linears give {left}% and {to_nearest}% off; logits {:.3} times as far",
            (ours / nearest).sqrt()
        );
        assert!(ours < nearest, "{kind}: {ours} and {nearest}");
    }
}

#[test]
fn experts_are_refused_before_anything_is_written() {
    let mut tried = 0;
    for (name, config) in configurations() {
        if !["num_local_experts", "num_experts"].iter().any(|key| config.get(*key).is_some()) {
            continue;
        }
        let place = Workplace::new();
        fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config);
        let ran = place.rtune(&[
            "export",
            "model",
            "out.gguf",
            "--format",
            "gguf",
            "--base-only",
            "--quantize",
            "q8_0",
            "--calibration",
            "train.jsonl",
        ]);
        assert!(ran.code != 0 && ran.stderr.contains("this model has experts"), "{name}: {}", ran.stderr);
        assert!(!place.path("out.gguf").exists(), "{name}");
        tried += 1;
    }
    assert!(tried > 0, "no family has experts");
}

#[test]
fn what_is_not_in_blocks_is_not_calibrated() {
    let place = Workplace::new();
    place.train(&["train.steps=1"]).succeeds();
    let export = |arguments: &[&str]| {
        place.rtune(&[&["export", "run", "out.gguf", "--format", "gguf"], arguments].concat())
    };
    let said = "with --quantize in whole numbers";
    export(&["--calibration-rows", "8"]).fails(2, &[said]);
    export(&["--quantize", "bf16", "--calibration-rows", "8"]).fails(2, &[said]);
    export(&["--quantize", "q4_0", "--group", "64"]).fails(2, &["--group is for --format gptq and awq"]);
    let base = ["export", "model", "out.gguf", "--format", "gguf", "--base-only", "--quantize", "q4_0"];
    place
        .rtune(&[&base[..], &["--calibration-rows", "8"]].concat())
        .fails(2, &["there are no rows to calibrate on", "hint: "]);
    assert!(!place.path("out.gguf").exists());
}
