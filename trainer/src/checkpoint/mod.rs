//! Checkpoints: an adapter that `peft` loads, the optimizer's moments, the state of the run, and a manifest.
//!
//! A checkpoint is written into a folder beside its place, synced and renamed, its manifest last, so that a folder
//! with a manifest is whole. `best` and `last` in the run folder are relative links, replaced in one go.

mod json;
mod moments;
mod place;
mod remembered;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TrainerError;
use crate::files::{self, At};

pub use json::{read_json, to_json};
pub(crate) use json::{read_value, write_json};
pub use moments::{NamedSlice, read_moments, write_moments};
use place::remove;
pub(crate) use remembered::Undone;
pub use remembered::{Remembered, Streak};
pub use state::{Best, State, Waiting};

/// The format of every file written here; readers refuse any other.
pub const FORMAT: u64 = 1;

/// The moments' file.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "state.json";
const MANIFEST_FILE: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u64,
    /// File name to SHA-256.
    files: BTreeMap<String, String>,
}

/// A whole checkpoint on the disk, its files verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Its folder.
    pub folder: PathBuf,
    /// Where the run stood.
    pub state: State,
}

impl Checkpoint {
    /// Reads a checkpoint's state after comparing every file with its hash.
    ///
    /// # Errors
    /// [`TrainerError::NotACheckpoint`] without a manifest or a file it names, [`TrainerError::Altered`] for a file
    /// with another hash, [`TrainerError::Unreadable`] for a format this program does not know.
    pub fn open(folder: &Path) -> Result<Self, TrainerError> {
        Self::open_with(folder, &mut |_, _| {})
    }

    /// [`Checkpoint::open`] that tells of each file that is as it was, with its hash.
    pub(crate) fn open_with(
        folder: &Path,
        verified: &mut dyn FnMut(&Path, &str),
    ) -> Result<Self, TrainerError> {
        let manifest_path = folder.join(MANIFEST_FILE);
        if !manifest_path.is_file() {
            let problem = format!("it has no {MANIFEST_FILE}");
            return Err(TrainerError::NotACheckpoint { folder: folder.to_owned(), problem });
        }
        let manifest: Manifest = read_json(&manifest_path)?;
        for (name, expected) in &manifest.files {
            // A name with a slash could point anywhere; ours have none.
            let file = folder.join(name);
            if name.contains('/') || !file.is_file() {
                let problem = format!("its manifest names `{name}`, which is not there");
                return Err(TrainerError::NotACheckpoint { folder: folder.to_owned(), problem });
            }
            let found = files::sha256_of_file(&file)?;
            if found != *expected {
                return Err(TrainerError::Altered { file, expected: expected.clone(), found });
            }
            verified(&file, expected);
        }
        if !manifest.files.contains_key(STATE_FILE) {
            let problem = format!("its manifest does not name {STATE_FILE}");
            return Err(TrainerError::NotACheckpoint { folder: folder.to_owned(), problem });
        }
        Ok(Self { folder: folder.to_owned(), state: read_json(&folder.join(STATE_FILE))? })
    }
}

/// The checkpoint to go on from.
#[derive(Debug, Default)]
pub struct Newest {
    /// The last one that is whole; none where there is no checkpoint at all.
    pub checkpoint: Option<Checkpoint>,
    /// Those that are damaged, before it or after it: steps, and what is wrong.
    pub damaged: Vec<(u64, TrainerError)>,
}

/// The checkpoints of one run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    run: PathBuf,
}

impl Checkpoints {
    /// Those of the run folder `run`.
    pub fn of(run: &Path) -> Self {
        Self { run: run.to_owned() }
    }

