//! Files of accepted rows: which of them stand, and which have a row that somebody took back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rtune_trainer::files::{FileError, sha256_of, sha256_of_file, write_whole};
use rtune_trainer::line_log::LineLog;
use serde::Deserialize;

use super::files::{files, lines, next_number, to_lines};
use super::{DECISIONS, Decision, ENTRIES, Verdict, is_decision, read_decisions};
use crate::error::FeedbackError;

pub(super) const ACCEPTED: &str = "accepted";
/// Digits of a hash in the name of a file of accepted rows.
const HASH_DIGITS: usize = 12;

/// The files of accepted rows, each held against the hash in its name.
pub(super) struct Frozen {
    /// Those that stand, in the order in which they were written.
    pub(super) files: Vec<PathBuf>,
    /// The ids in them.
    pub(super) standing: BTreeSet<String>,
    /// Those with a row that was rejected later.
    pub(super) withdrawn: Vec<PathBuf>,
    /// The ids in those, of rows that were rejected and others.
    fallen: BTreeSet<String>,
}

impl Frozen {
    /// The files of the queue in `folder`, by what was decided last.
    pub(super) fn of(folder: &Path, decisions: &BTreeMap<String, Decision>) -> Result<Self, FeedbackError> {
        let (mut files_that_stand, mut withdrawn) = (Vec::new(), Vec::new());
        let (mut standing, mut fallen) = (BTreeSet::new(), BTreeSet::new());
        for file in files(&folder.join(ACCEPTED))? {
            let ids = ids(&file)?;
            let is_rejected =
                |id: &String| decisions.get(id).is_some_and(|one| one.decision == Verdict::Reject);
            match ids.iter().any(is_rejected) {
                true => {
                    fallen.extend(ids);
                    withdrawn.push(file);
                }
                false => {
                    standing.extend(ids);
                    files_that_stand.push(file);
                }
            }
        }
        Ok(Self { files: files_that_stand, standing, withdrawn, fallen })
    }

    /// Whether this row was ever written to a file.
    pub(super) fn has(&self, id: &str) -> bool {
        self.standing.contains(id) || self.fallen.contains(id)
    }
}

/// The files of accepted rows of the queue in `folder` that stand, in the order in which they were written, each held against the hash in its name. A
/// file with a row that was rejected later is not among them. Nothing is locked: they never change.
///
/// # Errors
/// [`FeedbackError::NoQueue`], [`FeedbackError::Altered`], [`FileError`]; [`FeedbackError::Unwritten`] where accepted rows are in no file
/// that stands: beside one that was taken back, or after a review that did not come to its end.
pub fn accepted(folder: &Path) -> Result<Vec<PathBuf>, FeedbackError> {
    let (frozen, decisions) = frozen(folder)?;
    // Beside one that was taken back, or decided by a review that was ended before it wrote them.
    let is_left = |one: &&Decision| one.decision == Verdict::Accept && !frozen.standing.contains(&one.id);
    match decisions.values().find(is_left) {
        Some(one) => Err(FeedbackError::Unwritten { id: one.id.clone(), queue: folder.to_owned() }),
        None => Ok(frozen.files),
    }
}

/// The files of accepted rows of which one was rejected later: runs name them, and nothing new is trained on them.
///
/// # Errors
/// [`FeedbackError::NoQueue`], [`FeedbackError::Altered`], [`FileError`].
pub fn withdrawn(folder: &Path) -> Result<Vec<PathBuf>, FeedbackError> {
    Ok(frozen(folder)?.0.withdrawn)
}

fn frozen(folder: &Path) -> Result<(Frozen, BTreeMap<String, Decision>), FeedbackError> {
    if !folder.join(ENTRIES).is_dir() {
        return Err(FeedbackError::NoQueue { folder: folder.to_owned() });
    }
    let path = folder.join(DECISIONS);
    let decisions = match path.exists() {
        true => read_decisions(&path, &LineLog::read(&path, &is_decision)?)?,
        false => BTreeMap::new(),
    };
    Ok((Frozen::of(folder, &decisions)?, decisions))
}

/// Ids of the rows of a file, whose bytes must be those of its name.
fn ids(file: &Path) -> Result<Vec<String>, FeedbackError> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let (expected, found) = (name.split_once('-').map_or("", |(_, hash)| hash), sha256_of_file(file)?);
    if expected.len() != HASH_DIGITS || !found.starts_with(expected) {
        let problem = format!("expected rows whose SHA-256 begins with `{expected}`, found {found}");
        return Err(FeedbackError::Altered { file: file.to_owned(), problem });
    }
    let text = fs::read_to_string(file);
    let text = text.map_err(|source| FileError { action: "read", path: file.to_owned(), source })?;
    Ok(lines::<Id>(file, &text, &|_| Ok(()))?.into_iter().map(|row| row.id).collect())
}

/// Writes rows to a file that never changes.
pub(super) fn write(folder: &Path, rows: &[serde_json::Value]) -> Result<PathBuf, FeedbackError> {
    let folder = folder.join(ACCEPTED);
    let bytes = to_lines(&folder, rows)?;
    let hash = sha256_of(&bytes);
    let number = next_number(&folder)?;
    let path = folder.join(format!("{number:04}-{}.jsonl", &hash[..HASH_DIGITS.min(hash.len())]));
    write_whole(&path, &bytes)?;
    // Whoever edits it by mistake is told so at once; the hash in its name tells of everything else.
    let failed = |source| FileError { action: "protect", path: path.clone(), source };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).map_err(failed)?;
    Ok(path)
}
