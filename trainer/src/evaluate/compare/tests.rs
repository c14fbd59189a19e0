//! What two reports are compared by has a name that a gate may use.

use serde_json::{Value, json};

use super::*;

/// A report with checks, calls of tools, labels and texts; of two cases, each with its answer.
fn report(answers: [&str; 2]) -> Value {
    let cases = answers.iter().zip(0..).map(|(answer, number)| {
        let side = json!({"answer": answer, "exact_match": *answer == "yes", "normalised_match": *answer == "yes", "failed_checks": [],
            "nats": 1.5, "tokens": 3, "correct_tokens": 2, "text_nats": 1.0, "text_bytes": 3, "label_nats": [0.1, 2.0],
            "called": {"right": *answer == "yes", "counts": {"expected": 1}},
            "extracted": {"fields": {"all": {"right": 1, "found": 2, "expected": 1}}}, "grounded": {"unsupported": []},
            "similarity": {"bert_score": {"f1": 0.9}, "relevancy": 0.5}});
        json!({"id": format!("g-{number}"), "prompt": [{"role": "user", "content": "Is it so?"}], "expected": ["yes"], "slice": null,
            "cluster": null, "weight": 1.0, "checks": 1, "base": side, "tuned": null})
    });
    let text = json!({"id": "t", "cluster": null, "text_hash": "h", "bytes": 9, "base": {"nats": 4.0}, "tuned": null});
    json!({"format": FORMAT, "labels": ["yes", "no"], "cases": cases.collect::<Vec<_>>(), "texts": {"rows": [text]},
        "judge": {"cases": [{"base": {"score": 1.0}, "tuned": null}, {"base": {"score": 2.0}, "tuned": null}]}})
}

#[test]
fn whatever_is_compared_is_a_metric_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, answers| {
        let path = folder.path().join(name);
        std::fs::write(&path, report(answers).to_string()).expect("written");
        path
    };
    let (one, other) = (write("one.json", ["yes", "no"]), write("other.json", ["no", "yes"]));
    let compare = |metric: Option<&str>| {
        let settings = Settings { draws: 10, trials: 10, ..Settings::default() };
        compare_reports(
            (one.as_path(), Which::Base),
            (other.as_path(), Which::Base),
            metric,
            &["no".to_owned()],
            &settings,
        )
        .expect("comparable")
    };
    let found: Vec<String> = compare(None).metrics.into_iter().map(|one| one.metric).collect();
    for name in ["checks", "tool-calls", "greedy-label", "likeliest-label", "f1-no", "text-bits-per-byte"] {
        assert!(found.iter().any(|one| one == name), "{name} in {found:?}");
    }
    for name in &found {
        assert!(is_metric(name), "{name}");
        assert_eq!(&compare(Some(name)).metrics[0].metric, name, "it can decide");
    }
    let pairs = Pairs::new(
        Named::read((one.as_path(), Which::Base)).expect("a report"),
        Named::read((other.as_path(), Which::Base)).expect("a report"),
    );
    let on_demand = pairs.expect("the same cases").named_on_demand();
    assert!(on_demand.contains(&"judge") && on_demand.contains(&"field-f1"), "{on_demand:?}");
    assert!(on_demand.iter().all(|name| is_metric(name)), "{on_demand:?}");
    assert!(!is_metric("tool-call") && !is_metric("f1-"));
}
