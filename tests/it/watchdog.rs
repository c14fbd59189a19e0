//! `[watchdog]`: steps that are not like the others, and what becomes of them.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::workplace::Workplace;

/// The step whose row is of another kind.
const ODD: u64 = 13;

const CONFIG: &str = "\
[model]
base = \"model\"
[lora]
rank = 4
[data]
train = \"spiked.jsonl\"
validation = 0.0
shuffle = false
[train]
steps = 20
rows-per-step = 1
learning-rate = 0.03
[checkpoint]
every = 5
keep = 100
[eval]
every = 1000
samples = 0
general = false
[output]
dir = \"run\"
";

/// Twenty rows that are answered alike, but for one.
pub(crate) fn spiked() -> String {
    let mut text = String::new();
    for number in 1..=20 {
        let answer = if number == ODD { "Zq0{Zq0{Zq0{Zq0{Zq0{" } else { "yes" };
        let row = json!({"id": format!("row-{number}"), "instruction": format!("Lamp {number}?"), "output": answer});
        let _ = writeln!(text, "{row}");
    }
    text
}

fn workplace() -> Workplace {
    let place = Workplace::new();
    place.write("spiked.jsonl", spiked());
    place.write("config.toml", CONFIG);
    place
}

fn adapter(place: &Workplace, run: &str) -> Vec<u8> {
    fs::read(place.path(run).join("last/adapter_model.safetensors")).expect("there")
}

/// The steps of a run that were taken, and the lines of those that were not.
fn steps(place: &Workplace, run: &str) -> (Vec<u64>, Vec<Value>) {
    let text = place.read(&format!("{run}/metrics.jsonl"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let taken = lines.iter().filter(|line| line.get("train_loss_nats").is_some());
    let taken = taken.map(|line| line["step"].as_u64().expect("a step")).collect();
    (taken, lines.into_iter().filter(|line| line.get("odd").is_some()).collect())
}

/// However a step is left out, the run ends as one that never had its row.
#[test]
fn a_step_that_is_left_out_leaves_nothing() {
    let place = workplace();
    place.train(&["output.dir=without", "train.without=[\"row-13\"]"]).succeeds();
    place.train(&["output.dir=taken"]).succeeds();
    assert_ne!(adapter(&place, "without"), adapter(&place, "taken"));
    for (reaction, action) in [("skip", "left out"), ("roll-back", "rolled back, and left out")] {
        let ran = place.train(&[&format!("watchdog.spike={reaction}"), &format!("output.dir={reaction}")]);
        ran.succeeds();
        assert!(ran.stderr.contains(&format!("warning: step {ODD}: the loss jumped to ")), "{}", ran.stderr);
        assert!(adapter(&place, reaction) == adapter(&place, "without"), "{reaction}");
        let (taken, odd) = steps(&place, reaction);
        assert_eq!(taken, (1..=20).filter(|step| *step != ODD).collect::<Vec<_>>());
        assert_eq!(odd.len(), 1, "{odd:?}");
        assert_eq!((&odd[0]["action"], &odd[0]["rows"]), (&json!(action), &json!(["row-13"])));
        place.rtune(&["verify", reaction]).succeeds();
    }
    let ran = place.train(&["watchdog.spike=warn", "output.dir=warned"]);
    ran.succeeds();
    assert!(ran.stderr.contains("the loss jumped") && adapter(&place, "warned") == adapter(&place, "taken"));
}

#[test]
fn a_run_that_stops_at_an_odd_step_goes_on_when_it_may() {
    let place = workplace();
    place.train(&["output.dir=whole", "watchdog.spike=skip"]).succeeds();
    place
        .train(&["watchdog.spike=stop"])
        .fails(1, &["step 13: the loss jumped to ", "its rows: row-13", "hint: ", "`[watchdog]`"]);
    let (taken, odd) = steps(&place, "run");
    assert_eq!((taken.last(), odd.len(), &odd[0]["action"]), (Some(&12), 1, &json!("stopped")));
    place.rtune(&["train", "config.toml", "--resume", "--set", "watchdog.spike=skip"]).succeeds();
    assert_eq!(adapter(&place, "run"), adapter(&place, "whole"));
}

/// A rate at which the second step is no number any more.
const WILD: [&str; 3] = ["train.learning-rate=1e30", "train.max-grad-norm=0", "train.warmup=0"];

#[test]
fn a_loss_that_is_no_number_stops_the_run_with_its_rows() {
    let place = workplace();
    place.train(&WILD).fails(1, &[" is NaN; the first tensor", "its rows: row-", "hint: ", "`[watchdog]`"]);
    let (taken, odd) = steps(&place, "run");
    assert_eq!((odd.len(), &odd[0]["action"]), (1, &json!("stopped")));
    assert_eq!(odd[0]["step"], taken.len() + 1);
    assert_eq!(odd[0]["rows"], json!([format!("row-{}", taken.len() + 1)]));
    // Going back does not help where every step is as wild, and that comes to an end, too.
    let back = ["watchdog.not-finite=roll-back", "output.dir=back"];
    place.train(&[&WILD[..], &back].concat()).fails(1, &["going back to the last checkpoint", " is NaN"]);
    assert!(place.path("back/checkpoints/step-000000/manifest.json").is_file());
}

/// A run of which nothing is left is not one to wait for.
#[test]
fn too_many_odd_steps_in_a_row_end_the_run() {
    let place = workplace();
    let wild =
        ["train.learning-rate=1e30", "train.max-grad-norm=0", "train.warmup=0", "watchdog.not-finite=skip"];
    place.train(&wild).fails(1, &[" is NaN", "its rows: "]);
    let (_, odd) = steps(&place, "run");
    assert_eq!(odd.len(), 9, "{odd:?}");
}
