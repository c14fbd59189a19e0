//! What [`prepare`](crate::prepare) is asked to do.

mod privacy;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clean::normalise::{NormaliseOptions, affixes};
use crate::clean::quality::{FilterOptions, LabelCapOptions, Rule};
use crate::input::Source;
use crate::near::Keep;
pub use privacy::{NamesBy, PrivacyMode, PrivacyOptions, PrivacyScope};

/// Where the validation rows come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Validation {
    /// There are none.
    #[default]
    None,
    /// About this share of the training rows, chosen by the hash of each row's content alone; between 0 and 1, exclusive.
    Fraction(f64),
    /// About so many of the training rows, at the most, chosen in the same way; at least 1.
    Rows(usize),
    /// These.
    Files(Vec<Source>),
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

/// What becomes of a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// It is an error; all of them are named.
    #[default]
    Error,
    /// It is left out and counted.
    Drop,
}

/// `[data.clean]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CleanOptions {
    /// What becomes of a row that equals an earlier one, white space, case and punctuation aside.
    pub duplicates: Duplicates,
    /// The similarity, above 0 and up to 1, from which one of two rows goes; none for keeping both.
    pub near_duplicates: Option<f64>,
    /// Which of them stays.
    pub near_duplicates_keep: Keep,
}

/// `[data.leaks]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeakPolicy {
    /// Whether leaks are looked for.
    pub check: bool,
    /// The similarity, above 0 and up to 1, from which a held-out prompt counts as trained on.
    pub similarity: f64,
    /// Held-out rows that may be trained on before it is an error.
    pub accept: usize,
}

impl Default for LeakPolicy {
    fn default() -> Self {
        Self { check: true, similarity: 0.8, accept: 0 }
    }
}

/// The plan of [`prepare`](crate::prepare).
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareOptions {
    /// Training rows.
    pub train: Vec<Source>,
    /// Where the validation rows come from.
    pub validation: Validation,
    /// Golden rows: read only to make sure that none of them is trained on.
    pub golden: Vec<Source>,
    /// What becomes of rows that cannot be read.
    pub bad_rows: BadRows,
    /// What is changed in texts.
    pub normalise: NormaliseOptions,
    /// What becomes of personal data.
    pub privacy: PrivacyOptions,
    /// Which rows are too poor.
    pub filters: FilterOptions,
    /// What becomes of rows that resemble others.
    pub clean: CleanOptions,
    /// How many rows of one label stay.
    pub labels: LabelCapOptions,
    /// What becomes of rows on both sides of the examination.
    pub leaks: LeakPolicy,
    /// The most tokens a row may have.
    pub max_tokens: usize,
    /// What becomes of longer rows.
    pub over_long: OverLong,
    /// Which answers are trained.
    pub train_on: TrainOn,
}

impl PrepareOptions {
    /// The filters that are on.
    pub(crate) fn rules(&self) -> impl Iterator<Item = Rule> {
        // A filter is on where its setting is there; it has the rule's name.
        let set = serde_json::to_value(&self.filters).unwrap_or_default();
        let is_on =
            move |rule: &Rule| !matches!(set.get(rule.name()), None | Some(Value::Null | Value::Bool(false)));
        Rule::ALL.into_iter().filter(is_on)
    }

    /// Files beside the rows that decide what becomes of them.
    pub(crate) fn side_files(&self) -> Vec<PathBuf> {
        let FilterOptions { refusals, toxicity, .. } = &self.filters;
        let files = [
            self.normalise.terminology.file.as_ref(),
            self.normalise.spelling.dictionary.as_ref(),
            self.privacy.salt_file.as_ref(),
            refusals.as_ref().and_then(|refusals| refusals.file.as_ref()),
            toxicity.as_ref().and_then(|toxicity| toxicity.file.as_ref()),
        ];
        // A dictionary of Hunspell is two files.
        let affixes = self.normalise.spelling.dictionary.as_deref().and_then(affixes);
        files.into_iter().flatten().cloned().chain(affixes).collect()
    }
}

impl Default for PrepareOptions {
    /// No files, and the rows that most chat models were tuned on: up to 2,048 tokens.
    fn default() -> Self {
        Self {
            train: Vec::new(),
            validation: Validation::default(),
            golden: Vec::new(),
            bad_rows: BadRows::default(),
            normalise: NormaliseOptions::default(),
            privacy: PrivacyOptions::default(),
            filters: FilterOptions::default(),
            clean: CleanOptions::default(),
            labels: LabelCapOptions::default(),
            leaks: LeakPolicy::default(),
            max_tokens: 2048,
            over_long: OverLong::default(),
            train_on: TrainOn::default(),
        }
    }
}
