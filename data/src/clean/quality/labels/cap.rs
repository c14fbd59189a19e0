//! A cap for labels that have too many rows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Labels, label};
use crate::clean::CleanError;
use crate::clean::normalise::share;
use crate::record::Record;

/// How many rows a label may keep; the lower one where both are given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabelCapOptions {
    /// The largest share of the rows that stay that one label may have (0 to 1).
    pub max_share: Option<f64>,
    /// The most rows of one label.
    pub max_rows_per_label: Option<u64>,
}

/// Says which rows of too frequent labels stay: those whose content has the lowest hashes, so that which they are does not
/// depend on their order. Only among hashes with the same first byte the earlier rows stay.
#[derive(Clone, Debug)]
pub struct LabelCap {
    limits: HashMap<String, Limit>,
}

/// Hashes below `byte` stay, and so many that begin with it.
#[derive(Clone, Debug)]
struct Limit {
    byte: usize,
    left: u64,
}

impl LabelCap {
    /// A cap for the rows that `labels` has seen. A set that is none of labels has none.
    ///
    /// # Errors
    /// No setting is there, one is out of its range, or there are too few labels for each to have so small a share.
    pub fn new(labels: &Labels, options: &LabelCapOptions) -> Result<Self, CleanError> {
        if let Some(max_share) = options.max_share {
            share("labels.max-share", max_share)?;
        }
        if options.max_rows_per_label == Some(0) {
            let setting = "labels.max-rows-per-label";
            return Err(CleanError::Setting { setting, expected: "at least 1", found: "0".to_owned() });
        }
        let most = match (options.max_share, options.max_rows_per_label) {
            (None, None) => {
                return Err(CleanError::Missing {
                    step: "label cap",
                    setting: "max-share` or `max-rows-per-label",
                });
            }
            _ if !labels.is_classification() => u64::MAX,
            (max_share, max_rows) => {
                let most = max_rows.unwrap_or(u64::MAX);
                max_share.map_or(Ok(most), |max_share| rows_of_share(labels, max_share, most))?
            }
        };
        let over = labels.counts.iter().filter(|(_, count)| count.rows > most);
        let limits = over.map(|(label, count)| (label.clone(), Limit::of(&count.by_hash, most)));
        Ok(Self { limits: limits.collect() })
    }

    /// Whether a row stays. Each row must be the same as when it was counted, and asked about once.
    pub fn keep(&mut self, row: &Record) -> bool {
        let Some(limit) = label(row).and_then(|label| self.limits.get_mut(label)) else { return true };
        let byte = usize::from(row.content_hash()[0]);
        if byte == limit.byte && limit.left > 0 {
            limit.left -= 1;
            return true;
        }
        byte < limit.byte
    }
}

impl Limit {
    fn of(by_hash: &[u32; 256], most: u64) -> Self {
        let mut left = most;
        for (byte, &rows) in by_hash.iter().enumerate() {
            match left.checked_sub(u64::from(rows)) {
                Some(rest) => left = rest,
                None => return Self { byte, left },
            }
        }
        Self { byte: by_hash.len(), left }
    }
}

/// The most rows that each label may keep, so that none has more than `max_share` of the rows that stay.
///
/// With at most c rows each, min(n, c) of every label stay; c is the largest with c <= max_share * sum. The difference of
/// the two sides is concave in c and 0 at 0, so that it changes its sign once.
fn rows_of_share(labels: &Labels, max_share: f64, most: u64) -> Result<u64, CleanError> {
    let counts: Vec<u64> = labels.counts.values().map(|count| count.rows.min(most)).collect();
    let holds = |rows: u64| {
        let sum: u64 = counts.iter().map(|&count| count.min(rows)).sum();
        rows as f64 <= max_share * sum as f64
    };
    if !holds(1) {
        let found = format!("{max_share} with {} labels", counts.len());
        return Err(CleanError::Setting {
            setting: "labels.max-share",
            expected: "at least 1 / number of labels",
            found,
        });
    }
    let (mut low, mut high) = (1, counts.iter().copied().max().unwrap_or(1) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle } else { high = middle }
    }
    Ok(low.min(most))
}
