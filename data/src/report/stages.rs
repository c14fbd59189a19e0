//! The account of each stage: rows in = rows out + rows dropped by reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Examples of a kind that a report shows.
const MOST_SHOWN: usize = 5;

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// `read`, `normalise`, `privacy`, `filters`, `perplexity`, `duplicates`, `near-duplicates`, `leaks`, `labels`, `weight` or `length`.
    pub stage: String,
    /// Rows that came.
    pub rows_in: usize,
    /// Rows that went on.
    pub rows_out: usize,
    /// Rows that went on otherwise than they came, by step.
    pub changed: BTreeMap<String, usize>,
    /// Rows that went no further, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// The first of each step or reason.
    pub examples: Vec<Shown>,
}

/// One example of what a stage did. Personal data in its texts is masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The step that changed the row, or the reason it was dropped for.
    pub what: String,
    /// `file:line`.
    pub place: String,
    /// What stood there, or figures.
    pub before: String,
    /// What stands there now; none for a dropped row.
    pub after: Option<String>,
}

/// The stages, in the order rows pass them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Read,
    Normalise,
    Privacy,
    Filters,
    Perplexity,
    Duplicates,
    NearDuplicates,
    Leaks,
    Labels,
    Weight,
    Length,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Read,
        Self::Normalise,
        Self::Privacy,
        Self::Filters,
        Self::Perplexity,
        Self::Duplicates,
        Self::NearDuplicates,
        Self::Leaks,
        Self::Labels,
        Self::Weight,
        Self::Length,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Normalise => "normalise",
            Self::Privacy => "privacy",
            Self::Filters => "filters",
            Self::Perplexity => "perplexity",
            Self::Duplicates => "duplicates",
            Self::NearDuplicates => "near-duplicates",
            Self::Leaks => "leaks",
            Self::Labels => "labels",
            Self::Weight => "weight",
            Self::Length => "length",
        }
    }
}

/// The account while rows pass. Every row enters each stage until one drops it, so that what goes in and out of a stage
/// follows from the drops alone.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    rows: usize,
    dropped: BTreeMap<(Stage, String), usize>,
    changed: BTreeMap<(Stage, String), usize>,
    shown: BTreeMap<(Stage, String), Vec<Shown>>,
}

impl Stages {
    /// A row was read, whole or not.
    pub(crate) fn enter(&mut self) {
        self.rows += 1;
    }

    /// A row goes no further than `stage`.
    pub(crate) fn drop_row(&mut self, stage: Stage, reason: &str) {
        *self.dropped.entry((stage, reason.to_owned())).or_default() += 1;
    }

    /// `stage` changed a row by `step`.
    pub(crate) fn change(&mut self, stage: Stage, step: &str) {
        *self.changed.entry((stage, step.to_owned())).or_default() += 1;
    }

    /// Whether another example of `what` would be shown.
    pub(crate) fn wants(&self, stage: Stage, what: &str) -> bool {
        self.shown.get(&(stage, what.to_owned())).is_none_or(|shown| shown.len() < MOST_SHOWN)
    }

    /// Keeps an example, if there are not enough of its kind.
    pub(crate) fn show(&mut self, stage: Stage, example: Shown) {
        if self.wants(stage, &example.what) {
            self.shown.entry((stage, example.what.clone())).or_default().push(example);
        }
    }

    /// The reports, in order.
    pub(crate) fn finish(mut self) -> Vec<StageReport> {
        let mut rows = self.rows;
        Stage::ALL
            .into_iter()
            .map(|stage| {
                let of = |counts: &BTreeMap<(Stage, String), usize>| -> BTreeMap<String, usize> {
                    let here = counts.iter().filter(|((at, _), _)| *at == stage);
                    here.map(|((_, what), count)| (what.clone(), *count)).collect()
                };
                let dropped = of(&self.dropped);
                let rows_in = rows;
                rows -= dropped.values().sum::<usize>();
                let keys: Vec<_> = self.shown.keys().filter(|(at, _)| *at == stage).cloned().collect();
                let examples = keys.iter().flat_map(|key| self.shown.remove(key).unwrap_or_default());
                StageReport {
                    stage: stage.name().to_owned(),
                    rows_in,
                    rows_out: rows,
                    examples: examples.collect(),
                    changed: of(&self.changed),
                    dropped,
                }
            })
            .collect()
    }
}
