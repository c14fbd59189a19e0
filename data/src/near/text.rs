//! What of a text is compared, and its shingles.

use unicode_normalization::char::is_combining_mark;

/// Characters of a shingle.
pub(crate) const SHINGLE_CHARACTERS: usize = 5;

/// Of a longer text only so many bytes are compared: the shingles of more would fill the memory of the comparison.
pub(crate) const MOST_COMPARED_BYTES: usize = 256 << 10;

/// Odd numbers without structure, from the digits of pi.
const FOLD: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// The part of a text that is compared at all, cut between characters.
pub(crate) fn comparable(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_COMPARED_BYTES)]
}

/// Appends the compared form: lower case, a run of white space as one space, nothing but letters, numbers, `_` and
/// spaces, none at the ends.
///
/// This is Python's `re.sub(r"[^\w ]", "", re.sub(r"\s+", " ", text.lower())).strip()`: its `\w` has no combining
/// marks, and its `\s` has the four separators U+001C to U+001F.
pub(crate) fn append_compared(text: &str, compared: &mut String) {
    let start = compared.len();
    let mut after_space = false;
    let mut push = |character: char| {
        let space = is_space(character);
        if space && !after_space {
            compared.push(' ');
        } else if !space && is_word(character) {
            compared.push(character);
        }
        after_space = space;
    };
    match text.is_ascii() {
        true => text.bytes().for_each(|byte| push(char::from(byte.to_ascii_lowercase()))),
        false => text.to_lowercase().chars().for_each(push),
    }
    compared.truncate(start + compared[start..].trim_end_matches(' ').len());
    let leading = compared[start..].len() - compared[start..].trim_start_matches(' ').len();
    compared.drain(start..start + leading);
}

/// The compared form of one text.
pub(crate) fn compared(text: &str) -> String {
    let mut form = String::with_capacity(text.len());
    append_compared(comparable(text), &mut form);
    form
}

/// Python's white space.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn is_word(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || character == '_';
    }
    // Alphabetic by property, but neither letter nor number: marks and letters in circles and squares.
    let symbol = matches!(character, '\u{24b6}'..='\u{24e9}' | '\u{1f130}'..='\u{1f189}');
    character.is_alphanumeric() && !is_combining_mark(character) && !symbol
}

/// Calls `take` with a 64-bit fingerprint of each shingle of a compared text, in order, repetitions included; a text
/// shorter than a shingle is one shingle.
///
/// Two shingles of the same fingerprint are one in 2^64: sets compared by them are compared exactly, but for that.
pub(crate) fn each_shingle(compared: &str, mut take: impl FnMut(u64)) {
    let mask = (1u128 << (21 * SHINGLE_CHARACTERS)) - 1;
    let mut window = 0u128;
    let mut characters = 0;
    let mut push = |character: u32| {
        window = (window << 21 | u128::from(character)) & mask;
        characters += 1;
        if characters >= SHINGLE_CHARACTERS {
            take(fingerprint(window));
        }
    };
    match compared.is_ascii() {
        true => compared.bytes().for_each(|byte| push(u32::from(byte))),
        false => compared.chars().for_each(|character| push(u32::from(character))),
    }
    if characters < SHINGLE_CHARACTERS {
        // No character is 0, so a shorter text is no shingle of a longer one.
        take(fingerprint(window));
    }
}

/// The shingles of a compared text as a sorted set.
pub(crate) fn shingle_set(compared: &str) -> Vec<u64> {
    let mut set = Vec::with_capacity(compared.len());
    each_shingle(compared, |shingle| set.push(shingle));
    set.sort_unstable();
    set.dedup();
    set
}

/// How many elements two sorted sets have in common.
pub(crate) fn common(one: &[u64], other: &[u64]) -> usize {
    let (mut left, mut right, mut both) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(left), other.get(right)) {
        both += usize::from(a == b);
        left += usize::from(a <= b);
        right += usize::from(b <= a);
    }
    both
}

/// The Jaccard index of two sorted sets that are not both empty.
pub(crate) fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let both = common(one, other);
    both as f64 / (one.len() + other.len() - both) as f64
}

fn fingerprint(window: u128) -> u64 {
    let folded = fold(window as u64 ^ FOLD[0], (window >> 64) as u64 ^ FOLD[1]);
    fold(folded ^ FOLD[2], FOLD[3] | 1)
}

/// The product of two numbers, its halves in one: mixes every bit of both into all.
pub(crate) fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_form_is_that_of_the_rule() {
        for (text, form) in [
            ("  Hello,\t\n World! ", "hello world"),
            ("a - b", "a  b"),
            ("- a", "a"),
            ("snake_case 3.50€", "snake_case 350"),
            ("ΟΔΟΣ É ½²", "οδος é ½²"),
            ("e\u{301}\u{1c}❤\u{fe0f} Ⓐ", "e"),
            ("क\u{94d}ष 漢字", "कष 漢字"),
            ("!?", ""),
        ] {
            assert_eq!(compared(text), form, "{text:?}");
        }
        let mut joined = "kept ".to_owned();
        append_compared(" A ", &mut joined);
        assert_eq!(joined, "kept a");
    }

    #[test]
    fn shingles_are_sets_of_five_characters() {
        assert_eq!(shingle_set("abcde").len(), 1);
        assert_eq!(shingle_set("abcd").len(), 1);
        assert_ne!(shingle_set("abcd"), shingle_set("abc"));
        assert_eq!(shingle_set("abababab").len(), 2);
        assert_eq!(shingle_set("äöüßé漢").len(), 2);
        let (one, other) = (shingle_set("hello world"), shingle_set("hello worlds"));
        assert_eq!((one.len(), other.len(), common(&one, &other)), (7, 8, 7));
        assert_eq!(jaccard(&one, &other), 7.0 / 8.0);
    }

    #[test]
    fn fingerprints_of_near_shingles_are_apart() {
        let mut seen = std::collections::HashSet::new();
        let letters = "abcdefghijklmnopqrstuvwxyz 0123456789_äöü漢字";
        for a in letters.chars() {
            for b in letters.chars() {
                for c in letters.chars() {
                    assert!(seen.insert(shingle_set(&format!("{a}x{b}{c}y"))[0]));
                }
            }
        }
    }

    #[test]
    fn a_very_long_text_is_cut_between_characters() {
        let text = "é".repeat(MOST_COMPARED_BYTES);
        assert_eq!(comparable(&text).len(), MOST_COMPARED_BYTES);
        let odd = format!("a{text}");
        assert_eq!(comparable(&odd).len(), MOST_COMPARED_BYTES - 1);
        assert_eq!(comparable("short"), "short");
    }
}
