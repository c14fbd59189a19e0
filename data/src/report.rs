//! What became of the data, as it is written to `data-report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::options::{Duplicates, OverLong};
use crate::tokenize::Example;

/// The version of the report's form.
pub(crate) const FORMAT: u32 = 1;

/// The whole report. It names files as the configuration does, and holds no time and no host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// The version of this form: 1.
    pub format: u32,
    /// The files, in the order they were read.
    pub files: Vec<FileReport>,
    /// Rows that equal an earlier row of their set, over all files.
    pub duplicates: usize,
    /// Whether they were removed.
    pub duplicate_policy: Duplicates,
    /// Prompts of training rows that have more than one answer.
    pub conflicting_prompts: usize,
    /// Held-out rows whose prompt is trained on with another answer.
    pub held_out_prompts_trained: usize,
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
    /// Rows read.
    pub rows: usize,
    /// Rows that equal an earlier row of the set.
    pub duplicates: usize,
    /// How many rows have each field that nothing reads.
    pub unread_fields: BTreeMap<String, usize>,
}

/// One set of examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// Rows of the files that belong to it, without removed duplicates.
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
}

/// Rows over the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverLongReport {
    /// What became of them.
    pub policy: OverLong,
    /// The limit.
    pub max_tokens: usize,
    /// Each of them, in order.
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

/// Nearest-rank statistics of counts; all 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// The smallest.
    pub min: usize,
    /// The smallest that half of them do not exceed.
    pub median: usize,
    /// The smallest that 95 of 100 do not exceed.
    pub p95: usize,
    /// The largest.
    pub max: usize,
    /// Their sum.
    pub total: usize,
}

impl Statistics {
    /// The statistics of these counts.
    pub fn of(counts: impl IntoIterator<Item = usize>) -> Self {
        let mut sorted: Vec<usize> = counts.into_iter().collect();
        sorted.sort_unstable();
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Self::default() };
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Self { min, median: rank(50), p95: rank(95), max, total: sorted.iter().sum() }
    }
}

impl SetReport {
    /// Fills in what the examples themselves show.
    pub(crate) fn measure(&mut self, examples: &[Example]) {
        self.examples = examples.len();
        self.tokens = Statistics::of(examples.iter().map(|example| example.tokens.len()));
        self.supervised = Statistics::of(examples.iter().map(Example::supervised_count));
        self.supervised_share = self.supervised.total as f64 / self.tokens.total.max(1) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_of_nearest_rank() {
        let hundred = Statistics::of((1..=100).rev());
        assert_eq!(hundred, Statistics { min: 1, median: 50, p95: 95, max: 100, total: 5050 });
        assert_eq!(Statistics::of([7]), Statistics { min: 7, median: 7, p95: 7, max: 7, total: 7 });
        assert_eq!(Statistics::of([1, 3, 9]), Statistics { min: 1, median: 3, p95: 9, max: 9, total: 13 });
        assert_eq!(Statistics::of([]), Statistics::default());
    }
}
