//! Typographic characters and their plain forms.

use super::edit::{Edit, Edited};
use super::lines::Code;

/// The bytes that lead every character this step knows.
const LEADS: [u8; 2] = [0xE2, 0xEF];

/// Curly quotes, dashes, ellipses, ligatures and full-width forms become what a keyboard types. Code stays as it is, and
/// full-width punctuation where Chinese, Japanese or Korean stands beside it.
pub(crate) fn plain(text: &str) -> Edited<'_> {
    if !text.bytes().any(|byte| LEADS.contains(&byte)) {
        return Edited::unchanged(text);
    }
    let code = Code::of(text);
    let mut edit = Edit::of(text);
    let mut before: Option<char> = None;
    for (index, c) in text.char_indices() {
        let range = index..index + c.len_utf8();
        let after = || text[range.end..].chars().next();
        match c {
            _ if c.is_ascii() || code.contains(index) => {}
            '\u{FF01}'..='\u{FF5E}' => {
                if is_full_width_letter(c)
                    || !(before.is_some_and(is_east_asian) || after().is_some_and(is_east_asian))
                {
                    let plain = char::from_u32(c as u32 - 0xFF01 + 0x21).unwrap_or(c);
                    edit.replace(range, plain.encode_utf8(&mut [0; 4]));
                }
            }
            '—' | '―' => {
                let joined = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                edit.replace(range.clone(), if joined(before) && joined(after()) { " - " } else { "-" });
            }
            _ => {
                if let Some(plain) = plain_form(c) {
                    edit.replace(range, plain);
                }
            }
        }
        before = Some(c);
    }
    edit.finish()
}

fn plain_form(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '‛' | '′' | '‵' => "'",
        '“' | '”' | '„' | '‟' | '″' | '‶' => "\"",
        '‐' | '‑' | '‒' | '–' | '−' => "-",
        '…' => "...",
        '⁄' => "/",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        _ => return None,
    })
}

fn is_full_width_letter(c: char) -> bool {
    matches!(c, '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ')
}

/// A character of a script that full-width punctuation belongs to, that punctuation itself included.
fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}' | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FFEF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_direction() {
        for (text, expected) in [
            ("“It’s” ‘fine’…", "\"It's\" 'fine'..."),
            ("word—word – and 1–2", "word - word - and 1-2"),
            ("„Ja“ — nein", "\"Ja\" - nein"),
            ("oﬃce ﬁle", "office file"),
            ("ＡＢＣ １２３", "ABC 123"),
            ("Hello！", "Hello!"),
            ("−5 °C", "-5 °C"),
        ] {
            assert_eq!(plain(text).text, expected);
            assert_eq!(plain(expected).changes, 0);
        }
    }

    #[test]
    fn what_is_at_home_stays() {
        for text in ["你好，世界！", "「はい」、どうぞ。", "`“raw”`", "```\n“a”…\n```", "«oui» • € 5 → ✓ 😂"]
        {
            assert_eq!(plain(text), Edited::unchanged(text));
        }
    }
}
