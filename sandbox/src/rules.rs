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
const CONTROLS: [u64; 5] = [
    libc::TCGETS as u64,
    libc::TIOCGWINSZ as u64,
    libc::FIONREAD as u64,
    libc::FIOCLEX as u64,
    libc::FIONCLEX as u64,
];
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
    let of_commands = |values: &[i32]| values.iter().map(|&value| value as u64).collect::<Vec<u64>>();
    let mut rules: Vec<(i64, Vec<SeccompRule>)> = ANY.iter().map(|&call| (call, Vec::new())).collect();
    rules.extend(ANY_OF_X86.iter().map(|&call| (call, Vec::new())));
    rules.push((libc::SYS_openat, vec![is(2, MaskedEq(CHANGES), 0)?]));
    #[cfg(target_arch = "x86_64")]
    rules.push((libc::SYS_open, vec![is(1, MaskedEq(CHANGES), 0)?]));
    // A thread, and no process.
    let thread = libc::CLONE_THREAD as u64;
    rules.push((libc::SYS_clone, vec![is(0, MaskedEq(thread), thread)?]));
    rules.push((libc::SYS_ioctl, one_of(1, &CONTROLS)?));
    rules.push((libc::SYS_fcntl, one_of(1, &of_commands(&DESCRIPTOR_COMMANDS))?));
    rules.push((libc::SYS_prctl, one_of(0, &of_commands(&PROCESS_OPTIONS))?));
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

pub(crate) fn apply(filter: &BpfProgram) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(filter)
}
