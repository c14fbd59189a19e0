//! Misspelt words, put right where there is one clear reading.

mod dictionary;
mod sketch;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;

use super::contractions::with_apostrophe;
use super::edit::{Edit, Edited};
use super::lines::{Code, in_identifier};
use crate::clean::CleanError;
use dictionary::Dictionary;
pub(crate) use dictionary::affixes;
pub(crate) use sketch::WordSketch;

/// Shorter words have too many neighbours.
const MIN_CHARACTERS: usize = 4;
/// The right word must stand in so many rows itself: what is one letter away from a word that the set does not use is
/// more often a name ("paypal" and "papal").
const MIN_ROWS_OF_BEST: u32 = 2;
/// Of words up to this length, and of those two edits away, it must be one of the set's own.
const MAX_SHORT_CHARACTERS: usize = 5;
/// No word that people write is longer.
const MAX_CHARACTERS: usize = 40;
/// Of several neighbours one is clearly best if it stands in so many times as many rows as any other.
const CLEARLY_BEST: u32 = 20;

/// Knows the words of a dictionary and those of the set.
#[derive(Debug)]
pub(super) struct Speller {
    dictionary: Dictionary,
    own: WordSketch,
    min_rows: u32,
}

impl Speller {
    /// # Errors
    /// The dictionary cannot be read or understood.
    pub(super) fn read(path: &Path, own: WordSketch, min_rows: u32) -> Result<Self, CleanError> {
        Ok(Self { dictionary: Dictionary::read(path)?, own, min_rows: min_rows.max(1) })
    }

    /// Puts words right that are in lower case throughout, stand outside code, addresses and identifiers, and are
    /// neither in the dictionary nor words of the set.
    pub(super) fn apply<'a>(&self, text: &'a str) -> Edited<'a> {
        let mut code: Option<Code> = None;
        let mut edit = Edit::of(text);
        let mut known: HashMap<&str, Option<String>> = HashMap::new();
        for range in words(text) {
            let word = &text[range.clone()];
            if self.is_right(word) || !is_plain(text, &range) {
                continue;
            }
            let code = code.get_or_insert_with(|| Code::of(text));
            if code.contains(range.start) || in_identifier(text, &range) {
                continue;
            }
            if let Some(better) = known.entry(word).or_insert_with(|| self.better(word)) {
                edit.replace(range, better);
            }
        }
        edit.finish()
    }

    fn is_right(&self, word: &str) -> bool {
        self.dictionary.contains(word) || self.own.rows(word) >= self.min_rows
    }

    fn better(&self, word: &str) -> Option<String> {
        if let Some(contraction) = with_apostrophe(word) {
            return Some(contraction.to_owned());
        }
        let short = word.chars().count() <= MAX_SHORT_CHARACTERS;
        let near = self.dictionary.near(word);
        let far = near.is_empty();
        let found = if far { self.dictionary.far(word) } else { near };
        let best = self.clearly_best(found, !short)?;
        let least = if short || far { self.min_rows } else { MIN_ROWS_OF_BEST };
        let wrong = is_possessive(word, &best) || is_variant(word, &best) || begins_otherwise(word, &best);
        (self.own.rows(&best) >= least && !wrong).then_some(best)
    }

    fn clearly_best(&self, found: BTreeSet<String>, may_be_counted: bool) -> Option<String> {
        let mut counted: Vec<(u32, String)> =
            found.into_iter().map(|word| (self.own.rows(&word), word)).collect();
        counted.sort_by_key(|(rows, _)| Reverse(*rows));
        let clear = match &counted[..] {
            [_] => true,
            [(best, _), (second, _), ..] => {
                may_be_counted && *best >= self.min_rows && *best >= second.max(&1) * CLEARLY_BEST
            }
            [] => false,
        };
        clear.then(|| counted.swap_remove(0).1)
    }
}

/// "anyones" and "anyone".
fn is_possessive(word: &str, best: &str) -> bool {
    word.strip_suffix('s') == Some(best)
}

/// "vday" and "day": nobody forgets how a word begins, or puts a letter before it.
fn begins_otherwise(word: &str, best: &str) -> bool {
    word.chars().count() != best.chars().count() && word.chars().next() != best.chars().next()
}

/// "authorise" and "authorize", "cancelling" and "canceling", "colour" and "color": both are right somewhere.
fn is_variant(one: &str, other: &str) -> bool {
    const VARIANTS: [(&str, &str); 8] = [
        ("is", "iz"),
        ("ys", "yz"),
        ("our", "or"),
        ("ll", "l"),
        ("tre", "ter"),
        ("ence", "ense"),
        ("ogue", "og"),
        ("dgem", "dgm"),
    ];
    let folded =
        |word: &str| VARIANTS.iter().fold(word.to_owned(), |word, (from, to)| word.replace(from, to));
    folded(one) == folded(other)
}

/// The runs of letters of a text that are no longer than words are.
pub(super) fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(char::is_alphabetic)?;
            let rest = &text[start..];
            let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            at = start + length;
            if length <= MAX_CHARACTERS * 4 {
                return Some(start..at);
            }
        }
    })
}

/// In lower case throughout, of a word's length, and no part of a word with an apostrophe or digits.
fn is_plain(text: &str, range: &Range<usize>) -> bool {
    let word = &text[range.clone()];
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '_' | '@' | '&');
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&word.chars().count())
        && word.chars().all(char::is_lowercase)
        && !before.is_some_and(joins)
        && !after.is_some_and(joins)
}
