//! Faults of all kinds, drawn by a seed, in every command that takes long: after each the command is repeated, and ends in the bytes of
//! one that was left alone. `RTUNE_FAULTS` says how many (by default few), `RTUNE_FAULTS_SEED` which.

#![expect(clippy::print_stdout, reason = "the table of faults is what this test is for")]

mod disk;
mod hub;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rtune_data::{stream, uniform_below};

use self::disk::{Disk, damage, files};
use self::verbs::{PREPARE, PULL, REPEATABLE, VERBS, Verb, behind};
use crate::training::bytes_of;
use crate::workplace::{CONFIG, Ran, Workplace};

/// Faults where nobody says how many.
const FEW: u64 = 24;
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

/// Everything that a verb wrote, by name; a file has one, without a name.
fn written(place: &Workplace, verb: &Verb) -> BTreeMap<PathBuf, Vec<u8>> {
    let out = place.path(verb.out);
    match out.is_dir() {
        true => bytes_of(&out).into_iter().map(|(name, bytes)| (PathBuf::from(name), bytes)).collect(),
        false => BTreeMap::from([(PathBuf::new(), fs::read(&out).unwrap_or_default())]),
    }
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

/// Whether this process may write what nobody may.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

/// One verb in one place, broken in one way; returns whether the fault could be brought about.
fn strike(
    place: &Workplace,
    verb: &Verb,
    fault: Fault,
    whole: Duration,
    draw: &mut dyn FnMut(u64) -> u64,
) -> bool {
    let what = format!("{fault:?} in {}", verb.name);
    let wait = Duration::from_micros(draw(whole.as_micros() as u64));
    let start = |prelude: &str| behind(place, prelude, verb).spawn().expect("started");
    let signal = |child: &Child, name: &str| {
        let line = format!("kill -{name} {}", child.id());
        Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status().expect("a shell runs");
    };
    match fault {
        Fault::Killed | Fault::Stopped => {
            let mut child = start("");
            std::thread::sleep(wait);
            let alive = child.try_wait().expect("a child").is_none();
            if alive {
                signal(&child, if fault == Fault::Killed { "KILL" } else { "TERM" });
            }
            ended(child, &what);
            alive
        }
        Fault::LittleFiles => {
            let blocks = 1 + draw(40);
            let ran = ended(start(&format!("trap '' XFSZ; ulimit -f {blocks};")), &what);
            assert!(
                ran.code == 0 || ran.code == 1 && ran.stderr.contains("error:"),
                "{what}: {}",
                ran.stderr
            );
            ran.code != 0
        }
        Fault::FullDisk => {
            let Some(disk) = Disk::mount(&place.path("disk"), 4 + 4 * draw(40)) else {
                return false;
            };
            let ran = ended(start(""), &what);
            assert!(
                ran.code == 0 || ran.code == 1 && ran.stderr.contains("error:"),
                "{what}: {}",
                ran.stderr
            );
            disk.grow();
            if ran.code != 0 {
                ended(start(""), &what).succeeds();
            }
            // The disk goes when this returns: what was written comes along.
            let copy = "rm -rf kept && cp -a disk kept && umount -l disk && rm -rf disk && mv kept disk";
            let mut moved = Command::new("sh");
            place.settle(&mut moved);
            assert!(moved.args(["-c", copy]).status().expect("a shell runs").success());
            std::mem::forget(disk);
            ran.code != 0
        }
        Fault::FewHandles => {
            let ran = ended(start(&format!("ulimit -n {};", 4 + draw(8))), &what);
            let said = matches!(ran.code, 1 | 2) && ran.stderr.contains("error:");
            assert!(ran.code == 0 || said, "{what}: {} {}", ran.code, ran.stderr);
            ran.code != 0
        }
        Fault::ReadOnly => {
            let folder = place.path("disk");
            let mode =
                |mode: &str| Command::new("chmod").arg(mode).arg(&folder).status().expect("chmod runs");
            mode("555");
            // Root writes everywhere but without its capabilities.
            let drop = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search";
            let prelude = if is_root() { format!("set -- {drop} \"$@\";") } else { String::new() };
            let ran = ended(start(&prelude), &what);
            mode("755");
            assert!(ran.code == 0 || ran.stderr.contains("disk"), "{what}: {}", ran.stderr);
            ran.code != 0
        }
        Fault::ChangedBelow if verb.name == PULL => {
            let mut child = start("");
            std::thread::sleep(wait);
            let begun = files(&place.path(verb.out)).into_iter().filter(|file| is_begun(file));
            // Each is gone as soon as it is whole.
            let cut = |file: PathBuf| {
                let file = fs::File::options().write(true).open(file)?;
                file.set_len(file.metadata()?.len() / 2)
            };
            let cut = begun.filter(|file| cut(file.clone()).is_ok()).count();
            let alive = child.try_wait().expect("a child").is_none();
            ended(child, &what);
            alive && cut > 0
        }
        Fault::ChangedBelow => {
            let names: &[&str] = match verb.name {
                "eval" => &["golden.jsonl"],
                "train" | "prepare" => &["train.jsonl"],
                _ => &["model/config.json"],
            };
            let before: Vec<Vec<u8>> =
                names.iter().map(|name| fs::read(place.path(name)).expect("there")).collect();
            let mut child = start("");
            std::thread::sleep(wait);
            let alive = child.try_wait().expect("a child").is_none();
            for (name, bytes) in names.iter().zip(&before) {
                let half = &bytes[..draw(bytes.len() as u64) as usize];
                place.write(name, half);
            }
            ended(child, &what);
            for (name, bytes) in names.iter().zip(&before) {
                place.write(name, bytes);
            }
            alive
        }
        Fault::SecondProcess => {
            let (one, other) = (start(""), start(""));
            let (one, other) = (ended(one, &what), ended(other, &what));
            assert!(one.code == 0 || other.code == 0, "{what}: {}\n{}", one.stderr, other.stderr);
            true
        }
        Fault::BitFlipped | Fault::Truncated if verb.of_run => {
            // What is read: it is noticed, and nothing is made of it.
            let folder = place.path("run").join(if verb.name == "report" { "last" } else { "best" });
            let folder = if folder.exists() { folder } else { place.path("run/last") };
            let file = folder.join("adapter_model.safetensors");
            let before = damage(&file, fault, draw);
            let ran = ended(start(""), &what);
            fs::write(&file, before).expect("written");
            let noticed = ran.code == 2 && ran.stderr.contains("adapter_model.safetensors");
            assert!(noticed || verb.name == "report" && ran.code == 0, "{what}: {}", ran.stderr);
            noticed
        }
        Fault::BitFlipped | Fault::Truncated => {
            let mut child = start("");
            std::thread::sleep(wait);
            let _ = child.kill();
            ended(child, &what);
            // Of a run the checkpoints: `rtune verify` looks at the rest. Of a download what is there of the file with a hash.
            let all = match verb.name {
                "train" => files(&place.path("disk/out/checkpoints")),
                PULL => files(&place.path(verb.out)).into_iter().filter(|file| is_large(file)).collect(),
                _ => Vec::new(),
            };
            if all.is_empty() {
                return false;
            }
            damage(&all[draw(all.len() as u64) as usize], fault, draw);
            true
        }
    }
}

/// Whether a file is of a download that is not whole.
fn is_begun(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "incomplete")
}

