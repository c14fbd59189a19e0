//! Texts made comparable, and whole words.

use std::ops::Range;

/// Lower case, with straight apostrophes and single spaces.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '’' | '‘' => folded.push('\''),
            _ if c.is_whitespace() => {
                if !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            _ if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            _ => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

/// Whether no word goes on beyond the ends of a range: words are set apart in most scripts, but not in those of East Asia.
///
/// # Panics
/// If the range is not one of characters of `text`.
#[must_use]
pub fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let joins = |c: char| {
        c.is_alphanumeric()
            && !('\u{2E80}'..='\u{9FFF}').contains(&c)
            && !('\u{AC00}'..='\u{D7AF}').contains(&c)
    };
    let inside = &text[range.clone()];
    let ends = [inside.chars().next(), inside.chars().next_back()];
    let beside = [text[..range.start].chars().next_back(), text[range.end..].chars().next()];
    !ends.into_iter().zip(beside).any(|(end, beside)| end.is_some_and(joins) && beside.is_some_and(joins))
}
