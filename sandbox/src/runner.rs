//! Runs one program after another, each in a process of its own.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::SandboxError;

/// Of what a process says so much is kept: its verdict is one line.
const MOST_SAID_BYTES: usize = 1 << 16;
/// The clock runs so many times as long as the processor may: other programs want their part of the machine.
const CLOCK_FACTOR: u32 = 3;
/// How often a process is asked whether it has ended; shorter than an interpreter takes to start.
const POLL: Duration = Duration::from_millis(4);
/// The exit code of a process that could not be confined; its words stand on standard error.
pub const NOT_CONFINED: u8 = 97;
/// What the interpreter does with a request.
const PROGRAM: &str = include_str!("program.py");
/// Asks an interpreter where it is and what it reads.
const WHERE: &str = "import json, sys; print(json.dumps({'python': sys.executable, 'readable': sorted({sys.prefix, sys.base_prefix, \
    sys.exec_prefix, sys.base_exec_prefix, *(p for p in sys.path if p)})}))";
/// Tries what must not be possible. It passes where nothing of it is.
const PROBE: &str = include_str!("probe.py");

/// What a program may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of the processor; by the clock three times as many.
    pub processor_seconds: u32,
    /// Addresses that it may have, in bytes; the interpreter takes some 20 MB of them.
    pub memory_bytes: u64,
}

impl Limits {
    /// By the clock.
    #[must_use]
    pub fn clock(&self) -> Duration {
        Duration::from_secs(u64::from(self.processor_seconds)) * CLOCK_FACTOR
    }
}

/// What came of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran to its end.
    Passed,
    /// It raised something, or its process was ended.
    Failed(String),
    /// It took longer than it may.
    TimedOut,
}

/// What a process that is to confine itself must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) python: PathBuf,
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) processor_seconds: u32,
    pub(crate) memory_bytes: u64,
    pub(crate) program: String,
}

#[derive(Deserialize)]
struct Found {
    python: PathBuf,
    readable: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Verdict {
    proof: Option<String>,
    failed: Option<String>,
}

/// Where programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    itself: PathBuf,
    before: Vec<OsString>,
    request: String,
    limits: Limits,
}

impl Sandbox {
    /// `itself` is started with `before` and one argument more, which it hands to [`crate::confine`]. `python` is an interpreter's name or
    /// path; it is asked, unconfined, where its library is. Then a program tries what none may, and nothing else runs unless all of that
    /// is refused.
    ///
    /// # Errors
    /// [`SandboxError::NoPython`], [`SandboxError::NotIsolated`].
    pub fn new(
        itself: PathBuf,
        before: &[&str],
        python: &OsStr,
        limits: Limits,
    ) -> Result<Self, SandboxError> {
        let Found { python, readable } = find(python)?;
        let (processor_seconds, memory_bytes) = (limits.processor_seconds, limits.memory_bytes);
        let request =
            Request { python, readable, processor_seconds, memory_bytes, program: PROGRAM.to_owned() };
        let request = serde_json::to_string(&request).map_err(|error| failed(&error))?;
        let sandbox = Self { itself, before: before.iter().map(OsString::from).collect(), request, limits };
        // A string of JSON is one of Python too.
        let folder = serde_json::json!(std::env::temp_dir().to_string_lossy());
        match sandbox.run(&format!("FOLDER = {folder}\n{PROBE}"))? {
            Outcome::Passed => Ok(sandbox),
            Outcome::Failed(problem) => Err(SandboxError::NotIsolated { problem }),
            Outcome::TimedOut => {
                Err(SandboxError::NotIsolated { problem: "a trial program did not end".to_owned() })
            }
        }
    }

    /// Runs a program of Python. Nothing of what it prints is kept.
    ///
    /// # Errors
    /// [`SandboxError`], where it was not run at all.
    pub fn run(&self, program: &str) -> Result<Outcome, SandboxError> {
        let proof = proof(program);
        let input = message(program) + &message(&proof);
        let mut child = Command::new(&self.itself)
            .args(&self.before)
            .arg(&self.request)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(failed(&"no pipe to the process"));
        };
        let (status, said, complained) = std::thread::scope(|scope| {
            let said = scope.spawn(move || head(stdout));
            let complained = scope.spawn(move || head(stderr));
            scope.spawn(move || {
                // A process that is gone before it has read all has its own reasons, which its status tells.
                let _ = stdin.write_all(input.as_bytes());
            });
            let status = self.wait(&mut child);
            let read = |handle: std::thread::ScopedJoinHandle<'_, Vec<u8>>| handle.join().unwrap_or_default();
            (status, read(said), read(complained))
        });
        let Some(status) = status.map_err(|error| failed(&error))? else { return Ok(Outcome::TimedOut) };
        if status.code() == Some(NOT_CONFINED.into()) {
            let problem = String::from_utf8_lossy(&complained).trim().to_owned();
            return Err(SandboxError::NotIsolated { problem });
        }
        Ok(outcome(status, &said, &proof))
    }

    /// `None` where it had to be ended.
    fn wait(&self, child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
        let until = Instant::now() + self.limits.clock();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

fn failed(problem: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Failed { problem: problem.to_string() }
}

/// A text as the interpreter reads it: the proof stands behind the program in the pipe, and is read when the program has ended.
fn message(text: &str) -> String {
    format!("{}\n{text}", text.len())
}

/// What a process hands back for a program that ran to its end. A program that ends its process itself, or looks through its frames, does not
/// know it; one that is out to read the pipe does.
fn proof(program: &str) -> String {
    let hash = Sha256::new().chain_update("rtune: ran to its end\n").chain_update(program).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find(python: &OsStr) -> Result<Found, SandboxError> {
    let none = |problem: String| SandboxError::NoPython {
        python: python.to_string_lossy().into_owned(),
        problem: problem.trim().to_owned(),
    };
    let output = Command::new(python).args(["-I", "-c", WHERE]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| none(error.to_string()))?;
    if !output.status.success() {
        return Err(none(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| none(format!("it does not say where it is: {error}")))
}

/// The beginning of what comes; the rest is read too, so that nobody waits for it.
fn head(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    // A pipe that breaks has ended.
    let _ = from.by_ref().take(MOST_SAID_BYTES as u64).read_to_end(&mut kept);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    kept
}

fn outcome(status: ExitStatus, said: &[u8], proof: &str) -> Outcome {
    match serde_json::from_slice::<Verdict>(said) {
        Ok(Verdict { proof: Some(found), .. }) if found == proof => Outcome::Passed,
        Ok(Verdict { failed: Some(reason), .. }) => Outcome::Failed(reason),
        _ if is_out_of_time(status) => Outcome::TimedOut,
        _ => Outcome::Failed(format!("it ended its process: {status}")),
    }
}

#[cfg(unix)]
fn is_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    /// What a process gets that has used up its time, and then, where it does not care.
    const BY_TIME: [i32; 2] = [24, 9];
    status.signal().is_some_and(|signal| BY_TIME.contains(&signal))
}

#[cfg(not(unix))]
fn is_out_of_time(_: ExitStatus) -> bool {
    false
}
