//! A run that is watched while it trains: golden rows, the best checkpoint, an early end, warnings.

use std::fs;

use rtune_trainer::config::Config;
use rtune_trainer::run::{Event, Observer, Outcome};
use serde_json::{Value, json};

use crate::training::{assert_same, bytes_of, run_before, run_until};
use crate::workplace::{CONFIG, Workplace};

/// Golden rows with labels and a check, of the same kind as rows that are trained on.
fn place() -> Workplace {
    let place = Workplace::new();
    let row = |number: usize| {
        let label = if number.is_multiple_of(3) { "b" } else { "a" };
        json!({"instruction": format!("Is {number} a or b?"), "output": label,
            "checks": [{"kind": "length", "unit": "characters", "most": 3}]})
    };
    let rows = |numbers: std::ops::Range<usize>| {
        numbers.map(|number| format!("{}\n", row(number))).collect::<String>()
    };
    place.write("train.jsonl", rows(0..24));
    place.write("golden.jsonl", rows(100..112));
    let watched = "general = false\ngolden-rows = 12\ngolden-tokens = 4\nlabels = [\"a\", \"b\"]\n";
    let config = CONFIG.replace("general = false\n", watched);
    place.write(
        "config.toml",
        config.replace("[train]", "golden = \"golden.jsonl\"\nleaks.check = false\n[train]"),
    );
    place
}

