//! `{% raw %}`: what it prints, as Jinja takes line breaks and blanks from it.

use std::borrow::Cow;

use super::tags::{Piece, pieces};
use crate::near::is_space;

/// The source with what each raw block prints as a text that is printed in any place; lines stay where they are.
pub(super) fn written_out(source: &str) -> Cow<'_, str> {
    if !source.contains("endraw") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    for piece in pieces(source) {
        match piece {
            Piece::Other(text) | Piece::Block(text) => out.push_str(text),
            Piece::Raw { begin, body, end } => {
                out.push_str(begin);
                out.push_str("{% endraw %}{{ \"");
                push_quoted(&mut out, printed(begin, body, end));
                out.push('"');
                out.extend(body.chars().filter(|letter| *letter == '\n'));
                out.push_str(" }}{% raw %}");
                out.push_str(end);
            }
        }
    }
    Cow::Owned(out)
}

/// What a raw block prints. Source: `Lexer.tokeniter` of Jinja 3.1, by which blanks in front of the end go if a line begins with them
/// within the block.
fn printed<'a>(begin: &str, body: &'a str, end: &str) -> &'a str {
    let body = if begin.ends_with("-%}") { body.trim_start_matches(is_space) } else { body };
    match end.as_bytes().get(2) {
        Some(b'-') => body.trim_end_matches(is_space),
        Some(b'+') => body,
        _ => match body.rfind('\n') {
            Some(line) if body[line..].chars().all(is_space) => &body[..=line],
            _ => body,
        },
    }
}

fn push_quoted(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}
