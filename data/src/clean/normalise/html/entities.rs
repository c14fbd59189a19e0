//! Character references.

use html5gum::{Token, Tokenizer};

/// The longest name of a character reference, `CounterClockwiseContourIntegral`, with room for numbers.
const MAX_NAME_BYTES: usize = 32;

/// Where the next character reference of `text` stands, and what it means. Only those that end in a semicolon: without
/// one, `&copy=1` of an address would be a sign of copyright.
pub(super) fn next_reference(text: &str, from: usize) -> Option<(std::ops::Range<usize>, String)> {
    let mut from = from;
    loop {
        let start = from + text.get(from..)?.find('&')?;
        let name = &text[start + 1..];
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'#').count();
        if (1..=MAX_NAME_BYTES).contains(&length) && name.as_bytes().get(length) == Some(&b';') {
            let range = start..start + length + 2;
            if let Some(meaning) = meaning(&text[range.clone()]) {
                return Some((range, meaning));
            }
        }
        from = start + 1;
    }
}

/// The characters that a reference such as `&amp;` stands for, if it does for any that are written.
fn meaning(reference: &str) -> Option<String> {
    let common = match reference {
        "&amp;" => "&",
        "&lt;" => "<",
        "&gt;" => ">",
        "&quot;" => "\"",
        "&nbsp;" | "&#160;" => " ",
        _ => return uncommon(reference),
    };
    Some(common.to_owned())
}

fn uncommon(reference: &str) -> Option<String> {
    let mut text = String::new();
    for token in Tokenizer::new(reference) {
        if let Ok(Token::String(part)) = token {
            text.push_str(std::str::from_utf8(&part).ok()?);
        }
    }
    let written = |c: char| c != char::REPLACEMENT_CHARACTER && (!c.is_control() || c == '\n' || c == '\t');
    (text != reference && !text.is_empty() && text.chars().all(written)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_end_in_a_semicolon() {
        for (text, expected) in [
            ("a &amp; b", Some("&")),
            ("caf&eacute;", Some("é")),
            ("&#8217;", Some("’")),
            ("&#x1F600;", Some("😀")),
            ("&#128;", Some("€")),
            ("AT&T; &lt;", Some("<")),
            ("?a=1&copy=2", None),
            ("&copy 2020", None),
            ("R&D;", None),
            ("&#0;", None),
            ("&;&#;&#x;", None),
        ] {
            let found = next_reference(text, 0).map(|(_, meaning)| meaning);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
