//! The user's terms: one preferred form for each.

mod read;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use aho_corasick::AhoCorasick;

use super::contractions::in_case_of;
use super::edit::{Edit, Edited};
use super::lines::{Code, in_identifier, whole_word};
use crate::clean::CleanError;
use read::{Entry, read};

/// Finds terms and puts their preferred forms in their places.
#[derive(Debug)]
pub(super) struct Terminology {
    finder: AhoCorasick,
    /// What a pattern of `finder` is replaced with; none for preferred forms, which stay.
    preferred: Vec<Option<String>>,
}

impl Terminology {
    /// Reads the terms of a file.
    ///
    /// # Errors
    /// The file cannot be read or understood; a term has two preferred forms; terms lead in a circle.
    pub(super) fn read(path: &Path) -> Result<Self, CleanError> {
        let entries = resolved(path, read(path)?)?;
        let (mut patterns, mut preferred) = (Vec::new(), Vec::new());
        for entry in &entries {
            for pattern in cases(&entry.term) {
                patterns.push(pattern);
                preferred.push(Some(entry.preferred.clone()));
            }
            for pattern in cases(&entry.preferred) {
                patterns.push(pattern);
                preferred.push(None);
            }
        }
        let finder =
            AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).map_err(|error| {
                let found = error.to_string();
                CleanError::Line {
                    path: path.to_owned(),
                    line: 1,
                    expected: "terms that fit an automaton",
                    found,
                }
            })?;
        Ok(Self { finder, preferred })
    }

    /// Whole words outside code, addresses and identifiers; the longest where several begin. The preferred form takes
    /// the case of the term, unless it has capitals of its own.
    pub(super) fn apply<'a>(&self, text: &'a str) -> Edited<'a> {
        let found =
            self.finder.find_overlapping_iter(text).map(|found| (found.range(), found.pattern().as_usize()));
        let mut found: Vec<(Range<usize>, usize)> =
            found.filter(|(range, _)| whole_word(text, range)).collect();
        if found.is_empty() {
            return Edited::unchanged(text);
        }
        found.sort_by_key(|(range, pattern)| {
            (range.start, Reverse(range.end), self.preferred[*pattern].is_none(), *pattern)
        });
        let code = Code::of(text);
        let mut edit = Edit::of(text);
        let mut end = 0;
        for (range, pattern) in found {
            if range.start < end || code.contains(range.start) {
                continue;
            }
            end = range.end;
            if let Some(preferred) = self.preferred[pattern].as_ref().filter(|_| !in_identifier(text, &range))
            {
                let own_case = preferred.chars().any(char::is_uppercase);
                let with =
                    if own_case { preferred.clone() } else { in_case_of(&text[range.clone()], preferred) };
                edit.replace(range, &with);
            }
        }
        edit.finish()
    }
}

/// The forms a pattern is looked for in; the finder itself knows only the two cases of ASCII.
fn cases(term: &str) -> Vec<String> {
    let mut cases = vec![term.to_owned()];
    if !term.is_ascii() {
        let lower = term.to_lowercase();
        cases.extend([in_case_of("A", &lower), term.to_uppercase(), lower]);
        cases.sort();
        cases.dedup();
    }
    cases
}

/// The entries, each with the end of the chain it begins ("a -> b", "b -> c" make "a -> c").
fn resolved(path: &Path, entries: Vec<Entry>) -> Result<Vec<Entry>, CleanError> {
    let mut by_term: HashMap<String, &Entry> = HashMap::new();
    for entry in &entries {
        if let Some(first) = by_term.insert(entry.term.to_lowercase(), entry)
            && first.preferred != entry.preferred
        {
            return Err(CleanError::Conflict {
                path: path.to_owned(),
                line: entry.line,
                first: first.line,
                term: entry.term.clone(),
                expected: first.preferred.clone(),
                found: entry.preferred.clone(),
            });
        }
    }
    let mut resolved = Vec::with_capacity(entries.len());
    for entry in &entries {
        let mut circle = vec![entry.term.clone()];
        let mut last = entry;
        while let Some(next) = by_term.get(&last.preferred.to_lowercase()) {
            if next.term.to_lowercase() == last.term.to_lowercase() {
                break;
            }
            circle.push(next.term.clone());
            if circle[..circle.len() - 1].iter().any(|term| term.to_lowercase() == next.term.to_lowercase()) {
                return Err(CleanError::Cycle { path: path.to_owned(), line: last.line, circle });
            }
            last = next;
        }
        resolved.push(Entry { preferred: last.preferred.clone(), ..entry.clone() });
    }
    Ok(resolved)
}
