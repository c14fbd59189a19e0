//! The names of a record, found again wherever they stand in it.

use super::fold::fold;
use super::gazetteer::{Gazetteer, hash};
use super::judge::Name;
use crate::entity::Entity;

/// A shorter part of a name stands in too many other words' places.
const MIN_PART_CHARS: usize = 3;
/// A record of more names is a list of names; the rest is found by the other rules.
const MAX_PARTS: usize = 64;
/// A word that is longer is no part of a name.
const MAX_WORD_BYTES: usize = 48;

/// One part of a name that was found.
struct Part {
    /// Of the folded word.
    hash: u64,
    /// Only where it is capitalised: in small letters it is a word.
    needs_capital: bool,
}

/// The parts of a record's names.
pub(super) struct Parts {
    /// By hash.
    parts: Vec<Part>,
    /// By first byte of a folded word: whether a part begins with it. Words beyond ASCII always may.
    begins: [bool; 256],
}

impl Parts {
    /// Of the names found in `texts`.
    pub(super) fn new(gazetteer: &Gazetteer, texts: &[&str], found: &[Vec<Name>]) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut begins = [false; 256];
        begins[128..].fill(true);
        for (text, names) in texts.iter().zip(found) {
            for name in names.iter().filter(|name| name.entity == Entity::Person) {
                for word in text[name.start..name.end].split([' ', '\u{a0}', '.']) {
                    let is_long = word.chars().count() >= MIN_PART_CHARS;
                    if !is_long || parts.len() >= MAX_PARTS {
                        continue;
                    }
                    let folded = fold(word);
                    let flags = gazetteer.folded(&folded);
                    let is_name = !flags.is_word() || flags.is_given() || flags.is_surname();
                    let hash = hash(&folded);
                    if is_name && !parts.iter().any(|part| part.hash == hash) {
                        for first in [folded.as_bytes()[0], folded.as_bytes()[0].to_ascii_uppercase()] {
                            begins[usize::from(first)] = true;
                        }
                        parts.push(Part { hash, needs_capital: flags.is_dictionary() || flags.is_place() });
                    }
                }
            }
        }
        parts.sort_unstable_by_key(|part| part.hash);
        Self { parts, begins }
    }

    /// Adds the words of `text` that are such parts and lie in none of `names`, which are sorted. Neighbours become one.
    pub(super) fn find(&self, text: &str, names: &[Name], out: &mut Vec<Name>) {
        if self.parts.is_empty() {
            return;
        }
        let bytes = text.as_bytes();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 128 || byte == b'_';
        let mut at = 0;
        while at < bytes.len() {
            if !is_word(bytes[at]) {
                at += 1;
                continue;
            }
            let start = at;
            while at < bytes.len()
                && (is_word(bytes[at])
                    || (bytes[at] == b'-' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)))
            {
                at += 1;
            }
            if !self.begins[usize::from(bytes[start])]
                || at - start > MAX_WORD_BYTES
                || is_touched(bytes, start, at)
            {
                continue;
            }
            // Quotes beyond ASCII stand at the word's ends.
            let Some(word) = text.get(start..at) else { continue };
            let inner = word.trim_start_matches(|sign: char| !sign.is_alphanumeric());
            let from = at - inner.len();
            let word = inner.trim_end_matches(|sign: char| !sign.is_alphanumeric());
            if word.is_empty() {
                continue;
            }
            let next = names.partition_point(|name| name.end <= from);
            let is_known = names.get(next).is_some_and(|name| name.start < from + word.len());
            if !is_known && self.is_part(word) {
                push(text, from, from + word.len(), out);
            }
        }
    }

    fn is_part(&self, word: &str) -> bool {
        let has_capital = word.starts_with(char::is_uppercase);
        let hash = if word.is_ascii() { hash(word) } else { hash(&fold(word)) };
        let found = self.parts.binary_search_by_key(&hash, |part| part.hash);
        found.is_ok_and(|at| has_capital || !self.parts[at].needs_capital)
    }
}

/// Whether the word is part of an address of mail or web.
fn is_touched(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let dotted = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
    matches!(before, Some(b'@' | b'/' | b'\\')) || bytes.get(end) == Some(&b'@') || dotted
}

/// Adds a span, or lengthens the last one if only a space lies between.
fn push(text: &str, start: usize, end: usize, out: &mut Vec<Name>) {
    if let Some(last) = out.last_mut()
        && text.get(last.end..start) == Some(" ")
    {
        last.end = end;
        return;
    }
    out.push(Name::person(start, end, 0.7, "name-again"));
}
