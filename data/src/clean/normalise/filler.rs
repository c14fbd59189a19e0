//! Sounds of hesitation in English.

use std::ops::Range;

use super::edit::{Edit, Edited};
use super::lines::{Code, in_identifier, whole_word};

/// The sounds, none of which is an English word. `um` and `er` are words of other languages.
const SOUNDS: [&str; 10] = ["umm", "ummm", "um", "uhm", "uhmm", "uhh", "uhhh", "uh", "erm", "ermm"];
/// Phrases that say nothing between two commas.
const ASIDES: [&str; 4] = [", you know,", ", like,", ", i mean,", ", sort of,"];
/// So many of [`COMMON`] must stand in a text for it to be taken as English.
const MIN_COMMON: usize = 2;
/// Words that English sentences are made of and that the other languages of Latin script do not have.
const COMMON: [&str; 35] = [
    "the", "my", "you", "your", "how", "what", "to", "can", "does", "did", "and", "that", "this", "have",
    "with", "would", "could", "should", "there", "think", "know", "just", "but", "why", "where", "when",
    "been", "i'm", "don't", "it's", "please", "i", "it", "were", "which",
];

/// Removes hesitation ("um", "uh") with its commas, and empty asides (", you know,"), from English text outside code.
pub(crate) fn remove(text: &str) -> Edited<'_> {
    let mut found = candidates(text);
    if found.is_empty() || !is_english(text) {
        return Edited::unchanged(text);
    }
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let code = Code::of(text);
    let mut edit = Edit::of(text);
    for range in found {
        if !code.contains(range.start) && !in_identifier(text, &range) {
            remove_one(text, range, &mut edit);
        }
    }
    edit.finish()
}

/// Where sounds and asides stand.
fn candidates(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (at, pair) in bytes.windows(2).enumerate() {
        let starts = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let phrases: &[&str] = match (pair[0], pair[1].to_ascii_lowercase()) {
            (b'u' | b'U', b'm' | b'h') if starts => &SOUNDS,
            (b'e' | b'E', b'r') if starts => &SOUNDS,
            (b',', b' ') => &ASIDES,
            _ => continue,
        };
        let here = |phrase: &&str| {
            let there =
                text.get(at..at + phrase.len()).is_some_and(|there| there.eq_ignore_ascii_case(phrase));
            there && (phrase.starts_with(',') || is_sound(text, &(at..at + phrase.len())))
        };
        if let Some(phrase) = phrases.iter().filter(|phrase| here(phrase)).max_by_key(|phrase| phrase.len()) {
            found.push(at..at + phrase.len());
        }
    }
    found
}

/// A whole word, not in capitals (`UH`), not half of another ("uh-huh", "uh oh"), and no unit ("5 um").
fn is_sound(text: &str, range: &Range<usize>) -> bool {
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let capitals = text[range.start + 1..range.end].bytes().any(|byte| byte.is_ascii_uppercase());
    let next = after.trim_start_matches([' ', '-']);
    let half = |word: &str| next.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let joined =
        before.ends_with(['-', '\'', '’', '"']) || after.starts_with(['-', '\'', '’', '"', '/', '?']);
    let number = before.trim_end().ends_with(|c: char| c.is_ascii_digit());
    whole_word(text, range) && !capitals && !joined && !number && !["huh", "oh", "uh"].into_iter().any(half)
}

/// Removes a sound and what belongs to it; a sentence that began with it begins with a capital again.
fn remove_one(text: &str, range: Range<usize>, edit: &mut Edit<'_>) {
    if text[range.clone()].starts_with(',') {
        return edit.replace(range, "");
    }
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let starts = before.trim_end_matches(' ').is_empty()
        || before.trim_end_matches(' ').ends_with(['.', '!', '?', '\n', '…']);
    let dots = after.trim_start_matches(' ');
    let paused = if dots.starts_with(['.', '…', ',', '-']) { dots } else { after };
    let rest = paused.trim_start_matches([',', '.', '…', '-']);
    let pause = rest.len() < paused.len();
    if !starts {
        let commas = before.ends_with(", ") && pause;
        let alone = !pause && !before.ends_with(", ");
        if alone && text[range.clone()].len() == 2 && !text[range.clone()].ends_with('h') {
            return;
        }
        let start = range.start - usize::from(before.ends_with(' ')) - usize::from(commas);
        let end = if pause && !paused.starts_with(',') { range.end } else { text.len() - rest.len() };
        return edit.remove(start..end);
    }
    let rest = rest.trim_start_matches(' ');
    let end = text.len() - rest.len();
    let capital = text[range.start..].starts_with(char::is_uppercase);
    match rest.chars().next().filter(|c| capital && c.is_lowercase()) {
        Some(first) => {
            let upper: String = first.to_uppercase().collect();
            edit.replace(range.start..end + first.len_utf8(), &upper);
        }
        None => edit.remove(range.start..end),
    }
}

fn is_english(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let common = words.filter(|word| COMMON.iter().any(|common| common.eq_ignore_ascii_case(word)));
    common.take(MIN_COMMON).count() == MIN_COMMON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hesitation_goes() {
        for (text, expected) in [
            ("Um, how do I do this?", "How do I do this?"),
            ("I was, um, thinking of the card", "I was thinking of the card"),
            ("So uh I lost my card", "So I lost my card"),
            ("Erm. I think it is the card", "I think it is the card"),
            ("Erm ... what is the card", "What is the card"),
            ("I think it is, uhm... my card", "I think it is... my card"),
            ("uhh... what is this?", "what is this?"),
            ("It is, you know, broken and I want it back", "It is broken and I want it back"),
            ("I have a problem. Um, it is the card", "I have a problem. It is the card"),
        ] {
            assert_eq!(remove(text).text, expected);
            assert_eq!(remove(expected).changes, 0);
        }
    }

    #[test]
    fn words_stay() {
        for text in [
            "um 5 Uhr komme ich, er auch",
            "um, dois, três",
            "uh-huh, that is what I want",
            "uh oh, what is this",
            "a wire of 5 um is what you need",
            "the UM of the state is what I want",
            "do you know, it is late",
            "I like, it is true, the card",
            "what is `um, x` to you",
            "you said \"um\" to what is this",
            "tell the man to shove um up and go",
            "the drum and the umbrella of my aunt",
        ] {
            assert_eq!(remove(text), Edited::unchanged(text));
        }
    }
}
