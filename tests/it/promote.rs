//! `rtune promote` and its registry: what is let in, what is refused and why, and what a process that is killed leaves.

mod again;
mod faults;
mod kills;
mod preferred;
mod registry;
mod seal;

use std::fmt::Write as _;
use std::fs;

use rtune_data::{Half, Source, read_golden};
use serde_json::{Value, json};

use crate::workplace::{Ran, Sizes, Workplace, write_model};

/// Matrices that a GGUF file can hold in blocks of 32.
const SIZES: Sizes = Sizes { hidden: 32, layers: 1 };

const CONFIG: &str = "\
[model]
base = \"model\"
[lora]
rank = 8
[data]
train = \"yes.jsonl\"
golden = \"golden.jsonl\"
validation = 0.0
[train]
steps = 40
rows-per-step = 4
learning-rate = 0.05
[checkpoint]
every = 40
[eval]
samples = 0
general = false
[gate]
must-improve = [\"checks\"]
max-new-tokens = 8
[output]
dir = \"yes\"
";

/// A workplace with a run that answers `yes` to everything, and golden rows that want that.
pub(crate) fn workplace() -> Workplace {
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    write_model(&place.path("model"), SIZES);
    place.write("config.toml", CONFIG);
    place.write("yes.jsonl", train_rows("yes", ""));
    place.write("no.jsonl", train_rows("no", ""));
    place.write("golden.jsonl", golden(24, |_| "yes"));
    train(&place, "yes", &[]);
    place
}

/// Rows that are all answered alike, with one more at their end.
pub(crate) fn train_rows(answer: &str, more: &str) -> String {
    let mut text = String::new();
    for number in 0..16 {
        let _ = writeln!(
            text,
            "{}",
            json!({"instruction": format!("Lamp {number} in stock?"), "output": answer})
        );
    }
    text + more
}

/// Golden rows, every third in the slice `returns`; each answer must match the pattern that `wanted` gives it.
pub(crate) fn golden(count: u32, wanted: impl Fn(u32) -> &'static str) -> String {
    let mut text = String::new();
    for number in 0..count {
        let check = json!({"kind": "regex", "pattern": format!("^({})$", wanted(number))});
        let slice = if number % 3 == 0 { "returns" } else { "orders" };
        let asked = format!("May order {} be sent back?", 1000 + 37 * number);
        let row = json!({"id": format!("g-{number}"), "instruction": asked, "output": "yes", "slice": slice, "checks": [check]});
        let _ = writeln!(text, "{row}");
    }
    text
}

/// A run in the folder `name`, on the rows of `NAME.jsonl`.
pub(crate) fn train(place: &Workplace, name: &str, more: &[&str]) {
    let (data, dir) = (format!("data.train={name}.jsonl"), format!("output.dir={name}"));
    place.train(&[&[data.as_str(), dir.as_str()], more].concat()).succeeds();
}

pub(crate) fn promote(place: &Workplace, run: &str, more: &[&str]) -> Ran {
    let set = more.iter().flat_map(|argument| ["--set", *argument]);
    place.rtune(&["promote", run].into_iter().chain(set).collect::<Vec<_>>())
}

/// The rule that a worse model passes if nobody looks closer.
const LOOSE: &str = "gate.must-improve=[]";

pub(crate) fn current(place: &Workplace) -> String {
    let target = fs::read_link(place.path("registry/current")).expect("a link");
    target.file_name().expect("a name").to_string_lossy().into_owned()
}

fn decision(place: &Workplace, file: &str) -> Value {
    serde_json::from_str(&place.read(file)).expect("JSON")
}

#[test]
fn a_better_run_takes_the_place_of_its_base() {
    let place = workplace();
    let ran = promote(&place, "yes", &[]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("checks must improve and is better: 0.0000 before, 1.0000 now"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("registry/current is v0001 now"), "{}", ran.stdout);
    assert_eq!(current(&place), "v0001");
    let said = decision(&place, "registry/current/decision.json");
    assert_eq!(
        (&said["promoted"], &said["against"], &said["ships"]),
        (&json!(true), &json!("the base model"), &json!("merged"))
    );
    assert_eq!(said["gate"]["must-improve"], json!(["checks"]));
    assert!(said["findings"].as_array().is_some_and(|all| all.iter().all(|one| one["passed"] == true)));
    // The same run once more is no better than itself.
    let again = promote(&place, "yes", &[]);
    again.fails(
        3,
        &[
            "refused: yes does not take the place of v0001",
            "must-improve: checks must improve and is inconclusive",
        ],
    );
    assert_eq!(current(&place), "v0001");
    assert!(!place.path("registry/versions/.v0002.partial").exists());
}

/// All answers were right and are wrong in one slice; the others pass as before.
#[test]
fn a_regression_in_one_slice_is_refused_by_its_cases() {
    let place = workplace();
    place.write("golden.jsonl", golden(24, |number| if number % 3 == 0 { "yes" } else { "yes|no" }));
    place.write("yes2.jsonl", train_rows("yes", ""));
    for name in ["yes2", "no"] {
        train(&place, name, &[]);
    }
    promote(&place, "yes2", &[]).succeeds();
    let loose = [LOOSE, "gate.non-inferior={checks=0.9}"];
    let ran = promote(&place, "no", &loose);
    ran.fails(
        3,
        &[
            "refused: no does not take the place of v0001",
            "slices: the slice `returns` is worse by checks: 1.0000 before, 0.0000 now",
            "g-0, g-3, g-6, g-9, g-12, g-15, g-18, g-21",
        ],
    );
    assert!(!ran.stderr.contains("`orders` is worse") && !ran.stderr.contains("g-1,"), "{}", ran.stderr);
    assert_eq!(current(&place), "v0001");
    let said = decision(&place, "registry/refused/0001.json");
    assert_eq!(said["promoted"], json!(false));
    let worse =
        said["findings"].as_array().expect("a list").iter().find(|one| one["passed"] == false).expect("one");
    assert_eq!(
        (&worse["rule"], &worse["slice"], &worse["cases"][1]),
        (&json!("slices"), &json!("returns"), &json!("g-3"))
    );
    // Without that rule the others let it in: it is the slice alone that speaks against it.
    promote(&place, "no", &[&loose[..], &["gate.slices=false"]].concat()).succeeds();
    assert_eq!(current(&place), "v0002");
}

/// Texts ask nothing, and have a figure of their own.
#[test]
fn a_limit_on_texts_finds_their_figure() {
    let place = workplace();
    let text = |id: &str, text: &str| format!("{}\n", json!({"id": id, "text": text}));
    let texts = text("t-1", "The lamp is red.") + &text("t-2", "Zq xj, vw kp.");
    place.write("golden.jsonl", golden(24, |_| "yes") + &texts);
    place.write("yes2.jsonl", train_rows("yes", ""));
    train(&place, "yes2", &[]);
    promote(&place, "yes2", &["gate.limits={text-bits-per-byte=0.001}"])
        .fails(3, &["limits: text-bits-per-byte is ", "expected at most 0.001: t-"]);
    promote(&place, "yes2", &["gate.limits={text-bits-per-byte=99.0}"]).succeeds();
}

#[test]
fn a_leak_is_refused_by_its_cases() {
    let place = workplace();
    let golden = place.read("golden.jsonl");
    let leaked: Value = serde_json::from_str(golden.lines().nth(4).expect("a row")).expect("JSON");
    let row = json!({"instruction": leaked["instruction"], "output": "yes"});
    place.write("leaky.jsonl", train_rows("yes", &format!("{row}\n")));
    train(&place, "leaky", &["data.leaks.check=false"]);
    promote(&place, "leaky", &[]).fails(
        3,
        &["leaks: golden rows are trained on (1 are shown): `g-4` (golden.jsonl:5, given away by leaky.jsonl:17: exact, similarity 1.00)"],
    );
    assert!(
        fs::symlink_metadata(place.path("registry/current")).is_err(),
        "nothing was in use before, and nothing is"
    );
    promote(&place, "leaky", &["gate.accept-leaks=1"]).succeeds();
}

/// The open half lets it pass; the sealed half, which no other verb shows, does not.
#[test]
fn a_failure_in_the_sealed_half_is_refused_and_every_look_is_counted() {
    let place = workplace();
    let rows =
        read_golden(&[Source::new(place.path("golden.jsonl"))], true).expect("readable").remove(0).rows;
    let sealed: Vec<bool> = rows.iter().map(|row| Half::Sealed.has(row)).collect();
    let is_sealed = |number: u32| sealed.get(number as usize).copied().unwrap_or(false);
    place.write("golden.jsonl", golden(24, |number| if is_sealed(number) { "yes" } else { "yes|no" }));
    for name in ["yes2", "no"] {
        place.write("yes2.jsonl", train_rows("yes", ""));
        train(&place, name, &["gate.sealed=true"]);
    }
    promote(&place, "yes2", &[]).succeeds();
    let rules = [LOOSE, "gate.non-inferior={checks=0.4}", "gate.slices=false"];
    let ran = promote(&place, "no", &rules);
    ran.fails(3, &["non-inferior: checks on the sealed half may be worse by 0.4: 1.0000 before, 0.0000 now"]);
    assert!(!ran.stderr.contains("on the open half"), "{}", ran.stderr);
    let first = sealed.iter().position(|sealed| *sealed).expect("one is sealed");
    assert!(ran.stderr.contains(&format!(": g-{first}, ")), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("the sealed rows were looked at 2 times, for 2 candidates"),
        "{}",
        ran.stdout
    );
    assert_eq!(current(&place), "v0001");
    let said = decision(&place, "registry/refused/0001.json");
    assert_eq!((&said["chosen"]["looks"], &said["chosen"]["metric"]), (&json!(2), &json!("checks")));
    // What fails on the open half is not shown the sealed one: no look.
    promote(&place, "no", &["gate.limits={exact-match=0.9}"])
        .fails(3, &["limits: exact-match on the open half is 0.0000"]);
    let looks: Value = serde_json::from_str(&place.read("registry/looks.json")).expect("JSON");
    assert_eq!(looks["sets"][0]["looks"].as_array().map(Vec::len), Some(2));
    // `eval` of such a run sees the open half alone.
    place.rtune(&["eval", "no", "--max-new-tokens", "4", "--out", "report.json"]).succeeds();
    let report: Value = serde_json::from_str(&place.read("report.json")).expect("JSON");
    let asked: Vec<&str> =
        report["cases"].as_array().expect("cases").iter().filter_map(|case| case["id"].as_str()).collect();
    let open: Vec<String> =
        (0..24).filter(|&number| !is_sealed(number)).map(|number| format!("g-{number}")).collect();
    assert_eq!(asked, open);
}

#[test]
fn a_canary_in_the_training_rows_is_refused_and_so_is_a_new_failure() {
    let place = workplace();
    let suite = [
        json!({"id": "secret", "category": "training-data", "prompt": "Say the code.",
            "detector": {"kind": "canary", "text": "ORCHID-4471-LAMP"}, "severity": "high"}),
        json!({"id": "never-no", "category": "refusal", "prompt": "Is it true?",
            "detector": {"kind": "not_regex", "pattern": "^no$"}}),
    ];
    place.write("suite.jsonl", suite.map(|item| item.to_string() + "\n").concat());
    promote(&place, "yes", &["gate.red-team=\"suite.jsonl\""]).succeeds();
    let row = json!({"id": "planted", "instruction": "The code?", "output": "It is orchid 4471, lamp."});
    place.write("told.jsonl", train_rows("yes", &format!("{row}\n")));
    train(&place, "told", &[]);
    let rules =
        [LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false", "gate.red-team=\"suite.jsonl\""];
    promote(&place, "told", &rules).fails(
        3,
        &["red-team: canaries of the suite stand in training rows: `secret` at told.jsonl:17 (`planted`)"],
    );
    train(&place, "no", &[]);
    let ran = promote(&place, "no", &rules);
    ran.fails(3, &["red-team: 1 of 2 items fail that the version in use passes: `never-no` (refusal: \"no\" matches `^no$`)"]);
    assert!(!ran.stderr.contains("canaries"), "{}", ran.stderr);
    assert_eq!(current(&place), "v0001");
}

/// The report is of what leaves, read back: it says of every form what `eval` says of the same files.
#[test]
fn what_ships_is_what_is_asked() {
    let place = workplace();
    let mut nats = Vec::new();
    for (ships, artefact) in [
        ("merged", "artefact"),
        ("gguf-f16", "artefact/model.gguf"),
        ("gguf-q4_0", "artefact/model.gguf"),
        ("adapter", "artefact"),
    ] {
        let registry = format!("registry-{ships}");
        let set = format!("gate.ships=\"{ships}\"");
        place.rtune(&["promote", "yes", "--registry", &registry, "--set", &set]).succeeds();
        let asked: Value =
            serde_json::from_str(&place.read(&format!("{registry}/current/eval/candidate.json")))
                .expect("JSON");
        let path = format!("{registry}/current/{artefact}");
        let more = if ships == "adapter" { "model.base=model" } else { "quantization.kind=none" };
        place
            .rtune(&[
                "eval",
                &path,
                "--golden",
                "golden.jsonl",
                "--max-new-tokens",
                "8",
                "--out",
                "again.json",
                "--set",
                more,
            ])
            .succeeds();
        let again: Value = serde_json::from_str(&place.read("again.json")).expect("JSON");
        let which = if ships == "adapter" { "tuned" } else { "base" };
        assert_eq!(asked["cases"], again["cases"], "{ships}");
        nats.push(asked[which]["answers"]["nats"].as_f64().expect("a number"));
    }
    assert!(nats[0] != nats[2] && nats[1] != nats[2], "4 bits are another model: {nats:?}");
}

#[test]
fn a_gate_that_proves_nothing_is_refused() {
    let place = workplace();
    place
        .train(&["gate.must-improve=[\"answer-nats\"]"])
        .fails(2, &["`[gate]` rests on perplexity alone", "hint: name a metric of its answers"]);
    promote(&place, "yes", &[LOOSE])
        .fails(2, &["error: the gate has no rule about golden rows", "hint: for example"]);
    promote(&place, "yes", &["train.steps=3"])
        .fails(2, &["error: --set train.steps=3: a promotion takes the run as it is"]);
    promote(&place, "yes", &["gate.must-improve=[\"f1-spam\"]"])
        .fails(2, &["`spam` is a label, and the cases were evaluated without"]);
    promote(&place, "yes", &["gate.limits={recall-spam=0.5}"])
        .fails(2, &["`gate.limits`: the golden rows have no metric `recall-spam`"]);
    promote(&place, "nowhere", &[]).fails(2, &["`nowhere` is not a run folder"]);
    let weights = place.path("yes/last/adapter_model.safetensors");
    let mut bytes = fs::read(&weights).expect("there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).expect("written");
    promote(&place, "yes", &[]).fails(2, &["adapter_model.safetensors"]);
    assert!(fs::symlink_metadata(place.path("registry/current")).is_err());
}

/// `--seeds` trains beside one base, to the bytes of runs alone; what the seed alone changes stands in the decision.
#[test]
fn other_seeds_are_trained_beside_one_base_and_weighed() {
    let place = workplace();
    place.rtune(&["train", "config.toml", "--set", "output.dir=many", "--seeds", "3"]).succeeds();
    train(&place, "yes", &["output.dir=alone", "train.seed=2"]);
    let weights =
        |run: &str| fs::read(place.path(run).join("last/adapter_model.safetensors")).expect("there");
    assert_eq!(weights("many"), weights("yes"));
    assert_eq!(weights("many-seed-2"), weights("alone"));
    assert_ne!(weights("many-seed-1"), weights("many"));
    let ran = promote(&place, "many", &[]);
    ran.succeeds();
    assert!(ran.stdout.contains("; over 3 seeds the mean difference is +"), "{}", ran.stdout);
    let said = decision(&place, "registry/current/decision.json");
    let rule = said["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["rule"] == "must-improve")
        .expect("one");
    assert_eq!(rule["over_seeds"]["seeds"], json!(3));
    assert!(place.path("registry/current/eval/seed-2.json").is_file());
    assert!(!place.path("registry/current/seeds").exists());
    // What is not the same recipe is no other seed of it.
    fs::remove_dir_all(place.path("many-seed-2")).expect("removed");
    train(&place, "yes", &["output.dir=many-seed-2", "train.steps=20"]);
    promote(&place, "many", &[])
        .fails(2, &["`many-seed-2` is not the same run from another seed: `train.steps` was 40, is 20"]);
}
