//! The commands that faults befall.

use std::process::{Command, Stdio};

use super::hub;
use crate::workplace::Workplace;

pub(super) const TRAIN: &str = "train";
pub(super) const PREPARE: &str = "prepare";
pub(super) const PROMOTE: &str = "promote";
pub(super) const PULL: &str = "pull";

const CONFIG: &str = "model/config.json";
const WEIGHTS: &str = "model/model.safetensors";
const ADAPTER: &str = "run/best/adapter_model.safetensors";

/// A command, and what it writes. `DISK` is where its output lies.
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) out: &'static str,
    /// Files of which one may be cut while it is at work.
    pub(super) reads: &'static [&'static str],
    /// Whether a run folder must be there.
    pub(super) of_run: bool,
}

impl Verb {
    /// Whether its output has its name when it is whole, and not before. A run and a registry grow, a prepared folder may be an older
    /// one, and a download is a cache.
    pub(super) fn appears_whole(&self) -> bool {
        self.of_run && self.name != PROMOTE
    }
}

pub(super) const VERBS: [Verb; 9] = [
    Verb {
        name: TRAIN,
        arguments: &["train", "config.toml", "--resume", "--set", "output.dir=disk/out"],
        out: "disk/out",
        reads: &["train.jsonl", CONFIG, WEIGHTS],
        of_run: false,
    },
    Verb {
        name: PREPARE,
        arguments: &["prepare", "config.toml", "--out", "disk/out"],
        out: "disk/out",
        reads: &["train.jsonl"],
        of_run: false,
    },
    Verb {
        name: "merge",
        arguments: &["merge", "run", "disk/out"],
        out: "disk/out",
        reads: &[CONFIG, WEIGHTS, ADAPTER],
        of_run: true,
    },
    Verb {
        name: "export, PEFT",
        arguments: &["export", "run", "disk/out"],
        out: "disk/out",
        reads: &[CONFIG, WEIGHTS, ADAPTER],
        of_run: true,
    },
    Verb {
        name: "export, GGUF",
        arguments: &["export", "run", "disk/out.gguf", "--format", "gguf"],
        out: "disk/out.gguf",
        reads: &[CONFIG, WEIGHTS, ADAPTER],
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
        reads: &["golden.jsonl", WEIGHTS, ADAPTER],
        of_run: true,
    },
    Verb {
        name: "report",
        arguments: &["report", "run", "--out", "disk/out.html"],
        out: "disk/out.html",
        reads: &[CONFIG, WEIGHTS, "run/last/adapter_model.safetensors"],
        of_run: true,
    },
    Verb {
        name: PROMOTE,
        // By this rule it takes the place of its base, and no second time that of itself.
        arguments: &[
            "promote",
            "run",
            "--golden",
            "golden.jsonl",
            "--registry",
            "disk/out",
            "--set",
            "gate.must-improve=[\"answer-nats\"]",
            "--set",
            "gate.non-inferior={chrf=1000.0}",
            "--set",
            "gate.alpha=0.5",
            "--set",
            "gate.max-new-tokens=8",
        ],
        out: "disk/out",
        reads: &["golden.jsonl", "train.jsonl", WEIGHTS, ADAPTER],
        of_run: true,
    },
    Verb { name: PULL, arguments: &["pull", "o/n"], out: "disk/out", reads: &[], of_run: false },
];

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
