//! What a slip of the hand must not cost: files that a command reads, another run, an answer that did not arrive, a model that was trained.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::workplace::{CONFIG, Ran, Workplace, rows};

/// A finished run with golden rows.
fn workplace() -> Workplace {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(40..44));
    place.train(&[]).ends();
    place
}

#[test]
fn what_a_command_reads_it_does_not_write_over() {
    let place = workplace();
    let golden = place.read("golden.jsonl");
    let manifest = place.read("run/manifest.json");
    let eval = ["eval", "run", "--golden", "golden.jsonl", "--max-new-tokens", "2"];
    for more in [["--out", "./golden.jsonl"].as_slice(), &["--export", "deepeval", "golden.jsonl"]] {
        place.rtune(&[&eval[..], more].concat()).fails(2, &["golden.jsonl", "which this command reads"]);
    }
    let why = ["why", "run", "x", "--golden", "golden.jsonl", "--out", "golden.jsonl"];
    place.rtune(&why).fails(2, &["golden.jsonl", "which this command reads"]);
    for name in ["manifest.json", "config.toml", "metrics.jsonl"] {
        let out = format!("run/{name}");
        place.rtune(&["report", "run", "--out", &out]).fails(2, &[&out, "which a run is made of"]);
    }
    assert_eq!((place.read("golden.jsonl"), place.read("run/manifest.json")), (golden, manifest));
    place.rtune(&["report", "run", "--out", "run/mine.html"]).succeeds();
}

#[test]
fn a_copy_of_a_run_is_not_taken_for_the_run() {
    let place = workplace();
    let copied =
        std::process::Command::new("cp").arg("-a").args([place.path("run"), place.path("a copy")]).status();
    assert!(copied.expect("cp runs").success());
    let more = ["--resume", "--set", "train.steps=8"];
    place.rtune(&[&["train", "a copy/config.toml"], &more[..]].concat()).fails(
        2,
        &["`a copy/config.toml` is the configuration of the run in `a copy`", "--set 'output.dir=a copy'"],
    );
    assert!(!place.path("run/checkpoints/step-000008").exists());
    place.rtune(&[&["train", "a copy/config.toml", "--set", "output.dir=a copy"], &more[..]].concat()).ends();
    assert!(place.path("a copy/checkpoints/step-000008").is_dir());
    place.rtune(&[&["train", "run/config.toml"], &more[..]].concat()).ends();
    assert!(place.path("run/checkpoints/step-000008").is_dir());
}

/// The disk behind standard output may be full: then nobody has the answer.
#[test]
fn what_could_not_be_said_is_a_failure() {
    let place = workplace();
    for arguments in [&["keys"][..], &["verify", "run", "--json"], &["report", "run", "--out", "-"]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("there");
        let ran = place.command(arguments).stdout(full).stderr(Stdio::piped()).output().expect("started");
        Ran::of(ran).fails(1, &["error: cannot write to standard output", "cause: No space left on device"]);
    }
}

#[test]
fn golden_rows_that_were_trained_on_are_said_to_be() {
    let place = workplace();
    let eval = ["eval", "run", "--max-new-tokens", "2", "--golden"];
    fs::copy(place.path("train.jsonl"), place.path("same.jsonl")).expect("copied");
    let ran = place.rtune(&[&eval[..], &["same.jsonl"]].concat());
    ran.succeeds();
    assert!(ran.stderr.contains("warning: `same.jsonl` is what the run was trained on"), "{}", ran.stderr);
    let ran = place.rtune(&[&eval[..], &["golden.jsonl"]].concat());
    ran.succeeds();
    assert!(!ran.stderr.contains("trained on"), "{}", ran.stderr);
}

/// In NF4 a merged model would be another one, nearer to its base than to what was trained.
#[test]
fn a_merged_model_is_read_as_it_is() {
    let place = workplace();
    place.rtune(&["merge", "run", "merged"]).succeeds();
    place.rtune(&["export", "run", "exported", "--format", "safetensors"]).succeeds();
    place.rtune(&["export", "run", "model.gguf", "--format", "gguf"]).succeeds();
    fs::copy(place.path("model.gguf"), place.path("without an ending")).expect("copied");
    let answers = |name: &str, more: &[&str]| -> Value {
        let asked = ["eval", name, "--golden", "golden.jsonl", "--max-new-tokens", "2", "--json"];
        let ran = place.rtune(&[&asked[..], more].concat());
        ran.succeeds();
        serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["cases"].clone()
    };
    let kind = |kind: &'static str| ["--set", kind];
    for name in ["merged", "exported", "model.gguf", "without an ending"] {
        let as_it_is = answers(name, &kind("quantization.kind=none"));
        assert_eq!(answers(name, &[]), as_it_is, "{name}");
        assert_ne!(answers(name, &kind("quantization.kind=nf4")), as_it_is, "{name}");
    }
    // What is trained beside is held as a run holds it.
    assert_eq!(answers("model", &[]), answers("model", &kind("quantization.kind=nf4")));
}

/// An adapter of no use is told of however it is measured, and one with numbers that are none is never saved.
#[test]
fn an_adapter_that_is_none_is_no_success() {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("validation = 0.2", "validation = 0.0"));
    let told = |overrides: &[&str], said: &[&str]| place.train(overrides).fails(1, said);
    let still = ["train.learning-rate=1e-30", "train.steps=2"];
    told(&[&still[..], &["output.dir=tiny"]].concat(), &["warning: ", "`lora_B` are still as good as zeros"]);
    place.train(&["output.dir=first"]).succeeds();
    place.rtune(&["export", "first", "adapter"]).succeeds();
    let from = ["lora.from=adapter", "output.dir=again", "train.learning-rate=1e-30"];
    told(&from, &["warning: none of the ", " trained numbers is another after 6 steps"]);
    let full = ["lora.method=full", "quantization.kind=none", "output.dir=full", "train.learning-rate=1e-30"];
    told(&full, &["warning: none of the ", " trained numbers is another after 6 steps"]);

    let wild = ["train.learning-rate=1e38", "train.max-grad-norm=0", "train.warmup=0", "checkpoint.every=1"];
    let broken = "error: after step 1: a trained number is ";
    told(&[&wild[..], &["train.steps=1", "output.dir=wild"]].concat(), &[broken, "is as it was"]);
    assert!(place.path("wild/checkpoints/step-000000").is_dir());
    assert!(!place.path("wild/checkpoints/step-000001").exists());
    place.rtune(&["verify", "wild"]).succeeds();
    // A step that goes wrong because of the one before does not blame its own rows, and leaving it out is no cure.
    for policy in ["stop", "skip", "roll-back"] {
        let policy = [format!("watchdog.not-finite={policy}"), format!("output.dir=wild-{policy}")];
        let rare = ["checkpoint.every=100", policy[0].as_str(), policy[1].as_str()];
        told(&[&wild[..3], &rare].concat(), &[broken]);
    }
}
