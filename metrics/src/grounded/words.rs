//! Words with their places.

use crate::text::porter_stem;

/// So large a share of capitalised words within sentences means that a language capitalises its nouns.
const NOUN_SHARE: f64 = 0.22;
/// Of fewer words no share is taken.
const LEAST_WORDS: usize = 8;

/// A word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Its first byte.
    pub(super) start: usize,
    /// Whether a sentence, a line or a quotation begins with it.
    pub(super) opens: bool,
    /// Whether only a space is between it and the word before.
    pub(super) follows: bool,
}

impl Word<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn is_capitalised(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }
}

/// Runs of letters and digits, with hyphens and apostrophes within.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let before = at;
        let start = at + text[at..].find(char::is_alphanumeric)?;
        let mut end = start;
        let mut characters = text[start..].char_indices().peekable();
        while let Some((offset, c)) = characters.next() {
            let joins = matches!(c, '-' | '\'' | '’')
                && characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
            if !c.is_alphanumeric() && !joins {
                break;
            }
            end = start + offset + c.len_utf8();
        }
        at = end;
        let between = &text[before..start];
        let opens =
            before == 0 || between.contains(['.', '!', '?', ':', '\n', '"', '“', '„', '(', '•', '。', '*']);
        Some(Word { text: &text[start..end], start, opens, follows: between == " " })
    })
}

/// What a word is compared by: its stem, in lower case and without a possessive.
pub(super) fn stem(word: &str) -> String {
    let lower = word.to_lowercase().replace('’', "'");
    let bare = lower.strip_suffix("'s").unwrap_or(&lower);
    if bare.bytes().all(|byte| byte.is_ascii_lowercase()) { porter_stem(bare) } else { bare.to_owned() }
}

/// Whether texts have so many capitals within sentences that a capital makes no name.
pub(super) fn capitalises_nouns(texts: &[&str]) -> bool {
    let within = || texts.iter().flat_map(|text| words(text)).filter(|word| !word.opens);
    let letters = |word: &Word<'_>| word.text.chars().next().is_some_and(char::is_alphabetic);
    let all = within().filter(letters).count();
    let capitalised = within().filter(|word| word.is_capitalised() && word.text.chars().count() > 1).count();
    all >= LEAST_WORDS && capitalised as f64 > NOUN_SHARE * all as f64
}
