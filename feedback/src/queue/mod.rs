//! The folder of a queue.
//!
//! ```text
//! entries/0001.jsonl               what one import kept; never changed
//! decisions.jsonl                  what people decided, a line each; the last of an entry counts
//! accepted/0001-3f9a1c2b4d5e.jsonl rows to train on, with the first digits of the SHA-256 of their bytes; never changed
//! salt                             what users are hashed with
//! ```
//!
//! A row that was accepted can be rejected later. Its file stays for the runs that name it, and stands for nothing new: what else it has goes into
//! the next one.

mod accepted;
mod files;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rtune_data::check_row;
use rtune_trainer::files::{FileError, remove_begun, write_whole};
use rtune_trainer::line_log::LineLog;
use rtune_trainer::lock::RunLock;
use serde::{Deserialize, Serialize};

use self::accepted::{ACCEPTED, Frozen};
pub use self::accepted::{accepted, withdrawn};
use self::files::{files, lines, next_number, to_lines};
use crate::entry::{Entry, FORMAT};
use crate::error::FeedbackError;
use crate::intake::row;

const ENTRIES: &str = "entries";
const DECISIONS: &str = "decisions.jsonl";
const SALT: &str = "salt";

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

impl Decision {
    fn check(&self) -> Result<(), String> {
        match self.format {
            FORMAT => Ok(()),
            other => Err(format!("expected `format` {FORMAT}, found {other}")),
        }
    }
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
    /// [`FeedbackError::NoQueue`]; [`rtune_trainer::error::TrainerError::InUse`] where another process works on it; files that are not what they should be.
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
        let (log, text) = LineLog::open(&path, &is_decision)?;
        let decisions = read_decisions(&path, &text)?;
        let mut all = Vec::new();
        for file in files(&entries)? {
            let text = fs::read_to_string(&file);
            let text = text.map_err(|source| FileError { action: "read", path: file.clone(), source })?;
            all.extend(lines::<Entry>(&file, &text, &Entry::check)?);
        }
        Ok(Self { folder: folder.to_owned(), entries: all, decisions, log, _lock: lock })
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
    /// [`FeedbackError::NoEntry`]; [`FeedbackError::Decision`] for one that cannot be accepted, [`FeedbackError::Frozen`] and
    /// [`FeedbackError::Withdrawn`] for one that was; [`FileError`].
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
            if let Some(problem) = unfit(entry, decision.answer.as_deref()) {
                return cannot(problem);
            }
            // What is in a file can only be taken back, and stays so: the file that has it stands again for no later word.
            if Frozen::of(&self.folder, &self.decisions)?.has(&decision.id) {
                let (id, queue) = (decision.id.clone(), self.folder.clone());
                return Err(match self.state(entry) {
                    State::Rejected => FeedbackError::Withdrawn { id },
                    _ => FeedbackError::Frozen { id, queue },
                });
            }
        }
        let line = serde_json::to_string(&decision).map_err(|error| FeedbackError::Decision {
            id: decision.id.clone(),
            problem: error.to_string(),
        })?;
        self.log.append(&line)?;
        self.decisions.insert(decision.id.clone(), decision);
        Ok(())
    }

    /// Writes the rows that were accepted and are in no file that stands into one that never changes; `None` where there are none. Rows beside
    /// one that was withdrawn are among them.
    ///
    /// # Errors
    /// [`FileError`]; [`FeedbackError::Altered`] for files that were changed.
    pub fn freeze(&mut self) -> Result<Option<PathBuf>, FeedbackError> {
        let standing = Frozen::of(&self.folder, &self.decisions)?.standing;
        let accepted = self.entries.iter().filter(|entry| self.state(entry) == State::Accepted);
        let rows: Vec<serde_json::Value> = accepted
            .filter(|entry| !standing.contains(&entry.id))
            .filter_map(|entry| {
                let answer = self.decisions.get(&entry.id)?.answer.as_deref().or(entry.to_train())?;
                Some(row(entry, answer))
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        accepted::write(&self.folder, &rows).map(Some)
    }
}

/// Why an entry can be no training row with this answer, or with its own; `None` where it can.
#[must_use]
pub fn unfit(entry: &Entry, answer: Option<&str>) -> Option<String> {
    let Some(answer) = answer.or(entry.to_train()).filter(|answer| !answer.trim().is_empty()) else {
        return Some("it has no answer to train on: nobody liked or corrected it".to_owned());
    };
    let problem = check_row(&row(entry, answer).to_string()).err()?;
    Some(format!("it can be no training row: {problem}"))
}

fn read_decisions(path: &Path, text: &str) -> Result<BTreeMap<String, Decision>, FeedbackError> {
    let decisions = lines::<Decision>(path, text, &Decision::check)?;
    Ok(decisions.into_iter().map(|one| (one.id.clone(), one)).collect())
}

/// Whether a line is a decision.
fn is_decision(line: &str) -> Result<(), String> {
    serde_json::from_str::<Decision>(line).map_err(|error| format!("not a decision: {error}"))?.check()
}
