//! The folder of a queue.
//!
//! ```text
//! entries/0001.jsonl               what one import kept; never changed
//! decisions.jsonl                  what people decided, a line each; the last of an entry counts
//! accepted/0001-3f9a1c2b4d5e.jsonl rows to train on, with the first digits of the SHA-256 of their bytes; never changed
//! salt                             what users are hashed with
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{FileError, remove_begun, sha256_of, sha256_of_file, write_whole};
use rtune_trainer::line_log::LineLog;
use rtune_trainer::lock::RunLock;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, FORMAT};
use crate::error::FeedbackError;
use crate::intake::row;

const ENTRIES: &str = "entries";
const ACCEPTED: &str = "accepted";
const DECISIONS: &str = "decisions.jsonl";
const SALT: &str = "salt";
/// Digits of a hash in the name of a file of accepted rows.
const HASH_DIGITS: usize = 12;

/// What somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It becomes a training row.
    Accept,
    /// It does not.
    Reject,
}

/// A line of decisions.jsonl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// 1.
    pub format: u64,
    /// The entry.
    pub id: String,
    /// What was decided.
    pub decision: Verdict,
    /// The answer to train on, where it is neither the correction nor the answer that was liked.
    pub answer: Option<String>,
    /// Who decided.
    pub by: String,
    /// When, in seconds of Unix time.
    pub unix_seconds: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody decided.
    Waiting,
    /// It is a training row, or will be.
    Accepted,
    /// It is none.
    Rejected,
    /// It resembles a golden row, and can be none.
    Golden,
}

impl State {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Golden => "golden",
        }
    }
}

/// A queue that one process works on.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    entries: Vec<Entry>,
    decisions: BTreeMap<String, Decision>,
    log: LineLog,
    _lock: RunLock,
}

impl Queue {
    /// Opens the queue in `folder`, made where there is none if `make`.
    ///
    /// # Errors
    /// [`FeedbackError::NoQueue`]; [`TrainerError::InUse`] where another process works on it; files that are not what they should be.
    pub fn open(folder: &Path, make: bool) -> Result<Self, FeedbackError> {
        let entries = folder.join(ENTRIES);
        if !make && !entries.is_dir() {
            return Err(FeedbackError::NoQueue { folder: folder.to_owned() });
        }
        for inner in [&entries, &folder.join(ACCEPTED)] {
            let failed = |source| FileError { action: "create", path: inner.clone(), source };
            fs::create_dir_all(inner).map_err(failed)?;
        }
        let lock = RunLock::take(folder)?;
        for inner in [folder, &entries, &folder.join(ACCEPTED)] {
            remove_begun(inner)?;
        }
        let path = folder.join(DECISIONS);
        let (log, text) = LineLog::open(&path, &|line| serde_json::from_str::<Decision>(line).is_ok())?;
        let decisions = lines::<Decision>(&path, &text, &|one| match one.format {
            FORMAT => Ok(()),
            other => Err(format!("expected `format` {FORMAT}, found {other}")),
        })?;
        let mut all = Vec::new();
        for file in files(&entries)? {
            let text = fs::read_to_string(&file);
            let text = text.map_err(|source| FileError { action: "read", path: file.clone(), source })?;
            all.extend(lines::<Entry>(&file, &text, &Entry::check)?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            entries: all,
            decisions: decisions.into_iter().map(|one| (one.id.clone(), one)).collect(),
            log,
            _lock: lock,
        })
    }

    /// What is in it, in the order in which it came.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this id.
    ///
    /// # Errors
    /// [`FeedbackError::NoEntry`].
    pub fn entry(&self, id: &str) -> Result<&Entry, FeedbackError> {
        let found = self.entries.iter().find(|entry| entry.id == id);
        found.ok_or_else(|| FeedbackError::NoEntry { id: id.to_owned() })
    }

    /// What became of an entry.
    #[must_use]
    pub fn state(&self, entry: &Entry) -> State {
        match self.decisions.get(&entry.id).map(|decision| decision.decision) {
            _ if entry.leak.is_some() => State::Golden,
            None => State::Waiting,
            Some(Verdict::Accept) => State::Accepted,
            Some(Verdict::Reject) => State::Rejected,
        }
    }

