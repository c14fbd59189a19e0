//! Faults of all kinds, drawn by a seed, in every command that takes long: after each the command is repeated, and ends in the bytes of
//! one that was left alone. `RTUNE_FAULTS` says how many (by default few), `RTUNE_FAULTS_SEED` which.

#![expect(clippy::print_stdout, reason = "the table of faults is what this test is for")]

mod below;
mod disk;
mod hub;
mod strike;
mod verbs;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rtune_data::{stream, uniform_below};

use self::strike::{Struck, strike};
use self::verbs::{PREPARE, PROMOTE, PULL, TRAIN, VERBS, Verb, behind};
use self::written::{Written, differing, remove, written};
use crate::workplace::{CONFIG, Ran, Workplace};

/// Faults where nobody says how many.
const FEW: u64 = 27;
/// A command that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Killed,
    Stopped,
    LittleFiles,
    FullDisk,
    FewHandles,
    ReadOnly,
    ChangedBelow,
    SecondProcess,
    BitFlipped,
    Truncated,
}

impl Fault {
    fn is_damage(self) -> bool {
        matches!(self, Self::BitFlipped | Self::Truncated)
    }
}

const FAULTS: [Fault; 10] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::LittleFiles,
    Fault::FullDisk,
    Fault::FewHandles,
    Fault::ReadOnly,
    Fault::ChangedBelow,
    Fault::SecondProcess,
    Fault::BitFlipped,
    Fault::Truncated,
];

