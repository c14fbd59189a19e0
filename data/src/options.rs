//! What [`prepare`](crate::prepare) is asked to do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the validation rows come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Validation {
    /// There are none.
    #[default]
    None,
    /// About this share of the training rows, chosen by the hash of each row's content alone; between 0 and 1, exclusive.
    Fraction(f64),
    /// These files, or folders of `*.jsonl`.
    Files(Vec<PathBuf>),
}

/// What becomes of a row of more than `max_tokens` tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverLong {
    /// It is an error that names the row.
    #[default]
    Error,
    /// It is left out, counted and listed.
    Drop,
    /// Its prompt is shortened; see [`Encoder::shorten`](crate::Encoder::shorten) for what exactly is cut.
    TruncatePrompt,
}

/// Which answers of a conversation are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainOn {
    /// Every assistant turn.
    #[default]
    All,
    /// The last assistant turn.
    Last,
}

/// What becomes of a row that equals an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// The first stands, the others are removed and counted.
    #[default]
    Remove,
    /// They stay and are counted.
    Keep,
}

/// The plan of [`prepare`](crate::prepare).
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareOptions {
    /// Training files, or folders of `*.jsonl`.
    pub train: Vec<PathBuf>,
    /// Where the validation rows come from.
    pub validation: Validation,
    /// Golden files, or folders: read only to make sure that none of their rows is trained on.
    pub golden: Vec<PathBuf>,
    /// The most tokens a row may have.
    pub max_tokens: usize,
    /// What becomes of longer rows.
    pub over_long: OverLong,
    /// Which answers are trained.
    pub train_on: TrainOn,
    /// What becomes of exact duplicates.
    pub duplicates: Duplicates,
}

impl Default for PrepareOptions {
    /// No files, and the rows that most chat models were tuned on: up to 2,048 tokens.
    fn default() -> Self {
        Self {
            train: Vec::new(),
            validation: Validation::default(),
            golden: Vec::new(),
            max_tokens: 2048,
            over_long: OverLong::default(),
            train_on: TrainOn::default(),
            duplicates: Duplicates::default(),
        }
    }
}