fn lines(place: &Workplace, run: &str) -> Vec<Value> {
    let text = place.read(&format!("{run}/metrics.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// (step, figure) of every line about golden rows.
fn figures(place: &Workplace, name: &str) -> Vec<(u64, f64)> {
    let lines = lines(place, "run").into_iter().filter(|line| line.get("golden").is_some());
    let figure = |line: Value| {
        let value = line["golden"][name].as_f64().unwrap_or_else(|| panic!("{name} in {line}"));
        (line["step"].as_u64().expect("a step"), value)
    };
    lines.map(figure).collect()
}

/// Figures of other golden rows would not compare, and the best checkpoint is chosen by them.
#[test]
fn a_run_goes_on_with_the_golden_rows_that_it_began_with() {
    let place = place();
    place.train(&["train.steps=4"]).succeeds();
    let golden = place.read("golden.jsonl");
    place.write("golden.jsonl", golden.replace("Is 100 ", "Is 99 "));
    let resume = |overrides: &[&str]| {
        let set = overrides.iter().flat_map(|argument| ["--set", argument]);
        place.rtune(&["train", "config.toml", "--resume"].into_iter().chain(set).collect::<Vec<_>>())
    };
    resume(&["train.steps=6"]).fails(2, &["began with another set of golden files", "bring back"]);
    place.write("golden.jsonl", golden);
    resume(&["train.steps=6"]).succeeds();
}

#[test]
fn figures_on_the_way_are_those_of_eval() {
    let place = place();
    let ran = place.train(&["train.steps=20", "eval.every=10", "train.learning-rate=0.03"]);
    ran.succeeds();
    assert!(ran.stdout.contains("step 20 12 golden rows: answer-nats "), "{}", ran.stdout);
    assert_eq!(figures(&place, "chrf").iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 10, 20]);
    let of_eval = |checkpoint: &str| -> Value {
        let ran = place.rtune(&[
            "eval",
            checkpoint,
            "--golden",
            "golden.jsonl",
            "--labels",
            "a,b",
            "--max-new-tokens",
            "4",
            "--json",
        ]);
        ran.succeeds();
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let report = of_eval("run/last");
    for (at, side) in [(0, &report["base"]), (2, &report["tuned"])] {
        let of = |name: &str| figures(&place, name)[at].1;
        let classes = &side["classification"];
        let pairs = [
            ("chrf", &side["chrf"]),
            ("bleu", &side["bleu"]),
            ("exact-match", &side["exact_match"]),
            ("normalised-match", &side["normalised_match"]),
            ("checks", &side["checks_passed"]),
            ("greedy-label", &classes["greedy"]["report"]["accuracy"]),
            ("likeliest-label", &classes["scored"]["report"]["accuracy"]),
            ("likeliest-macro-f1", &classes["scored"]["report"]["macro"]["f1"]),
            ("f1-b", &classes["greedy"]["report"]["classes"][1]["f1"]),
            ("likeliest-recall-b", &classes["scored"]["report"]["classes"][1]["recall"]),
        ];
        for (name, expected) in pairs {
            let expected = expected.as_f64().unwrap_or_else(|| panic!("{name}"));
            assert!((of(name) - expected).abs() < 1e-9, "{name} at {at}: {} {expected}", of(name));
        }
        let perplexity = side["answer_perplexity"].as_f64().expect("a number");
        assert!((of("answer-nats").exp() / perplexity - 1.0).abs() < 1e-9);
    }
    let written: Value = serde_json::from_str(&place.read("run/eval/step-000020.json")).expect("JSON");
    assert_eq!(written["golden"]["rows"], 12);
    place.rtune(&["verify", "run"]).succeeds();
}

/// Golden rows that ask nothing: a run is watched, and its best checkpoint chosen, by how likely they are.
#[test]
fn texts_are_watched_too() {
    let place = place();
    let texts = [json!({"text": "Is 5 a or b? a"}), json!({"text": "Is 6 a or b? b, I think."})];
    place.write("golden.jsonl", texts.map(|text| text.to_string()).join("\n"));
    place.write(
        "config.toml",
        place.read("config.toml").replace(
            "labels = [\"a\", \"b\"]
",
            "",
        ),
    );
    let ran = place.train(&["train.steps=4", "eval.every=2", "eval.best=text-bits-per-byte"]);
    ran.succeeds();
    let seen = figures(&place, "text-bits-per-byte");
    assert_eq!(seen.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 2, 4]);
    assert!(lines(&place, "run").iter().all(|line| line["golden"].get("chrf").is_none()));
    let ran = place.rtune(&["eval", "run/last", "--golden", "golden.jsonl", "--json"]);
    ran.succeeds();
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let bits = report["texts"]["tuned"]["bits_per_byte"].as_f64().expect("bits");
    assert!((bits - seen[2].1).abs() < 1e-9, "{bits} {seen:?}");
    let best = place.rtune(&["eval", "run/best", "--golden", "golden.jsonl", "--json"]);
    best.succeeds();
    let report: Value = serde_json::from_str(&best.stdout).expect("JSON");
    let least = seen[1..].iter().map(|(_, bits)| *bits).fold(f64::INFINITY, f64::min);
    let bits = report["texts"]["tuned"]["bits_per_byte"].as_f64().expect("bits");
    assert!((bits - least).abs() < 1e-9, "{bits} {seen:?}");
}

/// Wants the run to stop as soon as a golden row was begun.
#[derive(Default)]
struct Hasty {
    begun: usize,
}

impl Observer for Hasty {
    fn on(&mut self, event: Event<'_>) {
        self.begun += usize::from(matches!(event, Event::Evaluating { total: 40, .. }));
    }
    fn stop_requested(&self) -> bool {
        self.begun > 0
    }
}

#[test]
fn a_stop_does_not_wait_for_texts() {
    let place = place();
    let text = |number: usize| json!({"text": format!("{number} is a or b. ").repeat(20)}).to_string();
    place.write("golden.jsonl", (0..40).map(text).collect::<Vec<_>>().join("\n"));
    let labels = "labels = [\"a\", \"b\"]\n";
    place.write("config.toml", place.read("config.toml").replace(labels, ""));
    let mut overrides: Vec<String> = [
        "data.validation=0",
        "eval.golden-rows=40",
        "eval.best=text-bits-per-byte",
        "eval.every=2",
        "train.steps=4",
    ]
    .map(str::to_owned)
    .to_vec();
    overrides.push(format!("output.dir={}", place.path("run").display()));
    for name in ["train", "golden"] {
        overrides.push(format!("data.{name}={}", place.path(&format!("{name}.jsonl")).display()));
    }
    let config = Config::load(&place.path("config.toml"), &overrides).expect("valid");
    let mut observer = Hasty::default();
    let outcome = run_before(&mut observer, None, &config, &place.path("model"), false);
    let Outcome::Stopped(state) = outcome else { panic!("the stop was not seen") };
    assert_eq!((state.step, state.evaluated, observer.begun), (0, None, 1));
    assert!(!place.path("run/eval").exists(), "what was cut short says nothing");
    // It comes whole when the run goes on.
    let outcome = run_until(&config, &place.path("model"), u64::MAX, true);
    assert!(matches!(outcome, Outcome::Complete(_)));
    let steps: Vec<u64> = figures(&place, "text-bits-per-byte").iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [0, 2, 4]);
}

#[test]
fn the_best_checkpoint_is_the_best_by_any_metric() {
    let place = place();
    let wild = [
        "train.steps=12",
        "eval.every=2",
        "checkpoint.keep=99",
        "train.learning-rate=0.3",
        "train.schedule=constant",
    ];
    for (metric, sign) in
        [("likeliest-label", 1.0), ("chrf", 1.0), ("answer-nats", -1.0), ("likeliest-f1-b", 1.0)]
    {
        let ran = place.train(&[&wild[..], &[&format!("eval.best={metric}")]].concat());
        let is_useless = ran.stderr.contains("warning: the adapter is of no use by `eval.best`");
        assert_eq!(ran.code, i32::from(is_useless), "{}\n{}", ran.stdout, ran.stderr);
        let values = figures(&place, metric);
        let most = values.iter().map(|(_, value)| sign * value).fold(f64::MIN, f64::max);
        let (step, value) = *values.iter().find(|(_, value)| sign * value == most).expect("one");
        let best = fs::read_link(place.path("run/best")).expect("a link").display().to_string();
        assert_eq!(best, format!("checkpoints/step-{step:06}"), "{metric}: {values:?}");
        assert_eq!(is_useless, step == 0, "{metric}: {values:?}");
        let state: Value = serde_json::from_str(&place.read("run/last/state.json")).expect("JSON");
        assert_eq!(state["best"], json!({"step": step, "metric": metric, "value": value}));
        fs::remove_dir_all(place.path("run")).expect("removed");
    }
    let fails = |overrides: &[&str], parts: &[&str]| {
        place.train(overrides).fails(2, parts);
        assert!(!place.path("run/config.toml").exists(), "{overrides:?}");
    };
    fails(&["eval.best=f1-c"], &["the golden rows have no metric `f1-c`; they have answer-nats", "hint: "]);
    fails(&["eval.best=rouge"], &["`eval.best`: expected one of validation-loss, answer-nats"]);
    fails(
        &["eval.golden-rows=0", "eval.best=chrf"],
        &["`eval.best` contradicts a run that asks no golden rows"],
    );
    fails(
        &["eval.patience=2", "data.validation=0"],
        &["`eval.patience` contradicts a run without validation"],
    );
    fails(&["eval.labels=[\"x\", \"y\"]"], &["golden.jsonl:", "expected one of x, y, found `"]);
}

/// Nothing improves by so much: the run waits for its patience alone.
const IMPATIENT: [&str; 5] =
    ["train.steps=40", "eval.every=3", "eval.patience=3", "eval.least-improvement=100", "checkpoint.every=4"];

#[test]
fn a_run_ends_early_and_is_complete_then() {
    let place = place();
    let ran = place.train(&IMPATIENT);
    ran.succeeds();
    let said = "note: the run ends early, after step 9: 3 evaluations in a row did not improve `validation-loss` by \
        more than 100; the best is that of step ";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(ran.stdout.contains("done at step 9: best validation loss "), "{}", ran.stdout);
    let before = bytes_of(&place.path("run"));
    let resume = |more: &[&str]| {
        let overrides = IMPATIENT.iter().chain(more).flat_map(|one| ["--set", *one]);
        place.rtune(&["train", "config.toml", "--resume"].into_iter().chain(overrides).collect::<Vec<_>>())
    };
    let again = resume(&[]);
    again.succeeds();
    assert!(again.stdout.contains("was complete already at step 9"), "{}", again.stdout);
    assert_eq!(bytes_of(&place.path("run")), before);
    let on = resume(&["eval.patience=0", "train.steps=12"]);
    on.succeeds();
    assert!(on.stdout.contains("done at step 12"), "with more patience it goes on: {}", on.stdout);
}

/// Stopped at any step, in the middle of a wait, an early end comes where it would have.
#[test]
fn a_wait_survives_stops_to_the_byte() {
    let place = place();
    let load = |dir: &str| {
        let mut overrides: Vec<String> = IMPATIENT.iter().map(|text| (*text).to_owned()).collect();
        overrides.push(format!("output.dir={}", place.path(dir).display()));
        for name in ["train", "golden"] {
            overrides.push(format!("data.{name}={}", place.path(&format!("{name}.jsonl")).display()));
        }
        Config::load(&place.path("config.toml"), &overrides).expect("valid")
    };
    let base = place.path("model");
    let Outcome::Complete(whole) = run_until(&load("whole"), &base, u64::MAX, false) else {
        panic!("complete")
    };
    assert_eq!((whole.step, whole.waiting.as_ref().map(|waiting| waiting.evaluations)), (9, Some(3)));
    for stop in 1..9 {
        let dir = format!("stopped-{stop}");
        let Outcome::Stopped(state) = run_until(&load(&dir), &base, stop, false) else { panic!("stopped") };
        assert_eq!(state.step, stop);
        // Once more, so that it also goes on from a checkpoint whose evaluation was done by another process.
        let again = run_until(&load(&dir), &base, (stop + 1).min(8), true);
        assert!(matches!(again, Outcome::Stopped(_)));
        let Outcome::Complete(state) = run_until(&load(&dir), &base, u64::MAX, true) else {
            panic!("complete")
        };
        assert_eq!(state, whole);
        assert!(matches!(run_until(&load(&dir), &base, u64::MAX, true), Outcome::WasComplete(_)));
        for part in ["last/", "best/", "eval"] {
            assert_same(&place.path("whole").join(part), &place.path(&dir).join(part));
        }
        let measured = |run: &str| -> Vec<Value> {
            let kept = lines(&place, run).into_iter().map(|mut line| {
                for key in ["tokens_per_second", "seconds", "peak_memory_bytes"] {
                    line.as_object_mut().expect("an object").remove(key);
                }
                line
            });
            kept.collect()
        };
        assert_eq!(measured("whole"), measured(&dir), "{stop}");
    }
}

#[test]
fn what_is_learnt_by_heart_and_what_is_forgotten_is_said() {
    let place = Workplace::new();
    // Answers that nothing in the question leads to.
    let row = |number: usize| {
        let answer = char::from(b'a' + (number * number * 7 % 26) as u8).to_string().repeat(6);
        format!(
            "{}\n",
            json!({"instruction": format!("Which letter has {}?", number * 37 % 101), "output": answer})
        )
    };
    place.write("train.jsonl", (0..24).map(row).collect::<String>());
    // Every number of the model is trained: adapters of its size could not learn them by heart.
    place.write(
        "config.toml",
        CONFIG.replace("rank = 4", "method = \"full\"").replace("general = false\n", ""),
    );
    let overrides = [
        "quantization.kind=none",
        "train.steps=60",
        "train.rows-per-step=12",
        "eval.every=5",
        "train.learning-rate=0.02",
        "data.validation=0.4",
    ];
    let ran = place.train(&overrides);
    ran.succeeds();
    for part in [
        "the rows are being learnt by heart: since step ",
        "the model forgets: on general skills the loss rose",
    ] {
        assert_eq!(ran.stderr.matches(part).count(), 1, "{part} in\n{}\n{}", ran.stderr, ran.stdout);
    }
    assert!(ran.stdout.contains("step 0 general skills: loss "), "{}", ran.stdout);
    let general: Vec<Value> =
        lines(&place, "run").into_iter().filter(|line| line.get("general_right").is_some()).collect();
    assert_eq!(general.len(), 13);
    assert_eq!(general[0]["general_rows"], 50);
    place.rtune(&["verify", "run"]).succeeds();
}
