//! What is done to files and disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Fault;

/// A mounted disk, taken away in the end.
pub(super) struct Disk(PathBuf);

impl Disk {
    /// A small disk at `place`; `None` where none can be had.
    pub(super) fn mount(place: &Path, kibibytes: u64) -> Option<Self> {
        let size = format!("size={kibibytes}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "rtune-test"]).arg(place).output();
        done.is_ok_and(|done| done.status.success()).then(|| Self(place.to_owned()))
    }

    pub(super) fn grow(&self) {
        let done = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status();
        assert!(done.expect("mount runs").success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

/// Flips a bit of a file, or cuts it short; returns what it was.
pub(super) fn damage(file: &Path, fault: Fault, draw: &mut dyn FnMut(u64) -> u64) -> Vec<u8> {
    let before = fs::read(file).expect("readable");
    let mut bytes = before.clone();
    let at = draw(bytes.len().max(1) as u64) as usize;
    match fault {
        Fault::BitFlipped if !bytes.is_empty() => bytes[at] ^= 1 << draw(8),
        _ => bytes.truncate(at),
    }
    fs::write(file, bytes).expect("written");
    before
}

/// All files of a folder that are no links, in order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => all.push(entry.path()),
                _ => {}
            }
        }
    }
    all.sort();
    all
}

/// Whether a file is of a download that is not whole.
fn is_begun(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "incomplete")
}

/// Whether it is that of a file whose SHA-256 is known, which is its name.
pub(super) fn is_large(file: &Path) -> bool {
    is_begun(file) && file.file_stem().is_some_and(|name| name.len() == 64)
}
