//! `rtune verify` names what was changed, and says which rows trained a checkpoint.

use std::collections::BTreeMap;
use std::fs;

use crate::workplace::{CONFIG, Workplace, rows};

/// A finished run that has everything: golden rows, validation files, a template of its own.
fn finished() -> Workplace {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(40..42));
    place.write("held.jsonl", rows(30..34));
    let template = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    place.write("own.jinja", template);
    let data = "train = \"train.jsonl\"\ngolden = \"golden.jsonl\"\ntemplate = \"own.jinja\"\nvalidation = \"held.jsonl\"";
    let config = CONFIG.replace("train = \"train.jsonl\"\nvalidation = 0.2", data);
    place.write("config.toml", config.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&[]).succeeds();
    place
}

#[test]
fn everything_is_verified_and_every_change_is_named() {
    let place = finished();
    let ran = place.rtune(&["verify", "run"]);
    ran.succeeds();
    for part in [
        "configuration: `run/config.toml`",
        "base: `model/model.safetensors`",
        "base: `model/config.json`",
        "data: `train.jsonl`",
        "data: `held.jsonl`",
        "data: `golden.jsonl`",
        "tokenizer",
        "chat template: `own.jinja`",
        "prepared rows",
        "data report: `run/data-report.json`",
        "evaluation: `run/eval/step-000003.json`",
        "checkpoint: `run/checkpoints/step-000004/optimizer.safetensors`",
        "all as they were",
    ] {
        assert!(ran.stdout.contains(part), "{part} in:\n{}", ran.stdout);
    }
    let changes = [
        ("run/config.toml", "configuration: `run/config.toml`"),
        ("run/data-report.json", "data report: `run/data-report.json`"),
        ("run/eval/step-000006.json", "evaluation: `run/eval/step-000006.json`"),
        (
            "run/checkpoints/step-000002/state.json",
            "run/checkpoints/step-000002/state.json`: expected sha256 ",
        ),
        (
            "run/checkpoints/step-000000/adapter_config.json",
            "run/checkpoints/step-000000/adapter_config.json`: expected sha256 ",
        ),
        ("train.jsonl", "data: `train.jsonl`: expected sha256 "),
        ("held.jsonl", "data: `held.jsonl`: expected sha256 "),
        ("golden.jsonl", "data: `golden.jsonl`: expected sha256 "),
        ("own.jinja", "own.jinja`: expected sha256 "),
        ("model/config.json", "base: `model/config.json`: expected sha256 "),
        ("model/model.safetensors", "base: `model/model.safetensors`: expected sha256 "),
        ("model/tokenizer.json", "base: `model/tokenizer.json`: expected sha256 "),
        ("model/tokenizer_config.json", "base: `model/tokenizer_config.json`: expected sha256 "),
    ];
    for (file, part) in changes {
        let whole = fs::read(place.path(file)).expect("readable");
        let mut other = whole.clone();
        match file.ends_with("model.safetensors") {
            // A weight; anything behind the end would be refused as no such file at all.
            true => *other.last_mut().expect("not empty") ^= 1,
            // White space at the end: the file says the same, and is another.
            false => other.extend(b"\n"),
        }
        place.write(file, &other);
        let ran = place.rtune(&["verify", "run"]);
        ran.fails(2, &["error: ", part, "found ", "hint: "]);
        place.write(file, &whole);
    }
    for file in
        ["train.jsonl", "run/eval/step-000000.json", "run/checkpoints/step-000004/optimizer.safetensors"]
    {
        let whole = fs::read(place.path(file)).expect("readable");
        fs::remove_file(place.path(file)).expect("removed");
        let name = file.rsplit('/').next().expect("a name");
        place.rtune(&["verify", "run"]).fails(2, &[name]);
        place.write(file, &whole);
    }
    fs::remove_file(place.path("run/best")).expect("removed");
    std::os::unix::fs::symlink("checkpoints/step-000000", place.path("run/best")).expect("linked");
    place.rtune(&["verify", "run"]).fails(2, &["`best` should point at run/checkpoints/step-00000"]);
    place.rtune(&["verify", "nowhere"]).fails(2, &["`nowhere` is not a run folder: it has no config.toml"]);
    place.rtune(&["verify", "model"]).fails(2, &["`model` is not a run folder: it has no config.toml"]);
}

/// Hashes of evaluations stand in a file that others read too.
#[test]
fn evaluations_have_their_hashes_in_a_file_of_sums() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let sums = "run/eval/SHA256SUMS";
    let check = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(place.path("run/eval"))
        .output()
        .expect("sha256sum runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}");
    assert_eq!(said, "step-000000.json: OK\nstep-000003.json: OK\nstep-000006.json: OK\n");

    let whole = place.read(sums);
    let lines: Vec<&str> = whole.lines().collect();
    for (text, said) in [
        (
            String::new(),
            "expected a line for `step-000000.json`, which the last checkpoint knows of; found none",
        ),
        (format!("{}\n{}\n", lines[0], lines[1]), "expected a line for `step-000006.json`"),
        (format!("{}\n{}\n", lines[0], lines[2]), "expected a line for `step-000003.json`"),
        (whole.replace("  step-000003", " step-000003"), "line 2: expected a SHA-256, two spaces and a name"),
        (whole.replace("step-000003.json", "../manifest.json"), "line 2: expected a SHA-256"),
    ] {
        place.write(sums, text);
        place.rtune(&["verify", "run"]).fails(2, &["run/eval/SHA256SUMS", said]);
    }
    // Refused before anything is written; what is not there is measured again.
    let [before, config] = ["run/manifest.json", "run/config.toml"].map(|name| place.read(name));
    let longer = ["train", "config.toml", "--resume", "--set", "train.steps=9"];
    place.rtune(&longer).fails(2, &["run/eval/SHA256SUMS", "line 2: expected"]);
    assert_eq!([before, config], ["run/manifest.json", "run/config.toml"].map(|name| place.read(name)));
    fs::remove_file(place.path(sums)).expect("removed");
    place.rtune(&["train", "config.toml", "--resume"]).succeeds();
    assert_eq!(place.read(sums), format!("{}\n", lines[2]));
    // Of the others nobody knows any more what they were.
    place
        .rtune(&["verify", "run"])
        .fails(2, &["run/eval/SHA256SUMS", "expected a line for `step-000000.json`"]);
}

