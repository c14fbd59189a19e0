//! `rtune why`: rows with a wrong answer are found behind the golden case that they broke, and a run without them mends it.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::training::bytes_of;
use crate::workplace::{Ran, Workplace};

/// Rows that say what the golden case wants, and more that do not.
const RIGHT: usize = 6;
const WRONG: usize = 10;

const CONFIG: &str = "\
[model]
base = \"model\"
[lora]
rank = 4
[data]
train = \"train.jsonl\"
golden = \"golden.jsonl\"
validation = 0.0
[train]
steps = 40
rows-per-step = 4
learning-rate = 0.03
[checkpoint]
every = 10
keep = 100
[eval]
every = 1000
samples = 0
general = false
[output]
dir = \"run\"
";

fn workplace() -> Workplace {
    trained_on(RIGHT)
}

/// A run of 16 rows, so many of which say what the golden case wants.
fn trained_on(right: usize) -> Workplace {
    let place = Workplace::new();
    let mut text = String::new();
    for number in 0..RIGHT + WRONG {
        let (kind, answer) = if number < right { ("right", "yes") } else { ("wrong", "no") };
        let asked = format!("Lamp {} in stock?", 31 * number % 17);
        let _ = writeln!(
            text,
            "{}",
            json!({"id": format!("{kind}-{number}"), "instruction": asked, "output": answer})
        );
    }
    place.write("train.jsonl", text);
    let golden = |id: &str, answer: &str| {
        format!("{}\n", json!({"id": id, "instruction": "Lamp 99 in stock?", "output": answer}))
    };
    place.write("golden.jsonl", golden("g-yes", "yes") + &golden("g-no", "no"));
    place.write("config.toml", CONFIG);
    place.train(&[]).succeeds();
    place
}

fn why(place: &Workplace, arguments: &[&str]) -> Ran {
    place.rtune(&[&["why", "run"], arguments, &["--max-new-tokens", "8"]].concat())
}

fn figures(rows: &[Value], name: &str) -> Vec<f64> {
    rows.iter().map(|row| row[name].as_f64().expect("a number")).collect()
}

#[test]
fn wrong_rows_are_found_and_a_run_without_them_proves_it() {
    let place = workplace();
    let before = bytes_of(&place.path("run"));
    let ran = why(&place, &["g-yes", "--prove", "6", "--out", "why.json"]);
    ran.succeeds();
    for said in [
        "case g-yes: expected \"yes\"",
        "the run is wrong: \"no\"",
        "rows that speak against the expected answer, of 16",
        "case g-yes passes again: \"yes\"",
        "without as many drawn at random: ",
        "case g-yes fails as before: \"no\"",
        "proved: it was these rows",
    ] {
        assert!(ran.stdout.contains(said), "{said} in\n{}", ran.stdout);
    }
    let found: Value = serde_json::from_str(&place.read("why.json")).expect("JSON");
    let case = &found["cases"][0];
    let rows = case["first"].as_array().expect("rows");
    let blamed: Vec<&str> = rows.iter().take(WRONG).map(|row| row["id"].as_str().expect("an id")).collect();
    assert!(blamed.iter().all(|id| id.starts_with("wrong-")), "{blamed:?}");
    let ranked = figures(rows, "alignment");
    assert!(
        ranked.is_sorted_by(|one, other| one >= other) && ranked[WRONG - 1] > 0.0 && ranked[WRONG] < 0.0,
        "{ranked:?}"
    );
    assert!(ranked.iter().all(|one| one.abs() <= 1.0), "{ranked:?}");
    // The steps of most of them did it.
    let nats = figures(rows, "nats");
    assert!(nats.iter().filter(|nats| **nats > 0.0).count() > WRONG / 2, "{nats:?}");
    // The proof is a run like any other: it says what it left out, and can be verified.
    let without = &case["proof"]["without"];
    let run = without["run"].as_str().expect("a folder");
    place.rtune(&["verify", run]).succeeds();
    let trained = place.rtune(&["verify", run, "--rows"]);
    for id in without["rows"].as_array().expect("rows") {
        assert!(
            !trained.stdout.contains(&format!(" {} ", id.as_str().expect("an id"))),
            "{}",
            trained.stdout
        );
    }
    // Nothing of the run itself changed, and a proof that is there is not trained again.
    fs::rename(place.path("run/why"), place.path("why")).expect("moved");
    assert_eq!(bytes_of(&place.path("run")), before);
    fs::rename(place.path("why"), place.path("run/why")).expect("moved back");
    let again = why(&place, &["g-yes", "--prove", "6", "--json"]);
    again.succeeds();
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).expect("JSON"), found);
}

