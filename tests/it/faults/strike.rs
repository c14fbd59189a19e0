//! Faults that befall a verb.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::disk::{Disk, damage, files, is_large};
use super::verbs::{PULL, TRAIN, Verb, behind};
use super::written::{Written, differing, written};
use super::{Fault, below, ended};
use crate::workplace::{Ran, Workplace};

/// Whether this process may write what nobody may.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

/// A verb in a place of its own.
pub(super) struct Struck<'a> {
    pub(super) place: &'a Workplace,
    pub(super) verb: &'a Verb,
    /// What it writes where nothing disturbs it, and how long that takes.
    pub(super) expected: &'a Written,
    pub(super) whole: Duration,
    /// A place with a finished run.
    pub(super) finished: &'a Workplace,
    /// Which fault it is, in words.
    pub(super) what: String,
}

impl Struck<'_> {
    /// Starts it, after what a shell does before.
    pub(super) fn start(&self, prelude: &str) -> Child {
        behind(self.place, prelude, self.verb).spawn().expect("started")
    }

    /// Waits for its end. Who says that it is done has written the right bytes: they are looked at before anything is repeated.
    pub(super) fn ended(&self, child: Child) -> Ran {
        let ran = ended(child, &self.what);
        self.assert_right(&ran);
        ran
    }

    fn assert_right(&self, ran: &Ran) {
        if ran.code == 0 {
            let differ = differing(self.expected, &written(self.place, self.verb));
            assert!(differ.is_empty(), "{}: it is done, and these differ: {differ:?}", self.what);
        }
    }
}

/// Breaks it in one way; returns whether the fault could be brought about.
pub(super) fn strike(struck: &Struck<'_>, fault: Fault, draw: &mut dyn FnMut(u64) -> u64) -> bool {
    let Struck { place, verb, what, .. } = struck;
    let wait = Duration::from_micros(draw(struck.whole.as_micros() as u64));
    let start = |prelude: &str| struck.start(prelude);
    let has_failed = |ran: &Ran| ran.code == 1 && ran.stderr.contains("error:");
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
            struck.ended(child);
            alive
        }
        Fault::LittleFiles => {
            let blocks = 1 + draw(40);
            let ran = struck.ended(start(&format!("trap '' XFSZ; ulimit -f {blocks};")));
            assert!(ran.code == 0 || has_failed(&ran), "{what}: {}", ran.stderr);
            ran.code != 0
        }
        Fault::FullDisk => {
            let Some(disk) = Disk::mount(&place.path("disk"), 4 + 4 * draw(40)) else {
                return false;
            };
            let ran = struck.ended(start(""));
            assert!(ran.code == 0 || has_failed(&ran), "{what}: {}", ran.stderr);
            disk.grow();
            if ran.code != 0 {
                struck.ended(start("")).succeeds();
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
            let ran = struck.ended(start(&format!("ulimit -n {};", 4 + draw(8))));
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
            let ran = struck.ended(start(&prelude));
            mode("755");
            assert!(ran.code == 0 || ran.stderr.contains("disk"), "{what}: {}", ran.stderr);
            ran.code != 0
        }
        Fault::ChangedBelow if verb.name == PULL => below::download_is_cut(struck, wait),
        Fault::ChangedBelow => below::input_is_cut(struck, wait, draw),
        Fault::SecondProcess => {
            let (one, other) = (start(""), start(""));
            // One may still be at it when the other is done.
            let (one, other) = (ended(one, what), ended(other, what));
            assert!(one.code == 0 || other.code == 0, "{what}: {}\n{}", one.stderr, other.stderr);
            [one, other].iter().for_each(|ran| struck.assert_right(ran));
            true
        }
        Fault::BitFlipped | Fault::Truncated if verb.of_run => {
            // What is read: it is noticed, and nothing is made of it.
            let folder = place.path("run").join(if verb.name == "report" { "last" } else { "best" });
            let folder = if folder.exists() { folder } else { place.path("run/last") };
            let file = folder.join("adapter_model.safetensors");
            let before = damage(&file, fault, draw);
            let ran = struck.ended(start(""));
            fs::write(&file, before).expect("written");
            let noticed = ran.code == 2 && ran.stderr.contains("adapter_model.safetensors");
            assert!(noticed || verb.name == "report" && ran.code == 0, "{what}: {}", ran.stderr);
            noticed
        }
        Fault::BitFlipped | Fault::Truncated => {
            let mut child = start("");
            std::thread::sleep(wait);
            let _ = child.kill();
            struck.ended(child);
            // Of a run the checkpoints: `rtune verify` looks at the rest. Of a download what is there of the file with a hash.
            let all = match verb.name {
                TRAIN => files(&place.path("disk/out/checkpoints")),
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
