//! Programs that a model wrote, run where they can do no harm: no network, no file written, no other process, little time and memory.
//!
//! [`Sandbox::run`] starts the program it is in once more; there [`confine`] gives up, step by step, what the interpreter does not need,
//! and becomes the interpreter:
//!
//! | what | by |
//! | --- | --- |
//! | processor time, memory, sizes of files (none), open files, core dumps | limits of the process, which it cannot raise |
//! | files that may be read: the interpreter's own and the system's libraries; none may be written | Landlock |
//! | sockets, further processes, signals to others, opening for writing, and every other call of the system that is not named | seccomp |
//! | time by the clock | the starter, which kills it; the kernel does, where the starter is gone |
//!
//! That a program passed is what its own process says, so it can be feigned by one that means to: an accident, such as a program that
//! ends its process before its tests, is told from a success, and a cheat who writes to the right descriptor is not.
//!
//! No step needs a privilege, and where one cannot be taken nothing runs. It is Linux alone that has them.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod confine;
mod error;
#[cfg(target_os = "linux")]
mod rules;
mod runner;

pub use error::SandboxError;
pub use runner::{Limits, NOT_CONFINED, Outcome, Sandbox};

/// Confines this process as `request` says, which [`Sandbox`] wrote, and becomes the interpreter. It returns only where that failed.
///
/// The process must have one thread: what is given up is given up by the thread that calls.
#[must_use]
pub fn confine(request: &str) -> SandboxError {
    #[cfg(target_os = "linux")]
    return confine::become_interpreter(request);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = request;
        SandboxError::elsewhere()
    }
}
