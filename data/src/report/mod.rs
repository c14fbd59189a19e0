//! What became of the data, as it is written to `data-report.json`.

mod counts;
mod page;
mod stages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::options::{Duplicates, OverLong};

pub(crate) use counts::Counts;
pub use counts::{Bar, Statistics};
pub use stages::{Shown, StageReport};
pub(crate) use stages::{Stage, Stages};

/// The version of the report's form.
pub(crate) const FORMAT: u32 = 2;

/// The whole report. It names files as the configuration does, holds no time and no host, and shows no personal data:
/// examples of texts have what was found in them taken out, whatever becomes of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// The version of this form: 2.
    pub format: u32,
    /// The files, in the order they were read.
    pub files: Vec<FileReport>,
    /// The stages, in the order rows pass them. What one lets out, the next takes in.
    pub stages: Vec<StageReport>,
    /// Equal and nearly equal rows.
    pub duplicates: DuplicateReport,
    /// Personal data and secrets.
    pub privacy: PrivacyReport,
    /// For each filter that is on how many rows it would drop if it stood alone.
    pub filters: BTreeMap<String, usize>,
    /// The labels of a classification set; none where the answers are no labels.
    pub labels: Option<serde_json::Value>,
    /// Rows on both sides of the examination.
    pub leaks: LeakReport,
    /// What is trained on.
    pub train: SetReport,
    /// What the run is measured on.
    pub validation: SetReport,
    /// Rows over the limit.
    pub over_long: OverLongReport,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file, as the configuration names it.
    pub path: String,
    /// `train`, `validation` or `golden`.
    pub role: String,
    /// BLAKE3 of its bytes, in hex.
    pub blake3: String,
    /// Rows read, those that cannot be used included.
    pub rows: usize,
    /// How often its rows count in an epoch.
    pub weight: f64,
    /// The licence it stands under, as the configuration says.
    pub licence: Option<String>,
    /// How many rows have each field that nothing reads.
    pub unread_fields: BTreeMap<String, usize>,
}

/// Equal and nearly equal rows, of training and validation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DuplicateReport {
    /// What becomes of exact ones.
    pub policy: Duplicates,
    /// Rows that equal an earlier row of their set, white space, case and punctuation aside.
    pub exact: usize,
    /// The similarity from which rows are near duplicates; none where they are not looked for.
    pub similarity: Option<f64>,
    /// Rows that resemble one that stays.
    pub near: usize,
    /// The first of them, each with the row that stays.
    pub pairs: Vec<PairReport>,
    /// Prompts of training rows that have more than one answer.
    pub conflicting_prompts: usize,
    /// The first of them: the places of two rows each.
    pub conflicts: Vec<[String; 2]>,
}

/// Two rows by their places, `file:line`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    /// The one that stays, or that is trained on.
    pub row: String,
    /// The other.
    pub other: String,
    /// What they have in common.
    pub kind: String,
    /// How similar they are, from 0 to 1; none where they are joined through others.
    pub similarity: Option<f64>,
}

/// Personal data and secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PrivacyReport {
    /// What becomes of them.
    pub mode: String,
    /// Who finds names.
    pub names: String,
    /// Findings by entity.
    pub entities: BTreeMap<String, usize>,
    /// Rows with a finding.
    pub rows: usize,
}

/// Rows on both sides of the examination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeakReport {
    /// The similarity from which two prompts count as the same; none where nothing is looked for.
    pub similarity: Option<f64>,
    /// Held-out rows that are trained on.
    pub held_out_rows: usize,
    /// Pairs by kind.
    pub kinds: BTreeMap<String, usize>,
    /// How many held-out rows the configuration accepts.
    pub accepted: usize,
    /// The first pairs: `row` is trained on, `other` is held out.
    pub pairs: Vec<PairReport>,
}

impl LeakReport {
    /// The kind of what a split leaves where more rows are alike than one side can have.
    pub const SPLIT: &'static str = "split";

    /// Validation rows that a split left beside training rows that ask alike.
    #[must_use]
    pub fn split(&self) -> usize {
        self.kinds.get(Self::SPLIT).copied().unwrap_or_default()
    }
}

/// One set of examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// Rows that it has examples of.
    pub rows: usize,
    /// Examples made of them.
    pub examples: usize,
    /// Rows that gave one example for each answer, because the template rewrites history.
    pub rows_split_by_answer: usize,
    /// Examples with an answer that does not end in an end-of-turn token.
    pub without_end_of_turn: usize,
    /// Examples whose own text holds a special token.
    pub special_token_in_text: usize,
    /// Tokens of an example.
    pub tokens: Statistics,
    /// Trained tokens of an example.
    pub supervised: Statistics,
    /// Trained tokens among all tokens.
    pub supervised_share: f64,
    /// Examples by their tokens.
    pub token_histogram: Vec<Bar>,
    /// Examples by their trained tokens.
    pub supervised_histogram: Vec<Bar>,
}

/// Rows over the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverLongReport {
    /// What became of them.
    pub policy: OverLong,
    /// The limit.
    pub max_tokens: usize,
    /// How many there are.
    pub total: usize,
    /// The first of them, in order.
    pub rows: Vec<OverLongRow>,
}

/// One row over the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverLongRow {
    /// The id of the example.
    pub id: String,
    /// The file, as the configuration names it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// How many tokens it had.
    pub tokens: usize,
    /// How many it has now; none if it was dropped.
    pub kept_tokens: Option<usize>,
}

impl DataReport {
    /// Rows of training and validation files that were read.
    pub fn rows_in(&self) -> usize {
        self.stages.first().map_or(0, |stage| stage.rows_in)
    }

    /// Every file as it was when its rows were read, with BLAKE3 of its bytes in hex.
    pub(crate) fn files_read(&self) -> Vec<(PathBuf, String)> {
        self.files.iter().map(|file| (PathBuf::from(&file.path), file.blake3.clone())).collect()
    }

    /// Rows that were left out, with their reasons, over all stages.
    pub fn dropped(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for (reason, rows) in self.stages.iter().flat_map(|stage| &stage.dropped) {
            *reasons.entry(reason.clone()).or_default() += rows;
        }
        reasons
    }

    /// The report as one HTML page that needs nothing but itself.
    pub fn page(&self) -> String {
        page::render(self)
    }
}

/// A path as reports show it.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
