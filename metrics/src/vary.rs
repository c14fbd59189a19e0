//! Texts with slips of the keyboard and in other case, by which it is seen whether a model cares.
//!
//! Draws are keyed by the id of what is varied, so that a variant is the same for every model, machine and order of rows.

use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::stream::{stream, uniform_below};

/// Words between two slips: people make one in some dozen words; these are bad typists.
const WORDS_A_SLIP: usize = 6;
/// Shorter words are told from others by each of their letters.
const LEAST_LETTERS: usize = 4;
/// Draws for a text that is none of those before it.
const TRIALS: u64 = 20;
/// The letters of a keyboard, row by row: a slip may take the next key.
const KEYS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// What was done to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Letters left out, doubled, exchanged with the next one, or taken from the key beside.
    Typos,
    /// All letters small.
    LowerCase,
    /// All letters capital.
    UpperCase,
}

/// The kinds in the order in which they are made, over and over.
const KINDS: [Kind; 3] = [Kind::Typos, Kind::LowerCase, Kind::UpperCase];

/// At most `count` variants of `text`; fewer where no more differ. `id` keys the draws. `kept` are texts that stay as they are: the context
/// that an answer draws on, and labels.
#[must_use]
pub fn vary(text: &str, id: &str, count: usize, kept: &[&str]) -> Vec<(Kind, String)> {
    let mut all: Vec<(Kind, String)> = Vec::new();
    for (number, kind) in KINDS.iter().copied().cycle().take(count).enumerate() {
        let is_new = |(_, one): &(Kind, String)| one != text && all.iter().all(|(_, other)| other != one);
        // Case is changed once; what comes later are other slips.
        let is_cased = kind != Kind::Typos && number < KINDS.len();
        let cased = is_cased.then(|| (kind, changed(text, kept, &mut |word| cased(word, kind))));
        let typos = (0..TRIALS).map(|trial| {
            let mut random = stream(0, "variants", id, number as u64 * TRIALS + trial);
            (Kind::Typos, slips(text, kept, &mut random))
        });
        let found = cased.into_iter().chain(typos).find(is_new);
        all.extend(found);
    }
    all
}

fn cased(word: &str, kind: Kind) -> String {
    match kind {
        Kind::LowerCase => word.to_lowercase(),
        _ => word.to_uppercase(),
    }
}

/// The text with slips in some of its words.
fn slips(text: &str, kept: &[&str], random: &mut ChaCha8Rng) -> String {
    let is_long = |word: &str| word.chars().count() >= LEAST_LETTERS && word.chars().all(char::is_alphabetic);
    let mut words = 0_usize;
    changed(text, kept, &mut |word| {
        words += usize::from(is_long(word));
        word.to_owned()
    });
    if words == 0 {
        return text.to_owned();
    }
    let wanted = words.div_ceil(WORDS_A_SLIP);
    let chosen: Vec<usize> = (0..wanted)
        .map(|_| uniform_below(random, u32::try_from(words).unwrap_or(u32::MAX)) as usize)
        .collect();
    let mut at = 0;
    changed(text, kept, &mut |word| {
        let is_chosen = is_long(word) && chosen.contains(&at);
        at += usize::from(is_long(word));
        if is_chosen { slip(word, random) } else { word.to_owned() }
    })
}

/// One slip, not in the first letter.
fn slip(word: &str, random: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let place = 1 + uniform_below(random, letters.len() as u32 - 2) as usize;
    match uniform_below(random, 4) {
        0 => letters.swap(place, place + 1),
        1 => {
            letters.remove(place);
        }
        2 => letters.insert(place, letters[place]),
        _ => match beside(letters[place], random) {
            Some(key) => letters[place] = key,
            None => letters.swap(place, place + 1),
        },
    }
    letters.into_iter().collect()
}

/// The key left or right of a small letter.
fn beside(letter: char, random: &mut ChaCha8Rng) -> Option<char> {
    let row = KEYS.iter().find(|row| row.contains(letter))?;
    let place = row.find(letter)?;
    let left = place.checked_sub(1);
    let right = (place + 1 < row.len()).then_some(place + 1);
    let next = match uniform_below(random, 2) {
        0 => left.or(right),
        _ => right.or(left),
    };
    row[next?..].chars().next()
}

