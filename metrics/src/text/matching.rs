//! Whether two texts are the same.

use serde::{Deserialize, Serialize};

use super::{is_space, words};

/// What of two texts does not count when they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normaliser {
    /// Whitespace around the text.
    Trim,
    /// Runs of whitespace are one space, and none is left around the text.
    Spaces,
    /// Upper and lower case.
    Case,
    /// ASCII punctuation.
    Punctuation,
    /// The English articles `a`, `an` and `the`, as whole words; runs of whitespace too.
    Articles,
    /// Separators of thousands between digits: `1,234` is `1234`.
    Thousands,
    /// All but the last number of the text, as the answers of sums are compared; a text without one stays.
    LastNumber,
    /// All but the first line that is not empty.
    FirstLine,
}

impl Normaliser {
    fn apply(self, text: &str) -> String {
        let joined = |words: Vec<&str>| words.join(" ");
        match self {
            Self::Trim => text.trim_matches(is_space).to_owned(),
            Self::Spaces => joined(words(text).collect()),
            Self::Case => text.to_lowercase(),
            Self::Punctuation => text.chars().filter(|c| !c.is_ascii_punctuation()).collect(),
            Self::Articles => {
                let article =
                    |word: &&str| ["a", "an", "the"].iter().any(|one| word.eq_ignore_ascii_case(one));
                joined(words(text).filter(|word| !article(word)).collect())
            }
            Self::Thousands => without_thousands(text),
            Self::LastNumber => last_number(text).unwrap_or_else(|| text.to_owned()),
            Self::FirstLine => {
                text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
            }
        }
    }
}

/// `text` after each of `normalisers` in turn.
#[must_use]
pub fn normalise(text: &str, normalisers: &[Normaliser]) -> String {
    normalisers.iter().fold(text.to_owned(), |text, normaliser| normaliser.apply(&text))
}

/// Whether two texts are the same, whitespace around them aside.
#[must_use]
pub fn exact_match(hypothesis: &str, reference: &str) -> bool {
    hypothesis.trim() == reference.trim()
}

/// Whether two texts are the same once both are [`normalised`].
#[must_use]
pub fn normalised_match(hypothesis: &str, reference: &str) -> bool {
    normalised(hypothesis) == normalised(reference)
}

/// A text in lower case, without ASCII punctuation, its words apart by one space each.
///
/// What `exact_match` of HF evaluate and lm-eval does when told to ignore case and punctuation. Articles stay,
/// unlike in SQuAD's evaluation, because which words are articles is a matter of the language.
#[must_use]
pub fn normalised(text: &str) -> String {
    normalise(text, &[Normaliser::Case, Normaliser::Punctuation, Normaliser::Spaces])
}

/// Without each comma that has a digit before it and exactly three after.
fn without_thousands(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let separates = |at: usize| at > 0 && digit(at - 1) && (at + 1..at + 4).all(digit) && !digit(at + 4);
    text.char_indices().filter(|&(at, c)| c != ',' || !separates(at)).map(|(_, c)| c).collect()
}

/// The last run of digits, with its sign and its decimals; one that begins with its decimal point has a zero before it.
fn last_number(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(u8::is_ascii_digit)? + 1;
    let part = |at: usize| bytes[at].is_ascii_digit() || matches!(bytes[at], b'.' | b',');
    let mut start = end - 1;
    while start > 0 && part(start - 1) {
        start -= 1;
    }
    while !bytes[start].is_ascii_digit() {
        start += 1;
    }
    // One point, and not the end of a word or of an ellipsis.
    let ends = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b',');
    let pointed = start > 0 && bytes[start - 1] == b'.' && (start < 2 || !ends(&bytes[start - 2]));
    let first = start - usize::from(pointed);
    let signed =
        first > 0 && bytes[first - 1] == b'-' && (first < 2 || !bytes[first - 2].is_ascii_alphanumeric());
    let (sign, zero) = (if signed { "-" } else { "" }, if pointed { "0" } else { "" });
    Some(format!("{sign}{zero}{}", &text[first..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_around_an_answer_does_not_count() {
        assert!(exact_match(" Yes.\n", "Yes."));
        assert!(!exact_match("yes.", "Yes."));
        assert!(!exact_match("Yes", "Yes."));
        assert!(exact_match("", "  "));
    }

    #[test]
    fn case_and_punctuation_do_not_count_once_normalised() {
        assert_eq!(normalised("  It's  \u{201c}GRÜN\u{201d}, really! "), "its \u{201c}grün\u{201d} really");
        assert!(normalised_match("yes", "Yes."));
        assert!(!normalised_match("the lamp", "a lamp"));
    }

    #[test]
    fn normalisers_are_applied_in_turn() {
        use Normaliser::*;
        for (text, normalisers, expected) in [
            (" a  b\n", &[Trim][..], "a  b"),
            (" a  b\n", &[Spaces], "a b"),
            ("The lamp is an  old one", &[Articles], "lamp is old one"),
            ("1,234,567 and 1,23 and 12,3456", &[Thousands], "1234567 and 1,23 and 12,3456"),
            ("3 + 4 = 7.", &[LastNumber], "7"),
            ("so it costs $1,250.50!", &[Thousands, LastNumber], "1250.50"),
            ("from 5 to -3", &[LastNumber], "-3"),
            ("page 10-12", &[LastNumber], "12"),
            ("it is .5", &[LastNumber], "0.5"),
            ("it is -.50", &[LastNumber], "-0.50"),
            ("it is 5", &[LastNumber], "5"),
            ("it is...5, or the end.6", &[LastNumber], "6"),
            ("it is ...5", &[LastNumber], "5"),
            ("none", &[LastNumber], "none"),
            ("\n  spam \nbecause", &[FirstLine], "spam"),
        ] {
            assert_eq!(normalise(text, normalisers), expected, "{text:?} {normalisers:?}");
        }
    }
}
