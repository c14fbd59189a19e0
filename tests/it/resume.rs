//! What may change when a run goes on, what must not, and what becomes of damage.

use std::fs;

use crate::training::{assert_same, bytes_of};
use crate::workplace::{CONFIG, Ran, Workplace, rows};

fn resume(place: &Workplace, overrides: &[&str]) -> Ran {
    let mut arguments = vec!["train", "config.toml", "--resume"];
    overrides.iter().for_each(|argument| arguments.extend(["--set", argument]));
    place.rtune(&arguments)
}

fn manifest(place: &Workplace) -> serde_json::Value {
    serde_json::from_str(&place.read("run/manifest.json")).expect("JSON")
}

fn damage(place: &Workplace, file: &str) {
    let mut bytes = fs::read(place.path(file)).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 1;
    place.write(file, &bytes);
}

#[test]
fn a_finished_run_is_extended_aloud_and_the_same_way_each_time() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let longer = resume(&place, &["train.steps=10", "checkpoint.keep=9"]);
    longer.succeeds();
    for part in [
        "note: going on after step 6: `checkpoint.keep` was 3, is 9",
        "note: going on after step 6: `train.steps` was 6, is 10",
        "note: the linear schedule now spans 10 steps instead of 6, 6 of them done; the learning rate goes from",
    ] {
        assert!(longer.stderr.contains(part), "{part} in:\n{}", longer.stderr);
    }
    let said = manifest(&place);
    assert_eq!(said["continuations"].as_array().map(Vec::len), Some(1));
    assert_eq!(said["continuations"][0]["step"], 6);
    assert_eq!(said["continuations"][0]["changes"][1], "`train.steps` was 6, is 10");
    assert_eq!(said["continuations"][0]["config"], said["config"]);
    assert!(place.read("run/config.toml").contains("steps = 10"));
    place.rtune(&["verify", "run"]).succeeds();

    let again = Workplace::new();
    again.train(&[]).succeeds();
    resume(&again, &["train.steps=10", "checkpoint.keep=9"]).succeeds();
    assert_same(&place.path("run"), &again.path("run"));

    let shorter = resume(&place, &["train.steps=8", "checkpoint.keep=9"]);
    shorter.fails(2, &["has done 10 steps, and 8 were asked for", "hint: "]);
    let epochs = resume(&place, &["train.epochs=3", "checkpoint.keep=9"]);
    epochs.succeeds();
    assert!(epochs.stderr.contains("`train.epochs` was nothing, is 3"), "{}", epochs.stderr);
}

#[test]
fn what_matters_is_refused_with_its_reason_and_nothing_is_touched() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let before = bytes_of(&place.path("run"));
    let refused = |overrides: &[&str], parts: &[&str]| {
        resume(&place, overrides).fails(2, parts);
        assert_eq!(bytes_of(&place.path("run")), before, "{overrides:?}");
    };
    refused(
        &["train.seed=5"],
        &["`train.seed` was 0, is 5 (every draw comes from it)", "hint: undo the change"],
    );
    refused(&["lora.rank=8", "train.steps=9"], &["`lora.rank` was 4, is 8 (it decides the shapes"]);
    refused(
        &["data.validation=0.5"],
        &["began with another set of rows (`data.validation` was 0.2, is 0.5)"],
    );
    refused(&["quantization.kind=none"], &["`quantization.kind` was \"nf4\", is \"none\""]);
    let data = place.read("train.jsonl");
    place.write("train.jsonl", rows(0..23));
    refused(&[], &["began with another data file `train.jsonl`: expected sha256 "]);
    place.write("train.jsonl", data);
    let weights = fs::read(place.path("model/model.safetensors")).expect("readable");
    damage(&place, "model/model.safetensors");
    refused(&[], &["began with another base: `model.safetensors`: expected sha256 "]);
    place.write("model/model.safetensors", weights);
    resume(&place, &[]).succeeds();
    assert_eq!(bytes_of(&place.path("run")), before);
}

