//! What can go wrong with the data as a whole.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::clean::CleanError;
use crate::problem::RowProblem;
use crate::template::TemplateError;

/// The most problems one error shows; a reader fixes the kind, not the hundredth row of it.
pub(crate) const MAX_SHOWN: usize = 20;

/// An error of the data. [`DataError::hint`] says what to do about it, apart from the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of a variant says what its fields are")]
pub enum DataError {
    /// No training file was named.
    #[error("no training data: `data.train` names no file")]
    NoFiles,
    /// A file or folder that is not there.
    #[error("{}: no such file", path.display())]
    Missing { path: PathBuf },
    /// A file that cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A folder without data.
    #[error("{}: the folder has no *.jsonl file", path.display())]
    EmptyFolder { path: PathBuf },
    /// A file without rows.
    #[error("{}: the file has no rows", path.display())]
    Empty { path: PathBuf },
    /// Rows that cannot be used.
    #[error("{0}")]
    Rows(ProblemList),
    /// Nothing is left after rows over the limit were dropped.
    #[error(
        "all {rows} training rows are longer than {max_tokens} tokens; the shortest has {shortest_tokens}"
    )]
    AllTooLong { rows: usize, max_tokens: usize, shortest_tokens: usize },
    /// All validation rows were dropped.
    #[error(
        "all {rows} validation rows are longer than {max_tokens} tokens; the shortest has {shortest_tokens}"
    )]
    AllValidationTooLong { rows: usize, max_tokens: usize, shortest_tokens: usize },
    /// A share that is none.
    #[error("the validation share must lie between 0 and 1, found {fraction}")]
    Fraction { fraction: f64 },
    /// A split with an empty side.
    #[error("of {rows} rows, a validation share of {fraction} leaves none for {side}")]
    EmptySplit { rows: usize, fraction: f64, side: &'static str },
    /// The template does not parse or failed outside any row.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The settings of a step or rule, or a file they name, cannot be used.
    #[error(transparent)]
    Clean(#[from] CleanError),
    /// The tokenizer failed outside any row.
    #[error("the tokenizer failed: {reason}")]
    Tokenizer { reason: String },
}

impl DataError {
    /// What to do about it, where there is something to say; several hints stand on lines of their own.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } => "paths are relative to the working directory",
            Self::Empty { .. } => {
                "a row is one JSON object a line, with `instruction` and `output` or with `messages`"
            }
            Self::Rows(problems) => return problems.hint(),
            Self::AllTooLong { .. } | Self::AllValidationTooLong { .. } => {
                "raise `data.max-tokens`, or set `data.over-long` to \"truncate-prompt\""
            }
            Self::EmptySplit { .. } => "choose another share, or name validation files",
            Self::Template(error) => return error.hint(),
            Self::Clean(error) => error.hint()?,
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<RowProblem> for DataError {
    fn from(problem: RowProblem) -> Self {
        Self::Rows(ProblemList { shown: vec![problem], total: 1 })
    }
}

/// Problems of several rows: the first ones in full, and how many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProblemList {
    shown: Vec<RowProblem>,
    total: usize,
}

impl ProblemList {
    pub(crate) fn push(&mut self, problem: RowProblem) {
        if self.shown.len() < MAX_SHOWN {
            self.shown.push(problem);
        }
        self.total += 1;
    }

    /// The value, or the problems if there are any.
    pub(crate) fn into_result<T>(self, value: T) -> Result<T, DataError> {
        if self.total == 0 { Ok(value) } else { Err(DataError::Rows(self)) }
    }

    /// The first problems, at most 20.
    pub fn shown(&self) -> &[RowProblem] {
        &self.shown
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.total
    }

    fn hint(&self) -> Option<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in self.shown.iter().filter_map(|problem| problem.kind.hint()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        (!hints.is_empty()).then(|| hints.join("\n"))
    }
}

impl fmt::Display for ProblemList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([only], 1) = (self.shown.as_slice(), self.total) {
            return write!(formatter, "{only}");
        }
        write!(formatter, "{} rows cannot be used:", self.total)?;
        for problem in &self.shown {
            write!(formatter, "\n  {problem}")?;
        }
        match self.total - self.shown.len() {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}
