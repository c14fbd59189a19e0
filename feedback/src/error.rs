//! What can be wrong with feedback.

use std::path::PathBuf;

use rtune_data::DataError;
use rtune_privacy::NameFinderError;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::FileError;

/// Everything that keeps feedback from being read, kept or decided on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedbackError {
    /// A file of rtune's own.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Rows that feedback is held against, and the scrubber.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model that finds names.
    #[error(transparent)]
    Names(#[from] NameFinderError),
    /// A line of feedback that is none.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected and found.
        problem: String,
    },
    /// A file whose form nobody knows.
    #[error("{file}: {problem}")]
    Form {
        /// The file.
        file: PathBuf,
        /// What was expected and found.
        problem: String,
    },
    /// There is no queue.
    #[error("`{folder}` is no queue: nothing was ever imported into it")]
    NoQueue {
        /// Where it should be.
        folder: PathBuf,
    },
    /// No entry has this id.
    #[error("the queue has no entry `{id}`")]
    NoEntry {
        /// The id.
        id: String,
    },
    /// An entry cannot be decided on in this way.
    #[error("`{id}`: {problem}")]
    Decision {
        /// The entry.
        id: String,
        /// Why not.
        problem: String,
    },
    /// An entry is in a file of accepted rows: it can be taken back, and not written anew.
    #[error("`{id}`: it is in a file of accepted rows already, which runs name by its hash")]
    Frozen {
        /// The entry.
        id: String,
        /// The folder of the queue.
        queue: PathBuf,
    },
    /// An entry was in a file of accepted rows, and was taken back.
    #[error("`{id}`: it was accepted, and rejected later: that stands")]
    Withdrawn {
        /// The entry.
        id: String,
    },
    /// Accepted rows are in no file that stands.
    #[error(
        "the accepted row `{id}` is in no file of rows to train on: its review did not come to its end, or it stood beside a row that was rejected later"
    )]
    Unwritten {
        /// One of them.
        id: String,
        /// The folder of the queue.
        queue: PathBuf,
    },
    /// A file of accepted rows is not what its name says.
    #[error("`{file}`: {problem}")]
    Altered {
        /// The file.
        file: PathBuf,
        /// What was expected and found.
        problem: String,
    },
}

impl From<FileError> for FeedbackError {
    fn from(error: FileError) -> Self {
        Self::Trainer(error.into())
    }
}

impl FeedbackError {
    /// Whether what was given is at fault (exit code 2), and not the machine (1).
    #[must_use]
    pub fn is_input(&self) -> bool {
        match self {
            Self::Trainer(TrainerError::InUse { .. }) => false,
            Self::Trainer(error) => error.is_input(),
            Self::Names(_) => false,
            _ => true,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Trainer(TrainerError::InUse { .. }) => "another process works on the queue: wait for it",
            Self::Trainer(error) => return error.hint(),
            Self::Data(error) => return error.hint(),
            Self::Names(_) => return None,
            Self::Line { .. } => "docs/feedback.md has the fields of each form",
            Self::Form { .. } => "say whose it is: `--from rtune|langsmith|openai|argilla|review`",
            Self::NoQueue { .. } => "`rtune feedback import FILE --queue FOLDER` makes one",
            Self::NoEntry { .. } => "`rtune feedback list --queue FOLDER` lists them",
            Self::Decision { .. } => "`rtune feedback review` shows it, and takes another answer",
            Self::Frozen { id, queue } => {
                return Some(format!(
                    "`rtune feedback review --queue {} --reject {id}` takes it out of what is trained from now on",
                    queue.display()
                ));
            }
            Self::Withdrawn { .. } => "write the row into a training file of your own",
            Self::Unwritten { queue, .. } => {
                return Some(format!(
                    "`rtune feedback review --queue {}` writes it (`q` ends the questions)",
                    queue.display()
                ));
            }
            Self::Altered { .. } => "bring the file back as it was: runs name it by its hash",
        };
        Some(hint.to_owned())
    }
}
