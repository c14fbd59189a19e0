//! The labels of a set whose answers are labels: how many, how even, which are alike; and a cap for those too many.

mod cap;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::record::Record;

pub use cap::{LabelCap, LabelCapOptions};

/// A longer answer is no label.
const MAX_LABEL_CHARACTERS: usize = 60;
/// More labels than this are answers of their own; their counts take about 4 MiB.
const MAX_LABELS: usize = 4096;
/// A set is one of labels if they stand in so many rows each, on average.
const MIN_ROWS_A_LABEL: u64 = 5;
/// And if so large a share of its answers are labels.
const MIN_LABELLED_SHARE: f64 = 0.95;
/// A label with fewer rows is rare, unless told otherwise.
const MIN_ROWS: u64 = 10;
/// One edit apart, the rarer of two labels is a mistake for the other if that has so many times its rows.
const MISTAKE_RATIO: u64 = 20;
/// Shorter labels one edit apart are different ones.
const MIN_MISTAKEN_CHARACTERS: usize = 4;

/// Counts the answers of rows that are short enough to be labels, in bounded memory.
#[derive(Debug, Default)]
pub struct Labels {
    rows: u64,
    labelled_rows: u64,
    counts: HashMap<String, Count>,
    too_many: bool,
}

/// The rows of a label, by the first byte of their content's hash.
#[derive(Clone, Debug)]
struct Count {
    rows: u64,
    by_hash: Box<[u32; 256]>,
}

/// A label and its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Label {
    /// The answer as it stands in the rows.
    pub label: String,
    /// In how many rows.
    pub rows: u64,
    /// The share of all rows with labels.
    pub share: f64,
}

/// What the answers of a set are, seen as labels. Labels are texts of rows: what is shown of them must be scrubbed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LabelReport {
    /// Whether the set is one of labels: nearly all answers are short, and they repeat. Otherwise the rest is empty.
    pub classification: bool,
    /// Rows in all.
    pub rows: u64,
    /// Rows whose answer is a label.
    pub labelled_rows: u64,
    /// The labels, the most frequent first.
    pub labels: Vec<Label>,
    /// The rows of the most frequent label over those of the least.
    pub imbalance: f64,
    /// Labels with few rows.
    pub rare: Vec<String>,
    /// Labels that differ in case, spaces and punctuation only, or of which one looks like a mistake for the other.
    pub alike: Vec<Vec<String>>,
}

impl Labels {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a row.
    pub fn push(&mut self, row: &Record) {
        self.rows += 1;
        let Some(label) = label(row) else { return };
        self.labelled_rows += 1;
        if self.too_many {
            return;
        }
        if !self.counts.contains_key(label) {
            if self.counts.len() == MAX_LABELS {
                self.too_many = true;
                self.counts = HashMap::new();
                return;
            }
            self.counts.insert(label.to_owned(), Count { rows: 0, by_hash: Box::new([0; 256]) });
        }
        if let Some(count) = self.counts.get_mut(label) {
            count.rows += 1;
            count.by_hash[usize::from(row.content_hash()[0])] += 1;
        }
    }

    /// What was seen; labels with fewer than `min_rows` rows are rare.
    pub fn report(&self, min_rows: Option<u64>) -> LabelReport {
        let mut report = LabelReport {
            classification: self.is_classification(),
            rows: self.rows,
            labelled_rows: self.labelled_rows,
            labels: Vec::new(),
            imbalance: 1.0,
            rare: Vec::new(),
            alike: Vec::new(),
        };
        if !report.classification {
            return report;
        }
        let total = self.labelled_rows as f64;
        let labels = self.counts.iter().map(|(label, count)| Label {
            label: label.clone(),
            rows: count.rows,
            share: count.rows as f64 / total,
        });
        report.labels = labels.collect();
        report
            .labels
            .sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.label.cmp(&other.label)));
        if let (Some(most), Some(least)) = (report.labels.first(), report.labels.last()) {
            report.imbalance = most.rows as f64 / least.rows as f64;
        }
        let rare = report.labels.iter().filter(|label| label.rows < min_rows.unwrap_or(MIN_ROWS));
        report.rare = rare.map(|label| label.label.clone()).collect();
        report.alike = alike(&report.labels);
        report
    }

    fn is_classification(&self) -> bool {
        let labels = self.counts.len() as u64;
        !self.too_many
            && labels > 1
            && self.labelled_rows >= labels * MIN_ROWS_A_LABEL
            && self.labelled_rows as f64 >= self.rows as f64 * MIN_LABELLED_SHARE
    }
}

/// The answer of a row, if it may be a label: one line, and short.
fn label(row: &Record) -> Option<&str> {
    let answer = row.answer()?;
    let short = answer.chars().nth(MAX_LABEL_CHARACTERS).is_none() && !answer.trim().contains('\n');
    (short && !answer.trim().is_empty()).then_some(answer)
}

/// Groups of labels that are alike, the most frequent of each first.
fn alike(labels: &[Label]) -> Vec<Vec<String>> {
    let mut groups: Vec<(String, Vec<&Label>)> = Vec::new();
    for label in labels {
        let key = folded(&label.label);
        let same = groups.iter_mut().find(|(other, group)| {
            *other == key || (group[0].rows >= label.rows * MISTAKE_RATIO && is_mistake(&key, other))
        });
        match same {
            Some((_, group)) => group.push(label),
            None => groups.push((key, vec![label])),
        }
    }
    let several = groups.into_iter().filter(|(_, group)| group.len() > 1);
    several.map(|(_, group)| group.into_iter().map(|label| label.label.clone()).collect()).collect()
}

/// Letters and digits in lower case; a label of neither is itself.
fn folded(label: &str) -> String {
    let folded: String = label.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if folded.is_empty() { label.trim().to_owned() } else { folded }
}

/// Whether two are one letter apart; digits are not mistaken.
fn is_mistake(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    if short.len() < MIN_MISTAKEN_CHARACTERS || long.len() - short.len() > 1 {
        return false;
    }
    let head = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let tail = short[head..].iter().rev().zip(long[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (left, right) = (&short[head..short.len() - tail], &long[head..long.len() - tail]);
    let swapped = matches!((left, right), ([a, b], [c, d]) if a == d && b == c);
    (swapped || (left.len() <= 1 && right.len() <= 1)) && !left.iter().chain(right).any(|c| c.is_numeric())
}
