//! Files by what the system says of them: whether they changed, and which of the cache's are kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::EXTENSION;

/// Files that are kept, those used last: as many as somebody goes back and forth between, since one takes half a byte for each
/// number of a base.
pub(super) const MOST_FILES: usize = 4;
/// What the name of a file ends with that is being written.
pub(super) const PARTIAL: &str = ".partial";
/// Nobody writes longer than this: what is older was left by a process that was killed.
const MOST_WRITING: Duration = Duration::from_hours(24);

/// Length, time of writing and number of each file: what changes when one is written or replaced.
pub(super) fn of(files: &[PathBuf]) -> io::Result<Vec<(u64, SystemTime, u64)>> {
    let state = |path: &PathBuf| {
        let metadata = fs::metadata(path)?;
        Ok((metadata.len(), metadata.modified()?, metadata.ino()))
    };
    files.iter().map(state).collect()
}

/// Says by its time that a file of the cache was used. Where that may not be, it goes sooner, and is made again.
pub(super) fn touch(path: &Path) {
    let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes all but the [`MOST_FILES`] that were used last, and what killed processes had begun.
pub(super) fn prune(folder: &Path) -> io::Result<()> {
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Another process may have removed it by now.
        let Ok(used) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(PARTIAL) {
            if used.elapsed().is_ok_and(|age| age > MOST_WRITING) {
                gone(fs::remove_file(&path))?;
            }
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            kept.push((used, path));
        }
    }
    kept.sort();
    let old = kept.len().saturating_sub(MOST_FILES);
    kept[..old].iter().try_for_each(|(_, path)| gone(fs::remove_file(path)))
}

/// A file that is not there needs no removing.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
