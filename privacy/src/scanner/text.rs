//! Characters of a text: what a word is, and whether a span stands free.

/// A byte's classes, as bits.
pub(crate) mod class {
    /// `0`-`9`.
    pub(crate) const DIGIT: u8 = 1;
    /// `A`-`Z`, `a`-`z`.
    pub(crate) const LETTER: u8 = 2;
    /// `_`.
    pub(crate) const UNDERSCORE: u8 = 4;
    /// `A`-`F`, `a`-`f`.
    pub(crate) const HEX_LETTER: u8 = 8;
    /// The first byte, or a later one, of a character outside ASCII.
    pub(crate) const WIDE: u8 = 16;
    /// `@` and `:`, around which addresses stand.
    pub(crate) const MARK: u8 = 32;
    /// `+` and `(`, which numbers of telephones start with.
    pub(crate) const OPENING: u8 = 64;
    /// What a word is made of, in ASCII.
    pub(crate) const WORD: u8 = DIGIT | LETTER | UNDERSCORE;
}

/// The classes of each byte.
pub(crate) const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        if value.is_ascii_digit() {
            classes[byte] = class::DIGIT;
        } else if value.is_ascii_hexdigit() {
            classes[byte] = class::LETTER | class::HEX_LETTER;
        } else if value.is_ascii_alphabetic() {
            classes[byte] = class::LETTER;
        } else if value == b'_' {
            classes[byte] = class::UNDERSCORE;
        } else if value >= 0x80 {
            classes[byte] = class::WIDE;
        } else if value == b'@' || value == b':' {
            classes[byte] = class::MARK;
        } else if value == b'+' || value == b'(' {
            classes[byte] = class::OPENING;
        }
        byte += 1;
    }
    classes
};

/// Whether `c` belongs to a word: a letter, a digit or an underscore. Scripts that put no space between words (Chinese, Japanese,
/// Korean particles, Thai) do not: a number that stands between such letters stands free.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return CLASSES[c as usize] & class::WORD != 0;
    }
    match c {
        // What most texts have of letters and signs outside ASCII needs no look into the tables of Unicode.
        '\u{c0}'..='\u{24f}' => c != '×' && c != '÷',
        '\u{2000}'..='\u{206f}' | '\u{2190}'..='\u{23ff}' => false,
        _ => c.is_alphanumeric() && !has_no_spaces(c),
    }
}

/// Letters of scripts that are written without spaces between words, or with particles joined to them.
pub(crate) fn has_no_spaces(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The character that ends at byte `at`.
pub(crate) fn char_before(text: &str, at: usize) -> Option<char> {
    match text.as_bytes()[..at].last() {
        Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
        Some(_) => text[..at].chars().next_back(),
        None => None,
    }
}

/// The character that starts at byte `at`.
pub(crate) fn char_at(text: &str, at: usize) -> Option<char> {
    match text.as_bytes().get(at) {
        Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
        Some(_) => text[at..].chars().next(),
        None => None,
    }
}

/// Whether no word character stands directly before byte `at`, a character boundary.
pub(crate) fn is_free_before(text: &str, at: usize) -> bool {
    !char_before(text, at).is_some_and(is_word)
}

/// Whether no word character starts at byte `at`, a character boundary.
pub(crate) fn is_free_after(text: &str, at: usize) -> bool {
    !char_at(text, at).is_some_and(is_word)
}

/// Whether neither side of `start..end` touches a word.
pub(crate) fn is_free(text: &str, start: usize, end: usize) -> bool {
    is_free_before(text, start) && is_free_after(text, end)
}

/// Bytes that are looked at in one step.
pub(crate) const NEAR_BYTES: usize = size_of::<u128>();

/// One of each byte of a chunk.
const EACH: u128 = u128::MAX / 0xff;

/// The highest bit of each byte of `chunk` below `limit`, at most 128: subtracting the limit borrows then from that bit. A byte
/// behind such a one may have its bit set too; the first one set is right.
const fn below(chunk: u128, limit: u8) -> u128 {
    chunk.wrapping_sub(EACH * limit as u128) & !chunk & (EACH * 0x80)
}

/// Whether an ASCII digit stands among the [`NEAR_BYTES`] bytes from `at` on.
#[inline]
pub(crate) fn has_digit_near(bytes: &[u8], at: usize) -> bool {
    match bytes[at..].first_chunk::<NEAR_BYTES>() {
        Some(chunk) => below(u128::from_le_bytes(*chunk) ^ (EACH * b'0' as u128), 10) != 0,
        None => bytes[at..].iter().any(u8::is_ascii_digit),
    }
}

/// The first place from `at` on where something may stand: a digit, `:`, `@` or `-`, or with `is_dot_one` a dot.
#[inline]
pub(crate) fn next_trigger(bytes: &[u8], mut at: usize, is_dot_one: bool) -> Option<usize> {
    let equals = |chunk: u128, byte: u8| below(chunk ^ (EACH * u128::from(byte)), 1);
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<NEAR_BYTES>) {
        let chunk = u128::from_le_bytes(*chunk);
        // The colon stands behind the nine.
        let digit_or_colon = below(chunk ^ (EACH * u128::from(b'0')), 11);
        let mut found = digit_or_colon | equals(chunk, b'@') | equals(chunk, b'-');
        if is_dot_one {
            found |= equals(chunk, b'.');
        }
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += NEAR_BYTES;
    }
    let is_trigger = |byte: &u8| {
        byte.is_ascii_digit() || matches!(byte, b':' | b'@' | b'-') || is_dot_one && *byte == b'.'
    };
    bytes.get(at..)?.iter().position(is_trigger).map(|offset| at + offset)
}

/// How many ASCII digits stand from `at` on, `most` at most.
pub(crate) fn digits_at(bytes: &[u8], at: usize, most: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_seen_wherever_they_stand_near() {
        for byte in 0..=u8::MAX {
            for place in 0..NEAR_BYTES + 1 {
                let mut bytes = [b'/'; NEAR_BYTES + 1];
                bytes[place] = byte;
                let is_near = byte.is_ascii_digit() && place < NEAR_BYTES;
                assert_eq!(has_digit_near(&bytes, 0), is_near, "{byte} at {place}");
                assert_eq!(has_digit_near(&bytes, 3), byte.is_ascii_digit() && place >= 3);
                let is_trigger = byte.is_ascii_digit() || b":@-.".contains(&byte);
                assert_eq!(next_trigger(&bytes, 0, true), is_trigger.then_some(place), "{byte} at {place}");
                let is_trigger = is_trigger && byte != b'.' && place >= 2;
                assert_eq!(next_trigger(&bytes, 2, false), is_trigger.then_some(place), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn what_is_a_word_is_as_unicode_has_it() {
        for c in ('\u{80}'..=char::MAX).filter(|c| !has_no_spaces(*c)) {
            assert_eq!(is_word(c), c.is_alphanumeric(), "{c:?}");
        }
    }

    #[test]
    fn a_span_is_free_between_other_than_words() {
        for (text, start, end, free) in [
            ("a 12 b", 2, 4, true),
            ("a12", 1, 3, false),
            ("12_", 0, 2, false),
            ("é12", 2, 4, false),
            ("“12”", 3, 5, true),
            ("号12号", 3, 5, true),
            ("12", 0, 2, true),
        ] {
            assert_eq!(is_free(text, start, end), free, "{text}");
        }
    }
}