/// An earlier version wrote the hashes into the manifest.
#[test]
fn a_run_of_an_earlier_version_is_verified_and_gone_on_with() {
    let (place, other) = (Workplace::new(), Workplace::new());
    let longer = ["train", "config.toml", "--resume", "--set", "train.steps=9"];
    for place in [&place, &other] {
        place.train(&[]).succeeds();
    }
    let sums = place.read("run/eval/SHA256SUMS");
    let pairs = sums.lines().map(|line| line.split_once("  ").expect("two parts"));
    let evaluations: BTreeMap<&str, &str> = pairs.map(|(hash, name)| (name, hash)).collect();
    let mut manifest: serde_json::Value =
        serde_json::from_str(&place.read("run/manifest.json")).expect("JSON");
    assert!(manifest.get("evaluations").is_none());
    manifest["evaluations"] = serde_json::json!(evaluations);
    place.write("run/manifest.json", format!("{manifest:#}\n"));
    fs::remove_file(place.path("run/eval/SHA256SUMS")).expect("removed");
    let ran = place.rtune(&["verify", "run"]);
    ran.succeeds();
    assert!(ran.stdout.contains("evaluation: `run/eval/step-000003.json`"), "{}", ran.stdout);

    for place in [&place, &other] {
        place.rtune(&longer).succeeds();
        place.rtune(&["verify", "run"]).succeeds();
    }
    crate::training::assert_same(&place.path("run"), &other.path("run"));
    assert_eq!(place.read("run/eval/SHA256SUMS").lines().count(), 4);
}

#[test]
fn a_run_is_verified_from_elsewhere_and_after_a_move() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    fs::create_dir(place.path("far")).expect("made");
    fs::rename(place.path("run"), place.path("far/moved")).expect("moved");
    let mut command = place.command(&["verify", "moved", "--json"]);
    let ran = crate::workplace::Ran::of(command.current_dir(place.path("far")).output().expect("started"));
    ran.succeeds();
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() > 10 && lines.iter().all(|line| line["sha256"].as_str().is_some()), "{}", ran.stdout);
    let manifest: serde_json::Value =
        serde_json::from_str(&place.read("far/moved/manifest.json")).expect("JSON");
    assert_eq!(manifest["device"]["kind"], "cpu");
    assert!(manifest["environment"]["preparation"]["key"].as_str().is_some_and(|key| key.len() == 64));
}

#[test]
fn rows_are_listed_with_file_line_id_and_steps() {
    let place = Workplace::new();
    place.write(
        "train.jsonl",
        format!("{}{{\"id\": \"mine\", \"instruction\": \"q\", \"output\": \"a\"}}\n", rows(0..9)),
    );
    place.write(
        "config.toml",
        CONFIG.replace("validation = 0.2", "validation = 0").replace("steps = 6", "epochs = 2"),
    );
    place.train(&[]).succeeds();
    let listed = |arguments: &[&str]| -> BTreeMap<String, Vec<u64>> {
        let ran = place.rtune(&[&["verify"], arguments, &["--rows", "--json"]].concat());
        ran.succeeds();
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let steps = row["steps"]
                .as_array()
                .expect("steps")
                .iter()
                .filter_map(serde_json::Value::as_u64)
                .collect();
            assert_eq!(row["file"], "train.jsonl");
            (format!("{} {}", row["line"], row["id"].as_str().expect("an id")), steps)
        };
        ran.stdout.lines().map(row).collect()
    };
    let whole = listed(&["run"]);
    assert_eq!(whole.len(), 10);
    assert!(whole.contains_key("10 mine"), "{whole:?}");
    // Ten rows in steps of four: three steps an epoch, each row once in each.
    for (row, steps) in &whole {
        assert!(steps.len() == 2 && steps[0] <= 3 && (4..=6).contains(&steps[1]), "{row}: {steps:?}");
    }
    let early = listed(&["run/checkpoints/step-000004"]);
    for (row, steps) in &early {
        let expected: Vec<u64> = whole[row].iter().copied().filter(|step| *step <= 4).collect();
        assert_eq!(*steps, expected);
    }
    let ran = place.rtune(&["verify", "run", "--rows"]);
    assert!(ran.stdout.ends_with("10 of 10 rows trained the checkpoint of step 6\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("train.jsonl:10 mine steps "), "{}", ran.stdout);
    place.write("train.jsonl", rows(0..9));
    place.rtune(&["verify", "run", "--rows"]).fails(2, &["data: `train.jsonl`: expected sha256 "]);
}
