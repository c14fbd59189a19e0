//! Where the tags of a source begin and end, found in one walk: a source is a stranger's, and may be long.

use crate::near::is_space;

/// A part of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// What is printed, what is a comment, `{{ }}`, and what does not close, which is for the parser to say.
    Other(&'a str),
    /// `{% %}`.
    Block(&'a str),
    /// `{% raw %}` with what it prints and what ends it.
    Raw { begin: &'a str, body: &'a str, end: &'a str },
}

/// The parts of a source, which together are the source.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut done, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = source[at..].find('{') {
        let begin = at + found;
        let rest = &source[begin..];
        let end = match rest.as_bytes().get(1) {
            Some(b'#') => rest[2..].find("#}").map(|end| end + 4),
            Some(b'{') => tag_end(rest, b'}'),
            Some(b'%') => {
                pieces.push(Piece::Other(&source[done..begin]));
                done = begin;
                let piece = match bare_tag(rest, "raw") {
                    Some(begin) => raw(rest, begin),
                    None => tag_end(rest, b'%').map(|end| Piece::Block(&rest[..end])),
                };
                piece.map(|piece| {
                    pieces.push(piece);
                    done += piece.len();
                    piece.len()
                })
            }
            _ => Some(1),
        };
        let Some(end) = end else { break };
        at = begin + end;
    }
    pieces.push(Piece::Other(&source[done..]));
    pieces
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Other(text) | Self::Block(text) => text.len(),
            Self::Raw { begin, body, end } => begin.len() + body.len() + end.len(),
        }
    }
}

/// How long a tag is that ends in `letter` and a brace, which stand in no text and in no brackets.
fn tag_end(tag: &str, letter: u8) -> Option<usize> {
    let bytes = tag.as_bytes();
    let (mut at, mut open) = (2, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match *byte {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
            }
            byte if byte == letter && open == 0 && bytes.get(at + 1) == Some(&b'}') => return Some(at + 2),
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A raw block at the beginning of a source, whose tag is so long.
fn raw(source: &str, begin: usize) -> Option<Piece<'_>> {
    let (begin, rest) = source.split_at(begin);
    let mut at = 0;
    loop {
        at += rest[at..].find("{%")?;
        if let Some(end) = bare_tag(&rest[at..], "endraw") {
            return Some(Piece::Raw { begin, body: &rest[..at], end: &rest[at..at + end] });
        }
        at += 2;
    }
}

/// How long a tag at the beginning of a source is, if it is this word alone.
fn bare_tag(source: &str, word: &str) -> Option<usize> {
    let signs = ['-', '+'];
    let rest = source.strip_prefix("{%")?;
    let rest = rest.strip_prefix(signs).unwrap_or(rest).trim_start_matches(is_space);
    let rest = rest.strip_prefix(word)?.trim_start_matches(is_space);
    let rest = rest.strip_prefix(signs).unwrap_or(rest).strip_prefix("%}")?;
    Some(source.len() - rest.len())
}

/// The word of a block tag that is one word alone, with the signs at its ends.
pub(super) fn word(block: &str) -> Option<(&str, &str, &str)> {
    let signs = ['-', '+'];
    let inner = block.strip_prefix("{%")?.strip_suffix("%}")?;
    let (before, after) = (usize::from(inner.starts_with(signs)), usize::from(inner.ends_with(signs)));
    let word = inner.get(before..inner.len() - after)?;
    Some((&inner[..before], word.trim_matches(is_space), &inner[inner.len() - after..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_source_are_the_source() {
        for source in [
            "a{{ '}}' }}b{% if x %}c{% endif %}{# {% x %} #}{% raw %}{{ {% x %}{%- endraw -%}d",
            "{{ {'a': {'b': 1}} }}{% set x = {'%}': 1} %}",
            "{% raw %}never ends",
            "{{ 'never ends }}",
            "{# never ends",
            "{",
            "{%",
            "{%%}{%-%}",
            "",
        ] {
            let mut all = String::new();
            for piece in pieces(source) {
                match piece {
                    Piece::Other(text) | Piece::Block(text) => all += text,
                    Piece::Raw { begin, body, end } => all = all + begin + body + end,
                }
            }
            assert_eq!(all, source);
        }
        assert_eq!(
            pieces("{# {% a %} #}{{ '{% b %}' }}{%- c +%}"),
            [Piece::Other("{# {% a %} #}{{ '{% b %}' }}"), Piece::Block("{%- c +%}"), Piece::Other("")]
        );
        assert_eq!(word("{%- c\n+%}"), Some(("-", "c", "+")));
        assert_eq!(word("{%-%}"), None);
    }
}
