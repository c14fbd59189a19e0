//! What is wrong with a configuration: every problem at once, each with its place.

use std::fmt;
use std::path::PathBuf;

/// One problem: where it stands, what was expected and found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column`, or the `--set` argument it came from.
    pub place: String,
    /// What was expected and what was found.
    pub message: String,
    /// What to write instead, when that is known; several hints stand on lines of their own.
    pub hint: Option<String>,
}

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("cannot read the configuration `{path}`")]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not text.
    #[error("`{path}`: expected UTF-8 text, found an invalid byte at offset {offset}")]
    NotText {
        /// The file asked for.
        path: PathBuf,
        /// Bytes before the first invalid one.
        offset: usize,
    },
    /// One or more problems, in the order of the file.
    #[error("{0}")]
    Problems(Problems),
}

/// All problems of one configuration, in the order in which they stand.
#[derive(Debug, Clone)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(out, "the configuration has a problem")?,
            count => write!(out, "the configuration has {count} problems")?,
        }
        for problem in &self.0 {
            write!(out, "\n  {}: {}", problem.place, problem.message)?;
            for line in problem.hint.iter().flat_map(|hint| hint.lines()) {
                write!(out, "\n    hint: {line}")?;
            }
        }
        Ok(())
    }
}
