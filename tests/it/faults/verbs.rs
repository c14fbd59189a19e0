//! The commands that faults befall.

use std::process::{Command, Stdio};

use super::hub;
use crate::workplace::Workplace;

pub(super) const PREPARE: &str = "prepare";
pub(super) const PULL: &str = "pull";

/// A command, and what it writes. `DISK` is where its output lies.
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) out: &'static str,
    /// Whether a run folder must be there.
    pub(super) of_run: bool,
}

pub(super) const VERBS: [Verb; 8] = [
    Verb {
        name: "train",
        arguments: &["train", "config.toml", "--resume", "--set", "output.dir=disk/out"],
        out: "disk/out",
        of_run: false,
    },
    Verb {
        name: PREPARE,
        arguments: &["prepare", "config.toml", "--out", "disk/out"],
        out: "disk/out",
        of_run: false,
    },
    Verb { name: "merge", arguments: &["merge", "run", "disk/out"], out: "disk/out", of_run: true },
    Verb { name: "export, PEFT", arguments: &["export", "run", "disk/out"], out: "disk/out", of_run: true },
    Verb {
        name: "export, GGUF",
        arguments: &["export", "run", "disk/out.gguf", "--format", "gguf"],
        out: "disk/out.gguf",
        of_run: true,
    },
    Verb {
        name: "eval",
        arguments: &[
            "eval",
            "run",
            "--golden",
            "golden.jsonl",
            "--max-new-tokens",
            "8",
            "--out",
            "disk/out.json",
        ],
        out: "disk/out.json",
        of_run: true,
    },
    Verb {
        name: "report",
        arguments: &["report", "run", "--out", "disk/out.html"],
        out: "disk/out.html",
        of_run: true,
    },
    Verb { name: PULL, arguments: &["pull", "o/n"], out: "disk/out", of_run: false },
];

/// What must never have to be taken out of the way: it replaces or completes what is there.
pub(super) const REPEATABLE: [&str; 2] = [PREPARE, PULL];

/// What a shell does before it becomes the program.
pub(super) fn behind(place: &Workplace, prelude: &str, verb: &Verb) -> Command {
    let script = format!("{prelude} exec \"$@\"");
    let mut command = Command::new("sh");
    place.settle(&mut command);
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_rtune")]).args(verb.arguments);
    if verb.name == PULL {
        hub::lead(&mut command, verb.out);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
