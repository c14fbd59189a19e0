//! `{% generation %}`: where a template says its answers stand.
//!
//! transformers tracks these blocks with a Jinja2 extension. Here the block becomes a call block of a function that puts
//! a private-use character on either side of what it encloses; the characters are taken out again after rendering.

use std::borrow::Cow;
use std::ops::Range;

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, State};

use super::tags::{Piece, pieces, word};

/// The function the blocks become calls of.
pub(super) const FUNCTION: &str = "__generation";

/// What stands on either side of an answer.
pub(super) const ANSWER_MARKS: [char; 2] = ['\u{E000}', '\u{E001}'];

/// What stands on either side of a content when its place is looked for.
pub(crate) const CONTENT_MARKS: [char; 2] = ['\u{E002}', '\u{E003}'];

/// Puts the call in the place of the block, whitespace control kept; says whether there was any.
pub(super) fn rewrite(source: &str) -> (Cow<'_, str>, bool) {
    if !source.contains("generation") {
        return (Cow::Borrowed(source), false);
    }
    let (mut rewritten, mut any) = (String::with_capacity(source.len()), false);
    for piece in pieces(source) {
        match piece {
            Piece::Other(text) => rewritten.push_str(text),
            Piece::Raw { begin, body, end } => rewritten.extend([begin, body, end]),
            Piece::Block(block) => match word(block) {
                Some((before, name @ ("generation" | "endgeneration"), after)) => {
                    let is_end = name.starts_with("end");
                    any |= !is_end;
                    let breaks = "\n".repeat(block.matches('\n').count());
                    let call = if is_end { "endcall".to_owned() } else { format!("call {FUNCTION}()") };
                    rewritten.push_str(&format!("{{%{before} {call} {breaks}{after}%}}"));
                }
                _ => rewritten.push_str(block),
            },
        }
    }
    (Cow::Owned(rewritten), any)
}

/// The function itself.
pub(super) fn mark(state: &mut State<'_, '_>, arguments: Kwargs) -> Result<Value, Error> {
    let caller: Value = arguments.get("caller")?;
    let body = caller.call(state, &[])?;
    let [start, end] = ANSWER_MARKS;
    Ok(Value::from(format!("{start}{body}{end}")))
}

/// The text without the marks, and in bytes of it what stood between them; `None` if they do not come in pairs.
pub(crate) fn take_marked(text: &str, [start, end]: [char; 2]) -> Option<(String, Vec<Range<usize>>)> {
    let mut clean = String::with_capacity(text.len());
    let mut ranges = Vec::new();
    let mut open = None;
    for character in text.chars() {
        if character == start {
            if open.replace(clean.len()).is_some() {
                return None;
            }
        } else if character == end {
            ranges.push(open.take()?..clean.len());
        } else {
            clean.push(character);
        }
    }
    open.is_none().then_some((clean, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_control_is_kept() {
        let (rewritten, any) = rewrite("a {%- generation -%} b {%+ endgeneration %} c");
        assert_eq!(rewritten, "a {%- call __generation() -%} b {%+ endcall %} c");
        assert!(any);
        assert_eq!(
            rewrite("{% if add_generation_prompt %}"),
            (Cow::Borrowed("{% if add_generation_prompt %}"), false)
        );
        for elsewhere in [
            "{# {% generation %} #}a",
            "{% raw %}{% generation %}{% endraw %}",
            "{{ '{% generation %}' }}",
            "{% set x = '{% generation %}' %}",
        ] {
            assert_eq!(rewrite(elsewhere), (Cow::Borrowed(elsewhere), false));
        }
    }

    #[test]
    fn marks_come_in_pairs() {
        let marks = ['<', '>'];
        assert_eq!(take_marked("a<bß>c<>", marks), Some(("abßc".to_owned(), vec![1..4, 5..5])));
        for broken in ["<a", "a>", "<a<b>>", "><"] {
            assert_eq!(take_marked(broken, marks), None, "{broken}");
        }
    }
}
