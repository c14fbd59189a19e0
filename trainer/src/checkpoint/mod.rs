//! Checkpoints: an adapter that `peft` loads, the optimizer's moments, the state of the run, and a manifest.
//!
//! A checkpoint is written into a folder beside its place, synced and renamed, its manifest last, so that a folder
//! with a manifest is whole. `best` and `last` in the run folder are relative links, replaced in one go.

mod moments;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TrainerError;
use crate::files::{self, At};

pub use moments::{NamedSlice, read_moments, write_moments};

/// The format of every file written here; readers refuse any other.
pub const FORMAT: u64 = 1;

/// The moments' file.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "state.json";
const MANIFEST_FILE: &str = "manifest.json";

/// Where a run stands: enough, with the adapter and the moments, to go on bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`FORMAT`].
    pub format: u64,
    /// Steps done.
    pub step: u64,
    /// The epoch of the next step, from 0.
    pub epoch: u64,
    /// Steps of that epoch that are done.
    pub position: u64,
    /// Tokens seen, over all steps.
    pub tokens: u64,
    /// Supervised tokens seen, over all steps.
    pub supervised_tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
}

/// The evaluation with the lowest validation loss; of equal ones the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Steps done at that evaluation.
    pub step: u64,
    /// Nats a supervised token.
    pub validation_loss_nats: f64,
}

impl State {
    /// Before the first step.
    pub fn start() -> Self {
        Self { format: FORMAT, step: 0, epoch: 0, position: 0, tokens: 0, supervised_tokens: 0, best: None }
    }
}

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
        }
        if !manifest.files.contains_key(STATE_FILE) {
            let problem = format!("its manifest does not name {STATE_FILE}");
            return Err(TrainerError::NotACheckpoint { folder: folder.to_owned(), problem });
        }
        Ok(Self { folder: folder.to_owned(), state: read_json(&folder.join(STATE_FILE))? })
    }
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

    /// The checkpoint with the most steps, verified; `None` when there is none.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]: a damaged last checkpoint is not passed over in silence.
    pub fn last(&self) -> Result<Option<Checkpoint>, TrainerError> {
        match self.steps()?.last() {
            Some(step) => Checkpoint::open(&self.folder(*step)).map(Some),
            None => Ok(None),
        }
    }

    /// Removes all but the `keep` newest and the best, and what was begun and not ended.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a folder cannot be removed.
    pub fn prune(&self, keep: usize, best: Option<u64>) -> Result<(), TrainerError> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(keep.max(1));
        for step in steps[..old].iter().filter(|step| Some(**step) != best) {
            let folder = self.folder(*step);
            // Without its manifest the folder is no checkpoint, so a removal that is cut short leaves no half of one.
            let manifest = folder.join(MANIFEST_FILE);
            fs::remove_file(&manifest).at("remove", &manifest)?;
            fs::remove_dir_all(&folder).at("remove", &folder)?;
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

    fn put_in_place(&self, partial: &Path, folder: &Path) -> Result<(), TrainerError> {
        if folder.exists() {
            // Only a folder that is no checkpoint, or one of an abandoned continuation, can be here.
            fs::remove_dir_all(folder).at("replace", folder)?;
        }
        fs::rename(partial, folder).at("write", folder)?;
        Ok(files::sync_folder_of(folder)?)
    }

    fn point(&self, state: &State) -> Result<(), TrainerError> {
        let target = |step| Path::new("checkpoints").join(name_of(step));
        files::replace_link(&self.run.join("last"), &target(state.step))?;
        if let Some(best) = &state.best {
            files::replace_link(&self.run.join("best"), &target(best.step))?;
        }
        Ok(())
    }

    fn folder(&self, step: u64) -> PathBuf {
        self.run.join("checkpoints").join(name_of(step))
    }

    /// Steps of the whole checkpoints, ascending.
    fn steps(&self) -> Result<Vec<u64>, TrainerError> {
        let folder = self.run.join("checkpoints");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at("read", &folder)?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let path = entry.at("read", &folder)?.path();
            let step = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.parse().ok());
            if let Some(step) = step.filter(|_| path.join(MANIFEST_FILE).is_file()) {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }
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

/// Writes `value` as JSON that a person can read, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainerError> {
    let unreadable = |error: serde_json::Error| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: error.to_string(),
    };
    let mut text = serde_json::to_string_pretty(value).map_err(unreadable)?;
    text.push('\n');
    Ok(files::write_whole(path, text.as_bytes())?)
}

/// Reads one of our JSON files, refusing another `format` before anything else is looked at.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let value = read_value(path)?;
    match value.get("format") {
        Some(format) if *format == FORMAT => {}
        found => {
            let found = found.map_or("none".to_owned(), ToString::to_string);
            return Err(unreadable(format!("expected `format` {FORMAT}, found {found}")));
        }
    }
    serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))
}

/// Reads any JSON file.
pub(crate) fn read_value(path: &Path) -> Result<serde_json::Value, TrainerError> {
    let bytes = fs::read(path).at("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| TrainerError::Unreadable {
        file: path.to_owned(),
        problem: format!("not valid JSON: {error}"),
    })
}
