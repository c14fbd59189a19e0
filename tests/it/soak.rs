//! A run that goes on for long: memory, handles and the cost of a step stay as they are.
//!
//! What a step takes of the processor differs by a third from one minute to the next on a machine that others use too. So a second
//! process goes on with a copy of the run beside it in the last quarter, and the two are compared over the same minutes.
//!
//! `RTUNE_SOAK_MINUTES=120 cargo test --release --workspace --test it soak -- --nocapture` for the long one.

#![expect(clippy::print_stdout, reason = "the figures of a long run are what it is made for")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workplace::{CONFIG, Ran, Sizes, Workplace, rows, write_model};

/// What a run is gone on with from; neither lines nor TensorBoard's files.
const COPIED: [&str; 7] =
    ["config.toml", "manifest.json", "data-report.json", "eval", "checkpoints", "best", "last"];

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

/// A process of the run in `folder`.
fn start(place: &Workplace, folder: &str, arguments: &[&str]) -> Child {
    let folder = place.path(folder);
    // No pipe: its warnings fill one within the hour, and then the run waits for somebody to read them.
    let warnings = fs::File::create(folder.join("warnings.txt")).expect("made");
    let mut command = place.command(arguments);
    command.current_dir(folder).stdout(Stdio::null()).stderr(warnings).env("RAYON_NUM_THREADS", "1");
    command.spawn().expect("started")
}

fn send(signal: &str, child: &Child) {
    let line = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().expect("a shell runs").success(), "{line}");
}

/// A process that goes on with a copy of a run.
struct Twin {
    child: Child,
    checkpoints: PathBuf,
    /// The step it began at.
    began: u64,
    /// The first and the last look at the run and at the twin, each pair at one moment.
    looks: Option<[[Sample; 2]; 2]>,
}

impl Twin {
    fn start(place: &Workplace, run: &Child) -> Self {
        fs::create_dir_all(place.path("twin/run")).expect("made");
        send("STOP", run);
        let copy = |names: &[&str], from: &str, to: &str| {
            let paths = names.iter().map(|name| place.path(from).join(name));
            let copied = Command::new("cp").arg("-a").args(paths).arg(place.path(to)).status();
            assert!(copied.expect("cp runs").success());
        };
        copy(&["model", "train.jsonl", "golden.jsonl", "config.toml"], ".", "twin");
        copy(&COPIED, "run", "twin/run");
        send("CONT", run);
        let checkpoints = place.path("twin/run/checkpoints");
        let began = steps(&checkpoints);
        let child = start(place, "twin", &["train", "config.toml", "--resume"]);
        Self { child, checkpoints, began, looks: None }
    }

    /// Looks at both, `run` being how that is now; what the twin does before it is under way does not count.
    fn look(&mut self, run: Option<&Sample>) {
        assert!(self.child.try_wait().expect("a child").is_none(), "the twin ended by itself");
        let twin =
            sample(&self.child, &self.checkpoints).filter(|twin| twin.steps > self.began + LEAST_STEPS);
        let (Some(run), Some(twin)) = (run, twin) else { return };
        let now = [*run, twin];
        self.looks = Some([self.looks.map_or(now, |[first, _]| first), now]);
    }

    /// Stops it; what a step took the run, in parts of what it took the twin.
    fn end(mut self) -> f64 {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
        let [first, last] = self.looks.expect("the twin was under way");
        let [run, twin] = [0, 1].map(|one| {
            let (first, last) = (first[one], last[one]);
            (last.ticks - first.ticks) as f64 / (last.steps - first.steps) as f64
        });
        run / twin
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
    let mut child = start(&place, ".", &["train", "config.toml"]);
    let checkpoints = place.path("run/checkpoints");
    let began = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut moved = (Instant::now(), 0);
    let mut twin: Option<Twin> = None;
    while began.elapsed() < duration || steps(&checkpoints) < LEAST_STEPS {
        std::thread::sleep((duration / 400).min(Duration::from_secs(1)));
        assert!(child.try_wait().expect("a child").is_none(), "the run ended by itself");
        samples.extend(sample(&child, &checkpoints).filter(|sample| sample.steps > 0));
        if minutes.is_some() && began.elapsed() > duration * 3 / 4 {
            twin.get_or_insert_with(|| Twin::start(&place, &child)).look(samples.last());
        }
        let now = samples.last().map_or(0, |sample| sample.steps);
        if now > moved.1 {
            moved = (Instant::now(), now);
        }
        if moved.0.elapsed() > LONGEST_STANDSTILL {
            child.kill().expect("killed");
            panic!("it stands still at step {now}");
        }
    }
    send("TERM", &child);
    let ratio = twin.map(Twin::end);
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
    if let Some(ratio) = ratio {
        println!("a step takes {ratio:.4} of what it takes a process that was started for the last quarter");
        assert!(ratio < 1.0 + most_growth, "a step's time grew: {ratio:.4}");
    }
}
