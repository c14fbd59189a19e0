//! Folders in bitsandbytes' 4 bits.

use std::path::Path;
use std::process::Command;

use rtune_models::{Decoder, Quantization};

use crate::release::{json_of, logits_of, opened, read_back};
use crate::release_peers::python;
use crate::workplace::{Workplace, write_base};

/// A model whose rows are whole blocks, and as many as bitsandbytes' kernels of every processor want.
fn place() -> Workplace {
    let place = Workplace::new();
    std::fs::remove_dir_all(place.path("model")).expect("removed");
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 8192, "tie_word_embeddings": true});
    write_base(&place.path("model"), config);
    place
}

/// The logits of a folder of plain numbers, quantised while it is loaded.
fn quantized_logits(folder: &Path, double: bool) -> Vec<f32> {
    let base = rtune_models::open(folder).expect("a model's folder");
    let kind = Quantization::Nf4 { double };
    logits_of(&Decoder::load(&base.config, base.weights.as_ref(), kind, &mut |_, _| {}).expect("loads"), &[])
}

#[test]
fn a_base_in_4_bits_is_the_one_that_was_trained_beside() {
    for double in [true, false] {
        let place = place();
        place.train(&[format!("quantization.double={double}").as_str()]).succeeds();
        place.rtune(&["export", "run", "base", "--format", "bnb-4bit", "--base-only"]).succeeds();
        let (base, decoder) = read_back(&place.path("base"));
        assert!(base.weights.is_nf4("model.layers.0.mlp.up_proj.weight"));
        assert!(!base.weights.is_nf4("model.embed_tokens.weight"));
        assert_eq!(logits_of(&decoder, &[]), quantized_logits(&place.path("model"), double));
        let run = opened(&place, "run");
        assert_eq!(logits_of(&decoder, &[]), logits_of(&run.decoder, &run.untrained), "the same bits");
        let settings = &json_of(&place.path("base/config.json"))["quantization_config"];
        assert_eq!(
            (&settings["bnb_4bit_use_double_quant"], &settings["quant_method"]),
            (&double.into(), &"bitsandbytes".into())
        );
        // What is in 4 bits already is not rounded again.
        place
            .rtune(&["export", "base", "again", "--format", "bnb-4bit", "--base-only"])
            .fails(2, &["came in bitsandbytes' 4 bits"]);
    }
}

#[test]
fn a_merged_model_in_4_bits_says_what_that_cost() {
    let place = place();
    place.train(&[]).succeeds();
    let arguments =
        ["export", "run", "four", "--format", "bnb-4bit", "--dtype", "bfloat16", "--shard-size", "30KB"];
    let ran = place.rtune(&arguments);
    ran.succeeds();
    assert!(
        ran.stdout.contains("then rounded to bitsandbytes' nf4, double, all else bfloat16 -> four"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("  answers: KL ") && ran.stdout.contains("is what was trained"),
        "{}",
        ran.stdout
    );
    let report = json_of(&place.path("four/merge-report.json"));
    assert_eq!((&report["quantized"], &report["dtype"]), (&"nf4, double".into(), &"bfloat16".into()));
    assert!(report["measured"]["answers"]["kl_mean_nats"].as_f64() > Some(1e-9), "rounding shows: {report}");
    place.rtune(&["export", "run", "merged", "--format", "safetensors", "--dtype", "bfloat16"]).succeeds();
    let (_, decoder) = read_back(&place.path("four"));
    assert_eq!(
        logits_of(&decoder, &[]),
        quantized_logits(&place.path("merged"), true),
        "as anyone quantises it"
    );
}

/// PiSSA's base is what it left of one, which no folder is.
#[test]
fn nobody_is_sent_to_a_base_that_is_not_what_was_trained_beside() {
    let place = place();
    place.train(&["lora.init=pissa"]).succeeds();
    let ran = place.rtune(&["export", "run", "four", "--format", "bnb-4bit"]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("  answers: KL ") && !ran.stdout.contains("is what was trained"),
        "{}",
        ran.stdout
    );
}

#[test]
fn without_rows_to_measure_on_it_is_said_and_some_can_be_named() {
    let place = place();
    place.train(&["data.validation=0"]).succeeds();
    let export = |out: &str, more: &[&str]| {
        place.rtune(&[&["export", "run", out, "--format", "bnb-4bit"], more].concat())
    };
    let ran = export("four", &[]);
    ran.succeeds();
    assert!(
        ran.stderr.contains("was not measured") && ran.stderr.contains("--golden FILE"),
        "{}",
        ran.stderr
    );
    assert!(!place.path("four/merge-report.json").exists());
    std::fs::create_dir(place.path("below")).expect("made");
    place.write("below/golden.jsonl", crate::workplace::rows(100..103));
    let ran = export("measured", &["--golden", "below/golden.jsonl"]);
    ran.succeeds();
    assert!(ran.stdout.contains("over 3 rows of golden.jsonl"), "{}", ran.stdout);
    let report = json_of(&place.path("measured/merge-report.json"));
    let files = report["measured"]["on"].as_object().expect("files");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["golden.jsonl"], "a name, and no place");
    place
        .rtune(&["export", "run", "out", "--golden", "below/golden.jsonl"])
        .fails(2, &["--golden is for what is measured"]);
}

/// What bitsandbytes makes of the merged folder, tensor by tensor and bit by bit.
#[test]
fn transformers_loads_the_bits_that_bitsandbytes_makes() {
    let Some(python) = python("transformers, bitsandbytes") else { return };
    let place = place();
    place.train(&[]).succeeds();
    let text = |name: &str| place.path(name).display().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/four_bits.py");
    for (plain, four, more) in [
        ("merged", "four", &["--dtype", "bfloat16"][..]),
        ("base", "base-four", &["--base-only", "--dtype", "float32"]),
    ] {
        // Weights as they stand in the base's files: those of the run were in 4 bits before.
        let more = match more.contains(&"--base-only") {
            true => more.to_vec(),
            false => [more, &["--onto", "original"]].concat(),
        };
        place.rtune(&[&["export", "run", plain, "--format", "safetensors"], &more[..]].concat()).succeeds();
        place.rtune(&[&["export", "run", four, "--format", "bnb-4bit"], &more[..]].concat()).succeeds();
        let output =
            Command::new(&python).arg(&script).args([text(plain), text(four)]).output().expect("Python runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("14 linears"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
