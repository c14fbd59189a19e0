//! The hub's cache on disk, in the layout of `huggingface_hub`:
//! `models--OWNER--NAME/{blobs/ETAG, snapshots/COMMIT/FILE -> ../../blobs/ETAG, refs/REVISION, .no_exist/COMMIT/FILE}`.
//!
//! hf-hub writes the same layout, but starts a broken download from the beginning, keeps an error page as the file
//! if the second of its two requests is refused, and compares no hash. So rtune writes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::HubError;
use super::files::{create_folder, sync_folder};

/// The folder of one repository.
#[derive(Debug, Clone)]
pub(super) struct RepositoryCache {
    root: PathBuf,
    folder_name: String,
}

impl RepositoryCache {
    pub(super) fn new(hub_cache: &Path, owner: &str, name: &str) -> Self {
        Self { root: hub_cache.to_owned(), folder_name: format!("models--{owner}--{name}") }
    }

    fn folder(&self) -> PathBuf {
        self.root.join(&self.folder_name)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(etag)
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    /// The commit that a revision was when it was last pulled; a commit is itself.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = std::fs::read_to_string(self.folder().join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Notes which commit a revision is.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.folder().join("refs").join(revision);
        path.parent().map_or(Ok(()), create_folder)?;
        std::fs::write(&path, commit).map_err(HubError::io(&path, commit.len() as u64))
    }

    /// Whether somebody asked for a file of a commit that the repository does not have.
    pub(super) fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.absent(commit, file).is_file()
    }

    /// Notes [`Self::is_absent`]. Where that cannot be written, the next one asks again.
    pub(super) fn note_absent(&self, commit: &str, file: &str) {
        let path = self.absent(commit, file);
        if path.parent().is_some_and(|folder| create_folder(folder).is_ok()) {
            let _ = File::create(path);
        }
    }

    fn absent(&self, commit: &str, file: &str) -> PathBuf {
        self.folder().join(".no_exist").join(commit).join(file)
    }

    /// Takes the lock under which a blob is written, as hf-hub and `huggingface_hub` do; it is held until dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File, HubError> {
        let folder = self.root.join(".locks").join(&self.folder_name);
        create_folder(&folder)?;
        let path = folder.join(format!("{etag}.lock"));
        let file = File::create(&path).map_err(HubError::io(&path, 0))?;
        where_there_are_locks(file.lock()).map_err(HubError::io(&path, 0))?;
        Ok(file)
    }

    /// Makes a blob a file of a commit, by a relative link; by a copy where there are no links.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf, HubError> {
        let pointer = self.snapshot(commit).join(file);
        let folder = self.snapshot(commit);
        create_folder(&folder)?;
        if pointer.symlink_metadata().is_ok() {
            std::fs::remove_file(&pointer).map_err(HubError::io(&pointer, 0))?;
        }
        let blob = self.blob(etag);
        #[cfg(unix)]
        let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(etag), &pointer);
        #[cfg(not(unix))]
        let linked = std::fs::hard_link(&blob, &pointer);
        if linked.is_err() {
            std::fs::copy(&blob, &pointer).map_err(HubError::io(&pointer, 0))?;
        }
        sync_folder(&folder);
        Ok(pointer)
    }
}

/// Some file systems of clusters have no locks: blobs are renamed into place and their hashes compared.
fn where_there_are_locks(locked: io::Result<()>) -> io::Result<()> {
    match locked {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

/// A git commit in full.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Lustre without `flock` answers, and some that run outside of the kernel; where locks are and fail, that is said.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_locks_is_no_hindrance() {
        const WITHOUT: [i32; 2] = [38, 95]; // ENOSYS, EOPNOTSUPP
        const FAILED: [i32; 2] = [5, 13]; // EIO, EACCES
        let of = |number: &i32| where_there_are_locks(Err(io::Error::from_raw_os_error(*number)));
        assert!(WITHOUT.iter().all(|number| of(number).is_ok()));
        assert!(FAILED.iter().all(|number| of(number).is_err()));
        assert!(where_there_are_locks(Ok(())).is_ok());
    }
}
