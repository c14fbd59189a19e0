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

/// The pairs of two reports, of the base in both.
fn pairs(reports: [Value; 2]) -> Result<Pairs, TrainerError> {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = [0, 1].map(|index: usize| {
        let path = folder.path().join(format!("{index}.json"));
        std::fs::write(&path, reports[index].to_string()).expect("written");
        Named::read((path.as_path(), Which::Base)).expect("a report")
    });
    Pairs::new(one, other)
}

#[test]
fn a_row_that_stands_twice_is_no_second_witness() {
    let twice = |answers| {
        let mut report = report(answers);
        for of in ["/cases", "/texts/rows", "/judge/cases"] {
            let list = report.pointer_mut(of).and_then(Value::as_array_mut).expect("a list");
            list.extend(list.clone());
        }
        report
    };
    let (one, other) = (["no", "no"], ["yes", "yes"]);
    let settings = Settings { draws: 200, trials: 200, ..Settings::default() };
    let compared = |reports| {
        let pairs = pairs(reports).expect("the same cases");
        let measures = pairs.measures(&[]).expect("measures");
        let measure = measures.iter().find(|measure| measure.name == "exact-match").expect("a measure");
        (pairs.clusters.clusters().len(), measure.compared(&pairs, &settings).expect("compared").p)
    };
    let (clusters, p_value) = compared([report(one), report(other)]);
    let (doubled, p_doubled) = compared([twice(one), twice(other)]);
    assert_eq!((clusters, doubled), (2, 2));
    assert!(p_doubled >= p_value, "{p_doubled} {p_value}");
}

#[test]
fn other_checks_are_another_case() {
    let with = |checks: usize, hash: Option<&str>| {
        let mut report = report(["yes", "no"]);
        for case in report["cases"].as_array_mut().expect("a list") {
            case["checks"] = checks.into();
            case["checks_hash"] = hash.into();
        }
        report
    };
    for (one, other, alike) in [
        (with(1, Some("a")), with(1, Some("a")), true),
        (with(1, Some("a")), with(1, None), true),
        (with(1, Some("a")), with(1, Some("b")), false),
        (with(1, None), with(0, None), false),
    ] {
        let found = pairs([one, other]).map(drop);
        assert_eq!(found.is_ok(), alike, "{found:?}");
        assert!(alike || found.is_err_and(|error| error.to_string().contains("asks, expects or checks")));
    }
}

#[test]
fn a_few_cases_prove_nothing_by_any_share() {
    let with = |weights: [f64; 2]| {
        let mut report = report(["yes", "no"]);
        for (case, weight) in report["cases"].as_array_mut().expect("a list").iter_mut().zip(weights) {
            case["weight"] = weight.into();
        }
        report
    };
    let settings = Settings { draws: 50, trials: 50, ..Settings::default() };
    let interval = |name: &str, weights| {
        let pairs = pairs([with(weights), with(weights)]).expect("the same cases");
        let mut measures = pairs.measures(&["yes".to_owned()]).expect("measures");
        measures.extend(pairs.on_demand(name));
        let measure = measures.into_iter().find(|measure| measure.name == name).expect("a measure");
        let found = measure.compared(&pairs, &settings).expect("compared");
        assert_eq!(found.difference, 0.0);
        found.interval
    };
    let [low, high] = interval("checks", [1.0, 1.0]);
    assert!(low < -0.4 && high > 0.4, "{low} {high}");
    assert_eq!(interval("checks", [1.0, 2.0]), [low, high]);
    for name in ["f1-yes", "greedy-macro-f1", "greedy-mcc", "grounded", "field-f1"] {
        let [low, high] = interval(name, [1.0, 1.0]);
        assert!(low < -0.4 && high > 0.4, "{name} {low} {high}");
    }
}
