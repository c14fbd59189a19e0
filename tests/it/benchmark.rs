//! Benchmarks, with the real program, and beside lm-evaluation-harness where Python has it.

#![expect(clippy::print_stdout, reason = "figures of the peer are what that test is for")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::release_peers::python;
use crate::workplace::Workplace;

fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| row.to_string() + "\n").collect()
}

/// Questions with four choices each, of several lengths and not in ASCII alone.
fn mmlu(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let things = ["a lamp", "the old kettle", "ein grüner Stuhl", "two spoons"];
        let choices: Vec<&str> = (0..4).map(|place| things[(place + n) % 4]).collect();
        json!({"question": format!(" Which of these is number {n} on the list{}? ", " of things".repeat(n % 3)),
            "choices": choices, "answer": n % 4, "subject": "kitchen_things"})
    };
    lines(numbers.map(row))
}

fn arc(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let text = ["warm", "as warm as a small oven", "kälter", "it depends"];
        let labels = ["1", "2", "3", "4"];
        json!({"id": format!("q{n}"), "question": format!("How warm is lamp {n}?"),
            "choices": {"text": &text[..3 + n % 2], "label": &labels[..3 + n % 2]}, "answerKey": (n % 3 + 1).to_string()})
    };
    lines(numbers.map(row))
}

fn choices(numbers: std::ops::Range<usize>) -> String {
    // A query that ends in spaces gives them to the choices.
    let row = |n: usize| json!({"query": format!("Lamp {n} is{}", " ".repeat(n % 3)), "choices": ["red", "not red at all", "grün"], "gold": n % 3});
    lines(numbers.map(row))
}

fn hellaswag(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let endings = [
            "turns the lamp on. ",
            " [title] goes away [substeps] and  comes back.",
            "écrit une lettre [step] of 3 pages.",
            "does nothing",
        ];
        let endings: Vec<&str> = (0..4).map(|place| endings[(place + n) % 4]).collect();
        json!({"ind": n, "activity_label": format!("Lamp {n}"), "ctx_a": format!("A woman [header] stands{} in a room.", " still".repeat(n % 3)),
            "ctx_b": if n.is_multiple_of(2) { "she THEN" } else { "" }, "endings": endings, "label": ((n * 3) % 4).to_string()})
    };
    lines(numbers.map(row))
}

fn piqa(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        json!({"goal": format!("To warm room {n},{}", " quickly".repeat(n % 2)), "sol1": "open the window and wait for an hour.",
            "sol2": if n.is_multiple_of(3) { "heat it" } else { "heiße Öfen benutzen, bis es warm ist." }, "label": n % 2})
    };
    lines(numbers.map(row))
}

fn sums(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        json!({"question": format!("Ann has {n} lamps and buys 3 more. How many has she?"),
            "answer": format!("She has {n} + 3 = {0} lamps.\n#### {0}", n + 3)})
    };
    lines(numbers.map(row))
}

fn report(place: &Workplace, model: &Path, more: &[&str]) -> Value {
    let model = model.display().to_string();
    let settings = ["--set", "quantization.kind=none", "--out", "report.json", "--json"];
    let ran =
        place.rtune(&[&["eval", &model, "--benchmark", "benchmark.jsonl"], &settings[..], more].concat());
    ran.succeeds();
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn choices_are_scored_as_they_would_be_one_by_one() {
    let place = Workplace::new();
    let model = place.path("model");
    place.write("benchmark.jsonl", choices(0..9));
    let found = report(&place, &model, &["--shots", "2"]);
    assert_eq!(
        (&found["form"], &found["shots"], &found["base"]["items"]),
        (&json!("choices"), &json!(2), &json!(9))
    );
    place.write("own.jsonl", choices(0..9));
    let of_own = report(&place, &model, &["--shots", "2", "--shots-from", "own.jsonl"]);
    assert_eq!(of_own["items"], found["items"], "an item is no example of its own in any file");
    // The same questions one by one, where no beginning is shared, in front of the examples they had.
    let examples: Vec<String> = choices(0..9).lines().map(str::to_owned).collect();
    for (index, item) in found["items"].as_array().expect("items").iter().enumerate() {
        place.write("benchmark.jsonl", &examples[index]);
        let shown: Vec<String> = examples
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, row)| row.clone())
            .collect();
        place.write("examples.jsonl", shown.join("\n"));
        let one = report(&place, &model, &["--shots", "2", "--shots-from", "examples.jsonl"]);
        for choice in 0..3 {
            let of = |item: &Value| item["base"]["log_likelihoods"][choice].as_f64().expect("a number");
            let (one, many) = (of(&one["items"][0]), of(item));
            assert!((one - many).abs() < 1e-4, "item {index}: {one} {many}");
        }
    }
    let mean = |name: &str| {
        let items = found["items"].as_array().expect("items");
        items.iter().map(|item| item["base"]["scores"][name].as_f64().expect("a score")).sum::<f64>() / 9.0
    };
    for name in ["acc", "acc_norm", "acc_bytes"] {
        let of_all = found["base"]["metrics"][name]["mean"].as_f64().expect("a mean");
        assert!((of_all - mean(name)).abs() < 1e-12, "{name}");
    }
}

