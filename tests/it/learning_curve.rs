//! `rtune eval RUN --learning-curve`: nested parts of a run, stopped and gone on with, and what they say.

use std::fs;

use serde_json::Value;

use crate::training::bytes_of;
use crate::workplace::Workplace;

/// A run that learns from every row: to say which letter was asked for.
fn trained() -> Workplace {
    let place = Workplace::new();
    place.write("golden.jsonl", crate::workplace::rows(100..110));
    let overrides =
        ["train.epochs=6", "train.learning-rate=0.02", "data.golden=golden.jsonl", "data.leaks.check=false"];
    place.write("config.toml", crate::workplace::CONFIG.replace("steps = 6\n", ""));
    place.train(&overrides).succeeds();
    place
}

const CURVE: [&str; 5] = ["eval", "run", "--learning-curve", "--max-new-tokens", "4"];

/// The rows that trained a run, by their lines.
fn rows(place: &Workplace, run: &str) -> Vec<u64> {
    let ran = place.rtune(&["verify", run, "--rows", "--json"]);
    ran.succeeds();
    let lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut rows: Vec<u64> =
        lines.filter(|line| line.get("steps").is_some()).filter_map(|line| line["line"].as_u64()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

#[test]
fn parts_are_nested_runs_and_the_curve_is_the_same_again() {
    let place = trained();
    let before = bytes_of(&place.path("run"));
    let ran = place.rtune(&CURVE);
    ran.succeeds();
    for part in [
        "quarter of the rows: run/curve/quarter",
        "validation loss",
        "golden chrf",
        "learning curve: run/curve/",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    let [quarter, half, all] = ["run/curve/quarter", "run/curve/half", "run"].map(|run| rows(&place, run));
    assert!(
        !quarter.is_empty() && quarter.len() < half.len() && half.len() < all.len(),
        "{quarter:?} {half:?}"
    );
    assert!(quarter.iter().all(|row| half.contains(row)) && half.iter().all(|row| all.contains(row)));
    let curve: Value = serde_json::from_str(&place.read("run/curve/learning-curve.json")).expect("JSON");
    for (point, rows) in curve["points"].as_array().expect("points").iter().zip([&quarter, &half, &all]) {
        assert_eq!(point["rows"], rows.len(), "{point}");
    }
    // The last point is the run itself, measured as the run measured it, but for the order of a sum.
    let evaluated: Value = serde_json::from_str(&place.read("run/last/state.json")).expect("JSON");
    let best = evaluated["best"]["value"].as_f64().expect("a loss");
    let last = curve["points"][2]["validation_loss_nats"].as_f64().expect("a loss");
    assert!((best - last).abs() < 1e-5, "{best} {last}");
    assert_eq!(curve["gains"][0]["metric"], "validation-loss");
    assert_eq!(curve["gains"][1]["metric"], "chrf");
    assert!(!curve["sentence"].as_str().expect("words").is_empty());
    let after = bytes_of(&place.path("run"));
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "the run is as it was");

    let again = place.rtune(&[&CURVE[..], &["--json"]].concat());
    again.succeeds();
    let found: Value = serde_json::from_str(&again.stdout).expect("JSON and nothing else");
    assert_eq!(found, curve);
    assert_eq!(bytes_of(&place.path("run")), after, "nothing is trained twice");
    place.rtune(&["report", "run"]).succeeds();
    let page = place.read("run/report.html");
    assert!(page.contains("Would more data pay?") && page.contains("Validation loss by rows"));
}

#[test]
fn a_part_that_was_stopped_goes_on() {
    let place = trained();
    place.rtune(&CURVE).succeeds();
    let whole = bytes_of(&place.path("run/curve/half"));
    // As a run that was stopped after its first checkpoints leaves it.
    let steps: Vec<_> = fs::read_dir(place.path("run/curve/half/checkpoints")).expect("a folder").collect();
    assert!(steps.len() > 1);
    let last = fs::read_link(place.path("run/curve/half/last")).expect("a link");
    fs::remove_dir_all(place.path("run/curve/half").join(last)).expect("removed");
    fs::remove_file(place.path("run/curve/learning-curve.json")).expect("removed");
    place.rtune(&CURVE).succeeds();
    assert_eq!(bytes_of(&place.path("run/curve/half")), whole);
    assert!(place.path("run/curve/learning-curve.json").is_file());
    place
        .rtune(&["eval", "model", "--learning-curve"])
        .fails(2, &["`model` is no run", "hint: train one first"]);
}

#[test]
fn a_part_of_rows_that_weigh_more_has_fewer_of_them() {
    let place = Workplace::new();
    let config = crate::workplace::CONFIG.replace("steps = 6\n", "");
    let weighted =
        config.replace("train = \"train.jsonl\"", "train = { path = \"train.jsonl\", weight = 2.0 }");
    assert_ne!(weighted, config);
    place.write("config.toml", weighted);
    place.train(&["train.epochs=1"]).succeeds();
    place.rtune(&CURVE).succeeds();
    let [quarter, half, all] = ["run/curve/quarter", "run/curve/half", "run"].map(|run| rows(&place, run));
    assert!(
        !quarter.is_empty() && quarter.len() < half.len() && half.len() < all.len(),
        "{quarter:?} {half:?}"
    );
    assert!(quarter.iter().all(|row| half.contains(row)));
    let curve: Value = serde_json::from_str(&place.read("run/curve/learning-curve.json")).expect("JSON");
    for (point, rows) in curve["points"].as_array().expect("points").iter().zip([&quarter, &half, &all]) {
        assert_eq!(point["rows"], 2 * rows.len(), "each twice: {point}");
    }
}
