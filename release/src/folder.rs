//! Folders that are whole or not there: written beside, synced, renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{At, ReleaseError};

/// A folder in the making, beside the place where it will stand. It goes when it is dropped before [`Self::finish`].
#[derive(Debug)]
pub struct NewFolder {
    partial: PathBuf,
    out: PathBuf,
    finished: bool,
}

impl NewFolder {
    /// Begins the folder `out`. What a process that was killed had begun there is removed.
    ///
    /// # Errors
    /// [`ReleaseError::Exists`], [`ReleaseError::Io`].
    pub fn begin(out: &Path) -> Result<Self, ReleaseError> {
        refuse_existing(out)?;
        let mut name = OsString::from(".");
        name.push(out.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = out.with_file_name(name);
        if partial.exists() {
            fs::remove_dir_all(&partial).at("replace", &partial)?;
        }
        fs::create_dir_all(&partial).at("create", &partial)?;
        Ok(Self { partial, out: out.to_owned(), finished: false })
    }

    /// Where the files are written until then.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Writes one file and flushes it to the disk.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ReleaseError> {
        let path = self.partial.join(name);
        let mut file = File::create(&path).at("write", &path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).at("write", &path)
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// [`ReleaseError::Io`], after which there is nothing.
    pub fn finish(mut self) -> Result<(), ReleaseError> {
        File::open(&self.partial).and_then(|folder| folder.sync_all()).at("write", &self.partial)?;
        fs::rename(&self.partial, &self.out).at("write", &self.out)?;
        self.finished = true;
        let above = self.out.parent().filter(|above| !above.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new("."));
        File::open(above).and_then(|folder| folder.sync_all()).at("write", above)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.finished {
            // The error that led here is the one to tell.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// # Errors
/// [`ReleaseError::Exists`] for anything that stands at `out`, an empty folder too.
pub fn refuse_existing(out: &Path) -> Result<(), ReleaseError> {
    if out.symlink_metadata().is_ok() {
        return Err(ReleaseError::Exists { path: out.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("a/out");
        let folder = NewFolder::begin(&out).expect("begun");
        folder.write("x", b"1").expect("written");
        assert!(!out.exists());
        drop(folder);
        assert_eq!(fs::read_dir(home.path().join("a")).expect("there").count(), 0);
        fs::create_dir_all(home.path().join("a/.out.partial/of a killed process")).expect("made");
        let folder = NewFolder::begin(&out).expect("begun");
        folder.write("x", b"2").expect("written");
        folder.finish().expect("finished");
        assert_eq!(fs::read(out.join("x")).expect("there"), b"2");
        assert_eq!(fs::read_dir(&out).expect("there").count(), 1);
        assert!(matches!(NewFolder::begin(&out), Err(ReleaseError::Exists { .. })));
    }
}
