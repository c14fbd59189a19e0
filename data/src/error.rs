//! What can go wrong with the data as a whole.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::clean::CleanError;
use crate::problem::RowProblem;
use crate::spill::SpillError;
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
    /// A filter asks for the base's perplexity, and nobody can say it.
    #[error("`data.filters.max-perplexity` needs the base, and none is at hand")]
    NoPerplexity,
    /// The options name a model that finds names, and none is at hand.
    #[error("`data.privacy.names` names `{model}`, and no model is at hand")]
    NoNameFinder { model: String },
    /// Personal data cannot be looked for or replaced as the options say.
    #[error("`data.privacy`: {reason}")]
    Privacy { reason: String, hint: Option<&'static str> },
    /// What became of a row could not be written down.
    #[error("the rows cannot be written")]
    Account { source: io::Error },
    /// What is neither a file nor a folder.
    #[error("{}: expected a file, found {found}", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    /// A folder without data.
    #[error("{}: the folder has no data file", path.display())]
    EmptyFolder { path: PathBuf },
    /// A pattern of names that no file has.
    #[error("{pattern}: no file has a name like this")]
    NoMatch { pattern: String },
    /// A pattern that is none.
    #[error("{pattern}: not a pattern of names: {reason}")]
    Pattern { pattern: String, reason: String },
    /// An archive that ends too early or is damaged.
    #[error("{}: the archive {}", path.display(), archive_fault(.source))]
    Archive { path: PathBuf, source: io::Error },
    /// An archive that expands beyond all measure.
    #[error("{}: the archive expands to more than {ratio} times its size", path.display())]
    Bomb { path: PathBuf, ratio: u64 },
    /// Text that is not UTF-8 from its first bytes.
    #[error("{}: the file is UTF-16, expected UTF-8", path.display())]
    Utf16 { path: PathBuf },
    /// A file that lacks what its format needs.
    #[error("{}: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    /// A format that this program was built without.
    #[error("{}: this rtune was built without Parquet", path.display())]
    NoParquet { path: PathBuf },
    /// A source of mail or tickets in which nobody would answer.
    #[error("{}: nobody in it answers: the source names no `agents`", path.display())]
    NoAgents { path: PathBuf },
    /// A mapping of a field that no form has.
    #[error("`fields` maps `{field}`, which is no field of a row")]
    UnknownField { field: String },
    /// A format that is not known.
    #[error("unknown format `{found}`")]
    UnknownFormat { found: String },
    /// A weight that is none.
    #[error("{}: the weight of a source must be more than 0 and finite, found {weight}", path.display())]
    Weight { path: PathBuf, weight: f64 },
    /// A part that is none.
    #[error("{}: the share of a source must be above 0 and up to 1, found {share}", path.display())]
    Share { path: PathBuf, share: f64 },
    /// What says which golden rows are kept back does not.
    #[error("{}: no seal of golden rows: {problem}", path.display())]
    Seal { path: PathBuf, problem: String },
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
    /// Nothing is left to train on.
    #[error("no training row is left; dropped: {reasons}")]
    NothingLeft { reasons: String },
    /// All validation rows were dropped.
    #[error(
        "all {rows} validation rows are longer than {max_tokens} tokens; the shortest has {shortest_tokens}"
    )]
    AllValidationTooLong { rows: usize, max_tokens: usize, shortest_tokens: usize },
    /// A share that is none.
    #[error("the validation share must lie between 0 and 1, found {fraction}")]
    Fraction { fraction: f64 },
    /// No rows are asked for.
    #[error("validation rows must be at least 1, found 0")]
    NoValidationRows,
    /// A split with an empty side.
    #[error("of {rows} rows, a validation share of {fraction} leaves none for {side}")]
    EmptySplit { rows: usize, fraction: f64, side: &'static str },
    /// More validation rows than can be held back.
    #[error("of {rows} rows, {wanted} for validation leave none for training")]
    TooManyHeldBack { rows: usize, wanted: usize },
    /// A prepared row on disk that cannot be read again.
    #[error("{}: {problem}", path.display())]
    Stored { path: PathBuf, problem: String },
    /// A temporary file of a comparison.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// A similarity that is none, or at which everything is near.
    #[error("a similarity must lie between {least} and 1, found {similarity}")]
    Similarity { similarity: f64, least: f64 },
    /// More rows than are told apart.
    #[error("more than {most} rows")]
    TooManyRows { most: usize },
    /// The template does not parse or failed outside any row.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The template was stopped on one row after another.
    #[error("the chat template (`data.template`, or that of the base) was stopped on {rows} rows")]
    TemplateStopped { rows: usize, source: TemplateError },
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
            Self::EmptyFolder { .. } => {
                "data files end in .jsonl, .json, .csv, .tsv, .mbox or .parquet, with .gz or .zst behind; texts (.txt) are read where the source's `format` is \"text\""
            }
            Self::NoMatch { .. } => "patterns are relative to the working directory; ** stands for folders",
            Self::Archive { .. } => "copy or download it again, or unpack it to see how far it goes",
            Self::Bomb { .. } => "unpack it yourself if it is what you think",
            Self::Utf16 { .. } => "save the file as UTF-8 (`iconv -f UTF-16 -t UTF-8` converts)",
            Self::NoParquet { .. } => {
                "build it with `cargo build --release --features parquet`, or write the rows as JSONL"
            }
            Self::NoAgents { .. } => {
                "`agents` lists your own addresses or domains: what they wrote are the answers"
            }
            Self::UnknownField { .. } => return Some(format!("known: {}", crate::input::known_fields())),
            Self::UnknownFormat { .. } => return Some(format!("known: {}", crate::input::Format::known())),
            Self::Rows(problems) => return problems.hint(),
            Self::AllTooLong { .. } | Self::AllValidationTooLong { .. } => {
                "raise `data.max-tokens`, or set `data.over-long` to \"truncate-prompt\""
            }
            Self::Seal { .. } => {
                "bring it back from where it was written; a seal has `format = 1`, a `key` and a `share`, and without it nobody knows which rows are kept back"
            }
            Self::Privacy { hint, .. } => (*hint)?,
            Self::NothingLeft { .. } => "look at the thresholds of the stages named",
            Self::EmptySplit { .. } => {
                "choose another share, name validation files, or hold none back: `data.validation = 0.0`"
            }
            Self::Stored { .. } => {
                "prepared rows are read from disk where they are many: see what ails the disk, and run the same command again, which goes on from its last checkpoint with `--resume`"
            }
            Self::Spill(_) => {
                "preparing rows wants room on disk for a few times the data: set TMPDIR to a folder on a disk that has it"
            }
            Self::Template(error) => return error.hint(),
            Self::TemplateStopped { .. } => {
                "each of them took seconds: mend the template, or name another as `data.template`"
            }
            Self::Clean(error) => error.hint()?,
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn archive_fault(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "is cut short",
        _ => "is damaged",
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

    /// There are `total` problems, of which only the first were pushed.
    pub(crate) fn and_more(&mut self, total: usize) {
        self.total = self.total.max(total);
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
