//! The filter of calls: what is not named in [`crate::calls`] does not exist.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::calls::{ANY, ANY_OF_X86};

/// Where a flag says that a file is to be changed or made.
const CHANGES: u64 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u64;
/// What is asked of a terminal, or of a descriptor, as an interpreter does of every stream.
const CONTROLS: [libc::Ioctl; 5] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIOCLEX, libc::FIONCLEX];
/// Not those by which the kernel is told whom to signal.
const DESCRIPTOR_COMMANDS: [i32; 6] =
    [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
/// Names of threads and of memory.
const PROCESS_OPTIONS: [i32; 2] = [libc::PR_SET_NAME, libc::PR_SET_VMA];

/// The filter for the process `own`, which it stays when it becomes another program.
pub(crate) fn filter(own: u32) -> Result<BpfProgram, BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq};
    let is = |argument: u8, operator: SeccompCmpOp, value: u64| -> Result<SeccompRule, BackendError> {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    let one_of = |argument: u8, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        values.iter().map(|&value| is(argument, Eq, value)).collect()
    };
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = ANY.iter().map(|&call| (call, Vec::new())).collect();
    rules.extend(ANY_OF_X86.iter().map(|&call| (call, Vec::new())));
    rules.push((libc::SYS_openat, vec![is(2, MaskedEq(CHANGES), 0)?]));
    #[cfg(target_arch = "x86_64")]
    rules.push((libc::SYS_open, vec![is(1, MaskedEq(CHANGES), 0)?]));
    // A thread, and no process.
    let thread = libc::CLONE_THREAD as u64;
    rules.push((libc::SYS_clone, vec![is(0, MaskedEq(thread), thread)?]));
    rules.push((libc::SYS_ioctl, one_of(1, &numbers(&CONTROLS))?));
    rules.push((libc::SYS_fcntl, one_of(1, &numbers(&DESCRIPTOR_COMMANDS))?));
    rules.push((libc::SYS_prctl, one_of(0, &numbers(&PROCESS_OPTIONS))?));
    // Limits are read, and not set: a privileged user could raise them.
    let is_reading = SeccompCondition::new(2, SeccompCmpArgLen::Qword, Eq, 0)?;
    rules.push((libc::SYS_prlimit64, vec![SeccompRule::new(vec![is_reading])?]));
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.push((call, vec![is(0, Eq, u64::from(own))?]));
    }
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules.into_iter().collect(), absent, SeccompAction::Allow, here)?.try_into()
}

/// Constants of the C library, whose types differ from one to the other, as a filter takes them.
fn numbers<T: Copy + TryInto<u64>>(values: &[T]) -> Vec<u64> {
    values.iter().filter_map(|&value| value.try_into().ok()).collect()
}

pub(crate) fn apply(filter: &BpfProgram) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(filter)
}
