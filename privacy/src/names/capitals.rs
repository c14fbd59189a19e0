//! The capitalised words of a text: the only ones that are looked up.

/// A word that begins with a capital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capital {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte, without a possessive `'s`.
    pub(super) end: usize,
    /// One past the last byte, with it.
    pub(super) whole_end: usize,
    /// Whether all of its letters are capitals and it has more than one.
    pub(super) is_upper: bool,
}

impl Capital {
    /// The word as it stands in its text.
    pub(super) fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// Whether it is one letter: `J.` of a name.
    pub(super) fn is_initial(&self, text: &str) -> bool {
        self.of(text).chars().nth(1).is_none()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Lower,
    Upper,
    /// A digit or an underscore: no name has one.
    Digit,
    /// The first byte of a character beyond ASCII.
    High,
}

/// What a byte is, by its value.
static KINDS: [Kind; 256] = kinds();

const fn kinds() -> [Kind; 256] {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' => Kind::Lower,
            b'A'..=b'Z' => Kind::Upper,
            b'0'..=b'9' | b'_' => Kind::Digit,
            128.. => Kind::High,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
}

fn kind(byte: u8) -> Kind {
    KINDS[usize::from(byte)]
}

/// The capitalised words of `text` in order. Words with digits, and parts of addresses of mail and web, are left out.
pub(super) fn capitals(text: &str, out: &mut Vec<Capital>) {
    out.clear();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match kind(byte) {
            Kind::Other => at += 1,
            Kind::Lower => {
                // Most bytes of a text go this way.
                while bytes.get(at).is_some_and(u8::is_ascii_lowercase) {
                    at += 1;
                }
                if bytes
                    .get(at)
                    .is_some_and(|&next| kind(next) != Kind::Other || matches!(next, b'\'' | b'-'))
                {
                    at = word_end(text, at).0.max(at);
                }
            }
            Kind::Digit => at = word_end(text, at).0,
            Kind::Upper => at = push(text, at, out),
            Kind::High => {
                let letter = char_at(text, at);
                at = if letter.is_uppercase() {
                    push(text, at, out)
                } else if letter.is_alphanumeric() {
                    word_end(text, at).0
                } else {
                    at + letter.len_utf8()
                };
            }
        }
    }
}

/// The character that begins at `at`, which is a boundary with a character after it.
fn char_at(text: &str, at: usize) -> char {
    text[at..].chars().next().unwrap_or_default()
}

/// Where the word that begins at `start` ends, and whether it has a digit. A hyphen or an apostrophe is part of it
/// between two letters.
fn word_end(text: &str, start: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let (mut at, mut has_digit) = (start, false);
    while let Some(&byte) = bytes.get(at) {
        match kind(byte) {
            Kind::Lower | Kind::Upper => at += 1,
            Kind::Digit => {
                has_digit = true;
                at += 1;
            }
            Kind::Other => {
                let joins = matches!(byte, b'\'' | b'-')
                    && bytes.get(at + 1).is_some_and(|&next| is_letter(text, at + 1, next));
                if !joins {
                    break;
                }
                at += 1;
            }
            Kind::High => {
                let letter = char_at(text, at);
                let length = letter.len_utf8();
                let joins = letter == '’'
                    && bytes.get(at + length).is_some_and(|&next| is_letter(text, at + length, next));
                let is_mark = unicode_normalization::char::is_combining_mark(letter);
                if !(letter.is_alphanumeric() || joins || is_mark) {
                    break;
                }
                at += length;
            }
        }
    }
    (at, has_digit)
}

fn is_letter(text: &str, at: usize, byte: u8) -> bool {
    match kind(byte) {
        Kind::Lower | Kind::Upper => true,
        Kind::High => char_at(text, at).is_alphabetic(),
        _ => false,
    }
}

/// Adds the capitalised word at `start`, if it can be one of a name, and returns its end.
fn push(text: &str, start: usize, out: &mut Vec<Capital>) -> usize {
    let (whole_end, has_digit) = word_end(text, start);
    let word = &text[start..whole_end];
    if !has_digit && !is_part_of_address(text.as_bytes(), start, whole_end) {
        let end = start + without_possessive(word).len();
        let word = &text[start..end];
        let is_upper =
            word.len() > 1 && !word.chars().any(char::is_lowercase) && word.chars().nth(1).is_some();
        out.push(Capital { start, end, whole_end, is_upper });
    }
    whole_end
}

/// Whether a sign of an e-mail or web address or of a path touches the word.
fn is_part_of_address(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let is_dotted = |dot: Option<&u8>, beyond: Option<&u8>| {
        dot == Some(&b'.') && beyond.is_some_and(|&byte| matches!(kind(byte), Kind::Lower | Kind::Digit))
    };
    let dot_before =
        is_dotted(start.checked_sub(1).map(|at| &bytes[at]), start.checked_sub(2).map(|at| &bytes[at]));
    matches!(before, Some(b'@' | b'/' | b'\\' | b'=' | b'&' | b'#'))
        || matches!(bytes.get(end), Some(b'@' | b'\\' | b'='))
        || is_dotted(bytes.get(end), bytes.get(end + 1))
        || (dot_before && bytes.get(end) != Some(&b' '))
}

/// `word` without `'s` or a lone apostrophe at its end.
fn without_possessive(word: &str) -> &str {
    ["'s", "’s", "'S", "’S"].iter().find_map(|mark| word.strip_suffix(mark)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        capitals(text, &mut out);
        out.iter().map(|capital| capital.of(text)).collect()
    }

    #[test]
    fn capitalised_words_alone_are_kept() {
        assert_eq!(
            words("the Jean-Luc O'Neil's cat, ÖSTEN and Þóra’s B2B"),
            ["Jean-Luc", "O'Neil", "ÖSTEN", "Þóra"]
        );
        assert_eq!(words("Jürgen. “Élodie”—Šárka\u{301}"), ["Jürgen", "Élodie", "Šárka\u{301}"]);
    }

    #[test]
    fn addresses_are_no_words() {
        assert_eq!(words("JohnDoe@x.org http://Example.org/Path a.B@c Smellology.be"), Vec::<&str>::new());
        assert_eq!(
            words("It ended.John left. Bye.Ann"),
            ["It", "John", "Bye"],
            "a file's ending is not told from a word"
        );
    }

    #[test]
    fn shapes_are_seen() {
        let mut out = Vec::new();
        capitals("J. SMITH Ölberg É", &mut out);
        let shapes: Vec<(bool, bool)> =
            out.iter().map(|c| (c.is_upper, c.is_initial("J. SMITH Ölberg É"))).collect();
        assert_eq!(shapes, [(false, true), (true, false), (false, false), (false, true)]);
    }
}
