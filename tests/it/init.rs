//! `rtune init`: what it writes trains without an edit.

use std::collections::BTreeSet;
use std::fs;

use crate::workplace::{Ran, Workplace, rows};

fn init(place: &Workplace, more: &[&str]) -> Ran {
    let arguments = ["init", "--data", "mine.jsonl", "--base", "model", "--yes"];
    place.rtune(&[&arguments[..], more].concat())
}

#[test]
fn from_data_of_ones_own_to_an_adapter() {
    let place = Workplace::new();
    // A mark of the order of bytes, line breaks of Windows, a blank line, a duplicate and a conversation.
    let conversation = "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"q\"}, \
        {\"role\": \"assistant\", \"content\": \"a\"}]}";
    let text = format!("\u{feff}{}\n{}{conversation}\n", rows(0..60), rows(7..8)).replace('\n', "\r\n");
    place.write("mine.jsonl", text);
    let ran = init(&place, &["--name", "My Letters"]);
    ran.succeeds();
    for part in [
        "62 rows in 1 file: 61 of `instruction` and `output`, 1 of `messages`",
        "1 rows equal an earlier one",
        "tokens; the longest row has ",
        "at mine.jsonl:",
        "my-letters/golden.jsonl: 4 rows",
        "next:\n  rtune check my-letters/config.toml\n  rtune train my-letters/config.toml\n  rtune chat my-letters/run\n",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    let lines = |name: &str| place.read(name).lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (golden, train) = (lines("my-letters/golden.jsonl"), lines("my-letters/train.jsonl"));
    assert_eq!((golden.len(), golden.intersection(&train).count()), (4, 0), "golden rows are held out");
    let all: BTreeSet<String> =
        rows(0..60).lines().map(str::to_owned).chain([conversation.to_owned()]).collect();
    assert_eq!(&golden | &train, all, "no row is lost");
    let config = place.read("my-letters/config.toml");
    assert!(config.starts_with("# rtune train my-letters/config.toml\n"), "{config}");
    assert!(config.contains("# Inner width of the trained matrices"), "{config}");

    place.rtune(&["check", "my-letters/config.toml"]).succeeds();
    let ran = place.rtune(&["train", "my-letters/config.toml", "--set", "train.epochs=1"]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("next:\n  rtune chat my-letters/run\n  rtune eval my-letters/run\n"),
        "{}",
        ran.stdout
    );
    place.rtune(&["export", "my-letters/run", "adapter"]).succeeds();
}

/// Every run that it writes down is called `run`.
#[test]
fn rows_of_two_configurations_are_prepared_side_by_side() {
    let place = Workplace::new();
    place.write("mine.jsonl", rows(0..40));
    init(&place, &["--name", "letters"]).succeeds();
    place.write("mine.jsonl", rows(40..90));
    init(&place, &["--name", "words"]).succeeds();
    let prepared = |name: &str| {
        let ran = place.rtune(&["prepare", &format!("{name}/config.toml")]);
        ran.succeeds();
        assert!(ran.stdout.contains(&format!("prepared/{name}/")), "{}", ran.stdout);
        place.read(&format!("prepared/{name}/rows.jsonl"))
    };
    let (letters, words) = (prepared("letters"), prepared("words"));
    assert_ne!(letters, words);
    assert_eq!(place.read("prepared/letters/rows.jsonl"), letters, "it is as it was");
    assert_eq!(fs::read_dir(place.path("prepared")).expect("there").count(), 2);
    // The same again is put into its own place, and a run folder of another name has that.
    assert_eq!(prepared("letters"), letters);
    place.rtune(&["prepare", "config.toml", "--set", "output.dir=runs/third"]).succeeds();
    assert!(place.path("prepared/third/rows.jsonl").is_file());
    assert_eq!(fs::read_dir(place.path("prepared")).expect("there").count(), 3);
}

#[test]
fn the_same_data_give_the_same_files() {
    let place = Workplace::new();
    place.write("mine.jsonl", rows(0..40));
    init(&place, &["--name", "a"]).succeeds();
    init(&place, &["--name", "b"]).succeeds();
    assert_eq!(place.read("a/golden.jsonl"), place.read("b/golden.jsonl"));
    assert_eq!(place.read("a/train.jsonl"), place.read("b/train.jsonl"));
}

#[test]
fn few_rows_are_all_learnt() {
    let place = Workplace::new();
    place.write("mine.jsonl", rows(0..5));
    let ran = init(&place, &[]);
    ran.succeeds();
    assert!(ran.stdout.contains("5 rows are too few to hold some back"), "{}", ran.stdout);
    assert!(!place.path("mine/golden.jsonl").exists());
    let ran = place.rtune(&["train", "mine/config.toml", "--set", "train.epochs=1"]);
    ran.succeeds();
}

#[test]
fn nothing_is_overwritten() {
    let place = Workplace::new();
    place.write("mine.jsonl", rows(0..30));
    fs::create_dir(place.path("out")).expect("made");
    place.write("out/train.jsonl", "mine");
    let ran = init(&place, &["--out", "out"]);
    ran.fails(
        2,
        &["out/train.jsonl is there already, and nothing is overwritten", "hint: choose another folder"],
    );
    assert_eq!(place.read("out/train.jsonl"), "mine");
    assert!(!place.path("out/config.toml").exists());
    init(&place, &["--out", "mine.jsonl/x"]).fails(2, &["cannot make the folder mine.jsonl/x"]);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let place = Workplace::new();
    // Standard input is no terminal here, so that nobody is asked.
    place.rtune(&["init"]).fails(2, &["error: missing: --data FILE", "hint: "]);
    place.rtune(&["init", "--data", "none.jsonl"]).fails(2, &["none.jsonl: no such file"]);
    place.write("mine.jsonl", format!("{}{{\"prompt\": \"a\"}}\n", rows(0..3)));
    init(&place, &[]).fails(
        2,
        &["mine.jsonl:4: expected `instruction` and `output`", "hint: `prompt` is `instruction` here"],
    );
    place.write("mine.jsonl", rows(0..30));
    init(&place, &["--name", "!!!"]).fails(2, &["has no letter or digit"]);
    init(&place, &["--memory", "0"]).fails(2, &["--memory: expected a number of GiB above 0"]);
    init(&place, &["--device", "mps"])
        .fails(2, &["`model.device`: expected", "not offered: an NVIDIA GPU trains"]);
    let arguments = ["init", "--data", "mine.jsonl", "--base", "smolm2", "--yes"];
    place.rtune(&arguments).fails(2, &["unknown base model `smolm2`"]);
    assert!(!place.path("mine").exists());
}

#[test]
fn a_base_that_is_not_here_is_no_hindrance() {
    let place = Workplace::new();
    place.write("mine.jsonl", rows(0..60));
    let ran = place.rtune(&["init", "--data", "mine.jsonl", "--language", "de"]);
    ran.succeeds();
    for part in [
        "tokens are estimated",
        "smollm2-135m-instruct has read English only; for `de`",
        "train.learning-rate = 0.001",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    assert!(place.read("mine/config.toml").contains("base = \"smollm2-135m-instruct\"\n"));
}
