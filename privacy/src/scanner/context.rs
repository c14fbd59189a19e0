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

/// A word of a phrase, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Meant {
    word: Vec<u8>,
    /// Whether it is of a script without spaces, and may stand in the middle of a longer run.
    is_within: bool,
}

/// Phrases, each as its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phrases {
    phrases: Vec<Vec<Meant>>,
    /// How the first words start, as bits and each: most words are done with after a look at these.
    firsts: [u64; 4],
    first_of_each: Vec<u8>,
    has_wide: bool,
}

impl Phrases {
    /// Of phrases as people write them.
    pub(crate) fn new<'t>(phrases: impl IntoIterator<Item = &'t str>) -> Self {
        let meant = |word: &str| {
            let word = word.to_lowercase();
            Meant { is_within: word.chars().any(text::has_no_spaces), word: word.into_bytes() }
        };
        let words = |phrase: &str| -> Vec<Meant> {
            let parts = phrase.split(|c: char| !c.is_alphanumeric());
            parts.filter(|part| !part.is_empty()).map(meant).collect()
        };
        let mut phrases: Vec<Vec<Meant>> = phrases.into_iter().map(words).collect();
        phrases.retain(|phrase| !phrase.is_empty());
        phrases.sort();
        phrases.dedup();
        let mut firsts = [0; 4];
        for phrase in &phrases {
            let place = usize::from(first_place(&phrase[0].word));
            firsts[place / 64] |= 1 << (place % 64);
        }
        let first_of_each = phrases.iter().map(|phrase| first_place(&phrase[0].word)).collect();
        let has_wide = phrases.iter().any(|phrase| phrase[0].is_within);
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
    /// The nearest first.
    words: Vec<Word>,
    /// Words with letters outside ASCII, in lower case.
    lower: String,
    has_wide: bool,
}

/// A word: where it stands in the text or, with letters outside ASCII, in lower case in a buffer.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    end: usize,
    is_wide: bool,
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
        (0..self.words.len()).any(|index| {
            let place = first_place(self.bytes(text, index));
            let bit = usize::from(place);
            let may_start = looks_within || phrases.firsts[bit / 64] >> (bit % 64) & 1 == 1;
            let mut each = phrases.phrases.iter().zip(&phrases.first_of_each);
            may_start
                && each.any(|(phrase, first)| {
                    (*first == place || looks_within) && self.holds(text, phrase, index)
                })
        })
    }

    fn read(&mut self, text: &str, at: usize) {
        self.place = Some(at);
        self.lower.clear();
        self.words.clear();
        self.has_wide = false;
        let bytes = text.as_bytes();
        let stop = at.saturating_sub(REACH_BYTES);
        let before = &bytes[stop..at];
        let mut end = before.len();
        while self.words.len() < WORDS {
            end -= before[..end].iter().rev().take_while(|byte| is_gap(**byte)).count();
            let mut classes = 0;
            let mut start = end;
            while let Some(byte) = before[..start].last().filter(|byte| !is_gap(**byte)) {
                classes |= text::CLASSES[usize::from(*byte)];
                start -= 1;
            }
            if start == end {
                break;
            }
            if classes & class::WIDE == 0 {
                self.words.push(Word { start: stop + start, end: stop + end, is_wide: false });
            } else {
                self.push_wide(text, stop + start, stop + end);
            }
            end = start;
        }
    }

    /// Notes the words of a run that has characters outside ASCII, punctuation perhaps.
    fn push_wide(&mut self, text: &str, start: usize, end: usize) {
        self.has_wide = true;
        let run = &text[text.ceil_char_boundary(start)..end];
        for word in run.rsplit(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let start = self.lower.len();
            self.lower.extend(word.chars().flat_map(char::to_lowercase));
            self.words.push(Word { start, end: self.lower.len(), is_wide: true });
        }
    }

    fn bytes<'t>(&'t self, text: &'t str, index: usize) -> &'t [u8] {
        let Word { start, end, is_wide } = self.words[index];
        let of = if is_wide { self.lower.as_bytes() } else { text.as_bytes() };
        &of[start..end]
    }

    /// Whether `phrase` stands with its first word at `index`, the others being nearer.
    fn holds(&self, text: &str, phrase: &[Meant], index: usize) -> bool {
        let Some(last) = (index + 1).checked_sub(phrase.len()) else { return false };
        let mut words = (last..=index).rev().map(|index| self.bytes(text, index));
        phrase.iter().all(|meant| words.next().is_some_and(|word| is_meant(word, meant)))
    }
}

/// A place that stands for how a word that is not empty starts: by its first two bytes, of whatever case.
fn first_place(word: &[u8]) -> u8 {
    let low = |byte: u8| (byte | 0x20).wrapping_mul(7);
    let second = word.get(1).copied().unwrap_or_default();
    low(word[0]).wrapping_add((second | 0x20).wrapping_mul(31))
}

/// Whether a byte stands between words.
fn is_gap(byte: u8) -> bool {
    text::CLASSES[usize::from(byte)] & (class::LETTER | class::DIGIT | class::WIDE) == 0
}

/// Whether `word` is the context word `meant`, or a form of it.
fn is_meant(word: &[u8], meant: &Meant) -> bool {
    let Meant { word: whole, is_within } = meant;
    if let Some((start, rest)) = word.split_at_checked(whole.len())
        && start.eq_ignore_ascii_case(whole)
    {
        return rest.is_empty() || whole.len() >= LEAST_STEM_BYTES || ends_a_plural(rest);
    }
    *is_within && word.windows(whole.len()).any(|part| part == whole)
}

fn ends_a_plural(rest: &[u8]) -> bool {
    rest.eq_ignore_ascii_case(b"s") || rest.eq_ignore_ascii_case(b"es")
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
