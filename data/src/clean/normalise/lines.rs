//! Lines of a text, which of them are code, and words that are no prose.

use std::borrow::Cow;
use std::ops::Range;

/// A token is looked at no further than this on both sides: no address or identifier that people write is longer.
const MAX_TOKEN_BYTES: usize = 256;

/// One line of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Where it begins in the text, in bytes.
    pub(crate) start: usize,
    /// The line without its line feed.
    pub(crate) text: &'a str,
    /// Whether it is code: in a fence, a fence itself, or indented as code.
    pub(crate) code: bool,
    /// Whether it is in a fence or one itself.
    fenced: bool,
}

impl Line<'_> {
    /// Where its characters end in the text, before the line feed.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it shows nothing.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// The lines of `text`, with Markdown's rules (CommonMark 4.4, 4.5) for what is code: between fences of at least three
/// backticks or tildes, to the end where none closes; or indented by four spaces or a tab, after a blank line.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    let mut fence: Option<(u8, usize)> = None;
    let (mut may_be_indented, mut indented) = (true, false);
    text.split('\n').map(move |line| {
        let line_start = start;
        start += line.len() + 1;
        let mut fenced = fence.is_some();
        match (fence, fence_of(line)) {
            (Some((byte, length)), Some((other, more))) if byte == other && more >= length && bare(line) => {
                fence = None;
            }
            (None, Some(opening)) => (fence, fenced) = (Some(opening), true),
            _ => {}
        }
        let blank = line.trim().is_empty();
        indented =
            !blank && (may_be_indented || indented) && (line.starts_with("    ") || line.starts_with('\t'));
        may_be_indented = blank;
        Line { start: line_start, text: line, code: fenced || indented, fenced }
    })
}

/// The fence a line opens or closes: its byte and length.
fn fence_of(line: &str) -> Option<(u8, usize)> {
    let trimmed = line.trim_start_matches(' ');
    let byte = *trimmed.as_bytes().first()?;
    if line.len() - trimmed.len() > 3 || !matches!(byte, b'`' | b'~') {
        return None;
    }
    let length = trimmed.bytes().take_while(|&other| other == byte).count();
    let backtick_after = byte == b'`' && trimmed[length..].contains('`');
    (length >= 3 && !backtick_after).then_some((byte, length))
}

/// Whether nothing stands after the fence: only such a line closes.
fn bare(line: &str) -> bool {
    line.trim().bytes().all(|byte| matches!(byte, b'`' | b'~'))
}

/// The ranges of a text that are code: lines of [`lines`] that are, and what stands between backticks.
#[derive(Debug, Default)]
pub(crate) struct Code(Vec<Range<usize>>);

impl Code {
    pub(crate) fn of(text: &str) -> Self {
        if !text.contains('`') && !text.contains("~~~") && !text.contains("    ") && !text.contains('\t') {
            return Self::default();
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for line in lines(text) {
            match line.code {
                true => join(line, &mut ranges),
                false => inline(line, &mut ranges),
            }
        }
        Self(ranges)
    }

    /// Only what stands in fences.
    pub(crate) fn fenced(text: &str) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        if text.contains("```") || text.contains("~~~") {
            lines(text).filter(|line| line.fenced).for_each(|line| join(line, &mut ranges));
        }
        Self(ranges)
    }

    /// The first range that ends after `index`.
    pub(crate) fn after(&self, index: usize) -> Option<&Range<usize>> {
        self.0.get(self.0.partition_point(|range| range.end <= index))
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.after(index).is_some_and(|range| range.start <= index)
    }
}

/// Adds a line, to the last range if that ends on the line before.
fn join(line: Line<'_>, ranges: &mut Vec<Range<usize>>) {
    match ranges.last_mut() {
        Some(last) if last.end + 1 == line.start => last.end = line.end(),
        _ => ranges.push(line.start..line.end()),
    }
}

/// The text without its code.
pub(crate) fn without_code(text: &str) -> Cow<'_, str> {
    let Code(ranges) = Code::of(text);
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut prose = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        prose.push_str(&text[at..range.start]);
        at = range.end;
    }
    prose.push_str(&text[at..]);
    Cow::Owned(prose)
}

