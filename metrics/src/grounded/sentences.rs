//! Sentences, and which of them say something.

use std::ops::Range;

use super::words::words;

/// Fewer content words say too little to be held against anything.
const LEAST_CONTENT_WORDS: usize = 3;
/// Shorter words are seldom what a sentence is about.
const LEAST_LETTERS: usize = 4;
/// A smaller share of content words in the sources leaves a sentence unsupported.
const LEAST_SHARE: f64 = 0.5;

/// How sentences begin that say nothing of the matter.
const COURTESIES: [&str; 26] = [
    "thank",
    "thanks",
    "sorry",
    "i'm sorry",
    "i am sorry",
    "we're sorry",
    "we are sorry",
    "please let",
    "hello",
    "hi",
    "dear",
    "kind regards",
    "best regards",
    "let me know",
    "i hope",
    "we hope",
    "i understand",
    "we understand",
    "you're welcome",
    "happy to help",
    "is there anything",
    "feel free",
    "we apologi",
    "i apologi",
    "sure",
    "of course",
];

/// Words of four letters or more that any sentence may have.
const COMMON: [&str; 58] = [
    "about", "after", "again", "also", "another", "anything", "because", "been", "before", "being",
    "between", "both", "cannot", "could", "does", "doing", "during", "each", "either", "every", "from",
    "have", "having", "here", "however", "into", "just", "more", "most", "need", "only", "other", "over",
    "same", "should", "some", "such", "than", "that", "their", "them", "then", "there", "these", "they",
    "this", "those", "through", "very", "want", "were", "what", "when", "where", "which", "will", "with",
    "your",
];

/// The sentences of a text: up to `.`, `!`, `?` or their like before a space, or to the end of a line.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let ends = match c {
            '\n' | '。' | '！' | '？' => true,
            '!' | '?' => next.is_none_or(|next| !matches!(next, '!' | '?') && !next.is_alphanumeric()),
            '.' => {
                next.is_none_or(char::is_whitespace) && !is_abbreviation(&text[start..at], &text[at + 1..])
            }
            _ => false,
        };
        if ends {
            push(text, start..at + c.len_utf8(), &mut found);
            start = at + c.len_utf8();
        }
    }
    push(text, start..text.len(), &mut found);
    found
}

/// Without spaces around it, if there is a word.
fn push(text: &str, range: Range<usize>, into: &mut Vec<Range<usize>>) {
    let sentence = &text[range.clone()];
    if sentence.contains(char::is_alphanumeric) {
        let start = range.start + sentence.len() - sentence.trim_start().len();
        into.push(start..start + sentence.trim().len());
    }
}

/// Whether a full stop ends a short form: one letter, or anything that goes on in lower case.
fn is_abbreviation(before: &str, after: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let numbered = before.trim().chars().all(|c| c.is_ascii_digit());
    initial
        || numbered
        || after.trim_start_matches([' ', '\t']).chars().next().is_some_and(char::is_lowercase)
}

/// Whether most content words of a sentence are known; `None` for one that says nothing: a question, a courtesy, few words.
pub(super) fn is_supported(sentence: &str, known: impl Fn(&str) -> bool) -> Option<bool> {
    let lower = sentence.to_lowercase().replace('’', "'");
    if sentence.ends_with(['?', '？'])
        || COURTESIES.iter().any(|courtesy| starts_with_words(&lower, courtesy))
    {
        return None;
    }
    let content =
        |word: &str| word.chars().count() >= LEAST_LETTERS && !COMMON.contains(&word.to_lowercase().as_str());
    let content: Vec<bool> =
        words(sentence).filter(|word| content(word.text)).map(|word| known(word.text)).collect();
    let supported = content.iter().filter(|known| **known).count();
    (content.len() >= LEAST_CONTENT_WORDS).then_some(supported as f64 >= LEAST_SHARE * content.len() as f64)
}

fn starts_with_words(text: &str, beginning: &str) -> bool {
    let open = beginning.ends_with("apologi");
    text.strip_prefix(beginning).is_some_and(|rest| open || !rest.starts_with(char::is_alphanumeric))
}