/// The text with each of its words as `change` has it; spaces, `kept` texts and what looks like a number, an address or code stay.
fn changed(text: &str, kept: &[&str], change: &mut dyn FnMut(&str) -> String) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while !rest.is_empty() {
        let long = kept.iter().filter(|one| one.contains(char::is_whitespace));
        let next = long.filter_map(|one| Some((rest.find(one)?, one.len()))).min();
        let (before, length) = next.unwrap_or((rest.len(), 0));
        words(&rest[..before], kept, change, &mut out);
        out.push_str(&rest[before..before + length]);
        rest = &rest[before + length..];
    }
    out
}

/// Whether a bracket stands right behind a letter: `add(a,`, and not `(add)`.
fn is_call(chunk: &str) -> bool {
    chunk.char_indices().any(|(at, letter)| letter == '(' && chunk[..at].ends_with(char::is_alphabetic))
}

fn words(text: &str, kept: &[&str], change: &mut dyn FnMut(&str) -> String, out: &mut String) {
    for piece in text.split_inclusive(char::is_whitespace) {
        let chunk = piece.trim_end();
        let is_code = |c: char| c.is_numeric() || "@/\\_<>{}[]=`#$%&*+|~^".contains(c);
        let inner = chunk.trim_matches(|c: char| !c.is_alphanumeric());
        let is_kept = kept.iter().any(|one| one.eq_ignore_ascii_case(inner));
        if chunk.contains(is_code) || is_call(chunk) || is_kept || inner.is_empty() {
            out.push_str(piece);
            continue;
        }
        // Hyphens, apostrophes and full stops within stand between words.
        let mut from = None;
        for (at, letter) in piece.char_indices().chain([(piece.len(), ' ')]) {
            match (from, letter.is_alphabetic() && at < piece.len()) {
                (None, true) => from = Some(at),
                (Some(start), false) => {
                    out.push_str(&change(&piece[start..at]));
                    from = None;
                }
                _ => {}
            }
            if from.is_none() && at < piece.len() {
                out.push(letter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Where (if anywhere) is my parcel 4711-A? Call find(parcel). Write to ann@shop.example, or say ham or spam; the lamp costs 5 euros.";

    #[test]
    fn variants_are_keyed_and_differ() {
        let all = vary(TEXT, "case-1", 6, &[]);
        assert_eq!(all, vary(TEXT, "case-1", 6, &[]));
        assert_eq!(all[..3], vary(TEXT, "case-1", 3, &[])[..], "fewer are the first of more");
        assert_ne!(all[0], vary(TEXT, "case-2", 1, &[])[0]);
        let kinds: Vec<Kind> = all.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds[..3], [Kind::Typos, Kind::LowerCase, Kind::UpperCase]);
        assert!(kinds[3..].iter().all(|kind| *kind == Kind::Typos));
        let mut texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).chain([TEXT]).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 7);
        for (_, text) in &all {
            assert!(
                text.contains("4711-A?") && text.contains("ann@shop.example,") && text.contains(" 5 "),
                "{text}"
            );
            assert!(text.contains(" find(parcel). ") && text.contains(" ("), "{text}");
        }
    }

    #[test]
    fn what_is_kept_stays() {
        for (kind, text) in vary(TEXT, "x", 9, &["ham", "spam", "the lamp costs"]) {
            assert!(
                text.to_lowercase().contains("ham ") && text.contains("the lamp costs"),
                "{kind:?}: {text}"
            );
            assert!(text.contains(" ham ") && text.contains(" spam; "), "{kind:?}: {text}");
        }
        assert_eq!(vary(TEXT, "x", 2, &[])[1].1, TEXT.to_lowercase().replace("4711-a", "4711-A"));
    }

    #[test]
    fn slips_are_small() {
        let long = "quickly ".repeat(60);
        let (_, text) = vary(&long, "x", 1, &[]).remove(0);
        let changed = text.split_whitespace().filter(|word| *word != "quickly").count();
        assert!((1..=10).contains(&changed), "{text}");
        assert!(text.split_whitespace().all(|word| word.starts_with('q') && word.len().abs_diff(7) <= 1));
        assert_eq!(vary("", "x", 3, &[]), []);
        assert_eq!(vary("12 34", "x", 3, &[]), []);
        // Nothing but case can be changed.
        assert_eq!(vary("Hi", "x", 3, &[]).len(), 2);
    }
}