    /// What users are hashed with, drawn when it is first asked for.
    ///
    /// # Errors
    /// [`FileError`], and a salt that has another length.
    pub fn salt(&self) -> Result<[u8; 32], FeedbackError> {
        let path = self.folder.join(SALT);
        let failed = |action| {
            let path = path.clone();
            move |source| FileError { action, path, source }
        };
        let mut salt = [0; 32];
        if path.exists() {
            let mut file = fs::File::open(&path).map_err(failed("read"))?;
            let length = file.metadata().map_err(failed("read"))?.len();
            if length != salt.len() as u64 {
                let problem = format!("expected a salt of 32 bytes, found {length}");
                return Err(FeedbackError::Altered { file: path, problem });
            }
            file.read_exact(&mut salt).map_err(failed("read"))?;
            return Ok(salt);
        }
        getrandom::fill(&mut salt)
            .map_err(|error| failed("draw")(std::io::Error::other(error.to_string())))?;
        // Beside its place first: half a salt would be another one.
        let beside = self.folder.join(format!(".{SALT}.partial"));
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed("write"))?;
        file.write_all(&salt).and_then(|()| file.sync_all()).map_err(failed("write"))?;
        fs::rename(&beside, &path).map_err(failed("write"))?;
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed("write"))?;
        Ok(salt)
    }

    /// Adds what an import kept, in a file of its own; `None` where it kept nothing.
    ///
    /// # Errors
    /// [`FileError`], after which the queue is as it was.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<Option<PathBuf>, FeedbackError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let folder = self.folder.join(ENTRIES);
        let path = folder.join(format!("{:04}.jsonl", next_number(&folder)?));
        write_whole(&path, &to_lines(&path, &entries)?)?;
        self.entries.extend(entries);
        Ok(Some(path))
    }

    /// Writes a decision down; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`FeedbackError::NoEntry`]; [`FeedbackError::Decision`] for one that cannot be accepted; [`FileError`].
    pub fn decide(&mut self, decision: Decision) -> Result<(), FeedbackError> {
        let entry = self.entry(&decision.id)?;
        let cannot = |problem: String| Err(FeedbackError::Decision { id: decision.id.clone(), problem });
        if let Some(leak) = &entry.leak {
            return cannot(format!(
                "it resembles the golden row {}, and never becomes a training row",
                leak.golden
            ));
        }
        if decision.decision == Verdict::Accept {
            let answer = decision.answer.as_deref().or(entry.to_train());
            if answer.is_none_or(|answer| answer.trim().is_empty()) {
                return cannot("it has no answer to train on: nobody liked or corrected it".to_owned());
            }
        }
        if self.frozen()?.contains(&decision.id) {
            return cannot(
                "it is in a file of accepted rows already, which runs name by its hash".to_owned(),
            );
        }
        let line = serde_json::to_string(&decision).map_err(|error| FeedbackError::Decision {
            id: decision.id.clone(),
            problem: error.to_string(),
        })?;
        self.log.append(&line)?;
        self.decisions.insert(decision.id.clone(), decision);
        Ok(())
    }

    /// Writes the rows that were accepted and are in no file yet into one that never changes; `None` where there are none.
    ///
    /// # Errors
    /// [`FileError`]; [`FeedbackError::Altered`] for files that were changed.
    pub fn freeze(&mut self) -> Result<Option<PathBuf>, FeedbackError> {
        let frozen = self.frozen()?;
        let accepted = self.entries.iter().filter(|entry| self.state(entry) == State::Accepted);
        let rows: Vec<serde_json::Value> = accepted
            .filter(|entry| !frozen.contains(&entry.id))
            .filter_map(|entry| {
                let answer = self.decisions.get(&entry.id)?.answer.as_deref().or(entry.to_train())?;
                Some(row(entry, answer))
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let folder = self.folder.join(ACCEPTED);
        let bytes = to_lines(&folder, &rows)?;
        let hash = sha256_of(&bytes);
        let number = next_number(&folder)?;
        let path = folder.join(format!("{number:04}-{}.jsonl", &hash[..HASH_DIGITS.min(hash.len())]));
        write_whole(&path, &bytes)?;
        // Whoever edits it by mistake is told so at once; the hash in its name tells of everything else.
        let failed = |source| FileError { action: "protect", path: path.clone(), source };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).map_err(failed)?;
        Ok(Some(path))
    }

    /// Ids of the rows in files of accepted rows.
    fn frozen(&self) -> Result<BTreeSet<String>, FeedbackError> {
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let mut ids = BTreeSet::new();
        for file in accepted(&self.folder)? {
            let text = fs::read_to_string(&file);
            let text = text.map_err(|source| FileError { action: "read", path: file.clone(), source })?;
            ids.extend(lines::<Id>(&file, &text, &|_| Ok(()))?.into_iter().map(|row| row.id));
        }
        Ok(ids)
    }
}

/// The files of accepted rows of the queue in `folder`, in the order in which they were written, each held against the hash in its name. Nothing
/// is locked: they never change.
///
/// # Errors
/// [`FeedbackError::NoQueue`], [`FeedbackError::Altered`], [`FileError`].
pub fn accepted(folder: &Path) -> Result<Vec<PathBuf>, FeedbackError> {
    if !folder.join(ENTRIES).is_dir() {
        return Err(FeedbackError::NoQueue { folder: folder.to_owned() });
    }
    let all = files(&folder.join(ACCEPTED))?;
    for file in &all {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let (expected, found) = (name.split_once('-').map_or("", |(_, hash)| hash), sha256_of_file(file)?);
        if expected.len() != HASH_DIGITS || !found.starts_with(expected) {
            let problem = format!("expected rows whose SHA-256 begins with `{expected}`, found {found}");
            return Err(FeedbackError::Altered { file: file.clone(), problem });
        }
    }
    Ok(all)
}

/// The .jsonl files of a folder, by their names; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, FeedbackError> {
    let failed = |source| FileError { action: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "jsonl") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// One more than the highest number that a file's name begins with.
fn next_number(folder: &Path) -> Result<u64, FeedbackError> {
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        name.split(['-', '.']).next()?.parse::<u64>().ok()
    };
    Ok(files(folder)?.iter().filter_map(number).max().unwrap_or(0) + 1)
}

fn to_lines<T: Serialize>(path: &Path, all: &[T]) -> Result<Vec<u8>, FeedbackError> {
    let mut bytes = Vec::new();
    for one in all {
        let written = serde_json::to_writer(&mut bytes, one);
        let problem = |error: serde_json::Error| error.to_string();
        written
            .map_err(|error| TrainerError::Unreadable { file: path.to_owned(), problem: problem(error) })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn lines<T: serde::de::DeserializeOwned>(
    path: &Path,
    text: &str,
    check: &dyn Fn(&T) -> Result<(), String>,
) -> Result<Vec<T>, FeedbackError> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let parsed = serde_json::from_str::<T>(line).map_err(|error| error.to_string());
            let checked = parsed.and_then(|one| check(&one).map(|()| one));
            checked.map_err(|problem| FeedbackError::Line { file: path.to_owned(), line: number, problem })
        })
        .collect()
}
