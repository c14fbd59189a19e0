//! Whole runs on the tiny model: their files, their bytes, their ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rtune_trainer::config::Config;
use rtune_trainer::dist::Alone;
use rtune_trainer::error::TrainerError;
use rtune_trainer::gpu::Device;
use rtune_trainer::inputs::{Inputs, Preparation};
use rtune_trainer::manifest::{Environment, Program};
use rtune_trainer::run::{Event, Observer, Outcome, RunOptions, train};

use crate::workplace::{Ran, Workplace};

/// All files below `folder` by their path in it, links as what they point to. What may differ between two equal runs
/// (metrics.jsonl, tensorboard, the manifest's `environment`) is left out.
pub(crate) fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            if ["metrics.jsonl", "tensorboard", ".lock"].contains(&name.as_str()) {
                continue;
            }
            if path.is_symlink() {
                files.insert(name, fs::read_link(&path).expect("a link").display().to_string().into_bytes());
            } else if path.is_dir() {
                waiting.push(path);
            } else if name == "manifest.json" {
                let text = fs::read_to_string(&path).expect("readable");
                let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                manifest["environment"].take();
                files.insert(name, manifest.to_string().into_bytes());
            } else {
                files.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    files
}

#[track_caller]
pub(crate) fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (bytes_of(one), bytes_of(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

#[test]
fn a_run_writes_what_the_design_says() {
    let place = Workplace::new();
    let ran = place.train(&[]);
    ran.succeeds();
    assert!(ran.stdout.contains("trainable: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("step 6/6 loss "), "{}", ran.stdout);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let run = place.path("run");
    for name in ["config.toml", "manifest.json", "data-report.json", "metrics.jsonl", "tensorboard", "eval"] {
        assert!(run.join(name).exists(), "{name}");
    }
    let mut checkpoint: Vec<String> = fs::read_dir(run.join("last"))
        .expect("a checkpoint")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    checkpoint.sort();
    let files = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "optimizer.safetensors",
        "state.json",
    ];
    assert_eq!(checkpoint, files);
    assert_eq!(fs::read_link(run.join("last")).expect("a link"), Path::new("checkpoints/step-000006"));

    let lines: Vec<serde_json::Value> = place
        .read("run/metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let steps: Vec<(u64, bool)> = lines
        .iter()
        .map(|line| (line["step"].as_u64().expect("a step"), line.get("perplexity").is_some()))
        .collect();
    let (step, evaluation) = (false, true);
    assert_eq!(
        steps,
        [
            (0, evaluation),
            (1, step),
            (2, step),
            (3, step),
            (3, evaluation),
            (4, step),
            (5, step),
            (6, step),
            (6, evaluation)
        ]
    );
    let base = lines[0]["validation_loss_nats"].as_f64().expect("a loss");
    let end = lines[8]["validation_loss_nats"].as_f64().expect("a loss");
    assert!(end < base, "learns: {base} to {end}");
    let state: serde_json::Value = serde_json::from_str(&place.read("run/last/state.json")).expect("JSON");
    assert_eq!((state["format"].as_u64(), state["step"].as_u64()), (Some(1), Some(6)));
}

#[test]
fn the_same_run_gives_the_same_bytes_for_other_threads_and_policies() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let run = place.path("run");
    fs::rename(&run, place.path("first")).expect("moved");
    let again = |threads: &str, overrides: &[&str]| {
        let mut command = place.command(&["train", "config.toml"]);
        for argument in overrides {
            command.args(["--set", argument]);
        }
        Ran::of(command.env("RAYON_NUM_THREADS", threads).output().expect("started")).succeeds();
    };
    again("1", &[]);
    assert_same(&place.path("first"), &run);
    for policy in ["all", "input-only", "offloaded", "1"] {
        fs::remove_dir_all(&run).expect("removed");
        again("3", &[&format!("train.save-activations={policy}")]);
        for name in ["adapter_model.safetensors", "optimizer.safetensors", "state.json"] {
            let read = |folder: &str| fs::read(place.path(folder).join("last").join(name)).expect("readable");
            assert!(read("first") == read("run"), "{name} with {policy}");
        }
    }
}

/// Stops a run after so many steps, exactly.
pub(crate) struct StopAfter {
    pub(crate) step: u64,
    pub(crate) done: u64,
}

impl Observer for StopAfter {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Step { line, .. } = event {
            self.done = line.step;
        }
    }
    fn stop_requested(&self) -> bool {
        self.done >= self.step
    }
}

pub(crate) fn run_until(config: &Config, base: &Path, step: u64, resume: bool) -> Outcome {
    run_on(None, config, base, step, resume)
}

/// Trains on a GPU, or here, until `step` is done.
pub(crate) fn run_on(gpu: Option<Device>, config: &Config, base: &Path, step: u64, resume: bool) -> Outcome {
    run_before(&mut StopAfter { step, done: 0 }, gpu, config, base, resume)
}

/// Trains until `observer` wants it to stop.
pub(crate) fn run_before(
    observer: &mut dyn Observer,
    gpu: Option<Device>,
    config: &Config,
    base: &Path,
    resume: bool,
) -> Outcome {
    let inputs = Inputs::prepare(config, base, &Preparation::default(), None).expect("inputs");
    run_of(&inputs, observer, gpu, config, resume).expect("runs")
}

/// Trains on prepared rows until `observer` wants it to stop.
pub(crate) fn run_of(
    inputs: &Inputs,
    observer: &mut dyn Observer,
    gpu: Option<Device>,
    config: &Config,
    resume: bool,
) -> Result<Outcome, TrainerError> {
    let program = Program { name: "test".to_owned(), version: "0".to_owned(), sha256: "0".to_owned() };
    let environment = Environment {
        started_unix_seconds: 0,
        host: None,
        platform: "test".to_owned(),
        threads: 1,
        working_directory: "".into(),
        base: inputs.base_path.clone(),
        preparation: None,
    };
    let options = RunOptions { resume, gpu, program, environment };
    train(config, inputs, &options, &mut Alone, observer)
}

#[test]
fn a_run_that_was_stopped_anywhere_ends_in_the_bytes_of_one_that_was_not() {
    let place = Workplace::new();
    let load = |dir: &str, extra: &[String]| {
        let paths = [
            format!("output.dir={}", place.path(dir).display()),
            format!("data.train={}", place.path("train.jsonl").display()),
            "checkpoint.keep=100".to_owned(),
        ];
        Config::load(&place.path("config.toml"), &[&paths, extra].concat()).expect("valid")
    };
    let base = place.path("model");
    for (name, extra) in [
        ("rows", "train.steps=12"),
        ("tokens", "train.tokens-per-step=200"),
        ("cosine", "train.schedule=cosine"),
    ] {
        let extra = [extra.to_owned()];
        // tokens-per-step stands in the place of rows-per-step.
        let text = place.read("config.toml").replace("rows-per-step = 4\n", "");
        place.write("config.toml", if name == "tokens" { &text } else { crate::workplace::CONFIG });
        let whole = load(&format!("{name}-whole"), &extra);
        assert!(matches!(run_until(&whole, &base, u64::MAX, false), Outcome::Complete(_)));
        for stop in [1, 3, 4] {
            let dir = format!("{name}-{stop}");
            let config = load(&dir, &extra);
            let Outcome::Stopped(state) = run_until(&config, &base, stop, false) else {
                panic!("did not stop")
            };
            assert_eq!(state.step, stop);
            assert!(matches!(run_until(&config, &base, u64::MAX, true), Outcome::Complete(_)));
            assert!(matches!(run_until(&config, &base, u64::MAX, true), Outcome::WasComplete(_)));
            let (one, other) = (place.path(&format!("{name}-whole")), place.path(&dir));
            assert_same(&one.join("last/"), &other.join("last/"));
            assert_same(&one.join("best/"), &other.join("best/"));
            assert_same(&one.join("eval"), &other.join("eval"));
            assert_eq!(
                fs::read(one.join("data-report.json")).ok(),
                fs::read(other.join("data-report.json")).ok()
            );
            let steps = |run: &Path| -> Vec<String> {
                let text = fs::read_to_string(run.join("metrics.jsonl")).expect("readable");
                let key = |line: &str| line.split("\"tokens_per_second\"").next().map(str::to_owned);
                text.lines().filter_map(key).collect()
            };
            assert_eq!(steps(&one), steps(&other));
        }
    }
}

fn wait_for_steps(place: &Workplace, child: &mut Child, lines: usize) {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap_or_default();
        if text.lines().count() >= lines {
            return;
        }
        assert!(child.try_wait().expect("a child").is_none(), "ended by itself");
        assert!(began.elapsed() < Duration::from_secs(60), "no step in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_end_a_run_after_a_save() {
    let place = Workplace::new();
    place.write("config.toml", crate::workplace::CONFIG.replace("steps = 6", "steps = 1000000"));
    for (count, (signal, code)) in [("INT", 130), ("TERM", 143)].into_iter().enumerate() {
        let mut command = place.command(&["train", "config.toml", "--resume"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("started");
        let lines = place.path("run/metrics.jsonl");
        let before = fs::read_to_string(lines).unwrap_or_default().lines().count();
        wait_for_steps(&place, &mut child, before + 5);
        let pid = child.id().to_string();
        let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
        assert!(sent.expect("a shell runs").success());
        let ran = Ran::of(child.wait_with_output().expect("ends"));
        assert_eq!(ran.code, code, "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("go on: rtune train config.toml --resume"), "{}", ran.stdout);
        assert_eq!(ran.stdout.contains("going on after step"), count > 0, "{}", ran.stdout);
        let state: serde_json::Value =
            serde_json::from_str(&place.read("run/last/state.json")).expect("JSON");
        assert!(state["step"].as_u64() > Some(0));
    }
    // What the file does not say alone is said by the one that the run wrote.
    let mut command = place.command(&["train", "config.toml", "--set", "output.dir=other one"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("started");
    let pid = child.id().to_string();
    while !place.path("other one/last").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status();
    assert!(sent.expect("a shell runs").success());
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 130, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("go on: rtune train 'other one/config.toml' --resume"), "{}", ran.stdout);
}

#[test]
fn a_run_that_died_before_its_first_checkpoint_starts_anew() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let whole = bytes_of(&place.path("run"));
    fs::remove_dir_all(place.path("run/checkpoints")).expect("removed");
    place.write("run/.manifest.json.partial", "{");
    let again = place.rtune(&["train", "config.toml", "--resume"]);
    again.succeeds();
    assert!(again.stdout.contains("step 1/6 loss"), "{}", again.stdout);
    fs::remove_file(place.path("run/.manifest.json.partial")).ok();
    assert_eq!(bytes_of(&place.path("run")), whole);
    assert_eq!(place.read("run/metrics.jsonl").lines().count(), 9);
}

#[test]
fn a_complete_run_is_left_alone_and_a_folder_in_the_way_is_refused() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let before = bytes_of(&place.path("run"));
    let again = place.rtune(&["train", "config.toml", "--resume"]);
    again.succeeds();
    assert!(again.stdout.contains("was complete already"), "{}", again.stdout);
    assert_eq!(bytes_of(&place.path("run")), before);
    place
        .train(&[])
        .fails(2, &["error: the run folder `run` is not empty", "hint: go on with it by `--resume`"]);
    place
        .rtune(&["train", "config.toml", "--resume", "--set", "train.seed=5"])
        .fails(2, &["`train.seed` was 0, is 5"]);
}

#[test]
fn an_adapter_goes_out_and_comes_in_again() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "out"]).succeeds();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        assert_eq!(
            fs::read(place.path("out").join(name)).ok(),
            fs::read(place.path("run/best").join(name)).ok()
        );
    }
    place.rtune(&["export", "run", "out"]).fails(2, &["error: `out` exists already"]);
    place.rtune(&["export", "run/checkpoints/step-000004", "other"]).succeeds();
    place.rtune(&["export", "model", "third"]).fails(2, &["`model` has no checkpoint", "hint: "]);
    place.write(
        "config.toml",
        crate::workplace::CONFIG.replace("rank = 4", "from = \"out\"").replace("\"run\"", "\"next\""),
    );
    place.train(&[]).succeeds();
    let first = |run: &str| -> f64 {
        let text = place.read(&format!("{run}/metrics.jsonl"));
        let line: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        line["validation_loss_nats"].as_f64().expect("a loss")
    };
    assert!(first("next") < first("run"), "the second run starts where the first ended");
    let config: serde_json::Value =
        serde_json::from_str(&place.read("next/last/adapter_config.json")).expect("JSON");
    assert_eq!((config["r"].as_u64(), config["lora_alpha"].as_u64()), (Some(4), Some(8)));
}

#[test]
fn json_output_is_the_metrics_and_nothing_else() {
    let place = Workplace::new();
    let ran = place.rtune(&["train", "config.toml", "--json"]);
    ran.succeeds();
    assert_eq!(ran.stdout, place.read("run/metrics.jsonl"));
}

#[test]
fn check_marks_what_is_trained() {
    let place = Workplace::new();
    let ran = place.rtune(&["check", "config.toml", "--sample", "1"]);
    ran.succeeds();
    assert!(ran.stdout.contains("<|im_start|>assistant\n«"), "{}", ran.stdout);
    assert!(ran.stdout.contains("<|im_end|>»"), "{}", ran.stdout);
    for part in ["train.jsonl (train): 24 rows", "\n  tokens:  min ", "\n  trained: min "] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    assert!(!place.path("run").exists(), "a check writes nothing");
    let ran = place.rtune(&["check", "config.toml", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["files"][0]["rows"].as_u64(), Some(24));
}

#[test]
fn numbers_that_leave_the_line_stop_the_run_by_name() {
    let place = Workplace::new();
    let ran = place.train(&["train.learning-rate=1e38", "train.warmup=0", "train.max-grad-norm=0"]);
    ran.fails(
        1,
        &[
            "error: after step 1: a trained number is ",
            "first tensor with such a value is `model.layers.0",
            "hint: lower `train.learning-rate`",
        ],
    );
    assert!(place.path("run/last/manifest.json").is_file(), "the checkpoint before stays");
}
