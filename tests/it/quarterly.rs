//! `examples/quarterly`: the whole quarter, as its script goes through it, with a tiny model.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::workplace::{Ran, Sizes, Workplace, write_model};

#[test]
fn a_quarter_goes_through() {
    let place = Workplace::new();
    write_model(&place.path("small"), Sizes { hidden: 32, layers: 1 });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quarterly/run");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&script);
        place.settle(&mut command);
        command.env("RTUNE", env!("CARGO_BIN_EXE_rtune")).args(arguments);
        Ran::of(command.output().expect("started"))
    };
    // Of a tiny model a margin as that of the example lies within chance, and chrF has no more than 100 to lose.
    let settings = ["--set", "train.learning-rate=0.02", "--set", "gate.non-inferior={chrf=100.0}"];
    let ran = run(&[&["small", "quarter"], settings.as_slice()].concat());
    ran.succeeds();
    for part in [
        "12 read, 11 kept",
        "1 not kept: they are training rows already",
        "1 resemble golden rows",
        "EMAIL_ADDRESS 1",
        "gift",
        "9 accepted, 0 rejected",
        "== how it ended",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    let accepted = place.path("quarter/queue/accepted");
    let file = std::fs::read_dir(accepted).expect("there").flatten().next().expect("a file").path();
    let rows = std::fs::read_to_string(file).expect("rows");
    assert_eq!(rows.lines().count(), 9);
    assert!(!rows.contains("joanna") && rows.contains("[EMAIL_1]"), "{rows}");
    assert!(place.read("quarter/runs/next/config.toml").contains("queue/accepted/0001-"));
    assert!(ran.stdout.contains("== how it ended\npromoted\n"), "{}", ran.stdout);
    let decision = |file: &str| -> Value { serde_json::from_str(&place.read(file)).expect("a decision") };
    let said = decision("quarter/registry/versions/v0002/decision.json");
    assert_eq!(
        (&said["candidate"], &said["against"], &said["promoted"]),
        (&"runs/next".into(), &"v0001".into(), &true.into())
    );
    // What is in use already is no better than itself.
    let mut command = place.command(&["promote", "runs/next", "--set", "gate.must-improve=[\"chrf\"]"]);
    let ran = Ran::of(command.current_dir(place.path("quarter")).output().expect("started"));
    ran.fails(3, &["refused: runs/next does not take the place of v0002", "must-improve: chrf"]);
    let said = decision("quarter/registry/refused/0001.json");
    assert_eq!((&said["against"], &said["promoted"]), (&"v0002".into(), &false.into()));
    let again = run(&["small", "quarter"]);
    again.fails(2, &["quarter is there already"]);
}
