//! Text that was read in the wrong encoding.

/// A lead byte of UTF-8 with letters of which all of a script consist needs so many of its like: one alone is also two
/// letters that somebody wrote.
const MIN_ALIKE: usize = 3;

/// In how many places a text is UTF-8 read as Latin-1 or Windows-1252, or holds characters that were lost (U+FFFD).
///
/// A place is a run of characters whose bytes in that encoding are one character of UTF-8, and which would be odd to
/// write: `Ã©` is, `É”` (a capital before a closing quote) is not.
pub(super) fn places(text: &str) -> usize {
    if !text.bytes().any(|byte| matches!(byte, 0xC3 | 0xEF)) {
        return 0;
    }
    let mut places = text.matches(char::REPLACEMENT_CHARACTER).count();
    let (mut uncertain, mut letters) = (0, 0);
    let mut before = ' ';
    let mut rest = text.char_indices();
    while let Some((index, c)) = rest.next() {
        if let Some((decoded, count)) = decode(&text[index..]) {
            match certainty(c, decoded, before) {
                Certainty::Sure => places += 1,
                Certainty::IfAgain => uncertain += 1,
                Certainty::Letter => letters += 1,
                Certainty::No => {}
            }
            for _ in 1..count {
                rest.next();
            }
        }
        before = c;
    }
    if places > 0 || uncertain > 1 {
        places += uncertain;
    }
    if letters >= MIN_ALIKE {
        places += letters;
    }
    places
}

enum Certainty {
    Sure,
    IfAgain,
    Letter,
    No,
}

/// How sure it is that `lead` and what follows stand for `decoded`.
fn certainty(lead: char, decoded: char, before: char) -> Certainty {
    match (lead, decoded) {
        ('Â' | 'Ã', '\u{A0}'..='\u{FF}') if before.is_uppercase() => Certainty::IfAgain,
        ('Â' | 'Ã', '\u{A0}'..='\u{FF}') => Certainty::Sure,
        ('â', '\u{2010}'..='\u{203A}' | '€' | '\u{2100}'..='\u{214F}' | '\u{2190}'..='\u{27BF}') => {
            Certainty::Sure
        }
        ('ï', '\u{FEFF}' | '\u{FFFD}' | '\u{FB00}'..='\u{FB06}') => Certainty::Sure,
        ('ð', '\u{1F000}'..='\u{1FAFF}') => Certainty::Sure,
        ('Ä' | 'Å', '\u{100}'..='\u{17F}') => Certainty::IfAgain,
        (
            'Ð' | 'Ñ' | 'Î' | 'Ï' | 'Ø' | 'Ù' | 'à' | 'ã' | 'ä' | 'å' | 'æ' | 'ç' | 'è' | 'é' | 'ê' | 'ë'
            | 'ì' | 'í',
            c,
        ) if c.is_alphabetic() || ('\u{3000}'..='\u{30FF}').contains(&c) => Certainty::Letter,
        _ => Certainty::No,
    }
}

/// The character that the first characters of `text` are the bytes of, and how many they are.
fn decode(text: &str) -> Option<(char, usize)> {
    let mut bytes = [0; 4];
    let mut characters = text.chars();
    bytes[0] = byte_of(characters.next()?)?;
    let length = match bytes[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    for byte in &mut bytes[1..length] {
        *byte = byte_of(characters.next()?).filter(|byte| (0x80..0xC0).contains(byte))?;
    }
    let decoded = std::str::from_utf8(&bytes[..length]).ok()?.chars().next()?;
    Some((decoded, length))
}

/// The byte that a character is in Windows-1252 or, where that has none, in Latin-1.
fn byte_of(c: char) -> Option<u8> {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    match c {
        '\0'..='\u{FF}' => Some(c as u8),
        _ => HIGH.iter().position(|&high| high == c).map(|index| 0x80 + index as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` as a reader of Windows-1252 sees its UTF-8.
    fn misread(text: &str) -> String {
        let read = |byte: u8| match byte {
            0x80..=0x9F => ('\u{80}'..='\u{FFFF}')
                .find(|&c| c as u32 > 0x9F && byte_of(c) == Some(byte))
                .unwrap_or(byte as char),
            _ => byte as char,
        };
        text.bytes().map(read).collect()
    }

    #[test]
    fn misread_text_is_found() {
        for text in [
            "café",
            "naïve Zürich",
            "it’s “quoted” …",
            "€ 5",
            "30 °C",
            "Привет, мир",
            "日本語です",
            "😀",
            "\u{FEFF}start",
            "łódź",
            "Ελληνικά",
            "señor",
            "£20",
            "ÉCOLE À ÎLE",
        ] {
            assert!(places(&misread(text)) > 0, "{} of {text}", misread(text));
            assert_eq!(places(text), 0, "{text}");
        }
        assert_eq!(places("lost \u{FFFD} and \u{FFFD}"), 2);
        assert_eq!(places("donâ\u{80}\u{99}t"), 1);
    }

    #[test]
    fn written_text_is_not() {
        for text in [
            "CAFÉ” and MAÇÃ” is fine",
            "«À l’Âge d’Or»",
            "SÃO PAULO – MAÇÃ…",
            "Ä“ once",
            "Ð is a letter",
            "x² ≤ 5 µm ± 3",
            "garçon, élève, à côté – “où”",
            "Größe: Ä, Ö, Ü",
            "plain",
        ] {
            assert_eq!(places(text), 0, "{text}");
        }
    }
}
