//! Golden rows: what a model is examined on.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::input::{Source, read_sources};
use crate::record::Record;

/// A row of any training form, with what an evaluation adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenRow {
    /// The conversation; its last answer is the expected one.
    pub record: Record,
    /// The fields beside it, such as `references`, `labels` and `checks`.
    pub extra: Map<String, Value>,
}

/// Which rows of golden files are meant, where half of them is kept for the last examination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Half {
    /// All.
    #[default]
    Whole,
    /// Those that every evaluation may see.
    Open,
    /// Those that only a promotion sees.
    Sealed,
}

impl Half {
    /// The open half of a set that has a sealed one, or all of it.
    #[must_use]
    pub fn open_if(sealed: bool) -> Self {
        if sealed { Self::Open } else { Self::Whole }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Open => "open",
            Self::Sealed => "sealed",
        }
    }

    /// Whether this row is among those. What a row asks decides it, or the cluster that it belongs to: neither its place in a file nor
    /// a correction of its answer moves it, and paraphrases stay together.
    #[must_use]
    pub fn has(self, row: &GoldenRow) -> bool {
        /// What the hash is keyed by: no other use of the hash of a prompt says which half it is in.
        const KEY: &str = "rtune 2026-11-22 the sealed half of a golden set";
        let mut hash = blake3::Hasher::new_derive_key(KEY);
        // A number is meant as its text, as an evaluation reads it.
        let cluster = row.extra.get("cluster").and_then(|cluster| match cluster {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        match cluster {
            Some(cluster) => hash.update(cluster.as_bytes()),
            None => hash.update(&row.record.prompt_hash()),
        };
        let is_sealed = hash.finalize().as_bytes()[0] & 1 == 1;
        match self {
            Self::Whole => true,
            Self::Open => !is_sealed,
            Self::Sealed => is_sealed,
        }
    }
}

/// The rows of a golden file.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its rows, in order.
    pub rows: Vec<GoldenRow>,
    /// BLAKE3 of its bytes, in hex.
    pub hash: String,
}

/// Reads the golden files of all sources with the readers, the checks and the messages of training files: no id names two different rows,
/// in one file or in two.
///
/// # Errors
/// Those of [`read_sources`].
pub fn read_golden(sources: &[Source]) -> Result<Vec<GoldenFile>, DataError> {
    let files = read_sources(sources)?;
    let golden = files.into_iter().map(|file| {
        let rows = file.rows.into_iter().zip(file.extra);
        let rows = rows.map(|(record, extra)| GoldenRow { record, extra }).collect();
        GoldenFile { path: file.path, rows, hash: file.hash }
    });
    Ok(golden.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::{Message, Origin};

    fn row(prompt: &str, answer: &str, cluster: Option<&str>) -> GoldenRow {
        let origin = Origin { file: Path::new("g.jsonl").into(), line: 1 };
        let messages = vec![Message::new("user", prompt), Message::new("assistant", answer)];
        let cluster = cluster.map(|name| ("cluster".to_owned(), Value::from(name)));
        GoldenRow { record: Record::new(None, origin, messages), extra: cluster.into_iter().collect() }
    }

    #[test]
    fn a_row_is_in_one_half_whatever_is_expected_of_it() {
        let mut sealed = 0;
        for number in 0..1000 {
            let prompt = format!("question {number}");
            let one = row(&prompt, "yes", None);
            assert_ne!(Half::Open.has(&one), Half::Sealed.has(&one));
            assert!(Half::Whole.has(&one));
            assert_eq!(Half::Sealed.has(&one), Half::Sealed.has(&row(&prompt, "no", None)));
            sealed += usize::from(Half::Sealed.has(&one));
        }
        assert!((420..580).contains(&sealed), "{sealed} of 1000");
    }

    #[test]
    fn paraphrases_stay_together() {
        let half = |number| Half::Sealed.has(&row(&format!("question {number}"), "yes", Some("returns")));
        assert!((1..50).all(|number| half(number) == half(0)));
    }
}