fn ended(mut child: Child, what: &str) -> Ran {
    let began = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if began.elapsed() > LONGEST {
            child.kill().expect("killed");
            panic!("{what}: it hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let ran = Ran::of(child.wait_with_output().expect("ends"));
    assert!(!ran.stderr.contains("panicked"), "{what}:\n{}", ran.stderr);
    ran
}

fn place() -> Workplace {
    let place = Workplace::new();
    let config = CONFIG.replace("steps = 6", "steps = 30").replace("every = 2", "every = 5\nkeep = 3");
    place.write("config.toml", config);
    place.write("golden.jsonl", crate::workplace::rows(30..36));
    fs::create_dir(place.path("disk")).expect("a folder");
    place
}

/// As [`place`], with a finished run.
fn place_with_run(run: &Workplace) -> Workplace {
    let place = place();
    copy(&run.path("run"), &place.path("run"));
    place
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

/// What is in a folder, by name.
fn names(place: &Workplace, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).expect("there").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Repeats the command as its user would. Nothing is in its way but a run whose checkpoints are damaged, which is taken away; what is damaged
/// of a download is noticed, and fetched anew the next time.
fn repeated(place: &Workplace, verb: &Verb, fault: Fault, what: &str) {
    let run = || ended(behind(place, "", verb).spawn().expect("started"), what);
    let first = run();
    if first.code == 0 {
        return;
    }
    let is_noticed = match verb.name {
        TRAIN => fault.is_damage() && first.stderr.contains("disk/out"),
        PULL => first.stderr.contains("is not the expected file"),
        _ => false,
    };
    assert!(first.code == 2 && is_noticed, "{what}: {} {}", first.code, first.stderr);
    if verb.name == TRAIN {
        remove(place, verb);
    }
    let second = run();
    assert_eq!(second.code, 0, "{what}: {}", second.stderr);
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn faults_of_all_kinds_change_no_byte() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (faults, seed) = (number("RTUNE_FAULTS", FEW), number("RTUNE_FAULTS_SEED", 1));
    let finished = place();
    finished.train(&[]).succeeds();
    let undisturbed: Vec<(Written, Duration)> = VERBS
        .iter()
        .map(|verb| {
            let place = place_with_run(&finished);
            let began = Instant::now();
            ended(behind(&place, "", verb).spawn().expect("started"), verb.name).succeeds();
            (written(&place, verb), began.elapsed())
        })
        .collect();
    let older = place();
    older.rtune(&["prepare", "config.toml", "--set", "data.validation=0.4", "--out", "disk/out"]).succeeds();
    let mut random = stream(seed, "test", "faults", 0);
    let mut table: BTreeMap<Fault, [u64; 2]> = BTreeMap::new();
    for index in 0..faults {
        let verb = index as usize % VERBS.len();
        let fault = FAULTS[uniform_below(&mut random, FAULTS.len() as u64) as usize];
        let (verb, (expected, whole)) = (&VERBS[verb], &undisturbed[verb]);
        let place = if verb.of_run { place_with_run(&finished) } else { place() };
        // Every other preparation takes the place of an older one. A small disk would hide that one.
        let replaces = verb.name == PREPARE && fault != Fault::FullDisk && uniform_below(&mut random, 2) == 0;
        if replaces {
            copy(&older.path("disk/out"), &place.path("disk/out"));
        }
        let what = format!("fault {index}, {fault:?} in {}", verb.name);
        let struck =
            Struck { place: &place, verb, expected, whole: *whole, finished: &finished, what: what.clone() };
        let took_effect = strike(&struck, fault, &mut |below| uniform_below(&mut random, below));
        let intact = || written(&place, verb) == *expected;
        if replaces && fault != Fault::ChangedBelow {
            // One of the two is there, or comes back when the command is repeated.
            let aside = |name: &str| name.starts_with(".out.") && name.ends_with(".old");
            let is_whole = intact() || written(&place, verb) == written(&older, verb);
            assert!(is_whole || names(&place, "disk").iter().any(|name| aside(name)), "{what}: it is lost");
        }
        // A finished output is not written again.
        let is_there = place.path(verb.out).exists();
        let untouched = is_there && intact();
        assert!(untouched || !is_there || !verb.appears_whole(), "{what}: a part of it has its name");
        if !untouched {
            repeated(&place, verb, fault, &what);
            if verb.name == PREPARE {
                assert_eq!(names(&place, "disk"), ["out"], "{what}: something is left");
            }
        }
        if verb.name == PROMOTE {
            // Its hashes are right, which are not compared; and what was begun is gone.
            place.rtune(&["verify", "disk/out/current"]).succeeds();
            let versions = names(&place, "disk/out/versions");
            assert!(versions.iter().all(|name| !name.starts_with('.')), "{what}: {versions:?}");
        }
        let found = written(&place, verb);
        let missing: Vec<&PathBuf> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
        // A damaged checkpoint of which a later one is whole is not made again: it goes, alone.
        let gone: BTreeSet<Option<&Path>> = missing.iter().map(|name| name.parent()).collect();
        let is_damaged = verb.name == TRAIN && fault.is_damage();
        let is_checkpoint =
            gone.iter().all(|folder| folder.is_some_and(|folder| folder.starts_with("checkpoints")));
        assert!(missing.is_empty() || is_damaged && is_checkpoint && gone.len() == 1, "{what}: {missing:?}");
        // Where it was the best, another is the best now, and later states say so.
        let best = expected.get(Path::new("best")).map(|link| PathBuf::from(text_of(link)));
        let is_best = best.is_some_and(|best| gone.contains(&Some(best.as_path())));
        let tells_of_best = |name: &Path| {
            name == Path::new("best")
                || name.ends_with("state.json")
                || name.starts_with("checkpoints") && name.ends_with("manifest.json")
        };
        let is_compared = |name: &PathBuf| !(missing.contains(&name) || is_best && tells_of_best(name));
        for name in differing(expected, &found).iter().filter(|name| expected.contains_key(*name)) {
            assert!(!is_compared(name), "{what}: {} differs", name.display());
        }
        let as_many = found.len() + missing.len() == expected.len();
        assert!(as_many || is_best, "{what}: {:?}", found.keys().collect::<Vec<_>>());
        if !missing.is_empty() {
            place.rtune(&["verify", "disk/out"]).succeeds();
        }
        let [all, hit] = table.entry(fault).or_default();
        *all += 1;
        *hit += u64::from(took_effect);
    }
    println!("| fault | tried, each ended in the same bytes | took effect |\n| --- | --- | --- |");
    for (fault, [all, hit]) in &table {
        println!("| {fault:?} | {all} | {hit} |");
        // A disk cannot be mounted everywhere.
        assert!(*hit > 0 || *all < 10 || *fault == Fault::FullDisk, "{fault:?} never takes effect");
    }
}
