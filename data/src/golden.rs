//! Golden rows: what a model is examined on.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::input::{Source, read_sources};
use crate::record::{Record, hex};
use crate::seal::Seal;

/// A row of any training form, with what an evaluation adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenRow {
    /// The conversation; its last answer is the expected one.
    pub record: Record,
    /// The fields beside it, such as `references`, `labels` and `checks`.
    pub extra: Map<String, Value>,
    /// Whether it is kept for the last examination.
    pub sealed: bool,
}

impl GoldenRow {
    /// A hash of what it asks, in hex: a correction of what is expected leaves it as it is.
    #[must_use]
    pub fn asks(&self) -> String {
        hex(&self.record.prompt_hash())
    }
}

/// Which rows of golden files are meant, where a part of them is kept for the last examination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Half {
    /// All, of files that keep nothing back. Of others it is the open part: no name opens sealed rows but [`Half::Sealed`].
    Whole,
    /// Those that every evaluation may see.
    #[default]
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

    /// Whether this row is among those.
    #[must_use]
    pub fn has(self, row: &GoldenRow) -> bool {
        row.sealed == (self == Self::Sealed)
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
/// in one file or in two. A row is marked as sealed where the seal beside its file keeps it back; where `sealed` says so, files without a
/// seal are taken to have the usual one.
///
/// # Errors
/// Those of [`read_sources`]; [`DataError::Seal`].
pub fn read_golden(sources: &[Source], sealed: bool) -> Result<Vec<GoldenFile>, DataError> {
    let mut golden = Vec::new();
    for file in read_sources(sources)? {
        let seal = Seal::of(&file.path)?.or_else(|| sealed.then(Seal::default));
        let rows = file.rows.into_iter().zip(file.extra).map(|(record, extra)| {
            let sealed = seal.as_ref().is_some_and(|seal| seal.keeps(&record, &extra));
            GoldenRow { record, extra, sealed }
        });
        golden.push(GoldenFile { path: file.path, rows: rows.collect(), hash: file.hash });
    }
    Ok(golden)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn write(folder: &Path, name: &str, answer: &str) -> PathBuf {
        let mut text = String::new();
        for number in 0..200 {
            let cluster = if number < 50 { "\"cluster\": \"returns\", " } else { "" };
            let _ = writeln!(
                text,
                "{{{cluster}\"instruction\": \"question {number}\", \"output\": \"{answer}\"}}"
            );
        }
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn sealed(path: &Path, by_configuration: bool) -> Vec<bool> {
        let files = read_golden(&[Source::new(path)], by_configuration).expect("readable");
        files.into_iter().flat_map(|file| file.rows).map(|row| row.sealed).collect()
    }

    #[test]
    fn a_row_is_in_one_half_whatever_is_expected_of_it() {
        let home = tempfile::tempdir().expect("a folder");
        let path = write(home.path(), "g.jsonl", "yes");
        assert!(!sealed(&path, false).contains(&true));
        let of_run = sealed(&path, true);
        let count = of_run[50..].iter().filter(|sealed| **sealed).count();
        assert!((50..100).contains(&count), "{count} of 150");
        assert!(of_run[..50].iter().all(|sealed| *sealed == of_run[0]), "paraphrases stay together");
        assert_eq!(of_run, sealed(&write(home.path(), "h.jsonl", "no"), true));
        // The seal says the same to whoever knows nothing of the run.
        fs::write(Seal::place_of(&path), Seal::default().to_text()).expect("written");
        assert_eq!(of_run, sealed(&path, false));
        let rows = read_golden(&[Source::new(&path)], false).expect("readable").remove(0).rows;
        for row in &rows {
            assert_ne!(Half::Open.has(row), Half::Sealed.has(row));
            assert_eq!(Half::Whole.has(row), !row.sealed, "no other name opens it");
        }
    }
}
