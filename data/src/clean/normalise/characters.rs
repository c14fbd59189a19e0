//! Characters that show nothing, and Unicode's normal form.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::edit::{Edit, Edited};

/// The lead byte of U+0300, the first character that a normal form can join with another.
const FIRST_COMBINING_BYTE: u8 = 0xCC;
/// The bytes that lead characters of [`shows_nothing`]: C1, soft hyphen; Arabic letter mark; U+180E, U+2000 and on; U+FE..; tags.
const LEADS: [u8; 6] = [0xC2, 0xD8, 0xE1, 0xE2, 0xEF, 0xF3];

/// Unicode normal form C.
pub(crate) fn compose(text: &str) -> Edited<'_> {
    if text.bytes().all(|byte| byte < FIRST_COMBINING_BYTE) || is_nfc(text) {
        return Edited::unchanged(text);
    }
    let composed: String = text.nfc().collect();
    let places = text.chars().count().abs_diff(composed.chars().count()).max(1);
    Edited { text: composed.into(), changes: places }
}

/// Removes control characters (all but tab and line feed), zero-width characters, marks of direction, soft hyphens and
/// byte order marks. Controls that are punctuation in Windows-1252 become that. Carriage returns, form feeds and Unicode's line separators become line feeds.
///
/// Joiners stay where a script or an emoji needs them, tags where they spell a flag, and the controls that misread UTF-8
/// is made of stay for the filter `mojibake` to see.
pub(crate) fn remove_invisible(text: &str) -> Edited<'_> {
    let is_control = |byte: u8| (byte < 0x20 && byte != b'\t' && byte != b'\n') || byte == 0x7F;
    if !text.bytes().any(|byte| is_control(byte) || LEADS.contains(&byte)) {
        return Edited::unchanged(text);
    }
    let mut edit = Edit::of(text);
    let mut before: Option<char> = None;
    let mut in_flag = false;
    for (index, c) in text.char_indices() {
        let after = || text[index + c.len_utf8()..].chars().next();
        in_flag = c == BLACK_FLAG || (in_flag && is_tag(c));
        let replacement = match c {
            '\r' if after() == Some('\n') => Some(""),
            '\r' | '\u{B}' | '\u{C}' | '\u{2028}' | '\u{2029}' => Some("\n"),
            '\u{200C}' | '\u{200D}' if joins(before, c, after()) => None,
            '\u{80}'..='\u{9F}' if before.is_some_and(is_of_misread_utf8) => None,
            '\u{80}'..='\u{9F}' => Some(windows_1252(c)),
            _ if in_flag => None,
            _ if shows_nothing(c) => Some(""),
            _ => None,
        };
        match replacement {
            Some(with) => edit.replace(index..index + c.len_utf8(), with),
            None => before = Some(c),
        }
    }
    edit.finish()
}

/// What Windows-1252 has where Latin-1 has controls: nobody writes those, and the one is often read as the other.
fn windows_1252(c: char) -> &'static str {
    const HIGH: [&str; 32] = [
        "€", "", "‚", "ƒ", "„", "…", "†", "‡", "ˆ", "‰", "Š", "‹", "Œ", "", "Ž", "", "", "‘", "’", "“", "”",
        "•", "–", "—", "˜", "™", "š", "›", "œ", "", "ž", "Ÿ",
    ];
    HIGH.get((c as usize).wrapping_sub(0x80)).copied().unwrap_or_default()
}

const BLACK_FLAG: char = '\u{1F3F4}';

/// The letters that name a region after a black flag.
fn is_tag(c: char) -> bool {
    ('\u{E0020}'..='\u{E007F}').contains(&c)
}

/// A lead byte of UTF-8 read as Latin-1, or a control that stayed because one stands before it.
fn is_of_misread_utf8(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}' | '\u{C2}'..='\u{F4}')
}

fn shows_nothing(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{B}'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{AD}' | '\u{61C}' | '\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Whether a joiner between these two does something: the scripts that Unicode (chapters 9, 12 to 14 and 16) lets joiners
/// shape, and emoji that are drawn as one.
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let emoji = |c: char| matches!(c, '\u{2190}'..='\u{2BFF}' | '\u{FE0F}' | '\u{1F000}'..='\u{1FAFF}');
    shaped(before) && (shaped(after) || !after.is_alphanumeric())
        || (joiner == '\u{200D}' && emoji(before) && emoji(after))
}

fn shaped(c: char) -> bool {
    matches!(c,
        '\u{600}'..='\u{7FF}' | '\u{840}'..='\u{8FF}' | '\u{900}'..='\u{DFF}' | '\u{F00}'..='\u{109F}'
        | '\u{1780}'..='\u{18AF}' | '\u{A840}'..='\u{A87F}' | '\u{A8E0}'..='\u{A8FF}' | '\u{FB50}'..='\u{FDFF}'
        | '\u{FE70}'..='\u{FEFC}' | '\u{10A00}'..='\u{11FFF}' | '\u{1E900}'..='\u{1E95F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_letters() {
        assert_eq!(compose("cafe\u{301}").text, "café");
        assert_eq!(compose("\u{212B}").text, "Å");
        for text in ["plain", "café", "日本語", "한국", "नमस्ते", "é\u{323}x"] {
            let once = compose(text).text.into_owned();
            assert!(is_nfc(&once));
            assert_eq!(compose(&once).changes, 0);
        }
        assert!(matches!(compose("naïve café").text, std::borrow::Cow::Borrowed(_)));
    }

    #[test]
    fn invisible_characters_go() {
        for (text, expected) in [
            ("a\0b\u{8}c", "abc"),
            ("\u{FEFF}start", "start"),
            ("zero\u{200B}width", "zerowidth"),
            ("soft\u{AD}hyphen", "softhyphen"),
            ("\u{202E}evil\u{202C}", "evil"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("page\u{C}break", "page\nbreak"),
            ("line\u{2028}separator", "line\nseparator"),
            ("a\u{200D}b", "ab"),
            ("tab\tand\nline", "tab\tand\nline"),
            ("\u{E0041}\u{E0042}hidden", "hidden"),
            ("don\u{92}t \u{93}say\u{94}\u{85}", "don’t “say”…"),
            ("a\u{81}b", "ab"),
        ] {
            assert_eq!(remove_invisible(text).text, expected, "{text:?}");
        }
    }

    #[test]
    fn joiners_that_are_needed_stay() {
        for text in [
            "👨\u{200D}👩\u{200D}👧",
            "❤\u{FE0F}\u{200D}🔥",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "â\u{80}\u{99}",
            "€ 5 – “quoted”",
        ] {
            assert_eq!(remove_invisible(text), Edited::unchanged(text));
        }
    }
}
