//! Programs that a model wrote: what they may not do, and pass@k.

#![expect(clippy::print_stderr, reason = "what was skipped is said")]

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rtune_sandbox::{Limits, Outcome, Sandbox, SandboxError};
use serde_json::{Value, json};

use crate::workplace::Workplace;

const LIMITS: Limits = Limits { processor_seconds: 2, memory_bytes: 256 << 20 };

fn new(before: &[&str], itself: &str, python: &str) -> Result<Sandbox, SandboxError> {
    Sandbox::new(PathBuf::from(itself), before, python.as_ref(), LIMITS)
}

/// `None`, said aloud, on a machine that has no Python or cannot isolate.
fn sandbox() -> Option<Sandbox> {
    match new(&["confined"], env!("CARGO_BIN_EXE_rtune"), "python3") {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn run(sandbox: &Sandbox, program: &str) -> Outcome {
    sandbox.run(program).expect("it is run")
}

#[track_caller]
fn fails(sandbox: &Sandbox, program: &str, part: &str) {
    match run(sandbox, program) {
        Outcome::Failed(reason) => assert!(reason.contains(part), "{program}: {reason}"),
        other => panic!("{program}: {other:?}"),
    }
}

#[test]
fn programs_pass_or_say_why_not() {
    let Some(sandbox) = sandbox() else { return };
    let good = "import collections, math, random, re, threading, typing\nthread = threading.Thread(target=lambda: 1)\n\
        thread.start(); thread.join()\nprint('said')\nassert math.isqrt(17) == 4";
    assert_eq!(run(&sandbox, good), Outcome::Passed);
    assert_eq!(run(&sandbox, "x = 'ü'\nassert len(x) == 1"), Outcome::Passed);
    fails(&sandbox, "x = 1\nassert x == 2, 'no'", "AssertionError: no (line 2)");
    fails(&sandbox, "def (", "SyntaxError");
    fails(&sandbox, "input()", "EOFError");
    fails(&sandbox, "f = lambda n: f(n + 1)\nf(0)", "RecursionError");
    // A program that ends before its test has not passed it.
    fails(&sandbox, "import os; os._exit(0)", "it ended its process");
    fails(&sandbox, "raise SystemExit(0)", "SystemExit");
    fails(&sandbox, "import os; os.write(1, b'{\"proof\": \"x\"}'); os._exit(0)", "it ended its process");
    fails(&sandbox, "import ctypes; ctypes.string_at(0)", "it ended its process");
    // What proves that it ran to its end is in no frame that it can see.
    let looks = "import sys\nframe, seen = sys._getframe(), []\nwhile frame:\n    seen.append(str({**frame.f_locals, 'seen': 0}))\n    \
        frame = frame.f_back\nimport re\nassert len(seen) >= 3\nassert not any(re.search('[0-9a-f]{64}', one) for one in seen), 'it is there'";
    assert_eq!(run(&sandbox, looks), Outcome::Passed);
}

#[test]
fn harm_is_refused_and_nothing_is_left() {
    let Some(sandbox) = sandbox() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    fs::write(&kept, "secret").expect("written");
    let before = fs::metadata(&kept).expect("there").permissions();
    let at = folder.path().display();
    for (program, part) in [
        (format!("open('{at}/new', 'w')"), "OSError"),
        (format!("open('{at}/kept', 'a')"), "OSError"),
        (format!("import os; os.open('{at}/kept', os.O_RDONLY | os.O_TRUNC)"), "OSError"),
        (format!("import os; os.open('{at}', os.O_TMPFILE | os.O_RDWR)"), "OSError"),
        (format!("import os; os.mkdir('{at}/new')"), "OSError"),
        (format!("import os; os.symlink('x', '{at}/new')"), "OSError"),
        (format!("import os; os.link('{at}/kept', '{at}/new')"), "OSError"),
        (format!("import os; os.rename('{at}/kept', '{at}/new')"), "OSError"),
        (format!("import os; os.unlink('{at}/kept')"), "OSError"),
        (format!("import os; os.chmod('{at}/kept', 0o777)"), "OSError"),
        (format!("import os; os.utime('{at}/kept', (0, 0))"), "OSError"),
        (format!("import os; os.truncate('{at}/kept', 0)"), "OSError"),
        (format!("open('{at}/kept').read()"), "PermissionError"),
        (format!("import os; os.listdir('{at}')"), "PermissionError"),
        ("import socket; socket.socket()".to_owned(), "OSError"),
        ("import socket; socket.socketpair()".to_owned(), "OSError"),
        ("import socket; socket.create_connection(('127.0.0.1', 1))".to_owned(), "OSError"),
        ("import os\nwhile True: os.fork()".to_owned(), "OSError"),
        ("import subprocess; subprocess.run(['ls'])".to_owned(), "OSError"),
        ("import os; os.kill(os.getppid(), 9)".to_owned(), "OSError"),
        ("import os; os.kill(-1, 9)".to_owned(), "OSError"),
        ("import os; os.memfd_create('x')".to_owned(), "OSError"),
        ("import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0".to_owned(), "AssertionError"),
        ("import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))".to_owned(), "Error"),
        ("import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, 1)".to_owned(), "OSError"),
        (
            "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()"
                .to_owned(),
            "Error",
        ),
        ("x = []\nwhile True: x.append(bytearray(1 << 24))".to_owned(), "MemoryError"),
    ] {
        fails(&sandbox, &program, part);
    }
    let names: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(names, [kept.as_path()]);
    assert_eq!(fs::read_to_string(&kept).expect("there"), "secret");
    assert_eq!(fs::metadata(&kept).expect("there").permissions(), before);
}

#[test]
fn what_takes_too_long_is_ended() {
    let Some(sandbox) = sandbox() else { return };
    for program in [
        "while True: pass",
        "import time; time.sleep(1000)",
        "import signal\nsignal.signal(signal.SIGXCPU, lambda *_: None)\nwhile True: pass",
        "import os\nwhile True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)",
    ] {
        let began = Instant::now();
        assert_eq!(run(&sandbox, program), Outcome::TimedOut, "{program}");
        assert!(began.elapsed() < 2 * LIMITS.clock(), "{program}");
    }
}

#[test]
fn without_isolation_nothing_is_run() {
    let missing = new(&["confined"], env!("CARGO_BIN_EXE_rtune"), "no-such-python");
    assert!(matches!(missing, Err(SandboxError::NoPython { .. })), "{missing:?}");
    if sandbox().is_none() {
        return;
    }
    // A process that could not be confined says so.
    let said = new(&["-c", "echo Landlock is missing >&2; exit 97"], "sh", "python3").expect_err("none");
    assert_eq!(
        said.to_string(),
        "this machine cannot isolate programs: Landlock is missing; nothing was run"
    );
    assert!(said.hint().is_some_and(|hint| hint.contains("Linux 5.13")));
    // One that is not confined and does not know it is found out by the trial program.
    let open = ["-c", "import json, sys\nexec(json.loads(sys.argv[1])['program'])"];
    let found = new(&open, "python3", "python3").expect_err("none").to_string();
    assert!(found.contains("opening a file for writing was possible"), "{found}");
}

const FUNCTION: &str = "def seven():\n    return 7\n# ";

fn items() -> String {
    let item = |id: usize, number: usize| {
        let test = format!("def check(candidate):\n    assert candidate() == {number}\n");
        json!({"task_id": format!("Own/{id}"), "prompt": FUNCTION, "test": test, "entry_point": "seven"})
            .to_string()
    };
    [item(0, 7), item(1, 8)].join("\n")
}

#[test]
fn functions_are_written_to_their_end_and_run() {
    let place = Workplace::new();
    place.write("code.jsonl", items());
    let arguments = ["eval", "model", "--benchmark", "code.jsonl", "--max-new-tokens", "1", "--json"];
    place.rtune(&arguments).fails(2, &["run only where that is asked for", "hint: `--run-code`"]);
    let with = |more: &[&str]| place.rtune(&[&arguments, ["--run-code"].as_slice(), more].concat());
    with(&["--python", "no-such-python"]).fails(1, &["no Python to run programs with", "--python"]);
    if sandbox().is_none() {
        return;
    }
    with(&["--shots", "1"]).fails(2, &["have no examples"]);
    let ran = with(&["--samples", "10"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    // A comment of one token changes nothing.
    let base = &found["base"]["metrics"];
    assert_eq!((&base["pass@1"]["mean"], &base["pass@10"]["mean"]), (&json!(0.5), &json!(0.5)), "{found}");
    assert_eq!(found["items"][0]["base"]["programs"].as_array().map(Vec::len), Some(10));
    assert_eq!(found["items"][0]["base"]["programs"][0]["outcome"], "passed");
    let failed = &found["items"][1]["base"]["programs"][0]["outcome"]["failed"];
    assert!(failed.as_str().is_some_and(|reason| reason.starts_with("AssertionError")), "{found}");
    let again = with(&["--samples", "10"]);
    assert_eq!(again.stdout, ran.stdout, "draws are keyed");
    let people = place.rtune(&[
        "eval",
        "model",
        "--benchmark",
        "code.jsonl",
        "--max-new-tokens",
        "1",
        "--run-code",
        "--answers",
    ]);
    people.succeeds();
    for part in ["pass@1", "--- base, passed", "--- base, failed: AssertionError", "no examples"] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
}

#[test]
fn a_check_may_be_a_program() {
    let place = Workplace::new();
    // What the tiny model answers is no program; the test says that it was run.
    let row = |test: &str| json!({"instruction": "Write.", "output": "x = 1", "checks": [{"kind": "python", "test": test}]});
    place.write("golden.jsonl", row("assert x == 1").to_string());
    let arguments = ["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "4", "--json"];
    place.rtune(&arguments).fails(2, &["golden.jsonl:1", "run only where that is asked for", "--run-code"]);
    if sandbox().is_none() {
        return;
    }
    let ran = place.rtune(&[&arguments, ["--run-code"].as_slice()].concat());
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let failed = found["cases"][0]["base"]["failed_checks"][0].as_str().expect("a reason");
    assert!(failed.starts_with("the program fails: "), "{failed}");
    assert_eq!(found["base"]["checks_passed"], 0.0);
    place.write("golden.jsonl", row(" ").to_string());
    place.rtune(&arguments).fails(2, &["`test`: expected lines of Python"]);
}
