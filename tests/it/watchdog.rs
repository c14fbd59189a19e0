//! `[watchdog]`: steps that are not like the others, and what becomes of them.

use std::fmt::Write as _;
use std::fs;

use rtune_trainer::config::Config;
use rtune_trainer::run::{Event, Observer, Outcome};
use serde_json::{Value, json};

use crate::training::{assert_same, run_before, run_until};
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
    answered(&[ODD])
}

/// Twenty rows that are answered alike, but for those.
fn answered(otherwise: &[u64]) -> String {
    let mut text = String::new();
    for number in 1..=20 {
        let answer = if otherwise.contains(&number) { "Zq0{Zq0{Zq0{Zq0{Zq0{" } else { "yes" };
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
    // Of one step alone there is nothing to undo: going back for it would compute the same again.
    for reaction in ["skip", "roll-back"] {
        let ran = place.train(&[&format!("watchdog.spike={reaction}"), &format!("output.dir={reaction}")]);
        ran.succeeds();
        assert!(ran.stderr.contains(&format!("warning: step {ODD}: the loss jumped to ")), "{}", ran.stderr);
        assert!(adapter(&place, reaction) == adapter(&place, "without"), "{reaction}");
        let (taken, odd) = steps(&place, reaction);
        assert_eq!(taken, (1..=20).filter(|step| *step != ODD).collect::<Vec<_>>());
        assert_eq!(odd.len(), 1, "{odd:?}");
        assert_eq!((&odd[0]["action"], &odd[0]["rows"]), (&json!("left out"), &json!(["row-13"])));
        place.rtune(&["verify", reaction]).succeeds();
        // What a step left out trained nothing, and nothing says that it did.
        let listed = place.rtune(&["verify", reaction, "--rows"]);
        assert!(listed.stdout.contains("row-12 steps 12\n"), "{}", listed.stdout);
        assert!(!listed.stdout.contains("row-13"), "{}", listed.stdout);
        assert!(
            listed.stdout.ends_with("19 of 20 rows trained the checkpoint of step 20\n"),
            "{}",
            listed.stdout
        );
        place.rtune(&["report", reaction]).succeeds();
        assert!(place.read(&format!("{reaction}/report.html")).contains("left out 1 of 20 steps"));
    }
    let ran = place.train(&["watchdog.spike=warn", "output.dir=warned"]);
    ran.succeeds();
    assert!(ran.stderr.contains("the loss jumped") && adapter(&place, "warned") == adapter(&place, "taken"));
}

/// The first update is AdamW's first one, whatever its step's number is.
#[test]
fn a_step_that_is_left_out_is_no_update() {
    let place = workplace();
    let rows = place.read("spiked.jsonl");
    place.write("second.jsonl", rows.lines().nth(1).expect("a row").to_owned() + "\n");
    let same = ["train.schedule=constant", "train.warmup=0"];
    let train = |others: &[&str]| place.train(&[&same, others].concat()).succeeds();
    train(&["output.dir=empty", "train.steps=2", "train.without=[\"row-1\"]"]);
    train(&["output.dir=alone", "train.steps=1", "data.train=second.jsonl"]);
    assert!(adapter(&place, "empty") == adapter(&place, "alone"));
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

/// What decides later steps stands in the checkpoints: a run that lost its metrics.jsonl leaves the same steps out.
#[test]
fn lines_that_are_lost_change_no_bit() {
    let place = workplace();
    place.train(&["output.dir=whole", "watchdog.spike=skip"]).succeeds();
    let base = place.path("model");
    let config = loaded(&place, &["watchdog.spike=skip"]);
    run_until(&config, &base, 11, false);
    fs::remove_file(place.path("run/metrics.jsonl")).expect("removed");
    run_until(&config, &base, u64::MAX, true);
    for name in ["adapter_model.safetensors", "optimizer.safetensors", "state.json"] {
        let read = |run: &str| fs::read(place.path(run).join("last").join(name)).expect("there");
        assert!(read("whole") == read("run"), "{name}");
    }
}

/// The configuration with paths that lead to files from anywhere.
fn loaded(place: &Workplace, overrides: &[&str]) -> Config {
    let mut all = vec![
        format!("output.dir={}", place.path("run").display()),
        format!("data.train={}", place.path("spiked.jsonl").display()),
    ];
    all.extend(overrides.iter().map(|&one| one.to_owned()));
    Config::load(&place.path("config.toml"), &all).expect("valid")
}

/// Where the next step is odd as well, the one before them is undone, too; wherever such a run was stopped, it ends in the same bytes.
#[test]
fn a_step_that_stays_odd_undoes_the_one_before_it() {
    let place = Workplace::new();
    place.write("spiked.jsonl", answered(&[ODD, ODD + 1]));
    place.write("config.toml", CONFIG);
    place.train(&["output.dir=without", "train.without=[\"row-12\", \"row-13\", \"row-14\"]"]).succeeds();
    let settings = ["watchdog.spike=roll-back", "checkpoint.keep=1"];
    let ran = place.train(&[&settings[..], &["output.dir=whole"]].concat());
    ran.succeeds();
    let said = "going back to the last checkpoint before step 12, and leaving out steps 12 to 14";
    assert!(
        ran.stderr.contains("warning: step 14: the loss jumped to ") && ran.stderr.contains(said),
        "{}",
        ran.stderr
    );
    assert!(adapter(&place, "whole") == adapter(&place, "without"));
    let (taken, odd) = steps(&place, "whole");
    assert_eq!(taken, (1..=20).filter(|step| !(12..=14).contains(step)).collect::<Vec<_>>());
    let back = json!("rolled back, and left out");
    assert!(odd.len() == 3 && odd.iter().all(|line| line["action"] == back), "{odd:?}");
    assert_eq!(
        (&odd[0]["odd"], &odd[2]["rows"]),
        (&json!("a step soon after it was odd"), &json!(["row-14"]))
    );
    assert!(odd[1]["odd"].as_str().is_some_and(|odd| odd.starts_with("the loss jumped")), "{odd:?}");
    place.rtune(&["verify", "whole"]).succeeds();
    let config = loaded(&place, &settings);
    let base = place.path("model");
    for stop in [9, 10, 11, 12, 15, 17] {
        run_until(&config, &base, stop, false);
        run_until(&config, &base, u64::MAX, true);
        let (whole, run) = (place.path("whole/checkpoints"), place.path("run/checkpoints"));
        assert_same(&whole, &run);
        fs::remove_dir_all(place.path("run")).expect("removed");
    }
    // Twelve steps are taken before it goes back to the tenth: the next is the eleventh again.
    let Outcome::Stopped(state) = run_before(&mut StopAfterTaken(13), None, &config, &base, false) else {
        panic!("did not stop")
    };
    assert!(state.step == 11 && state.was_left_out(14), "what is yet to be left out is known: {state:?}");
    run_until(&config, &base, u64::MAX, true);
    assert_same(&place.path("whole/checkpoints"), &place.path("run/checkpoints"));
}

/// A module that is trained whole is no part of the base any more: who goes back reads the base again.
#[test]
fn a_run_that_trains_an_embedding_goes_back_too() {
    let place = Workplace::new();
    place.write("spiked.jsonl", answered(&[ODD, ODD + 1]));
    place.write("config.toml", CONFIG);
    // Slowly enough for the loss to be even before the odd rows.
    let whole = ["lora.modules-to-save=[\"embed_tokens\"]", "train.learning-rate=0.005"];
    let without = ["output.dir=without", "train.without=[\"row-12\", \"row-13\", \"row-14\"]"];
    place.train(&[whole, without].concat()).succeeds();
    let ran = place.train(&[whole, ["output.dir=back", "watchdog.spike=roll-back"]].concat());
    ran.succeeds();
    assert!(ran.stderr.contains("leaving out steps 12 to 14"), "{}", ran.stderr);
    assert!(adapter(&place, "back") == adapter(&place, "without"));
}

/// Stops a run after it took so many steps, the same one twice where it went back.
struct StopAfterTaken(usize);

impl Observer for StopAfterTaken {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Step { .. } = event {
            self.0 -= 1;
        }
    }
    fn stop_requested(&self) -> bool {
        self.0 == 0
    }
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

/// What is measured after a step is said to be after that step.
#[test]
fn an_evaluation_that_is_no_number_names_its_step() {
    let place = workplace();
    let measured = ["data.validation=0.2", "eval.every=1"];
    place.train(&[&WILD[..], &measured].concat()).fails(1, &["error: after step 1: the validation loss is "]);
}

/// A run of which nothing is left is not one to wait for, however often it is asked.
#[test]
fn too_many_odd_steps_in_a_row_end_the_run() {
    let place = workplace();
    let wild =
        ["train.learning-rate=1e30", "train.max-grad-norm=0", "train.warmup=0", "watchdog.not-finite=skip"];
    place.train(&wild).fails(1, &[" is NaN", "its rows: "]);
    let (_, odd) = steps(&place, "run");
    assert_eq!(odd.len(), 9, "{odd:?}");
    let last = odd[8]["step"].clone();
    let mut again = vec!["train", "config.toml", "--resume"];
    wild.iter().for_each(|one| again.extend(["--set", one]));
    place.rtune(&again).fails(1, &[" is NaN", "its rows: "]);
    let (_, odd) = steps(&place, "run");
    assert_eq!(odd.last().expect("a line")["step"], last, "a checkpoint on the way forgets none of them");
}
