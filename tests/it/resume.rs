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

/// The same rows under other ids: by ids dropout and noise are drawn.
#[test]
fn other_ids_are_refused_where_they_decide_something() {
    let place = Workplace::new();
    let named = |name: &str| -> String {
        let row = |(number, line): (usize, &str)| {
            line.replacen('{', &format!("{{\"id\": \"{name}-{number}\", "), 1) + "\n"
        };
        rows(0..24).lines().enumerate().map(row).collect()
    };
    let draws = ["lora.dropout=0.1", "train.neftune-alpha=5.0"];
    for (number, others) in [&draws[..1], &draws[1..], &[]].into_iter().enumerate() {
        let run = format!("output.dir=run-{number}");
        let given = [&[run.as_str(), "data.validation=0"], others].concat();
        place.write("train.jsonl", named("one"));
        place.train(&[&given[..], &["train.steps=4"]].concat()).succeeds();
        place.write("train.jsonl", named("two"));
        let ran = resume(&place, &[&given[..], &["train.steps=6"]].concat());
        if others.is_empty() {
            ran.succeeds();
        } else {
            ran.fails(2, &["began with another set of row ids", "bring back what it began with"]);
            place.write("train.jsonl", named("one"));
            resume(&place, &[&given[..], &["train.steps=6"]].concat()).succeeds();
        }
    }
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
}

/// One that stands before whole ones is not what a run goes on from: it is named and goes, and none of the others is lost for it.
#[test]
fn a_damaged_older_checkpoint_costs_nothing_but_itself() {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&["train.steps=8"]).succeeds();
    let mut whole = bytes_of(&place.path("run"));
    for (step, file) in [(4, "adapter_model.safetensors"), (0, "manifest.json")] {
        damage(&place, &format!("run/checkpoints/step-00000{step}/{file}"));
        place.rtune(&["verify", "run"]).fails(2, &[file]);
        let ran = resume(&place, &["train.steps=8"]);
        ran.succeeds();
        let said = [format!("the checkpoint of step {step} is damaged: "), "it is removed".to_owned()];
        assert!(said.iter().all(|said| ran.stderr.contains(said)), "{}", ran.stderr);
        assert!(ran.stdout.contains("was complete already"), "{}", ran.stdout);
        whole.retain(|name, _| !name.starts_with(&format!("checkpoints/step-00000{step}/")));
        assert_eq!(bytes_of(&place.path("run")), whole);
        place.rtune(&["verify", "run"]).succeeds();
    }
    for step in [2, 6, 8] {
        damage(&place, &format!("run/checkpoints/step-00000{step}/optimizer.safetensors"));
    }
    let first = ["no checkpoint of `run` is whole: ", "step-000002/optimizer.safetensors", "hint: "];
    resume(&place, &["train.steps=8"]).fails(2, &first);
    assert!(place.path("run/checkpoints/step-000008/manifest.json").is_file(), "nothing is removed then");
}

/// What a run is compared with stands in its checkpoints; a line that is lost is said, and no more.
#[test]
fn a_line_that_cannot_be_read_is_said() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let text = place.read("run/metrics.jsonl");
    place.write("run/metrics.jsonl", text.replacen("\"step\":2", "\"stop\":2", 1));
    place.rtune(&["report", "run"]).succeeds();
    assert!(place.read("run/report.html").contains("line 3 of metrics.jsonl cannot be read"));
    let ran = resume(&place, &["train.steps=8"]);
    ran.succeeds();
    let said = "warning: line 3 of metrics.jsonl cannot be read: it is for people alone";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(!resume(&place, &["train.steps=8"]).stderr.contains("cannot be read"), "once");
}

/// A base that cannot be read leaves nothing of the run that was begun with it.
#[test]
fn a_base_with_a_number_that_is_none_leaves_the_folder_to_be_used_again() {
    let place = Workplace::new();
    let mut weights = fs::read(place.path("model/model.safetensors")).expect("readable");
    let whole = weights.clone();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    place.write("model/model.safetensors", weights);
    place.train(&[]).fails(2, &["element 15 is not a finite number"]);
    assert!(!place.path("run/config.toml").exists());
    place.write("model/model.safetensors", whole);
    place.train(&[]).succeeds();
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
    place.rtune(&["verify", "run"]).succeeds();
    assert!(!resume(&place, &set(&[])).stderr.contains("is lost"), "it is settled");
    resume(&place, &set(&["train.steps=8"])).ends();
    assert!(place.path("run/best/manifest.json").is_file());
}

#[test]
fn an_adapter_that_does_nothing_is_said_to() {
    let place = Workplace::new();
    let ran = place.train(&["train.learning-rate=0.0000001", "train.steps=2"]);
    let useless = ["warning: the adapter is of no use on the validation rows"];
    ran.fails(1, &useless);
    // Whoever asks again is told again: a scheduler that retries must not see the run turn green.
    let again = resume(&place, &["train.learning-rate=0.0000001", "train.steps=2"]);
    again.fails(1, &useless);
    assert!(again.stdout.contains("was complete already"), "{}", again.stdout);
    place.rtune(&["report", "run"]).succeeds();
    assert!(
        place.read("run/report.html").contains("Of no use: the adapter is of no use on the validation rows")
    );
    let little = ["--set", "train.learning-rate=0.0000001", "--set", "train.steps=2"];
    let seeds = ["train", "config.toml", "--seeds", "2", "--set", "output.dir=many"];
    place.rtune(&[&seeds[..], &little].concat()).fails(1, &useless);
    assert!(place.path("many-seed-1/last").exists(), "the others are trained all the same");
    let longer = resume(&place, &["train.learning-rate=0.0000001", "train.steps=4"]);
    longer.fails(1, &useless);
    let state: serde_json::Value =
        serde_json::from_str(&place.read("run/checkpoints/step-000004/state.json")).expect("JSON");
    assert!(state["useless"].is_string());
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
