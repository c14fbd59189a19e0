//! Words that stand before a match and say what it is.

use crate::scanner::text::{self, class};

/// How many words before a match are looked at: as many as Presidio takes.
const WORDS: usize = 5;

/// How far back the words are sought, in bytes: a longer way is one word of a machine's, not of a person's.
const REACH_BYTES: usize = 96;

/// From this length on, in bytes, a context word may be the start of a longer one: `passport` of `passports`, `telefon` of
/// `Telefonnummer`. Shorter ones must be whole, but for a plural's ending: `lic` is not meant by `licence`.
const LEAST_STEM_BYTES: usize = 5;

/// What a raise adds to a score, and the least it makes of it.
const RAISE: f32 = 0.35;
const LEAST_RAISED: f32 = 0.4;

/// The score of a match that stands in its context.
pub(crate) fn raised(score: f32) -> f32 {
    (score + RAISE).clamp(LEAST_RAISED, 1.0)
}

/// Phrases, each as its words in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phrases {
    phrases: Vec<Vec<String>>,
    /// The first bits of all phrases, and that of each: most places are done with after a look at these.
    firsts: u64,
    first_of_each: Vec<u64>,
    has_wide: bool,
}

impl Phrases {
    /// Of phrases as people write them.
    pub(crate) fn new<'t>(phrases: impl IntoIterator<Item = &'t str>) -> Self {
        let words = |phrase: &str| -> Vec<String> {
            let parts = phrase.split(|c: char| !c.is_alphanumeric());
            parts.filter(|part| !part.is_empty()).map(str::to_lowercase).collect()
        };
        let mut phrases: Vec<Vec<String>> = phrases.into_iter().map(words).collect();
        phrases.retain(|phrase| !phrase.is_empty());
        phrases.sort();
        phrases.dedup();
        let first_of_each: Vec<u64> = phrases.iter().map(|phrase| first_bit(&phrase[0])).collect();
        let firsts = first_of_each.iter().fold(0, |all, first| all | first);
        let has_wide = phrases.iter().any(|phrase| phrase[0].chars().any(text::has_no_spaces));
        Self { phrases, firsts, first_of_each, has_wide }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }
}

/// The words before a place, kept as long as one place is looked at.
#[derive(Debug, Default)]
pub(crate) struct WordsBefore {
    place: Option<usize>,
    lower: String,
    ends: Vec<(usize, usize)>,
    /// The first bits of all words.
    firsts: u64,
    has_wide: bool,
}

impl WordsBefore {
    /// Whether one of `phrases` stands in the words before byte `at` of `text`.
    pub(crate) fn hold(&mut self, text: &str, at: usize, phrases: &Phrases) -> bool {
        if phrases.is_empty() {
            return false;
        }
        if self.place != Some(at) {
            self.read(text, at);
        }
        // A word of a script without spaces may stand in the middle of a longer run, whatever that starts with.
        let looks_within = phrases.has_wide && self.has_wide;
        if self.firsts & phrases.firsts == 0 && !looks_within {
            return false;
        }
        let each = phrases.phrases.iter().zip(&phrases.first_of_each);
        each.filter(|(_, first)| looks_within || self.firsts & **first != 0).any(|(phrase, _)| self.holds(phrase))
    }

    /// Reads the words backwards from `at`, the nearest first.
    fn read(&mut self, text: &str, at: usize) {
        self.place = Some(at);
        self.lower.clear();
        self.ends.clear();
        (self.firsts, self.has_wide) = (0, false);
        let bytes = text.as_bytes();
        let stop = at.saturating_sub(REACH_BYTES);
        let mut end = at;
        while self.ends.len() < WORDS {
            while end > stop && is_gap(bytes[end - 1]) {
                end -= 1;
            }
            let mut start = end;
            let mut is_wide = false;
            while start > stop && !is_gap(bytes[start - 1]) {
                start -= 1;
                is_wide |= bytes[start] >= 0x80;
            }
            while !text.is_char_boundary(start) {
                start += 1;
            }
            if start >= end {
                break;
            }
            self.push(&text[start..end], is_wide);
            end = start;
        }
        self.ends.reverse();
    }

    /// Notes a word, or the words of which punctuation outside ASCII makes a run.
    fn push(&mut self, run: &str, is_wide: bool) {
        if !is_wide {
            self.note(|lower| lower.extend(run.bytes().map(|byte| char::from(byte.to_ascii_lowercase()))));
            return;
        }
        self.has_wide = true;
        for word in run.rsplit(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            self.note(|lower| lower.extend(word.chars().flat_map(char::to_lowercase)));
        }
    }

    fn note(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.lower.len();
        write(&mut self.lower);
        self.ends.push((start, self.lower.len()));
        self.firsts |= first_bit(&self.lower[start..]);
    }

    fn holds(&self, phrase: &[String]) -> bool {
        let fits = |words: &[(usize, usize)]| {
            words.iter().zip(phrase).all(|(&(start, end), meant)| is_meant(&self.lower[start..end], meant))
        };
        self.ends.windows(phrase.len()).any(fits)
    }
}

/// A bit that stands for how a word that is not empty starts: by its first two bytes, mixed.
fn first_bit(word: &str) -> u64 {
    let bytes = word.as_bytes();
    let second = bytes.get(1).copied().unwrap_or_default();
    1 << ((u32::from(bytes[0]) * 7 + u32::from(second) * 31) & 63)
}

/// Whether a byte stands between words.
fn is_gap(byte: u8) -> bool {
    text::CLASSES[usize::from(byte)] & (class::LETTER | class::DIGIT | class::WIDE) == 0
}

/// Whether `word` is the context word `meant`, or a form of it.
fn is_meant(word: &str, meant: &str) -> bool {
    match word.strip_prefix(meant) {
        Some("" | "s" | "es") => true,
        Some(_) if meant.len() >= LEAST_STEM_BYTES => true,
        _ => meant.chars().any(text::has_no_spaces) && word.contains(meant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, phrases: &[&str]) -> bool {
        WordsBefore::default().hold(text, text.len(), &Phrases::new(phrases.iter().copied()))
    }

    #[test]
    fn whole_words_within_five() {
        assert!(holds("my SSN is ", &["ssn"]));
        assert!(holds("{\"tax_id\": \"", &["tax id"]));
        assert!(holds("two cards: ", &["card"]));
        assert!(holds("Telefonnummer ", &["telefon"]));
        assert!(holds("주민등록번호는 ", &["주민등록번호"]));
        assert!(!holds("duplicate ", &["lic"]));
        assert!(!holds("licence ", &["lic"]));
        assert!(!holds("ssn one two three four five ", &["ssn"]));
        assert!(!holds("social insurance security ", &["social security"]));
    }
}
