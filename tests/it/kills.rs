//! A run that is killed at any moment, as often as may be, ends in the bytes of one that was left alone.

#![expect(clippy::print_stdout, reason = "how often a run was killed and stopped is for a person to see")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rtune_data::{stream, uniform_below};

use crate::training::assert_same;
use crate::workplace::{CONFIG, Ran, Workplace};

/// Kills that must hit a living process.
const KILLS: usize = 12;

/// A machine that is so busy that this is not enough has another trouble.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Steps enough for several kills on the way, with checkpoints and evaluations that do not fall together.
fn config() -> String {
    let config = CONFIG.replace("steps = 6", "steps = 60").replace("every = 2", "every = 7\nkeep = 3");
    config.replace("[eval]\nevery = 3", "[eval]\nevery = 5")
}

fn start(place: &Workplace, threads: u64) -> Child {
    let mut command = place.command(&["train", "config.toml", "--resume"]);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started")
}

fn undisturbed() -> (Workplace, Duration) {
    let place = Workplace::new();
    place.write("config.toml", config());
    let began = Instant::now();
    place.train(&[]).succeeds();
    (place, began.elapsed())
}

/// The lines of metrics.jsonl without what a clock decides.
fn measured(place: &Workplace) -> Vec<serde_json::Value> {
    let line = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        for key in ["tokens_per_second", "seconds", "peak_memory_bytes"] {
            value.as_object_mut().expect("an object").remove(key);
        }
        value
    };
    place.read("run/metrics.jsonl").lines().map(line).collect()
}

#[test]
fn kills_at_random_moments_change_no_byte() {
    let (whole, duration) = undisturbed();
    let place = Workplace::new();
    place.write("config.toml", config());
    let mut random = stream(1, "test", "kills", 0);
    let (mut kills, mut completed) = (0, 0);
    while kills < KILLS {
        let mut child = start(&place, 1 + uniform_below(&mut random, 2));
        // From the first instruction to somewhere in the middle: most kills hit the loop, some what comes before.
        let micros = uniform_below(&mut random, duration.as_micros() as u64 / 2);
        std::thread::sleep(Duration::from_micros(micros));
        let was_alive = child.try_wait().expect("a child").is_none();
        child.kill().expect("killed");
        let ran = Ran::of(child.wait_with_output().expect("ends"));
        if was_alive && ran.code == -1 {
            kills += 1;
        } else {
            assert_eq!(ran.code, 0, "a run that goes on fails:\n{}", ran.stderr);
            assert_same(&whole.path("run"), &place.path("run"));
            fs::remove_dir_all(place.path("run")).expect("removed");
            completed += 1;
        }
    }
    let ran = Ran::of(start(&place, 2).wait_with_output().expect("ends"));
    ran.succeeds();
    assert_same(&whole.path("run"), &place.path("run"));
    assert_eq!(measured(&whole), measured(&place), "no line is lost, none is there twice");
    place.rtune(&["verify", "run"]).succeeds();
    println!("{KILLS} kills, {} runs to the end", completed + 1);
}

/// Kills at the moments that are the hardest: right when something new lies in the run folder.
#[test]
fn kills_during_writes_change_no_byte() {
    let (whole, _) = undisturbed();
    let place = Workplace::new();
    place.write("config.toml", config());
    let moments = [
        "config.toml",
        "manifest.json",
        "checkpoints/.step-000000.partial",
        "checkpoints/step-000000",
        "eval/step-000000.json",
        "metrics.jsonl",
        "checkpoints/.step-000007.partial",
        "checkpoints/step-000014",
        "eval/step-000025.json",
        "eval/SHA256SUMS",
        "checkpoints/.step-000042.partial",
        "checkpoints/step-000060",
    ];
    for moment in moments {
        let mut child = start(&place, 2);
        let began = Instant::now();
        let path = place.path("run").join(moment);
        while fs::symlink_metadata(&path).is_err() {
            assert!(began.elapsed() < LONGEST_WAIT, "{moment} never comes");
            if child.try_wait().expect("a child").is_some() {
                // It was there and gone between two looks; the run is at its end.
                break;
            }
            std::hint::spin_loop();
        }
        child.kill().expect("killed");
        child.wait_with_output().expect("ends");
    }
    Ran::of(start(&place, 1).wait_with_output().expect("ends")).succeeds();
    assert_same(&whole.path("run"), &place.path("run"));
    assert_eq!(measured(&whole), measured(&place));
}

fn send(child: &Child, signal: &str) {
    let line = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().expect("a shell runs").success());
}

/// Stopped again and again by signals, during steps and evaluations, a run ends where it would have.
#[test]
fn stops_change_no_byte() {
    let (whole, duration) = undisturbed();
    let place = Workplace::new();
    place.write("config.toml", config());
    let mut random = stream(2, "test", "stops", 0);
    let mut stops = 0;
    loop {
        let mut child = start(&place, 2);
        let signal = ["INT", "TERM"][uniform_below(&mut random, 2) as usize];
        let micros = uniform_below(&mut random, duration.as_micros() as u64);
        std::thread::sleep(Duration::from_micros(micros));
        if child.try_wait().expect("a child").is_none() {
            send(&child, signal);
        }
        let ran = Ran::of(child.wait_with_output().expect("ends"));
        match ran.code {
            0 => break,
            // Before the run listens, a signal ends the process as it ends any other.
            130 | 143 | -1 => stops += 1,
            code => panic!("{code}\n{}", ran.stderr),
        }
    }
    assert_same(&whole.path("run"), &place.path("run"));
    assert_eq!(measured(&whole), measured(&place));
    println!("{stops} stops");
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Workplace::new();
    // One step of many long rows: seconds, so that the second signal comes long before its end.
    let row = format!("{{\"instruction\": \"{}\", \"output\": \"x\"}}\n", "a ".repeat(1500));
    place.write(
        "train.jsonl",
        (0..400).map(|number| row.replacen('a', &number.to_string(), 1)).collect::<String>(),
    );
    place.write("config.toml", CONFIG.replace("rows-per-step = 4", "rows-per-step = 400"));
    let mut command = place.command(&[
        "train",
        "config.toml",
        "--set",
        "data.validation=0",
        "--set",
        "data.max-tokens=8000",
    ]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    let began = Instant::now();
    while !place.path("run/last").exists() {
        assert!(began.elapsed() < LONGEST_WAIT && child.try_wait().expect("a child").is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    // The loop asks once more before it begins the step.
    std::thread::sleep(Duration::from_millis(500));
    send(&child, "INT");
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().expect("a child").is_none(), "the step goes on");
    send(&child, "INT");
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    let state: serde_json::Value = serde_json::from_str(&place.read("run/last/state.json")).expect("JSON");
    assert_eq!(state["step"].as_u64(), Some(0), "the step was not waited for");
}