    /// Writes a checkpoint and points `last` at it, and `best` at the best. `fill` writes the adapter and the
    /// moments into the folder it is given; the state and the manifest follow.
    ///
    /// # Errors
    /// Whatever `fill` fails with, or [`TrainerError::File`]; nothing of the failed checkpoint stays.
    pub fn write<E: From<TrainerError>>(
        &self,
        state: &State,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let folder = self.folder(state.step);
        if Checkpoint::open(&folder).is_ok_and(|there| there.state == *state) {
            self.point(state)?;
            return Ok(folder);
        }
        let partial = self.run.join("checkpoints").join(format!(".{}.partial", name_of(state.step)));
        let written = self.write_partial(&partial, state, fill);
        if written.is_err() {
            // The error of writing is the one to tell; what is left is not a checkpoint in any case.
            let _ = fs::remove_dir_all(&partial);
        }
        written?;
        self.put_in_place(&partial, &folder)?;
        self.point(state)?;
        Ok(folder)
    }

    /// The last whole checkpoint, of those before step `before` where that is given, and what is wrong with those that are damaged: one
    /// that stayed behind unsaid would be found when it is wanted.
    ///
    /// # Errors
    /// [`TrainerError::NoneWhole`] where there are some and all are damaged, or have lost their manifests; [`TrainerError::File`] where one
    /// cannot be read, which says nothing about what is in it.
    pub fn newest(&self, before: Option<u64>) -> Result<Newest, TrainerError> {
        let (mut newest, steps) = (Newest::default(), self.steps()?);
        if steps.is_empty()
            && let Some(lost) = self.without_manifest()?
        {
            // Taken for nothing, it would be removed by a run that begins anew.
            let problem = format!("`{}` has trained numbers, and no {MANIFEST_FILE}", lost.display());
            return Err(TrainerError::NoneWhole { folder: self.run.clone(), problem });
        }
        for step in steps.into_iter().filter(|step| before.is_none_or(|before| *step < before)) {
            match Checkpoint::open(&self.folder(step)) {
                Ok(whole) => newest.checkpoint = Some(whole),
                Err(error @ TrainerError::File(_)) => return Err(error),
                Err(error) => newest.damaged.push((step, error)),
            }
        }
        match (&newest.checkpoint, newest.damaged.first()) {
            (None, Some((_, error))) => {
                Err(TrainerError::NoneWhole { folder: self.run.clone(), problem: error.to_string() })
            }
            _ => Ok(newest),
        }
    }

    /// Makes the folder what it is right after `state` was saved: no later checkpoint, no half of one, and links to
    /// those there are.
    ///
    /// # Errors
    /// [`TrainerError::File`] when something cannot be removed or linked.
    pub fn restore(&self, state: &State) -> Result<(), TrainerError> {
        self.clear_after(Some(state.step))?;
        self.point(state)
    }

    /// Removes the checkpoint of `step`, or what is left of it.
    ///
    /// # Errors
    /// [`TrainerError::File`] when it cannot be removed.
    pub fn remove(&self, step: u64) -> Result<(), TrainerError> {
        remove(&self.folder(step))
    }

    /// Writes the checkpoint of `state.step` again with another state and the other files that it has: the trained numbers are as they
    /// were, and what is said of the run is not.
    ///
    /// # Errors
    /// [`TrainerError::File`]; the checkpoint is then as it was.
    pub fn write_state(&self, state: &State) -> Result<(), TrainerError> {
        let there = self.folder(state.step);
        let copy = |beside: &Path| -> Result<(), TrainerError> {
            for entry in fs::read_dir(&there).at("read", &there)? {
                let from = entry.at("read", &there)?;
                if from.file_name() != STATE_FILE && from.file_name() != MANIFEST_FILE {
                    let to = beside.join(from.file_name());
                    fs::copy(from.path(), &to).at("write", &to)?;
                }
            }
            Ok(())
        };
        self.write(state, copy).map(|_| ())
    }