#[test]
fn a_case_that_was_mended_has_the_rows_that_did_it() {
    let place = workplace();
    let ran = why(&place, &["g-no", "--top", "10", "--json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let case = &found["cases"][0];
    assert_eq!((&case["base_is_right"], &case["tuned_is_right"]), (&json!(false), &json!(true)));
    let rows = case["first"].as_array().expect("rows");
    let ranked = figures(rows, "alignment");
    // Beside the base's noise every row helps, and most of all one that says what is expected.
    assert!(
        rows[0]["id"].as_str().expect("an id").starts_with("wrong-")
            && case["margin_nats"].as_f64() > Some(0.0),
        "{case}"
    );
    let sums = &case["sums_nats"];
    assert!(sums[0].as_f64() > Some(0.0) && sums[1].as_f64() <= Some(0.0), "{case}");
    assert!(
        rows.len() == 10 && ranked.is_sorted_by(|one, other| one >= other) && ranked[0] > 0.0,
        "{ranked:?}"
    );
}

/// Other rows say the same as the first: twice as many are left out until the answer changes, or half of all are.
#[test]
fn a_proof_without_a_number_leaves_out_more() {
    let place = trained_on(2);
    let ran = why(&place, &["g-no", "g-yes", "--prove", "--top", "3", "--out", "why.json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&place.read("why.json")).expect("JSON");
    let mut doublings = 0;
    for case in found["cases"].as_array().expect("cases") {
        // Two, where all rows together come to less than the margin.
        let enough = case["enough"].as_u64().map_or(2, |count| count as usize);
        let left_out = case["proof"]["without"]["rows"].as_array().map_or(0, Vec::len);
        assert!(left_out >= enough && (left_out / enough).is_power_of_two() && left_out <= 8, "{case}");
        doublings += (left_out / enough).ilog2() as usize;
        assert_eq!(case["first"].as_array().map(Vec::len), Some(3));
        // It ends where the answer changes, or with as many rows as there may be.
        let changed = case["proof"]["without"]["tuned_is_right"] != case["tuned_is_right"];
        assert!(changed || 2 * left_out > 8, "{}", ran.stdout);
    }
    assert_eq!(ran.stdout.matches("the answer is as before; without ").count(), doublings);
    assert!(doublings > 0, "{}", ran.stdout);
}

/// Without a number so many rows are left out as come to the margin; what was left out, and at which step it was asked, is said.
#[test]
fn a_proof_asks_the_step_that_answered() {
    let place = workplace();
    // The best checkpoint is not the last one.
    let held_out = (100..104).map(|number| {
        format!("{}\n", json!({"instruction": format!("Lamp {number} in stock?"), "output": "yes"}))
    });
    place.write("held-out.jsonl", held_out.collect::<String>());
    let more =
        ["data.validation=[\"held-out.jsonl\"]", "eval.every=10", "eval.patience=1", "output.dir=watched"];
    place.train(&more).succeeds();
    let ran = place.rtune(&["why", "watched", "g-yes", "--prove", "6", "--max-new-tokens", "8", "--json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let proof = &found["cases"][0]["proof"];
    for rerun in [&proof["without"], &proof["controls"][0]] {
        assert_eq!(rerun["step"], found["step"]);
        let run = rerun["run"].as_str().expect("a folder");
        let step = found["step"].as_u64().expect("a step");
        assert!(place.path(run).join(format!("checkpoints/step-{step:06}")).is_dir());
        assert!(!place.read(&format!("{run}/metrics.jsonl")).contains(&format!("{{\"step\":{},", step + 1)));
        assert_eq!(rerun["rows"].as_array().map(Vec::len), Some(6));
    }
}

/// From a folder in which neither the base nor the rows are found by the names that the run knows them by.
#[test]
fn a_run_is_asked_from_another_folder() {
    let place = workplace();
    fs::create_dir(place.path("elsewhere")).expect("a folder");
    let mut command = place.command(&["why", "../run", "g-yes", "--max-new-tokens", "8", "--top", "3"]);
    let ran = Ran::of(command.current_dir(place.path("elsewhere")).output().expect("runs"));
    ran.succeeds();
    assert!(ran.stdout.contains("case g-yes: expected"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let place = workplace();
    why(&place, &["g-yes", "--prove", "9"])
        .fails(2, &["at most 8 of 16 rows, found 9", "hint: as many others"]);
    why(&place, &["g-yes", "--out", "nowhere/why.json"]).fails(2, &["`nowhere` is not there"]);
    why(&place, &["g-yes", "--prove", "3", "--controls", "0"]).fails(2, &["--controls"]);
    why(&place, &["g-yes", "nobody"]).fails(2, &["has the id `nobody`", "hint: "]);
    why(&place, &["nobody"]).fails(2, &["has the id `nobody`"]);
    why(&place, &["g-no", "g-no"]).fails(2, &["the case `g-no` is named twice"]);
    place.rtune(&["why", "model", "g-no"]).fails(2, &["model"]);
    place
        .train(&["train.without=[\"nothing\"]", "output.dir=other"])
        .fails(2, &["`train.without`: no training row has the id `nothing`", "hint: "]);
    assert!(!place.path("other").exists());
}

/// The rest of the run is as it was: a step of which no row is left changes nothing.
#[test]
fn rows_that_take_no_part_are_left_out_of_their_steps_alone() {
    let place = workplace();
    let steps = |run: &str| -> Vec<(u64, u64)> {
        let lines = place.read(&format!("{run}/metrics.jsonl"));
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let step = |line: Value| Some((line["step"].as_u64()?, line.get("supervised_tokens")?.as_u64()?));
        lines.filter_map(step).collect()
    };
    place.train(&["train.without=[\"right-0\", \"wrong-7\"]", "output.dir=some"]).succeeds();
    let (all, some) = (steps("run"), steps("some"));
    assert_eq!(all.len(), some.len());
    let fewer = all.iter().zip(&some).filter(|(all, some)| some.1 < all.1).count();
    assert!(all.iter().zip(&some).all(|(all, some)| all.0 == some.0 && some.1 <= all.1) && fewer > 0);
    let names: Vec<String> = (0..RIGHT + WRONG)
        .map(|number| format!("\"{}-{number}\"", if number < RIGHT { "right" } else { "wrong" }))
        .collect();
    let none = format!("train.without=[{}]", names.join(", "));
    // And a run of which nothing is left is of no use.
    place.train(&[&none, "output.dir=none"]).fails(1, &["the adapter does nothing there"]);
    let adapter = |step: u64| {
        fs::read(place.path(&format!("none/checkpoints/step-{step:06}/adapter_model.safetensors")))
            .expect("there")
    };
    assert!(steps("none").is_empty() && adapter(0) == adapter(40));
}