#[test]
fn files_that_are_no_benchmarks_are_named() {
    let place = Workplace::new();
    let fails = |more: &[&str], parts: &[&str]| {
        place.rtune(&[&["eval", "model", "--benchmark", "benchmark.jsonl"], more].concat()).fails(2, parts);
    };
    fails(&[], &["error: `benchmark.jsonl`: No such file"]);
    place.write("benchmark.jsonl", "{\"text\": \"a\"}\n");
    fails(&[], &["`benchmark.jsonl`: line 1: expected the fields of MMLU"]);
    place.write("benchmark.jsonl", arc(0..2));
    fails(&["--shots", "2"], &["line 1: expected 2 examples, found 1", "hint: `--shots`"]);
    place.write("sums.jsonl", sums(0..2));
    fails(&["--shots", "1", "--shots-from", "sums.jsonl"], &["its rows are arc, the examples are gsm8k"]);
    place
        .rtune(&["eval", "model", "--benchmark", "benchmark.jsonl", "--labels", "a,b"])
        .fails(2, &["cannot be used with"]);
    let people = place.rtune(&["eval", "model", "--benchmark", "benchmark.jsonl", "--answers"]);
    people.succeeds();
    for part in ["acc_norm", "2 items of the form arc, no examples", "base * "] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
    place.write("benchmark.jsonl", sums(0..2));
    let ran =
        place.rtune(&["eval", "model", "--benchmark", "benchmark.jsonl", "--max-new-tokens", "5", "--json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(found["base"]["metrics"]["exact_match,flexible-extract"]["mean"], 0.0);
    assert!(found["items"][0]["base"]["answer"].is_string());
}

fn peer(python: &OsStr, place: &Workplace, model: &Path, shots: &str, examples: bool) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/lm_eval_items.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(place.path("report.json"))
        .arg(model)
        .arg(place.path("benchmark.jsonl"))
        .arg(shots);
    if examples {
        command.arg(place.path("examples.jsonl"));
    }
    let output = command.output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last: Vec<&str> =
        text.lines().filter(|line| line.contains("samples") || line.contains("lm-eval")).collect();
    println!("{}: {}", model.display(), last.join("; "));
}

#[test]
fn items_are_those_of_the_harness() {
    let Some(python) = python("lm_eval, transformers, torch") else { return };
    let place = Workplace::new();
    let real: Option<PathBuf> =
        std::env::var_os("RTUNE_MODEL_SMOLLM2").map(|folder| Path::new(&folder).join("hf"));
    for model in std::iter::once(place.path("model")).chain(real.clone()) {
        place.write("benchmark.jsonl", mmlu(0..8));
        place.write("examples.jsonl", mmlu(20..26));
        report(&place, &model, &["--shots", "3", "--shots-from", "examples.jsonl"]);
        peer(&python, &place, &model, "3", true);
        place.write("benchmark.jsonl", arc(0..8));
        report(&place, &model, &["--shots", "2"]);
        peer(&python, &place, &model, "2", false);
        place.write("benchmark.jsonl", choices(0..9));
        report(&place, &model, &[]);
        peer(&python, &place, &model, "0", false);
        place.write("benchmark.jsonl", hellaswag(0..8));
        report(&place, &model, &["--shots", "2"]);
        peer(&python, &place, &model, "2", false);
        place.write("benchmark.jsonl", piqa(0..8));
        place.write("examples.jsonl", piqa(20..26));
        report(&place, &model, &["--shots", "3", "--shots-from", "examples.jsonl"]);
        peer(&python, &place, &model, "3", true);
    }
    if let Some(model) = real {
        place.write("benchmark.jsonl", sums(1..5));
        place.write("examples.jsonl", sums(10..13));
        report(&place, &model, &["--shots", "2", "--shots-from", "examples.jsonl"]);
        peer(&python, &place, &model, "2", true);
    }
}
