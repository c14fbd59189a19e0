//! One process to a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::TrainerError;
use crate::files::At;

/// The file that is locked. It stays when the lock is gone: removing it would let two processes lock two files.
pub(crate) const LOCK_FILE: &str = ".lock";

/// Holds a run folder until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    // The system gives the lock back when the process ends, however it does.
    file: File,
}

impl Drop for RunLock {
    /// Gives the lock back itself: closing the file does so only once no process that was just being started has a copy.
    fn drop(&mut self) {
        // If that fails, the end of the process does it.
        let _ = self.file.unlock();
    }
}

impl RunLock {
    /// Locks `folder`, which must exist.
    ///
    /// # Errors
    /// [`TrainerError::InUse`] when another process holds it, [`TrainerError::File`] when the lock cannot be made.
    pub fn take(folder: &Path) -> Result<Self, TrainerError> {
        let path = folder.join(LOCK_FILE);
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).at("write", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(TrainerError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(source).at("lock", &path).map_err(TrainerError::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = RunLock::take(folder.path()).expect("free");
        assert!(matches!(RunLock::take(folder.path()), Err(TrainerError::InUse { .. })));
        drop(lock);
        RunLock::take(folder.path()).expect("free again");
    }
}
