//! Runs that go on while they are promoted, were changed on their way, or had not come to their end; and which versions can be made again.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rtune_trainer::config::Config;
use rtune_trainer::files::sha256_of;
use rtune_trainer::run::Outcome;
use serde_json::{Value, json};

use super::{LOOSE, current, decision, promote, train, train_rows, workplace};
use crate::training::run_until;
use crate::workplace::{Ran, Workplace};

/// Rules that anything passes which is a model.
const ANY: [&str; 3] = [LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false"];

/// Promotes `no`, which stands still where it reads the version in use, v0001, until `meanwhile` is done: what it promotes is found by then,
/// and not yet written.
fn while_promoted(place: &Workplace, meanwhile: impl FnOnce()) -> Ran {
    let file = place.path("registry/versions/v0001/version.json");
    let whole = fs::read(&file).expect("there");
    fs::remove_file(&file).expect("removed");
    assert!(Command::new("mkfifo").arg(&file).status().expect("started").success());
    let set = ANY.iter().flat_map(|argument| ["--set", *argument]);
    let mut command = place.command(&["promote", "no"].into_iter().chain(set).collect::<Vec<_>>());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    // A pipe is opened once somebody reads it.
    let (sender, opened) = mpsc::channel();
    let path = file.clone();
    let writer = thread::spawn(move || drop(sender.send(File::options().write(true).open(path))));
    let mut pipe = loop {
        match opened.recv_timeout(Duration::from_millis(50)) {
            Ok(pipe) => break pipe.expect("opened"),
            Err(_) if child.try_wait().expect("a child").is_none() => {}
            Err(_) => {
                // Nobody reads it any more: the thread is let go.
                let _reader = File::options().read(true).write(true).open(&file);
                writer.join().expect("it ends");
                let ran = Ran::of(child.wait_with_output().expect("ends"));
                panic!("it ended before it read the version in use:\n{}", ran.stderr);
            }
        }
    };
    fs::remove_file(&file).expect("removed");
    fs::write(&file, &whole).expect("written");
    meanwhile();
    std::io::Write::write_all(&mut pipe, &whole).expect("read");
    drop(pipe);
    writer.join().expect("it has ended");
    Ran::of(child.wait_with_output().expect("ends"))
}

/// `yes` is v0001; `no` has a checkpoint at step 20 and its last at step 40.
fn two_runs() -> Workplace {
    let place = workplace();
    train(&place, "no", &["checkpoint.every=20", "checkpoint.keep=9"]);
    promote(&place, "yes", &[]).succeeds();
    place
}

/// `last` and `best` move while a run trains: what ships is what the version says of itself.
#[test]
fn what_ships_is_the_checkpoint_that_was_found_first() {
    let place = two_runs();
    let set = ANY.iter().flat_map(|argument| ["--set", *argument]);
    let alone = ["promote", "no", "--registry", "alone"];
    place.rtune(&alone.into_iter().chain(set).collect::<Vec<_>>()).succeeds();
    let ran = while_promoted(&place, || {
        fs::remove_file(place.path("no/last")).expect("removed");
        std::os::unix::fs::symlink("checkpoints/step-000020", place.path("no/last")).expect("linked");
    });
    ran.succeeds();
    assert_eq!(current(&place), "v0002");
    let said = |file: &str| decision(&place, file);
    let [one, other] = ["alone/current/version.json", "registry/current/version.json"].map(said);
    assert_eq!((&one["step"], &other["step"]), (&json!(40), &json!(40)));
    assert_eq!(one["checkpoint"], other["checkpoint"]);
    let weights = "artefact/model.safetensors";
    assert!(one["files"][weights].is_string());
    assert_eq!(one["files"][weights], other["files"][weights]);
}

#[test]
fn a_checkpoint_that_goes_while_it_is_promoted_is_not_promoted() {
    let place = two_runs();
    let ran = while_promoted(&place, || {
        fs::remove_dir_all(place.path("no/checkpoints/step-000040")).expect("removed");
    });
    ran.fails(
        2,
        &[
            "error: the checkpoint `no/checkpoints/step-000040` changed while it was promoted: expected manifest.json",
            "found no such file",
            "hint: promote the run when it has ended",
        ],
    );
    assert_eq!(current(&place), "v0001");
    assert!(!place.path("registry/versions/.v0002.partial").exists());
}

/// Goes on with the run `name`.
fn go_on(place: &Workplace, name: &str, more: &[&str]) {
    let (data, dir) = (format!("data.train={name}.jsonl"), format!("output.dir={name}"));
    let set = [data.as_str(), dir.as_str()].into_iter().chain(more.iter().copied());
    let set = set.flat_map(|argument| ["--set", argument]);
    place.rtune(&["train", "config.toml", "--resume"].into_iter().chain(set).collect::<Vec<_>>()).succeeds();
}

/// A longer run has another schedule from its first step on.
#[test]
fn a_run_that_was_made_longer_cannot_be_made_again() {
    let place = workplace();
    place.write("long.jsonl", train_rows("yes", ""));
    train(&place, "long", &["train.steps=20"]);
    go_on(&place, "long", &["train.steps=40"]);
    let ran = promote(&place, "long", &[]);
    ran.succeeds();
    let why = "`train.steps` was 20, is 40 after step 20";
    let said = format!(
        "note: `rtune rebuild v0001` cannot make it again to the same bytes, so keep a copy of it: {why}"
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let refused = || {
        let said = format!("error: v0001 cannot be trained again to the same bytes: {why}");
        place
            .rtune(&["rebuild", "v0001", "again"])
            .fails(2, &[&said, "hint: bring its files back from a copy"]);
        assert!(!place.path("again").exists());
    };
    refused();
    // A version of an earlier time does not say it, and its run does.
    let (file, history) = ("registry/versions/v0001/version.json", "registry/history.json");
    let mut version = decision(&place, file);
    assert_eq!(version["unrepeatable"], json!([why]));
    version.as_object_mut().expect("an object").remove("unrepeatable");
    let before = sha256_of(place.read(file).as_bytes());
    place.write(file, version.to_string());
    place.write(history, place.read(history).replace(&before, &sha256_of(version.to_string().as_bytes())));
    refused();
}

/// What is kept, and for how long, is no part of what was trained.
#[test]
fn a_run_that_went_on_with_other_free_keys_is_made_again() {
    let place = workplace();
    place.write("free.jsonl", train_rows("yes", ""));
    stop(&place, "free", 17, &[]);
    go_on(&place, "free", &["checkpoint.keep=2", "gate.max-new-tokens=9"]);
    let ran = promote(&place, "free", &[]);
    ran.succeeds();
    assert!(!ran.stderr.contains("cannot make it again"), "{}", ran.stderr);
    made_again(&place, "v0001");
}

fn made_again(place: &Workplace, version: &str) {
    let ran = place.rtune(&["rebuild", version, "again"]);
    ran.succeeds();
    assert!(ran.stdout.contains("files made again, each to the byte -> again"), "{}", ran.stdout);
    place.rtune(&["verify", "again"]).succeeds();
}

/// A run that is stopped after `step`.
fn stop(place: &Workplace, name: &str, step: u64, more: &[&str]) {
    let data = format!("data.train={}", place.path(&format!("{name}.jsonl")).display());
    let golden = format!("data.golden={}", place.path("golden.jsonl").display());
    let dir = format!("output.dir={}", place.path(name).display());
    let base = format!("model.base={}", place.path("model").display());
    let set = [&[data.as_str(), &golden, &dir, &base], more].concat();
    let set: Vec<String> = set.into_iter().map(str::to_owned).collect();
    let config = Config::load(&place.path("config.toml"), &set).expect("valid");
    let outcome = run_until(&config, Path::new(&config.model.base), step, false);
    assert!(matches!(&outcome, Outcome::Stopped(state) if state.step == step), "{outcome:?}");
}

/// It is trained again as far as it had come, and no further.
#[test]
fn a_run_that_was_stopped_is_made_again_up_to_there() {
    let place = workplace();
    place.write("short.jsonl", train_rows("yes", ""));
    stop(&place, "short", 27, &[]);
    promote(&place, "short", &[]).succeeds();
    let version = decision(&place, "registry/current/version.json");
    assert_eq!((&version["step"], &version["stopped"]), (&json!(27), &json!(true)));
    made_again(&place, "v0001");
    let state: Value = decision(&place, "again/last/state.json");
    assert_eq!(state["step"], json!(27));
}

#[test]
fn a_run_that_was_stopped_in_an_evaluation_cannot_be_made_again() {
    let place = workplace();
    place.write("short.jsonl", train_rows("yes", ""));
    stop(&place, "short", 30, &["eval.every=10", "eval.golden-rows=4"]);
    let ran = promote(&place, "short", &[]);
    ran.succeeds();
    let why = "the run was stopped while it was evaluated after step 30";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    place.rtune(&["rebuild", "v0001", "again"]).fails(2, &[why]);
    assert!(!place.path("again").exists());
}

/// The card of what ships says what was measured of the run, and on which machine: that is no part of what is made again.
#[test]
fn a_run_that_was_measured_is_made_again() {
    let place = workplace();
    place.rtune(&["eval", "yes", "--max-new-tokens", "4"]).succeeds();
    promote(&place, "yes", &[]).succeeds();
    made_again(&place, "v0001");
}