    /// Removes checkpoints of later steps than `step`, or all for `None`, and halves of checkpoints.
    ///
    /// # Errors
    /// [`TrainerError::File`] when something cannot be removed.
    pub fn clear_after(&self, step: Option<u64>) -> Result<(), TrainerError> {
        let kept: Vec<u64> = self.steps()?.into_iter().filter(|there| Some(*there) <= step).collect();
        files::remove_begun(&self.run.join("checkpoints"))?;
        for path in self.entries()? {
            // Without a manifest it is the rest of a removal.
            if step_of(&path).is_some_and(|step| !kept.contains(&step)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// The whole checkpoints' steps, each file compared with its hash, ascending.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a folder or file cannot be read.
    pub fn whole_steps(&self) -> Result<Vec<u64>, TrainerError> {
        let mut whole = Vec::new();
        for step in self.steps()? {
            match Checkpoint::open(&self.folder(step)) {
                Ok(_) => whole.push(step),
                Err(error @ TrainerError::File(_)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(whole)
    }

    /// The steps of what a run needs that goes back to `step`: that checkpoint, and the one that was the best then.
    #[must_use]
    pub fn needed_for(&self, step: u64) -> Vec<u64> {
        let state: Option<State> = read_json(&self.folder(step).join(STATE_FILE)).ok();
        let best = state.and_then(|state| state.best).map(|best| best.step);
        std::iter::once(step).chain(best).collect()
    }

    /// Removes all but the newest, the best, those of the steps `needed`, and so many others that `keep` stay besides these.
    ///
    /// Others are those at multiples of `every`: what was saved at a stop, or was the best for a while, goes, so that a
    /// run that was stopped leaves the checkpoints of one that was not.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a folder cannot be removed.
    pub fn prune(
        &self,
        keep: usize,
        every: u64,
        best: Option<u64>,
        needed: &[u64],
    ) -> Result<(), TrainerError> {
        let steps = self.steps()?;
        let newest = steps.last().copied();
        let regular: Vec<u64> = steps
            .iter()
            .copied()
            .filter(|step| Some(*step) == newest || step.is_multiple_of(every))
            .collect();
        let kept = &regular[regular.len().saturating_sub(keep.max(1))..];
        let is_kept = |step: u64| best == Some(step) || needed.contains(&step) || kept.contains(&step);
        for step in steps.iter().filter(|step| !is_kept(**step)) {
            remove(&self.folder(*step))?;
        }
        Ok(())
    }

    fn write_partial<E: From<TrainerError>>(
        &self,
        partial: &Path,
        state: &State,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let made = || -> Result<(), files::FileError> {
            if partial.exists() {
                fs::remove_dir_all(partial).at("replace", partial)?;
            }
            fs::create_dir_all(partial).at("create", partial)
        };
        made().map_err(TrainerError::from)?;
        fill(partial)?;
        write_json(&partial.join(STATE_FILE), state)?;
        let manifest = Manifest { format: FORMAT, files: hashes_of(partial)? };
        files::sync_folder(partial).map_err(TrainerError::from)?;
        write_json(&partial.join(MANIFEST_FILE), &manifest)?;
        Ok(())
    }

    fn point(&self, state: &State) -> Result<(), TrainerError> {
        let target = |step| Path::new("checkpoints").join(name_of(step));
        files::replace_link(&self.run.join("last"), &target(state.step))?;
        let link = self.run.join("best");
        match &state.best {
            Some(best) => files::replace_link(&link, &target(best.step))?,
            // What it pointed at is no checkpoint any more.
            None if link.is_symlink() => fs::remove_file(&link).at("remove", &link)?,
            None => {}
        }
        Ok(())
    }

    /// Where the checkpoint of `step` is, if there is one.
    #[must_use]
    pub fn folder(&self, step: u64) -> PathBuf {
        self.run.join("checkpoints").join(name_of(step))
    }

    /// Steps of the checkpoints, ascending.
    pub(crate) fn steps(&self) -> Result<Vec<u64>, TrainerError> {
        let mut steps = Vec::new();
        for path in self.entries()? {
            if let Some(step) = step_of(&path).filter(|_| path.join(MANIFEST_FILE).is_file()) {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }
}

/// The number of a folder called as [`name_of`] has it.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// `step-000200`.
fn name_of(step: u64) -> String {
    format!("step-{step:06}")
}

fn hashes_of(folder: &Path) -> Result<BTreeMap<String, String>, TrainerError> {
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        hashes.insert(name, files::sha256_of_file(&entry.path())?);
    }
    Ok(hashes)
}
