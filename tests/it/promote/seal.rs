//! Sealed golden rows: known beside their file, and looked at row by row.

use std::fs;

use rtune_data::{Half, Source, read_golden};
use serde_json::{Value, json};

use super::{LOOSE, golden, promote, train, train_rows, workplace};
use crate::workplace::Workplace;

/// The ids of the rows that one half has, as the seal beside the file says.
fn rows(place: &Workplace, half: Half) -> Vec<String> {
    let files = read_golden(&[Source::new(place.path("golden.jsonl"))], false).expect("readable");
    let rows = files.into_iter().flat_map(|file| file.rows).filter(|row| half.has(row));
    rows.map(|row| row.record.id).collect()
}

/// The ids of the cases that `rtune eval` asks `model`.
fn asked(place: &Workplace, model: &str, golden: &str) -> Vec<String> {
    let arguments = ["eval", model, "--golden", golden, "--max-new-tokens", "2", "--out", "r.json"];
    place.rtune(&arguments).succeeds();
    let report: Value = serde_json::from_str(&place.read("r.json")).expect("JSON");
    let cases = report["cases"].as_array().expect("cases");
    cases.iter().filter_map(|case| Some(case["id"].as_str()?.to_owned())).collect()
}

/// A run with `gate.sealed`, and with it the seal beside `golden.jsonl`.
fn sealed() -> Workplace {
    let place = workplace();
    for (name, seed) in [("yes2", "train.seed=5"), ("yes3", "train.seed=6")] {
        place.write(&format!("{name}.jsonl"), train_rows("yes", ""));
        train(&place, name, &["gate.sealed=true", seed]);
    }
    place
}

#[test]
fn models_that_know_nothing_of_the_seal_are_not_shown_sealed_rows() {
    let place = workplace();
    assert_eq!(asked(&place, "model", "golden.jsonl").len(), 24, "nothing is sealed yet");
    place.write("yes2.jsonl", train_rows("yes", ""));
    let ran = place.train(&["data.train=yes2.jsonl", "output.dir=yes2", "gate.sealed=true"]);
    ran.succeeds();
    assert!(ran.stderr.contains("note: `golden.jsonl.seal` is written"), "{}", ran.stderr);
    let (open, kept) = (rows(&place, Half::Open), rows(&place, Half::Sealed));
    assert!(open.len() >= 4 && kept.len() >= 4 && open.len() + kept.len() == 24, "{open:?}");
    place.rtune(&["merge", "yes", "merged", "--golden", "golden.jsonl"]).succeeds();
    place.rtune(&["export", "yes", "adapter", "--format", "peft"]).succeeds();
    place.rtune(&["export", "yes", "model.gguf", "--format", "gguf", "--quantize", "f16"]).succeeds();
    fs::create_dir(place.path("by")).expect("made");
    std::os::unix::fs::symlink("../golden.jsonl", place.path("by/link.jsonl")).expect("linked");
    for (model, golden) in [
        ("model", "golden.jsonl"),
        ("model", "golden*"),
        ("model", "by/link.jsonl"),
        ("yes", "golden.jsonl"),
        ("merged", "golden.jsonl"),
        ("adapter", "golden.jsonl"),
        ("model.gguf", "golden.jsonl"),
    ] {
        assert_eq!(asked(&place, model, golden), open, "{model}, {golden}");
    }
    let report: Value = serde_json::from_str(&place.read("r.json")).expect("JSON");
    assert_eq!(
        report["notes"],
        json!([format!("{} of 24 golden rows are sealed, and were not asked", kept.len())])
    );
    // A merged model is measured on none of them either.
    let report: Value = serde_json::from_str(&place.read("merged/merge-report.json")).expect("JSON");
    assert_eq!(report["measured"]["rows"], json!(open.len()));
    // It is a guard against accident: a copy without its seal is another file.
    fs::copy(place.path("golden.jsonl"), place.path("copy.jsonl")).expect("copied");
    assert_eq!(asked(&place, "model", "copy.jsonl").len(), 24);
    // A seal that says nothing opens nothing.
    place.write("golden.jsonl.seal", "format = 1\n");
    place.rtune(&["eval", "model", "--golden", "golden.jsonl"]).fails(
        2,
        &["golden.jsonl.seal: no seal of golden rows", "missing field `key`", "hint: bring it back"],
    );
}