#[test]
fn what_does_not_matter_is_allowed_and_recorded() {
    let place = Workplace::new();
    place.train(&["train.steps=4"]).succeeds();
    fs::rename(place.path("train.jsonl"), place.path("renamed.jsonl")).expect("renamed");
    let ran = resume(
        &place,
        &[
            "data.train=renamed.jsonl",
            "data.max-tokens=1000",
            "eval.every=2",
            "checkpoint.every=1",
            "train.steps=6",
        ],
    );
    ran.succeeds();
    let said = manifest(&place)["continuations"].to_string();
    for key in ["data.train", "data.max-tokens", "eval.every", "checkpoint.every", "train.steps"] {
        assert!(said.contains(key) && ran.stderr.contains(key), "{key} in {said}");
    }
    // A byte that changes no row: said, recorded, allowed.
    place.write("renamed.jsonl", format!("{}\n", place.read("renamed.jsonl")));
    let ran = resume(
        &place,
        &[
            "data.train=renamed.jsonl",
            "data.max-tokens=1000",
            "eval.every=2",
            "checkpoint.every=1",
            "train.steps=6",
        ],
    );
    ran.succeeds();
    assert!(ran.stderr.contains("the rows are the same"), "{}", ran.stderr);
    place.rtune(&["verify", "run"]).succeeds();
}

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&[]).succeeds();
    let whole = bytes_of(&place.path("run"));
    let lines = place.read("run/metrics.jsonl").lines().count();
    for file in ["adapter_model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"] {
        damage(&place, &format!("run/checkpoints/step-000006/{file}"));
        let ran = resume(&place, &[]);
        ran.succeeds();
        let said = "warning: the checkpoint of step 6 is damaged: ";
        assert!(ran.stderr.contains(said) && ran.stderr.contains(file), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains("going on from that of step 4"), "{}", ran.stderr);
        assert_eq!(bytes_of(&place.path("run")), whole, "{file}");
        assert_eq!(place.read("run/metrics.jsonl").lines().count(), lines);
    }
    // One that stands before whole ones is made again, too: nobody would look at it before it is wanted.
    damage(&place, "run/checkpoints/step-000004/adapter_model.safetensors");
    let ran = resume(&place, &[]);
    ran.succeeds();
    let said = ["the checkpoint of step 4 is damaged: ", "going on from that of step 2"];
    assert!(said.iter().all(|said| ran.stderr.contains(said)), "{}", ran.stderr);
    assert_eq!(bytes_of(&place.path("run")), whole);
    damage(&place, "run/checkpoints/step-000000/optimizer.safetensors");
    let first =
        ["no checkpoint of `run` is whole that stands before", "step-000000/optimizer.safetensors", "hint: "];
    resume(&place, &[]).fails(2, &first);
    fs::remove_dir_all(place.path("run/checkpoints/step-000000")).expect("removed");
    resume(&place, &[]).succeeds();
}

#[test]
fn a_lost_best_checkpoint_is_said_and_replaced() {
    let place = Workplace::new();
    // A rate at which the model is soon worse than it was: the best stands before the last.
    let wild =
        ["train.learning-rate=1", "train.max-grad-norm=0", "train.schedule=constant", "train.warmup=0"];
    let set = |more: &[&'static str]| [&wild[..], &["checkpoint.keep=9", "eval.every=2"], more].concat();
    place.train(&set(&[])).ends();
    let best = fs::read_link(place.path("run/best")).expect("a link").display().to_string();
    assert_ne!(best, "checkpoints/step-000006");
    fs::remove_dir_all(place.path(&format!("run/{best}"))).expect("removed");
    let ran = resume(&place, &set(&[]));
    ran.ends();
    let step: u64 = best.rsplit('-').next().expect("a number").parse().expect("a number");
    let said = format!("warning: the best checkpoint, of step {step}, is lost: ");
    assert!(ran.stderr.contains(&said) && ran.stderr.contains("is the best now"), "{}", ran.stderr);
    let now = fs::read_link(place.path("run/best")).expect("a link").display().to_string();
    assert!(now != best && place.path("run/best/manifest.json").is_file(), "{now}");
    resume(&place, &set(&["train.steps=8"])).ends();
    assert!(place.path("run/best/manifest.json").is_file());
}

#[test]
fn an_adapter_that_does_nothing_is_said_to() {
    let place = Workplace::new();
    let ran = place.train(&["train.learning-rate=0.0000001", "train.steps=2"]);
    ran.fails(1, &["warning: the adapter is of no use on the validation rows"]);
    assert!(!place.train(&["output.dir=other"]).stderr.contains("no use"));
}

/// TensorBoard itself reads what a run wrote, before and after it was resumed.
#[test]
fn tensorboard_reads_the_events() {
    let Some(python) = crate::release_peers::python("tensorboard") else { return };
    let place = Workplace::new();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/tensorboard_events.py");
    for steps in ["train.steps=6", "train.steps=9"] {
        resume(&place, &[steps, "eval.samples=2"]).succeeds();
        let mut command = std::process::Command::new(&python);
        let ran = Ran::of(command.arg(&script).arg(place.path("run")).output().expect("started"));
        ran.succeeds();
        assert!(ran.stdout.contains("all as in metrics.jsonl"), "{}", ran.stdout);
    }
}
