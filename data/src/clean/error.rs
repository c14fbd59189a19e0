//! What can be wrong with the settings of a step or a rule, and with the files they name.

use std::io;
use std::path::PathBuf;

/// An error of the settings of normalising or filtering. [`CleanError::hint`] says what to do, apart from the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of a variant says what its fields are")]
pub enum CleanError {
    /// A file that cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file larger than any list of words.
    #[error("{}: {bytes} bytes, more than the {most} a word list may have", path.display())]
    TooLarge { path: PathBuf, bytes: u64, most: u64 },
    /// A file of a format that is none of ours.
    #[error("{}: expected a file ending in {expected}", path.display())]
    UnknownFormat { path: PathBuf, expected: &'static str },
    /// A line that is not as it should be.
    #[error("{}:{line}: expected {expected}, found {found}", path.display())]
    Line { path: PathBuf, line: usize, expected: &'static str, found: String },
    /// One term with two preferred forms.
    #[error(
        "{}:{line}: `{term}` is `{found}` here, and `{expected}` in line {first}",
        path.display()
    )]
    Conflict { path: PathBuf, line: usize, first: usize, term: String, expected: String, found: String },
    /// Terms that lead back to themselves.
    #[error("{}:{line}: the terms go in a circle: {}", path.display(), circle.join(" -> "))]
    Cycle { path: PathBuf, line: usize, circle: Vec<String> },
    /// A dictionary that cannot be used.
    #[error("{}: not a dictionary: {reason}", path.display())]
    Dictionary { path: PathBuf, reason: String },
    /// A setting out of its range.
    #[error("`{setting}` must be {expected}, found {found}")]
    Setting { setting: &'static str, expected: &'static str, found: String },
    /// A step that would work where it must not.
    #[error("the step `{step}` cannot work on {part}")]
    Part { step: &'static str, part: &'static str },
    /// A step without what it needs.
    #[error("the step `{step}` needs `{setting}`")]
    Missing { step: &'static str, setting: &'static str },
    /// What a step learns from all rows was not handed in.
    #[error("the step `{step}` needs a first pass over the rows, and none was made")]
    NoFirstPass { step: &'static str },
    /// The base's perplexities are not as many as the rows, or no numbers.
    #[error("perplexity: expected {expected}, found {found}")]
    Perplexity { expected: String, found: String },
}

impl CleanError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreadable { .. } => "paths are relative to the working directory",
            Self::Conflict { .. } => "a term has one preferred form: remove one of the two lines",
            Self::Cycle { .. } => "remove the line that leads back",
            Self::Dictionary { .. } => {
                "give a Hunspell dictionary (words.dic with words.aff beside it) or a plain list, one word a line"
            }
            Self::Part { .. } => {
                "it changes how people write, and answers and system turns are the author's own"
            }
            _ => return None,
        })
    }
}
