//! Golden sets of labels and checks, and two models on the same cases.

use serde_json::{Value, json};

use crate::workplace::Workplace;

/// A run that has learned to answer with one of two letters, and a golden set that asks for them.
fn learned() -> Workplace {
    let place = Workplace::new();
    let row = |number: usize| {
        let label = if number.is_multiple_of(3) { "b" } else { "a" };
        json!({"id": format!("case {number}"), "instruction": format!("Is {number} a or b?"), "input": "", "output": label,
            "slice": if number < 12 { "low" } else { "high" }, "cluster": number / 2,
            "checks": [{"kind": "length", "unit": "characters", "most": 3}]})
    };
    let rows: Vec<String> = (0..24).map(|number| row(number).to_string()).collect();
    place.write("train.jsonl", rows.join("\n"));
    place.write("golden.jsonl", rows.join("\n"));
    place.train(&["train.steps=40", "data.validation=0", "train.learning-rate=0.03"]).succeeds();
    place
}

fn report(place: &Workplace, arguments: &[&str]) -> Value {
    let ran = place.rtune(
        &[&["eval", "run", "--golden", "golden.jsonl", "--max-new-tokens", "4", "--json"], arguments]
            .concat(),
    );
    ran.succeeds();
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn labels_are_read_and_scored_and_models_compared() {
    let place = learned();
    let found = report(&place, &["--labels", "a, b", "--key-class", "b", "--out", "one.json"]);
    assert_eq!(found["labels"], json!(["a", "b"]));
    let tuned = &found["tuned"]["classification"];
    let scored = &tuned["scored"]["report"];
    assert_eq!(scored["cases"], 24);
    assert_eq!(scored["unparsed"], 0, "the likeliest of the labels is one");
    assert!((scored["majority_accuracy"].as_f64().expect("a share") - 2.0 / 3.0).abs() < 1e-12);
    // The likeliest label is the one with the fewest nats, case by case.
    let right = found["cases"].as_array().expect("cases").iter().filter(|case| {
        let nats = |label: usize| case["tuned"]["label_nats"][label].as_f64().expect("nats");
        let likeliest = if nats(0) <= nats(1) { "a" } else { "b" };
        case["expected"][0] == likeliest
    });
    let accuracy = scored["accuracy"].as_f64().expect("a share");
    assert!((right.count() as f64 / 24.0 - accuracy).abs() < 1e-12);
    assert!(accuracy >= 2.0 / 3.0 - 1e-12, "nothing was learned: {accuracy}");
    // The exact answer is in the training rows, so the nearest row knows it.
    assert_eq!(found["nearest_row"]["report"]["accuracy"], 1.0);
    // Of a label that is the whole answer, the nats are those of the answer without the token that ends it.
    let case = &found["cases"][0];
    assert!(case["base"]["label_nats"][1].as_f64() < case["base"]["nats"].as_f64(), "{case}");
    assert!(found["base"]["checks_passed"].as_f64().is_some());

    let ran = place.rtune(&["compare", "run", "--json", "--key-class", "b"]);
    ran.succeeds();
    let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let names: Vec<&str> = compared["metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .filter_map(|one| one["metric"].as_str())
        .collect();
    let expected = [
        "checks",
        "greedy-label",
        "likeliest-label",
        "f1-b",
        "chrf",
        "bleu",
        "exact-match",
        "normalised-match",
        "answer-nats",
    ];
    assert_eq!(names, expected);
    let metric = |name: &str| {
        compared["metrics"]
            .as_array()
            .expect("metrics")
            .iter()
            .find(|one| one["metric"] == name)
            .expect("there")
    };
    for (name, from) in
        [("chrf", "chrf"), ("bleu", "bleu"), ("exact-match", "exact_match"), ("checks", "checks_passed")]
    {
        for (side, of) in [("first", "base"), ("second", "tuned")] {
            let (ours, theirs) = (metric(name)[side].as_f64(), found[of][from].as_f64());
            assert!((ours.expect("a score") - theirs.expect("a score")).abs() < 1e-9, "{name} of {of}");
        }
    }
    assert_eq!(metric("answer-nats")["verdict"], "better", "{compared}");
    assert_eq!(metric("chrf")["clusters"], 12);
    assert_eq!(compared["slices"].as_array().map(Vec::len), Some(2));
    let text = place.rtune(&["compare", "run", "--metric", "answer-nats", "--flips", "1"]);
    text.succeeds();
    assert!(text.stdout.contains("By answer-nats, B is better than A, on 24 cases."), "{}", text.stdout);
    assert!(text.stdout.contains("24 cases are few") && text.stdout.contains("high"), "{}", text.stdout);
    assert!(text.stdout.contains("p of answer-nats, which decides, is its own"), "{}", text.stdout);
    // A margin is in the unit of the metric that decides, and means nothing for others.
    let ran =
        place.rtune(&["compare", "one.json", "one.json", "--metric", "chrf", "--margin", "100", "--json"]);
    ran.succeeds();
    let wide: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let verdicts: Vec<&Value> =
        wide["metrics"].as_array().expect("metrics").iter().map(|one| &one["verdict"]).collect();
    assert_eq!(*verdicts[0], "equivalent");
    assert!(verdicts[1..].iter().all(|verdict| **verdict == "inconclusive"), "{verdicts:?}");
    let decides = &compared["metrics"][0];
    assert_eq!(decides["p"], decides["adjusted_p"], "it was fixed beforehand");
    // Labels in another order are the same labels.
    report(&place, &["--labels", "b,a", "--out", "turned.json"]);
    let turned =
        place.rtune(&["compare", "one.json", "turned.json", "--metric", "likeliest-label", "--json"]);
    turned.succeeds();
    let turned: Value = serde_json::from_str(&turned.stdout).expect("JSON");
    assert_eq!(turned["metrics"][0]["difference"], json!(0.0));
    report(&place, &["--out", "none.json"]);
    place
        .rtune(&["compare", "one.json", "none.json"])
        .fails(2, &["`one.json` was evaluated with the labels a, b, `none.json` with no labels"]);

    let found_of_two = report(&place, &["--labels", "a,b", "--out", "same.json"])["tuned"].clone();
    let same = place.rtune(&["compare", "one.json", "same.json"]);
    same.succeeds();
    assert!(
        same.stdout.contains("there is no difference to be told")
            && same.stdout.contains("0 cases gained, 0 lost"),
        "{}",
        same.stdout
    );
    // The preset takes the expected answers as labels, and finds the same.
    let preset = report(&place, &["--preset", "classification", "--key-class", "b"]);
    assert_eq!((&preset["labels"], &preset["tuned"]), (&found["labels"], &found["tuned"]));
    let curve = &tuned["curves"][0];
    assert_eq!((&curve["label"], tuned["curves"].as_array().map(Vec::len)), (&json!("b"), Some(1)));
    assert_eq!(curve["average_precision"], tuned["average_precision"][0][1]);
    assert_eq!(
        curve["points"].as_array().and_then(|points| points.last()).map(|last| &last["recall"]),
        Some(&json!(1.0))
    );
    assert_eq!(curve["precisions"].as_array().map(Vec::len), Some(7));
    let people =
        place.rtune(&["eval", "run", "--golden", "golden.jsonl", "--max-new-tokens", "4", "--labels", "a,b"]);
    people.succeeds();
    for part in [
        "precision at a recall of",
        "tuned, likeliest",
        "always `a`",
        "expected \\ greedy answer",
        "nearest training row",
        "checks passed",
    ] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
    // Only the baseline wants the training rows.
    std::fs::remove_file(place.path("train.jsonl")).expect("removed");
    let without = report(&place, &["--labels", "a,b"]);
    assert_eq!((&without["nearest_row"], &without["tuned"]), (&Value::Null, &found_of_two));
    let note = without["notes"][0].as_str().expect("a note");
    assert!(note.starts_with("the baseline of the nearest training row is left out: "), "{note}");
}

/// A measure is over those cases that have it.
#[test]
fn cases_without_checks_are_no_part_of_them() {
    let place = Workplace::new();
    let row = |number: usize| {
        let mut row =
            json!({"id": number.to_string(), "instruction": format!("Is {number}?"), "output": "x"});
        if number < 3 {
            row["checks"] = json!([{"kind": "length", "unit": "bytes", "least": 1000}]);
        }
        row.to_string()
    };
    place.write("golden.jsonl", (0..10).map(row).collect::<Vec<_>>().join("\n"));
    let eval = ["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "2", "--out", "one.json"];
    place.rtune(&eval).succeeds();
    let ran = place.rtune(&["compare", "one.json", "one.json", "--json"]);
    ran.succeeds();
    let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = &compared["metrics"][0];
    assert_eq!((&checks["metric"], &checks["cases"]), (&json!("checks"), &json!(3)));
    assert_eq!(checks["first"], json!(0.0), "no answer is as long: those without checks do not pass");
}

/// Rows say labels themselves: the first that has any counts, and one that has none is named.
#[test]
fn rows_say_the_same_labels() {
    let place = Workplace::new();
    let row = |labels: Value| {
        json!({"instruction": format!("Which? {labels}"), "output": "a", "labels": labels}).to_string()
    };
    let eval = || place.rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "2"]);
    place.write("golden.jsonl", [row(json!([])), row(json!(["a", "b"]))].join("\n"));
    eval().fails(2, &["golden.jsonl:1: expected `labels` to be those of golden.jsonl:2: a, b; found none"]);
    place.write("golden.jsonl", [row(json!(["a", "b"])), row(json!(["a", "c"]))].join("\n"));
    eval().fails(2, &["golden.jsonl:2: expected `labels` to be those of golden.jsonl:1: a, b; found a, c"]);
    place.write("golden.jsonl", [row(json!(["a", "b"])), row(json!(["b", "a"]))].join("\n"));
    eval().succeeds();
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Workplace::new();
    let golden = |answer: &str| format!("{{\"prompt\": \"Hi\", \"completion\": {answer:?}}}\n");
    place.write("one.jsonl", golden("a"));
    place.write("other.jsonl", golden("b"));
    let eval = |file: &str, out: &str, more: &[&str]| {
        place.rtune(
            &[&["eval", "model", "--golden", file, "--max-new-tokens", "1", "--out", out], more].concat(),
        )
    };
    eval("one.jsonl", "one.json", &[]).succeeds();
    eval("other.jsonl", "other.json", &[]).succeeds();
    let fails =
        |arguments: &[&str], parts: &[&str]| place.rtune(&[&["compare"], arguments].concat()).fails(2, parts);
    fails(
        &["one.json"],
        &["error: the two cannot be compared: expected a tuned model beside the base in `one.json`"],
    );
    fails(
        &["one.json", "other.json"],
        &["1 of the 1 cases of the first are not in the second", "hint: evaluate both"],
    );
    fails(&["one.json", "one.json", "--metric", "wer"], &["no metric `wer`; these cases have chrf, bleu,"]);
    fails(
        &["one.json", "one.json", "--key-class", "a"],
        &["`a` is a label, and the cases were evaluated without"],
    );
    fails(&["one.jsonl", "one.json"], &["error: `one.jsonl`: not a report of `rtune eval`"]);
    fails(&["none.json", "one.json"], &["error: `none.json`: No such file"]);
    fails(
        &["model", "one.json"],
        &["error: `model` has no golden report", "hint: make one: `rtune eval model"],
    );
    eval("one.jsonl", "out.json", &["--labels", "x,y"])
        .fails(2, &["one.jsonl:1: expected one of x, y, found `a`"]);
    eval("one.jsonl", "out.json", &["--labels", "a,a"]).fails(2, &["error: the labels:"]);
    eval("one.jsonl", "out.json", &["--labels", "a,b", "--key-class", "c"])
        .fails(2, &["error: the key class `c`: expected one of a, b"]);
    place.write("wrong.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"a\", \"checks\": [{\"kind\": \"regex\", \"pattern\": \"(\"}]}\n");
    eval("wrong.jsonl", "out.json", &[])
        .fails(2, &["wrong.jsonl:1: the field `checks` of a golden row: check 1: `pattern`"]);
    assert!(!place.path("out.json").exists());
}

/// Rows that stand twice, in any order, and rows of one id that expect something else.
#[test]
fn cases_that_stand_twice_are_compared_one_by_one() {
    let place = Workplace::new();
    let row = |id: &str, asked: &str, answer: &str| {
        json!({"id": id, "prompt": asked, "completion": answer}).to_string()
    };
    let report = |name: &str, rows: &[String]| {
        place.write("golden.jsonl", rows.join("\n"));
        place
            .rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "1", "--out", name])
            .succeeds();
    };
    let (one, other) = (row("x", "Hi", "a"), row("y", "Bye", "b"));
    report("twice.json", &[one.clone(), one.clone(), other.clone()]);
    report("order.json", &[other.clone(), one.clone(), one.clone()]);
    report("once.json", &[one, other]);
    report("else.json", &[row("x", "Hi", "c")]);
    for pair in [["twice.json", "twice.json"], ["twice.json", "order.json"]] {
        let ran = place.rtune(&["compare", pair[0], pair[1], "--json"]);
        ran.succeeds();
        let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(compared["flips"], json!([]));
        assert_eq!(compared["metrics"][0]["difference"], json!(0.0));
    }
    place
        .rtune(&["compare", "twice.json", "once.json"])
        .fails(2, &["1 of the 3 cases of the first are not in the second, and 0 of the 2"]);
    place
        .rtune(&["compare", "else.json", "once.json"])
        .fails(2, &["`x` is in both, but asks, expects or checks something else", "hint: evaluate both"]);
}