/// Whether it is that of a file whose SHA-256 is known, which is its name.
fn is_large(file: &Path) -> bool {
    is_begun(file) && file.file_stem().is_some_and(|name| name.len() == 64)
}

/// Repeats the command as its user would: where something is in its way, it is taken away.
fn repeated(place: &Workplace, verb: &Verb, what: &str) {
    let run = || ended(behind(place, "", verb).spawn().expect("started"), what);
    let first = run();
    if first.code == 0 {
        return;
    }
    if REPEATABLE.contains(&verb.name) {
        // What was damaged is noticed, and fetched anew the next time.
        let is_noticed =
            verb.name == PULL && first.code == 2 && first.stderr.contains("is not the expected file");
        assert!(is_noticed, "{what}: {} {}", first.code, first.stderr);
        let second = run();
        assert_eq!(second.code, 0, "{what}: {}", second.stderr);
        return;
    }
    // It names what is in its way; outputs must not exist yet, and a damaged file is no run.
    assert_eq!(first.code, 2, "{what}: {}", first.stderr);
    assert!(first.stderr.contains("disk/out"), "{what}: {}", first.stderr);
    let out = place.path(verb.out);
    let removed = if out.is_dir() { fs::remove_dir_all(&out) } else { fs::remove_file(&out) };
    removed.unwrap_or_else(|error| panic!("{what}: {error}\n{}", first.stderr));
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
    let undisturbed: Vec<(BTreeMap<PathBuf, Vec<u8>>, Duration)> = VERBS
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
        let struck = strike(&place, verb, fault, *whole, &mut |below| uniform_below(&mut random, below));
        let what = format!("fault {index}, {fault:?} in {}", verb.name);
        let intact = || written(&place, verb) == *expected;
        if replaces && fault != Fault::ChangedBelow {
            // One of the two is there, or comes back when the command is repeated.
            let aside = |name: &str| name.starts_with(".out.") && name.ends_with(".old");
            let is_whole = intact() || written(&place, verb) == written(&older, verb);
            assert!(is_whole || names(&place, "disk").iter().any(|name| aside(name)), "{what}: it is lost");
        }
        // A finished output is not written again.
        let untouched = place.path(verb.out).exists() && intact();
        if !untouched {
            repeated(&place, verb, &what);
            if verb.name == PREPARE {
                assert_eq!(names(&place, "disk"), ["out"], "{what}: something is left");
            }
        }
        let found = written(&place, verb);
        let missing: Vec<&PathBuf> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
        // A damaged checkpoint of which a later one is whole is not made again: it goes, alone.
        let gone: BTreeSet<Option<&Path>> = missing.iter().map(|name| name.parent()).collect();
        let is_damaged = verb.name == "train" && [Fault::BitFlipped, Fault::Truncated].contains(&fault);
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
        for (name, bytes) in expected.iter().filter(|(name, _)| is_compared(name)) {
            assert!(found.get(name) == Some(bytes), "{what}: {} differs", name.display());
        }
        let as_many = found.len() + missing.len() == expected.len();
        assert!(as_many || is_best, "{what}: {:?}", found.keys().collect::<Vec<_>>());
        if !missing.is_empty() {
            place.rtune(&["verify", "disk/out"]).succeeds();
        }
        let [all, hit] = table.entry(fault).or_default();
        *all += 1;
        *hit += u64::from(struck);
    }
    println!("| fault | tried, each ended in the same bytes | took effect |\n| --- | --- | --- |");
    for (fault, [all, hit]) in &table {
        println!("| {fault:?} | {all} | {hit} |");
        // A disk cannot be mounted everywhere.
        assert!(*hit > 0 || *all < 10 || *fault == Fault::FullDisk, "{fault:?} never takes effect");
    }
}
