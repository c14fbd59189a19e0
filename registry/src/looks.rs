//! Looks at sealed golden rows. Of many candidates that are no better than what is in use, the best looks better all the same: so every
//! look is counted, and what choosing among them gains without any difference is said.

use std::collections::BTreeSet;

use rtune_metrics::compare::expected_maximum;
use serde::{Deserialize, Serialize};

use crate::version::THIS_FORMAT;

/// A candidate that was asked sealed rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When, in seconds of Unix time.
    pub unix_seconds: u64,
    /// The run, as it was named.
    pub run: String,
    /// SHA-256 of its checkpoint's manifest: the same candidate shows nothing new.
    pub candidate: String,
}

/// looks.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looks {
    format: u64,
    sets: Vec<Set>,
}

/// The looks at one golden set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// A hash of its files.
    golden: String,
    looks: Vec<Look>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { format: THIS_FORMAT, sets: Vec::new() }
    }
}

impl Looks {
    /// Adds one; with all at this set, this one too.
    pub(crate) fn add(&mut self, golden: &str, look: Look) -> Vec<Look> {
        let place = self.sets.iter().position(|set| set.golden == golden).unwrap_or_else(|| {
            self.sets.push(Set { golden: golden.to_owned(), looks: Vec::new() });
            self.sets.len() - 1
        });
        let looks = &mut self.sets[place].looks;
        looks.push(look);
        looks.clone()
    }

    /// Those at the set with this hash.
    #[must_use]
    pub fn of(&self, golden: &str) -> &[Look] {
        self.sets.iter().find(|set| set.golden == golden).map_or(&[], |set| &set.looks)
    }
}

/// How many candidates were looked at, and by how much the best of them would seem better if none were: the mean of the largest of so many
/// normal draws, in the unit of `standard_error`, that of the difference.
#[must_use]
pub fn gained_by_choosing(looks: &[Look], standard_error: f64) -> (usize, f64) {
    let candidates: BTreeSet<&str> = looks.iter().map(|look| look.candidate.as_str()).collect();
    (candidates.len(), expected_maximum(candidates.len()) * standard_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_counted_and_candidates_once() {
        let look =
            |candidate: &str| Look { unix_seconds: 1, run: "r".to_owned(), candidate: candidate.to_owned() };
        let mut looks = Looks::default();
        looks.add("set", look("a"));
        looks.add("other", look("a"));
        looks.add("set", look("a"));
        let all = looks.add("set", look("b"));
        assert_eq!(
            (all.len(), looks.of("set").len(), looks.of("other").len(), looks.of("none").len()),
            (3, 3, 1, 0)
        );
        let (candidates, gained) = gained_by_choosing(&all, 0.1);
        assert_eq!(candidates, 2);
        assert!((gained - 0.1 / std::f64::consts::PI.sqrt()).abs() < 1e-4, "{gained}");
        assert_eq!(gained_by_choosing(&all[..1], 0.1), (1, 0.0));
    }
}
