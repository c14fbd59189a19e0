//! How a checkpoint takes its place, and how it leaves: what a kill leaves behind is whole, or no checkpoint.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rtune_adapters::peft;

use super::{Checkpoints, MANIFEST_FILE, name_of, step_of};
use crate::error::TrainerError;
use crate::files::{self, At};
use crate::full;

/// What is behind the name of a checkpoint that was moved aside for another one of its step.
const ASIDE: &str = ".replaced.partial";

impl Checkpoints {
    /// Gives what was written into `partial` the name `folder`.
    pub(super) fn put_in_place(&self, partial: &Path, folder: &Path) -> Result<(), TrainerError> {
        // A checkpoint of the same step in another state, evaluated since, is moved aside whole: removed in its place, a
        // kill would leave half of one under its name.
        let aside = aside_of(folder);
        let is_there = folder.exists();
        if is_there {
            if aside.exists() {
                // Of a process that was killed before it had removed it.
                fs::remove_dir_all(&aside).at("remove", &aside)?;
            }
            fs::rename(folder, &aside).at("replace", folder)?;
        }
        let placed = fs::rename(partial, folder).at("write", folder);
        if placed.is_err() && is_there {
            // The error is the one to tell. Where this fails as well, the next process puts it back.
            let _ = fs::rename(&aside, folder);
        }
        placed?;
        if is_there {
            fs::remove_dir_all(&aside).at("remove", &aside)?;
        }
        Ok(files::sync_folder_of(folder)?)
    }

    /// Puts back what was moved aside for another checkpoint of its step that never had its place: of a process that was killed between the
    /// two, both are whole, and neither has the name of a checkpoint.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a folder cannot be read or renamed.
    pub(crate) fn put_back(&self) -> Result<(), TrainerError> {
        for aside in self.entries()? {
            let name = aside.file_name().unwrap_or_default().to_string_lossy();
            let Some(name) = name.strip_prefix('.').and_then(|name| name.strip_suffix(ASIDE)) else {
                continue;
            };
            let folder = aside.with_file_name(name);
            let is_one = step_of(&folder).is_some_and(|step| name_of(step) == name);
            if is_one && !folder.exists() && aside.join(MANIFEST_FILE).is_file() {
                fs::rename(&aside, &folder).at("replace", &folder)?;
                files::sync_folder_of(&folder)?;
            }
        }
        Ok(())
    }

    /// The first folder that has the name of a checkpoint and trained numbers in it, but no manifest. Beside a whole checkpoint that is the
    /// rest of a removal; where there is none, somebody lost the manifests.
    pub(super) fn without_manifest(&self) -> Result<Option<PathBuf>, TrainerError> {
        let mut lost = self.entries()?;
        lost.retain(|path| {
            let has = |name: &str| path.join(name).is_file();
            step_of(path).is_some()
                && !has(MANIFEST_FILE)
                && (has(peft::WEIGHTS_FILE) || has(full::WEIGHTS_FILE))
        });
        lost.sort();
        Ok(lost.into_iter().next())
    }

    /// What lies in the folder of checkpoints, in no order; nothing where there is none.
    pub(super) fn entries(&self) -> Result<Vec<PathBuf>, TrainerError> {
        let folder = self.run.join("checkpoints");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at("read", &folder)?,
        };
        let paths = entries.map(|entry| Ok(entry.at("read", &folder)?.path()));
        paths.collect()
    }
}

/// Where a checkpoint waits until another one has its place: `.step-000200.replaced.partial`.
fn aside_of(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}{ASIDE}"))
}

/// Removes a checkpoint, or what is left of one.
pub(super) fn remove(folder: &Path) -> Result<(), TrainerError> {
    // Without its manifest the folder is no checkpoint, so a removal that is cut short leaves no half of one.
    let manifest = folder.join(MANIFEST_FILE);
    match fs::remove_file(&manifest) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).at("remove", &manifest)?;
        }
        _ => {}
    }
    Ok(fs::remove_dir_all(folder).at("remove", folder)?)
}
