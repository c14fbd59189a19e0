//! Words that stand before a match and say what it is.

use crate::scanner::text;

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
        Self { phrases }
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
    /// Bit `b & 63` of each word's first byte `b`: most phrases start with none of them.
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
        phrases.phrases.iter().any(|phrase| self.holds(phrase))
    }

    fn read(&mut self, text: &str, at: usize) {
        self.place = Some(at);
        self.lower.clear();
        self.ends.clear();
        (self.firsts, self.has_wide) = (0, false);
        let mut from = at.saturating_sub(REACH_BYTES);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let window = &text[from..at];
        let mut start = None;
        for c in window.chars().chain(std::iter::once(' ')) {
            if c.is_alphanumeric() {
                start.get_or_insert(self.lower.len());
                self.has_wide |= !c.is_ascii();
                match c.is_ascii() {
                    true => self.lower.push(c.to_ascii_lowercase()),
                    false => self.lower.extend(c.to_lowercase()),
                }
            } else if let Some(start) = start.take() {
                self.ends.push((start, self.lower.len()));
            }
        }
        let surplus = self.ends.len().saturating_sub(WORDS);
        self.ends.drain(..surplus);
        for &(start, _) in &self.ends {
            self.firsts |= 1 << (self.lower.as_bytes()[start] & 63);
        }
    }

    fn holds(&self, phrase: &[String]) -> bool {
        let first = phrase[0].as_bytes()[0];
        // A word of a script without spaces may stand in the middle of a longer run.
        if self.firsts >> (first & 63) & 1 == 0 && !(self.has_wide && !first.is_ascii()) {
            return false;
        }
        let fits = |words: &[(usize, usize)]| {
            words.iter().zip(phrase).all(|(&(start, end), meant)| is_meant(&self.lower[start..end], meant))
        };
        self.ends.windows(phrase.len()).any(fits)
    }
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
