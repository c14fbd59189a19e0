//! Lists of words and phrases, found as whole words.

use std::fs;
use std::ops::Range;
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
pub(super) use rtune_metrics::checks::folded;
use rtune_metrics::checks::is_whole;

use crate::clean::CleanError;

/// A larger file is no list that a person keeps.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Lists of so many bytes get an automaton with a full table: several times as fast, and at 256 bytes a state at most 8 MiB.
const MAX_TABLE_BYTES: usize = 1 << 15;

/// Phrases to be found in any case.
#[derive(Clone, Debug)]
pub(super) struct Phrases {
    finder: AhoCorasick,
}

impl Phrases {
    /// # Errors
    /// There are too many phrases for one automaton.
    pub(super) fn new(setting: &'static str, phrases: &[String]) -> Result<Self, CleanError> {
        let lower: Vec<String> = phrases.iter().map(|phrase| folded(phrase)).collect();
        let bytes: usize = lower.iter().map(String::len).sum();
        let kind = (bytes <= MAX_TABLE_BYTES).then_some(AhoCorasickKind::DFA);
        let finder = AhoCorasick::builder().kind(kind).build(lower).map_err(|error| CleanError::Setting {
            setting,
            expected: "phrases that fit an automaton",
            found: error.to_string(),
        })?;
        Ok(Self { finder })
    }

    /// The ranges of whole words in `folded`, a text made comparable by [`folded`], and which phrase each is.
    pub(super) fn find<'a>(&'a self, folded: &'a str) -> impl Iterator<Item = (Range<usize>, usize)> + 'a {
        let found = self
            .finder
            .find_overlapping_iter(folded)
            .map(|found| (found.range(), found.pattern().as_usize()));
        found.filter(|(range, _)| is_whole(folded, range))
    }
}

/// The phrases of a file, one a line; empty lines and those that begin with `#` are none.
///
/// # Errors
/// The file cannot be read, or holds no phrase.
pub(super) fn read(path: &Path) -> Result<Vec<String>, CleanError> {
    let unreadable = |source| CleanError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(CleanError::TooLarge { path: path.to_owned(), bytes, most: MAX_FILE_BYTES });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let lines = text.trim_start_matches('\u{FEFF}').lines().map(str::trim);
    let phrases: Vec<String> =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    match phrases.is_empty() {
        true => Err(CleanError::Line {
            path: path.to_owned(),
            line: 1,
            expected: "a word or phrase a line",
            found: "none".into(),
        }),
        false => Ok(phrases),
    }
}
