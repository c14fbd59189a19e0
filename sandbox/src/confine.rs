//! Gives up everything that a program needs not, and becomes the interpreter.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use crate::SandboxError;
use crate::rules::{self, filter};
use crate::runner::Request;

/// What an interpreter reads beside its own folders.
const READABLE: [&str; 9] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/nix/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
];
/// Files that it has open at once.
const MOST_OPEN_FILES: u64 = 64;

pub(crate) fn become_interpreter(request: &str) -> SandboxError {
    let request: Request = match serde_json::from_str(request) {
        Ok(request) => request,
        Err(error) => return SandboxError::Failed { problem: format!("no request: {error}") },
    };
    if let Err(problem) = give_up(&request) {
        return SandboxError::NotIsolated { problem };
    }
    let error = Command::new(&request.python)
        // Isolated from the user's settings; no bytecode is kept.
        .args(["-I", "-B", "-c", &request.program])
        .env_clear()
        // One thread: the libraries of a number cruncher take memory for as many as there are cores.
        .envs([("LANG", "C.UTF-8"), ("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")])
        .exec();
    SandboxError::NotIsolated { problem: format!("`{}`: {error}", request.python.display()) }
}

fn give_up(request: &Request) -> Result<(), String> {
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("the end of the starter: {error}"))?;
    limit(request)?;
    files(&request.readable)
        .map_err(|error| format!("Landlock: {error}"))?
        .then_some(())
        .ok_or("Landlock is missing")?;
    let filter = filter(std::process::id()).map_err(|error| format!("seccomp: {error}"))?;
    rules::apply(&filter).map_err(|error| format!("seccomp: {error}"))
}

fn limit(request: &Request) -> Result<(), String> {
    let seconds = u64::from(request.processor_seconds);
    let limits = [
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_AS, request.memory_bytes),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, MOST_OPEN_FILES),
    ];
    for (resource, most) in limits {
        // A second more before the signal that nothing survives.
        let hardest = if resource == Resource::RLIMIT_CPU { most + 1 } else { most };
        setrlimit(resource, most, hardest).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}

/// Whether nothing but `readable` can be read any more, and nothing written.
fn files(readable: &[PathBuf]) -> Result<bool, RulesetError> {
    // The first interface suffices for files, with the filter of calls; what later ones add is taken where it is there.
    let read = AccessFs::from_read(ABI::V1);
    let paths = READABLE.iter().map(PathBuf::from).chain(readable.iter().cloned());
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(landlock::AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(paths, read))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs)
}