/// A run of before, or one that never heard of the seal, is judged on the sealed half all the same.
#[test]
fn a_promotion_goes_by_the_seal_beside_the_file() {
    let place = sealed();
    promote(&place, "yes", &[]).succeeds();
    let said: Value = serde_json::from_str(&place.read("registry/current/decision.json")).expect("JSON");
    let halves: Vec<&str> = said["weighed"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|weighed| weighed["half"].as_str())
        .collect();
    assert_eq!(halves, ["open", "sealed"]);
    assert_eq!((&said["gate"]["sealed"], &said["chosen"]["looks"]), (&json!(false), &json!(1)));
}

#[test]
fn a_seal_that_cannot_be_written_is_said() {
    let place = workplace();
    place.write("yes2.jsonl", train_rows("yes", ""));
    // As in a folder that nobody may write to, whoever runs this.
    fs::create_dir_all(place.path(".golden.jsonl.seal.partial/x")).expect("made");
    let ran = place.train(&["data.train=yes2.jsonl", "output.dir=yes2", "gate.sealed=true"]);
    ran.succeeds();
    assert!(ran.stderr.contains("only runs with `gate.sealed` leave the sealed rows"), "{}", ran.stderr);
    assert!(!place.path("golden.jsonl.seal").exists());
    place.rtune(&["eval", "yes2", "--max-new-tokens", "2", "--out", "r.json"]).succeeds();
    let report: Value = serde_json::from_str(&place.read("r.json")).expect("JSON");
    let count = report["cases"].as_array().map_or(0, Vec::len);
    assert!((4..=20).contains(&count), "the run itself knows: {count}");
    promote(&place, "yes2", &[]).succeeds();
}

/// A row more and a row corrected are no new golden set: the others were looked at.
#[test]
fn looks_are_counted_row_by_row() {
    let place = sealed();
    let anything = ["--set", LOOSE, "--set", "gate.non-inferior={checks=1.0}"];
    let asked = |run: &str, golden: &str| {
        place.rtune(&[["promote", run, "--golden", golden].as_slice(), &anything].concat())
    };
    promote(&place, "yes2", &[]).succeeds();
    place.write("more.jsonl", golden(25, |number| if number == 3 { "yes|maybe" } else { "yes" }));
    let ran = asked("yes3", "more.jsonl");
    ran.succeeds();
    assert!(
        ran.stdout.contains("the sealed rows were looked at 2 times, for 2 candidates"),
        "{}",
        ran.stdout
    );
    let looks: Value = serde_json::from_str(&place.read("registry/looks.json")).expect("JSON");
    assert_eq!(looks["format"], json!(2));
    // Rows that nobody has looked at begin with none.
    let others: String = (100..124)
        .map(|number| {
            let row = json!({"id": format!("h-{number}"), "instruction": format!("Is lamp {number} sold?"), "output": "yes",
                "checks": [{"kind": "regex", "pattern": "^yes$"}]});
            format!("{row}\n")
        })
        .collect();
    place.write("others.jsonl", others);
    let ran = asked("yes2", "others.jsonl");
    ran.succeeds();
    assert!(ran.stdout.contains("looked at 1 times, for 1 candidates"), "{}", ran.stdout);
    place.write("registry/looks.json", "{\"format\": 7, \"sets\": []}");
    asked("yes3", "more.jsonl").fails(2, &["looks.json", "expected `format` 2, or 1, found 7"]);
}
