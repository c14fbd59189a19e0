//! The names of a record, found again wherever they stand in it.

use super::fold::fold;
use super::gazetteer::Gazetteer;
use super::judge::Name;

/// A shorter part of a name stands in too many other words' places.
const MIN_PART_CHARS: usize = 3;
/// A record of more names is a list of names; the rest is found by the other rules.
const MAX_PARTS: usize = 64;
/// A word that is longer is no part of a name.
const MAX_WORD_BYTES: usize = 48;

/// One part of a name that was found.
struct Part {
    folded: String,
    /// Only where it is capitalised: in small letters it is a word.
    needs_capital: bool,
}

/// The parts of a record's names.
pub(super) struct Parts {
    parts: Vec<Part>,
    /// By first byte of a folded word: whether a part begins with it. Words beyond ASCII always may.
    begins: [bool; 256],
}

impl Parts {
    /// Of the names found in `texts`.
    pub(super) fn new(gazetteer: &Gazetteer, texts: &[&str], found: &[Vec<Name>]) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for (text, names) in texts.iter().zip(found) {
            for name in names {
                for word in text[name.start..name.end].split([' ', '\u{a0}', '.']) {
                    let is_long = word.chars().count() >= MIN_PART_CHARS;
                    if !is_long || parts.len() >= MAX_PARTS {
                        continue;
                    }
                    let folded = fold(word);
                    let flags = gazetteer.folded(&folded);
                    let is_name = !flags.is_word() || flags.is_given() || flags.is_surname();
                    if is_name && !parts.iter().any(|part| part.folded == folded) {
                        parts.push(Part { folded, needs_capital: flags.is_dictionary() || flags.is_place() });
                    }
                }
            }
        }
        let mut begins = [false; 256];
        begins[128..].fill(true);
        for part in &parts {
            let first = part.folded.as_bytes()[0];
            begins[usize::from(first)] = true;
            begins[usize::from(first.to_ascii_uppercase())] = true;
        }
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
            let word = word.trim_matches(|sign: char| !sign.is_alphanumeric());
            let Some(from) =
                text[start..at].find(word).filter(|_| !word.is_empty()).map(|offset| start + offset)
            else {
                continue;
            };
            let next = names.partition_point(|name| name.end <= from);
            let is_known = names.get(next).is_some_and(|name| name.start < from + word.len());
            if !is_known && self.is_part(word) {
                push(text, from, from + word.len(), out);
            }
        }
    }

    fn is_part(&self, word: &str) -> bool {
        let has_capital = word.starts_with(char::is_uppercase);
        let is_equal = |part: &&Part| {
            if word.is_ascii() { part.folded.eq_ignore_ascii_case(word) } else { part.folded == fold(word) }
        };
        self.parts.iter().find(is_equal).is_some_and(|part| has_capital || !part.needs_capital)
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
    out.push(Name { start, end, score: 0.7, rule: "name-again" });
}
