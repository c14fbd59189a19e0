//! The form in which two texts that differ in nothing but writing are equal.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::record::{Message, Record};

/// Punctuation that is part of a word or a number rather than of a sentence: C# is not C, 5% are not 5.
const KEPT: &str = "_#%&@*/\\";

/// The canonical form of a text: NFC, lower case, without punctuation, a run of white space as one space, none at the
/// ends.
///
/// Punctuation stays where it makes another number of the same digits (3.50 is not 350, -5 is not 5), where it belongs
/// to a word (`_ # % & @ * / \`), and where nothing else would be left (":)" is not ":(").
pub fn canonical(text: &str) -> String {
    let composed: String;
    let text = match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => {
            composed = text.nfc().collect();
            &composed
        }
    };
    let lower = text.to_lowercase();
    let bare = collapsed(&without_punctuation(&lower));
    if bare.is_empty() { collapsed(&lower) } else { bare }
}

/// BLAKE3, cut to 128 bits, of a conversation whose texts are canonical: rows of the same hash say the same, each turn
/// in the same role.
pub fn canonical_hash(messages: &[Message]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    messages.iter().for_each(|message| add_turn(&mut hasher, message));
    cut(&hasher)
}

/// [`canonical_hash`] of rows that are learnt from: of the same hash are those that teach the same. Calls of tools, reasoning and
/// whatever else templates see, the tools, and which answers are trained count, as they are written. Of a row that has none of
/// it, it is [`canonical_hash`].
pub fn canonical_row_hash(record: &Record) -> [u8; 16] {
    // No text is as long: what few rows have runs into the bytes of no text.
    const NO_LENGTH: u64 = u64::MAX;
    let mut hasher = blake3::Hasher::new();
    for message in &record.messages {
        add_turn(&mut hasher, message);
        if !message.extra.is_empty() || message.is_passed_over() {
            hasher.update(&NO_LENGTH.to_le_bytes());
            hasher.update(&[u8::from(message.is_passed_over())]);
            for (name, value) in &message.extra {
                add(&mut hasher, name);
                add(&mut hasher, &value.to_string());
            }
        }
    }
    if !record.tools.is_empty() {
        hasher.update(&NO_LENGTH.to_le_bytes());
        record.tools.iter().for_each(|tool| add(&mut hasher, &tool.to_string()));
    }
    cut(&hasher)
}

fn add_turn(hasher: &mut blake3::Hasher, message: &Message) {
    add(hasher, &message.role);
    add(hasher, &canonical(&message.content));
}

/// Lengths stand before the texts, so that no two conversations run into the same bytes.
fn add(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn cut(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

fn without_punctuation(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let after = characters.peek().copied().unwrap_or(' ');
        let in_number = after.is_numeric()
            && (before.is_numeric() || (matches!(character, '-' | '\u{2212}') && before.is_whitespace()));
        if in_number || KEPT.contains(character) || !is_punctuation(character) {
            bare.push(character);
        }
        before = character;
    }
    bare
}

fn is_punctuation(character: char) -> bool {
    /// Unicode's general category P.
    static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{P}").ok());
    match character {
        character if character.is_alphanumeric() || character.is_whitespace() => false,
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => false,
        character if character.is_ascii() => character.is_ascii_punctuation(),
        character => {
            let mut bytes = [0; 4];
            PUNCTUATION.as_ref().is_some_and(|regex| regex.is_match(character.encode_utf8(&mut bytes)))
        }
    }
}

fn collapsed(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_is_no_difference_and_meaning_is() {
        for (one, other, equal) in [
            ("Hello,  World!", "hello world", true),
            ("hello , world", "hello, world", true),
            ("cafe\u{301}", "Café", true),
            ("“It’s” – fine…", "its fine", true),
            ("a\u{a0}b\tc\n", "a b c", true),
            ("It costs 3.50", "It costs 350", false),
            ("1,000 rows", "1 000 rows", false),
            ("minus -5", "minus 5", false),
            ("(5)", "5.", true),
            ("What is C#?", "What is C?", false),
            ("5%", "5", false),
            ("£5", "$5", false),
            (":)", ":(", false),
            (":)", " :) ", true),
            ("snake_case", "snakecase", false),
            ("", "  ", true),
        ] {
            assert_eq!(canonical(one) == canonical(other), equal, "{one:?} and {other:?}");
        }
        assert_eq!(canonical("  Hello,  \u{a1}World! "), "hello world");
    }

    #[test]
    fn turns_and_roles_count() {
        let hash = |turns: &[(&str, &str)]| {
            canonical_hash(&turns.iter().map(|&(role, text)| Message::new(role, text)).collect::<Vec<_>>())
        };
        let one = hash(&[("user", "a b"), ("assistant", "c")]);
        assert_eq!(one, hash(&[("user", "A  b!"), ("assistant", "C.")]));
        assert_ne!(one, hash(&[("user", "a"), ("assistant", "b c")]));
        assert_ne!(one, hash(&[("assistant", "a b"), ("assistant", "c")]));
    }
}
