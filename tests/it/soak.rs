//! A run that goes on for long: memory, handles and the cost of a step stay as they are.
//!
//! `RTUNE_SOAK_MINUTES=120 cargo test --release --workspace --test it soak -- --nocapture` for the long one.

#![expect(clippy::print_stdout, reason = "the figures of a long run are what it is made for")]

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::workplace::{CONFIG, Ran, Sizes, Workplace, rows, write_model};

/// A soak that is not asked for by `RTUNE_SOAK_MINUTES`.
const SHORT: Duration = Duration::from_secs(20);
/// Steps without which a quarter says nothing, on however slow a machine.
const LEAST_STEPS: u64 = 1000;
/// A run that saves nothing for so long waits for something that does not come.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(600);
/// The most that anything may grow by from the second quarter to the last, in a soak that was asked for.
const MOST_GROWTH: f64 = 0.01;
/// The same of a short one, of which a page table or a late buffer is a larger share.
const MOST_SHORT_GROWTH: f64 = 0.10;

/// What a process holds and has spent at one moment.
#[derive(Clone, Copy)]
struct Sample {
    resident_kib: u64,
    handles: usize,
    threads: u64,
    /// Ticks of the processor, user and system.
    ticks: u64,
    steps: u64,
}

/// What a quarter of the steps saw: the most memory, the fewest handles and threads (a save has some for a moment; what is
/// lost stays), and ticks a step.
struct Quarter {
    resident_kib: u64,
    handles: usize,
    threads: u64,
    ticks_a_step: f64,
}

impl fmt::Display for Quarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, handles, threads, ticks_a_step } = self;
        write!(f, "{resident_kib} KiB, {handles} handles, {threads} threads, {ticks_a_step:.4} ticks a step")
    }
}

fn sample(child: &Child, checkpoints: &Path) -> Option<Sample> {
    let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).ok();
    let status = of("status")?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    // After the name in brackets: state is the third field, user and system time the 14th and 15th.
    let stat = of("stat")?;
    let after: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = after.get(11)?.parse::<u64>().ok()? + after.get(12)?.parse::<u64>().ok()?;
    Some(Sample {
        resident_kib: field("VmRSS:")?,
        handles: fs::read_dir(format!("/proc/{}/fd", child.id())).ok()?.count(),
        threads: field("Threads:")?,
        ticks,
        steps: steps(checkpoints),
    })
}

/// The step of the newest checkpoint.
fn steps(checkpoints: &Path) -> u64 {
    let entries = fs::read_dir(checkpoints).into_iter().flatten().flatten();
    let step =
        |name: std::ffi::OsString| -> Option<u64> { name.to_str()?.strip_prefix("step-")?.parse().ok() };
    entries.filter_map(|entry| step(entry.file_name())).max().unwrap_or(0)
}

fn quarter(samples: &[Sample]) -> Quarter {
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    Quarter {
        resident_kib: samples.iter().map(|sample| sample.resident_kib).max().expect("samples"),
        handles: samples.iter().map(|sample| sample.handles).min().expect("samples"),
        threads: samples.iter().map(|sample| sample.threads).min().expect("samples"),
        ticks_a_step: (last.ticks - first.ticks) as f64 / (last.steps - first.steps) as f64,
    }
}

#[test]
fn soak_grows_nothing() {
    let minutes: Option<f64> =
        std::env::var("RTUNE_SOAK_MINUTES").ok().map(|text| text.parse().expect("minutes"));
    let (duration, most_growth) = match minutes {
        Some(minutes) => (Duration::from_secs_f64(60.0 * minutes), MOST_GROWTH),
        None => (SHORT, MOST_SHORT_GROWTH),
    };
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    write_model(&place.path("model"), Sizes { hidden: 64, layers: 2 });
    place.write("train.jsonl", rows(0..200));
    place.write("golden.jsonl", rows(300..312));
    let config = CONFIG
        .replace("steps = 6", "steps = 100000000\nschedule = \"constant\"")
        .replace("learning-rate = 0.01", "learning-rate = 0.0001")
        .replace("every = 2", "every = 50\nkeep = 3")
        .replace("every = 3", "every = 100\ngolden-rows = 12\ngolden-tokens = 4")
        .replace("[train]", "golden = \"golden.jsonl\"\nleaks.check = false\n[train]");
    place.write("config.toml", config);
    let mut command = place.command(&["train", "config.toml"]);
    // No pipe: its warnings fill one within the hour, and then the run waits for somebody to read them.
    let warnings = fs::File::create(place.path("warnings.txt")).expect("made");
    command.stdout(Stdio::null()).stderr(warnings).env("RAYON_NUM_THREADS", "1");
    let mut child = command.spawn().expect("started");
    let checkpoints = place.path("run/checkpoints");
    let began = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut moved = (Instant::now(), 0);
    while began.elapsed() < duration || steps(&checkpoints) < LEAST_STEPS {
        std::thread::sleep((duration / 400).min(Duration::from_secs(1)));
        assert!(child.try_wait().expect("a child").is_none(), "the run ended by itself");
        samples.extend(sample(&child, &checkpoints).filter(|sample| sample.steps > 0));
        let now = samples.last().map_or(0, |sample| sample.steps);
        if now > moved.1 {
            moved = (Instant::now(), now);
        }
        if moved.0.elapsed() > LONGEST_STANDSTILL {
            child.kill().expect("killed");
            panic!("it stands still at step {now}");
        }
    }
    let line = format!("kill -TERM {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &line]).status().expect("a shell runs").success());
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert_eq!(ran.code, 143, "{}", place.read("warnings.txt"));
    place.rtune(&["verify", "run"]).succeeds();

    // By steps, so that a time in which the run got nothing of the processor is in no quarter's way.
    let all = samples.last().expect("samples").steps;
    let of =
        |number: u64| samples.iter().filter(move |sample| (4 * sample.steps - 1) / all == number).copied();
    let quarters: Vec<Quarter> = (0..4).map(|number| quarter(&of(number).collect::<Vec<_>>())).collect();
    println!(
        "{} steps in {:.0} minutes, saves every 50, evaluations every 100",
        steps(&checkpoints),
        duration.as_secs_f64() / 60.0
    );
    for quarter in &quarters {
        println!("{quarter}");
    }
    let (second, last) = (&quarters[1], &quarters[3]);
    assert_eq!((second.handles, second.threads), (last.handles, last.threads), "handles and threads");
    let growth = |from: f64, to: f64| to / from - 1.0;
    let memory = growth(second.resident_kib as f64, last.resident_kib as f64);
    assert!(memory < most_growth, "memory grew by {:.2}%", 100.0 * memory);
    if minutes.is_some() {
        let time = growth(second.ticks_a_step, last.ticks_a_step);
        assert!(time < most_growth, "a step's time grew by {:.2}%", 100.0 * time);
    }
}
