//! How `current` moves: a list of steps, of which the last alone changes what is in use.
//!
//! | step | stopped before it, there is |
//! | --- | --- |
//! | version.json into the folder in the making | a folder that is no version, removed by the next writer |
//! | the folder gets its name | the same |
//! | history.json with the move | a whole version that was never in use |
//! | the link `current` | a move in history.json that the link contradicts: it is left out, and removed by the next writer |

use std::fs;
use std::path::{Path, PathBuf};

use rtune_trainer::checkpoint::to_json;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{FileError, replace_link, sync_folder, write_whole};
use serde::{Deserialize, Serialize};

use crate::error::RegistryError;
use crate::version::THIS_FORMAT;

/// Why `current` moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A version was let in.
    Promote,
    /// An earlier one came back.
    Rollback,
}

/// A move of `current`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// When, in seconds of Unix time.
    pub unix_seconds: u64,
    /// Why.
    pub action: Action,
    /// What was in use.
    pub from: Option<String>,
    /// What is in use since then.
    pub to: String,
    /// SHA-256 of that version's version.json, which names the hash of all else.
    pub version_sha256: String,
    /// In words.
    pub reason: String,
}

/// history.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    pub(crate) format: u64,
    pub(crate) moves: Vec<Move>,
}

impl History {
    /// The moves that happened: the last is only written down where the link still points at what it moved from.
    ///
    /// # Errors
    /// [`RegistryError::Link`] where the link points elsewhere: somebody else moved or lost it, and no move is forgotten for that.
    pub(crate) fn happened(mut self, registry: &Path, current: Option<&str>) -> Result<Self, RegistryError> {
        match self.moves.last() {
            None if current.is_none() => {}
            Some(last) if current == Some(last.to.as_str()) => {}
            Some(last) if current == last.from.as_deref() && current.is_some() == (self.moves.len() > 1) => {
                self.moves.pop();
            }
            last => {
                let expected = last.map_or_else(|| "none".to_owned(), |last| format!("`{}`", last.to));
                let found =
                    current.map_or_else(|| "nothing".to_owned(), |name| format!("a link to `{name}`"));
                let found = format!("{found}, where history.json has {expected}");
                return Err(RegistryError::Link { link: registry.join("current"), found });
            }
        }
        Ok(self)
    }

    /// [`Self::happened`] for somebody who does not hold the registry: `read` gives history.json, then the version in use. A move may be made
    /// between the two, or several, so that they are read until both are what they were.
    ///
    /// # Errors
    /// As [`Self::happened`], and those of `read`.
    pub(crate) fn seen(
        registry: &Path,
        mut read: impl FnMut() -> Result<(Self, Option<String>), RegistryError>,
    ) -> Result<Self, RegistryError> {
        /// Moves take much longer than looks: more of them at a stretch are not made.
        const MOST_LOOKS: usize = 4;
        let mut seen = read()?;
        for _ in 1..MOST_LOOKS {
            let again = read()?;
            if again == seen {
                break;
            }
            seen = again;
        }
        let (written, current) = seen;
        written.happened(registry, current.as_deref())
    }

    /// With one move more, as a file.
    pub(crate) fn with(mut self, path: &Path, one: Move) -> Result<Step, RegistryError> {
        self.format = THIS_FORMAT;
        self.moves.push(one);
        Step::json(path, &self)
    }
}

/// One change of the disk, whole or not done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Replaces a file.
    Write { path: PathBuf, bytes: Vec<u8> },
    /// Flushes a folder with all in it, and gives it its name.
    Settle { from: PathBuf, to: PathBuf },
    /// Points a link at what stands beside it.
    Link { path: PathBuf, target: PathBuf },
}

impl Step {
    pub(crate) fn json(path: &Path, value: &impl Serialize) -> Result<Self, RegistryError> {
        Ok(Self::Write { path: path.to_owned(), bytes: to_json(path, value)? })
    }

    pub(crate) fn perform(&self) -> Result<(), RegistryError> {
        match self {
            Self::Write { path, bytes } => write_whole(path, bytes)?,
            Self::Link { path, target } => replace_link(path, target)?,
            Self::Settle { from, to } => {
                settle(from)?;
                let failed = |source| FileError { action: "write", path: to.clone(), source };
                fs::rename(from, to).map_err(failed)?;
                sync_folder(to.parent().unwrap_or(Path::new(".")))?;
            }
        }
        Ok(())
    }
}

/// Flushes a folder and those in it.
fn settle(folder: &Path) -> Result<(), TrainerError> {
    let failed = |source| FileError { action: "read", path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            settle(&entry.path())?;
        }
    }
    Ok(sync_folder(folder)?)
}
