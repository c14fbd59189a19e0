//! Looks at sealed golden rows. Of many candidates that are no better than what is in use, the best looks better all the same: so every
//! look is counted, and what choosing among them gains without any difference is said.
//!
//! A look is one at rows, each by the hash of what it asks: whoever adds rows to a golden set, corrects one or writes its file in another
//! order has looked at the others all the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rtune_metrics::compare::expected_maximum;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::FileError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RegistryError;

/// The format that is written. Of the first one sets had the hash of their whole files, and no rows.
const FORMAT: u64 = 2;

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

/// Sealed rows that are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The hash of what each asks.
    pub rows: BTreeSet<String>,
    /// A hash of the golden files, by which registries of before know them.
    pub files: String,
}

/// looks.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looks {
    format: u64,
    sets: Vec<Set>,
}

/// The looks at the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// A hash of their files, where nothing else is known of them: the looks are of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    golden: Option<String>,
    /// The hash of each row.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    rows: BTreeSet<String>,
    looks: Vec<Look>,
}

impl Set {
    /// Whether some of these rows were looked at.
    fn has_of(&self, sealed: &Sealed) -> bool {
        self.golden.as_deref() == Some(sealed.files.as_str()) || !self.rows.is_disjoint(&sealed.rows)
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self { format: FORMAT, sets: Vec::new() }
    }
}

impl Looks {
    /// Reads looks.json, that of an earlier version too; none where there is no such file.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`] for a file that cannot be read or has another format.
    pub(crate) fn read(path: &Path) -> Result<Self, RegistryError> {
        let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes.map_err(|source| FileError { action: "read", path: path.to_owned(), source })?,
        };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(format!("not valid JSON: {error}")))?;
        match value["format"].as_u64() {
            Some(1 | FORMAT) => {}
            _ => {
                let problem = format!("expected `format` {FORMAT}, or 1, found {}", value["format"]);
                return Err(unreadable(problem).into());
            }
        }
        let looks: Self = serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { format: FORMAT, ..looks })
    }

    /// Adds one; with all at any of these rows, this one too.
    pub(crate) fn add(&mut self, sealed: &Sealed, look: Look) -> Vec<Look> {
        for set in &mut self.sets {
            // From now on it is known by its rows.
            if set.golden.as_deref() == Some(sealed.files.as_str()) {
                (set.golden, set.rows) = (None, sealed.rows.clone());
            }
        }
        match self.sets.iter_mut().find(|set| set.rows == sealed.rows) {
            Some(set) => set.looks.push(look),
            None => self.sets.push(Set { golden: None, rows: sealed.rows.clone(), looks: vec![look] }),
        }
        self.of(sealed)
    }

    /// Those at any of these rows, the first one first.
    #[must_use]
    pub fn of(&self, sealed: &Sealed) -> Vec<Look> {
        let sets = self.sets.iter().filter(|set| set.has_of(sealed));
        let mut looks: Vec<Look> = sets.flat_map(|set| set.looks.iter().cloned()).collect();
        looks.sort_by_key(|look| look.unix_seconds);
        looks
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

    fn look(candidate: &str) -> Look {
        Look { unix_seconds: 1, run: "r".to_owned(), candidate: candidate.to_owned() }
    }

    fn sealed(files: &str, rows: &[&str]) -> Sealed {
        Sealed { rows: rows.iter().map(|row| (*row).to_owned()).collect(), files: files.to_owned() }
    }

    #[test]
    fn looks_are_counted_and_candidates_once() {
        let mut looks = Looks::default();
        let (set, other) = (sealed("f", &["1", "2"]), sealed("g", &["3"]));
        looks.add(&set, look("a"));
        looks.add(&other, look("a"));
        looks.add(&set, look("a"));
        let all = looks.add(&set, look("b"));
        assert_eq!((all.len(), looks.of(&set).len(), looks.of(&other).len()), (3, 3, 1));
        assert_eq!(looks.of(&sealed("h", &["4"])), []);
        let (candidates, gained) = gained_by_choosing(&all, 0.1);
        assert_eq!(candidates, 2);
        assert!((gained - 0.1 / std::f64::consts::PI.sqrt()).abs() < 1e-4, "{gained}");
        assert_eq!(gained_by_choosing(&all[..1], 0.1), (1, 0.0));
    }

    /// Whoever writes a row more, or corrects one, has seen the others.
    #[test]
    fn rows_that_were_looked_at_stay_so_in_another_set() {
        let mut looks = Looks::default();
        looks.add(&sealed("f", &["1", "2", "3"]), look("a"));
        looks.add(&sealed("g", &["1", "2", "3", "4"]), look("b"));
        assert_eq!(looks.add(&sealed("h", &["0", "2", "4"]), look("c")).len(), 3);
        assert_eq!(looks.of(&sealed("i", &["4"])).len(), 2);
    }

    #[test]
    fn looks_of_before_are_counted_and_unknown_ones_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("looks.json");
        assert_eq!(Looks::read(&path).expect("none yet"), Looks::default());
        let old = r#"{"format": 1, "sets": [{"golden": "f", "looks": [{"unix_seconds": 1, "run": "r", "candidate": "a"}]}]}"#;
        fs::write(&path, old).expect("written");
        let mut looks = Looks::read(&path).expect("readable");
        let set = sealed("f", &["1", "2"]);
        assert_eq!(looks.of(&set).len(), 1);
        assert_eq!(looks.add(&set, look("b")).len(), 2);
        // Now its rows are known, whatever becomes of its file.
        assert_eq!(looks.of(&sealed("g", &["2"])).len(), 2);
        fs::write(&path, serde_json::to_vec(&looks).expect("JSON")).expect("written");
        assert_eq!(Looks::read(&path).expect("readable"), looks);
        for wrong in [r#"{"format": 3, "sets": []}"#, r#"{"sets": []}"#, "[]", "no"] {
            fs::write(&path, wrong).expect("written");
            let error = Looks::read(&path).expect_err(wrong);
            assert!(error.to_string().contains("looks.json"), "{error}");
        }
    }
}
