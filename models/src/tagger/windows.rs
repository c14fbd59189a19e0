//! Long texts in overlapping pieces.

/// Characters of a window. Attention grows with the square of the length while a name needs a sentence or two; the
/// Rampart model is said to be at its best with this many.
pub(super) const WINDOW_CHARS: usize = 480;
/// Characters that neighbouring windows share: more than a name or a line of an address has.
pub(super) const OVERLAP_CHARS: usize = 64;
/// Tokens that neighbouring pieces of one window share, where its tokens are too many for the model.
pub(super) const OVERLAP_TOKENS: usize = 64;

/// The windows of a text as start and end in bytes. They begin and end at white space where there is some.
pub(super) fn windows(text: &str) -> Vec<(usize, usize)> {
    // Fewer bytes cannot be more characters.
    if text.len() <= WINDOW_CHARS {
        return vec![(0, text.len())];
    }
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let rest = &text[start..];
        let Some((length, _)) = rest.char_indices().nth(WINDOW_CHARS) else {
            windows.push((start, text.len()));
            return windows;
        };
        let end = start + at_space(rest, length);
        windows.push((start, end));
        let window = &text[start..end];
        let back = window.char_indices().rev().nth(OVERLAP_CHARS - 1).map_or(0, |(at, _)| at);
        // On to the next word, so that a window does not open inside one.
        let open = window[back..].find(char::is_whitespace).map_or(back, |at| back + at);
        start += open.max(1);
        while !text.is_char_boundary(start) {
            start += 1;
        }
    }
}

/// The last white space in the last [`OVERLAP_CHARS`] characters before `length`, or `length`.
fn at_space(text: &str, length: usize) -> usize {
    let tail = text[..length].char_indices().rev().take(OVERLAP_CHARS);
    tail.filter(|(_, letter)| letter.is_whitespace()).map(|(at, _)| at).find(|&at| at > 0).unwrap_or(length)
}

/// Splits `count` tokens into pieces of at most `most`, as start and end; neighbours share [`OVERLAP_TOKENS`], or half
/// a piece where that is less. A piece begins at the first token of a word, where `is_first` says so.
pub(super) fn pieces(count: usize, most: usize, is_first: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let (most, mut start) = (most.max(2), 0);
    while start < count {
        let end = (start + most).min(count);
        pieces.push((start, end));
        if end == count {
            break;
        }
        let mut next = end - OVERLAP_TOKENS.min(most / 2);
        while next > start + 1 && !is_first(next) {
            next -= 1;
        }
        start = next.max(start + 1);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_text_and_overlap() {
        for text in
            ["ab ".repeat(1000), "ü".repeat(3000), "word\n".repeat(97), format!("{} x", "y".repeat(1000))]
        {
            let windows = windows(&text);
            assert_eq!(windows[0].0, 0);
            assert_eq!(windows.last().map(|window| window.1), Some(text.len()));
            for pair in windows.windows(2) {
                assert!(pair[1].0 < pair[0].1 && pair[0].0 < pair[1].0, "{pair:?}");
            }
            for (start, end) in windows {
                assert!(text[start..end].chars().count() <= WINDOW_CHARS);
            }
        }
        assert_eq!(windows(""), [(0, 0)]);
    }

    #[test]
    fn pieces_cover_all_tokens() {
        for (count, most) in [(0, 10), (5, 10), (100, 10), (1000, 510), (7, 1)] {
            let pieces = pieces(count, most, |at| at % 3 == 0);
            let mut covered = 0;
            for (start, end) in pieces {
                assert!(start <= covered && end > covered && end - start <= most.max(2));
                covered = end;
            }
            assert_eq!(covered, count);
        }
    }
}