/// Code between runs of as many backticks, on one line.
fn inline(line: Line<'_>, ranges: &mut Vec<Range<usize>>) {
    if !line.text.contains('`') {
        return;
    }
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, _) in line.text.match_indices('`') {
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    let mut next = 0;
    while let Some(open) = runs.get(next) {
        match runs[next + 1..].iter().position(|run| run.len() == open.len()) {
            Some(distance) => {
                let close = next + 1 + distance;
                ranges.push(line.start + open.start..line.start + runs[close].end);
                next = close + 1;
            }
            None => next += 1,
        }
    }
}

/// Whether what touches `range` makes it part of something that is no prose: an address, a path, an identifier.
pub(crate) fn in_identifier(text: &str, range: &Range<usize>) -> bool {
    let (left, right) = around(text, range);
    let slashes = left.matches(['/', '\\']).count() + right.matches(['/', '\\']).count();
    let dotted = left.strip_suffix('.').is_some_and(|rest| rest.ends_with(char::is_alphanumeric))
        || right.strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    dotted || slashes > 1 || left.starts_with(['/', '\\']) || is_marked(left) || is_marked(right)
}

fn is_marked(part: &str) -> bool {
    part.contains(['@', '_', '=', '<', '>', '{', '}', '#', '$', '`'])
        || part.contains(|c: char| c.is_ascii_digit())
        || ["://", "www.", "::", "->", ":\\"].iter().any(|mark| part.contains(mark))
        || part.as_bytes().windows(3).any(|three| three[1] == b'.' && three[0] != b'.' && three[2] != b'.')
}

/// What stands before and after `range` up to white space.
fn around<'a>(text: &'a str, range: &Range<usize>) -> (&'a str, &'a str) {
    let from = text.floor_char_boundary(range.start.saturating_sub(MAX_TOKEN_BYTES));
    let to = text.ceil_char_boundary((range.end + MAX_TOKEN_BYTES).min(text.len()));
    let left = &text[from..range.start];
    let right = &text[range.end..to];
    (
        left.rsplit(char::is_whitespace).next().unwrap_or(left),
        right.split(char::is_whitespace).next().unwrap_or(right),
    )
}

/// Whether `range` begins and ends where a word does.
pub(crate) fn whole_word(text: &str, range: &Range<usize>) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let inside = &text[range.clone()];
    let (first, last) = (inside.chars().next(), inside.chars().next_back());
    let before = text[..range.start].chars().next_back();
    let after = text[range.end..].chars().next();
    let joined =
        |one: Option<char>, other: Option<char>| one.is_some_and(is_word) && other.is_some_and(is_word);
    !joined(before, first) && !joined(last, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_lines(text: &str) -> Vec<bool> {
        lines(text).map(|line| line.code).collect()
    }

    #[test]
    fn fences_and_indented_lines_are_code() {
        assert_eq!(code_lines("a\n```rust\nb\n\n```\nc"), [false, true, true, true, true, false]);
        assert_eq!(code_lines("~~~\n```\n~~~\nc"), [true, true, true, false]);
        assert_eq!(code_lines("````\n```\n````"), [true; 3]);
        assert_eq!(code_lines("```\nnever closed"), [true, true]);
        assert_eq!(
            code_lines("a\n    not code\n\n    code\n    code\nb"),
            [false, false, false, true, true, false]
        );
        assert_eq!(code_lines("a ``` b"), [false]);
        let starts: Vec<usize> = lines("ab\nc\n").map(|line| line.start).collect();
        assert_eq!(starts, [0, 3, 5]);
    }

    #[test]
    fn backticks_pair_on_their_line() {
        let text = "a `b` c ``d`e`` f ` g\n` h";
        let code = Code::of(text);
        for (index, c) in text.char_indices().filter(|(_, c)| c.is_alphabetic()) {
            assert_eq!(code.contains(index), "bde".contains(c), "{c}");
        }
    }

    #[test]
    fn words_of_addresses_and_identifiers() {
        let inside = |text: &str, word: &str| {
            let start = text.find(word).expect("the word");
            in_identifier(text, &(start..start + word.len()))
        };
        for (text, word) in [
            ("see https://acme.example/app now", "acme"),
            ("ann@acme.com", "acme"),
            ("my_acme_app", "acme"),
            ("acme.com", "acme"),
            ("C:\\acme\\x", "acme"),
            ("acme2", "acme"),
            ("#acme", "acme"),
        ] {
            assert!(inside(text, word), "{text}");
        }
        for text in ["acme", "the acme.", "(acme)", "\"acme\"?", "acme...", "acme's", "acme-like", "go. acme"]
        {
            assert!(!inside(text, "acme"), "{text}");
        }
    }
}
