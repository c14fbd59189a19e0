//! Filters and methods of texts that are Python's, where the engine's own print something else.

use std::borrow::Cow;
use std::collections::HashSet;

use minijinja::value::{FunctionArgs, Kwargs, Value, from_args};
use minijinja::{Environment, Error, ErrorKind};

use super::attributes::attr;
use super::methods;
use crate::near::is_space;

/// Gives an environment the filters.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("attr", attr);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_filter("indent", indent);
    environment.add_filter("trim", trim);
}

/// `text.name(arguments)`, where it is one of these.
pub(super) fn method(text: &str, name: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    Some(match name {
        "isspace" => with(arguments, |()| Ok(Value::from(!text.is_empty() && text.chars().all(is_space)))),
        "strip" | "lstrip" | "rstrip" => with(arguments, |(of,): (Option<&str>,)| {
            Ok(Value::from(stripped(text, of, name != "rstrip", name != "lstrip")))
        }),
        "split" => with(arguments, |(at, most, named): (Option<&str>, Option<i64>, Kwargs)| {
            let at = at.map_or_else(|| named.get("sep"), |at| Ok(Some(at)))?;
            let most = most.map_or_else(|| named.get("maxsplit"), |most| Ok(Some(most)))?;
            named.assert_all_used()?;
            Ok(split(text, at, most.and_then(|most| usize::try_from(most).ok()))?.into_iter().collect())
        }),
        "splitlines" => with(arguments, |(keep, named): (Option<Value>, Kwargs)| {
            let keep = keep.map_or_else(|| named.get("keepends"), |keep| Ok(Some(keep)))?;
            named.assert_all_used()?;
            Ok(lines(text, is_true(keep)).map(Value::from).collect())
        }),
        "title" => with(arguments, |()| Ok(Value::from(title(text)))),
        "capitalize" => with(arguments, |()| Ok(Value::from(capitalized(text)))),
        _ => return methods::method(text, name, arguments),
    })
}

fn with<'a, A: FunctionArgs<'a, Output = A>>(
    arguments: &'a [Value],
    make: impl FnOnce(A) -> Result<Value, Error>,
) -> Result<Value, Error> {
    make(from_args(arguments)?)
}

/// What [`escape`] makes of a value that takes so many bytes as a text.
pub(super) fn escaped_bytes(value: &Value, bytes: usize) -> usize {
    let more = |byte: &u8| match *byte {
        b'<' | b'>' => 3,
        b'&' | b'\'' | b'"' => 4,
        _ => 0,
    };
    match value.as_str() {
        _ if value.is_safe() => bytes,
        Some(text) => bytes.saturating_add(text.as_bytes().iter().map(more).sum()),
        None => bytes.saturating_mul(5),
    }
}

/// A value as a text that HTML may hold, as MarkupSafe writes it.
pub(super) fn escape(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let text = text_of(value);
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            letter => escaped.push(letter),
        }
    }
    Value::from_safe_string(escaped)
}

/// `text | indent(width=4, first=False, blank=False)`; the width is a number of spaces, or a text.
fn indent(
    text: &str,
    width: Option<Value>,
    first: Option<Value>,
    blank: Option<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| named.get::<Option<Value>>("width"), |width| Ok(Some(width)))?;
    let first = first.map_or_else(|| named.get::<Option<Value>>("first"), |first| Ok(Some(first)))?;
    let blank = blank.map_or_else(|| named.get::<Option<Value>>("blank"), |blank| Ok(Some(blank)))?;
    named.assert_all_used()?;
    let before = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(before) => before.to_owned(),
            None => " ".repeat(usize::try_from(i64::try_from(width)?).unwrap_or(0)),
        },
    };
    let (first, blank) = (is_true(first), is_true(blank));
    // Jinja puts a line break behind the text first: one that ends in one has an empty line more.
    let ends = text.is_empty() || text.ends_with(|letter| is_line_break(letter) && letter != '\r');
    let mut out = String::with_capacity(text.len());
    for (index, line) in lines(text, false).chain(ends.then_some("")).enumerate() {
        let is_indented = if index == 0 { first } else { !line.is_empty() || blank };
        out.push_str(if index > 0 { "\n" } else { "" });
        out.push_str(if is_indented { &before } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// What Python takes an argument for that says whether.
fn is_true(argument: Option<Value>) -> bool {
    argument.is_some_and(|argument| argument.is_true())
}

/// `value | trim(chars=None)`.
fn trim(value: &Value, of: Option<&str>, named: Kwargs) -> Result<Value, Error> {
    let of = of.map_or_else(|| named.get("chars"), |of| Ok(Some(of)))?;
    named.assert_all_used()?;
    let text = text_of(value);
    let text = stripped(&text, of, true, true);
    Ok(if value.is_safe() { Value::from_safe_string(text.to_owned()) } else { Value::from(text) })
}

fn text_of(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// `strip`, `lstrip` and `rstrip`, of some characters or of white space.
pub(super) fn stripped<'a>(text: &'a str, of: Option<&str>, at_start: bool, at_end: bool) -> &'a str {
    // A set, so that one long text is not looked through for each letter of another.
    let of: Option<HashSet<char>> = of.map(|of| of.chars().collect());
    let is_off = |letter: char| of.as_ref().map_or_else(|| is_space(letter), |of| of.contains(&letter));
    let text = if at_start { text.trim_start_matches(is_off) } else { text };
    if at_end { text.trim_end_matches(is_off) } else { text }
}

/// `split`, at a text or at runs of white space, so often at most.
fn split<'a>(text: &'a str, at: Option<&str>, most: Option<usize>) -> Result<Vec<&'a str>, Error> {
    match at {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(at) => return Ok(text.splitn(most.unwrap_or(usize::MAX - 1) + 1, at).collect()),
        None => {}
    }
    let (mut parts, mut rest) = (Vec::new(), text.trim_start_matches(is_space));
    while !rest.is_empty() {
        let end = rest.find(is_space).filter(|_| most != Some(parts.len())).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    Ok(parts)
}

/// `rsplit`, in which what is left over stands at the front.
pub(super) fn split_from_end(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    with(arguments, |(at, most, named): (Option<&str>, Option<i64>, Kwargs)| {
        let at = at.map_or_else(|| named.get("sep"), |at| Ok(Some(at)))?;
        let most = most.map_or_else(|| named.get("maxsplit"), |most| Ok(Some(most)))?;
        named.assert_all_used()?;
        let most = most.and_then(|most| usize::try_from(most).ok());
        let mut parts = Vec::new();
        match at {
            Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
            Some(at) => parts.extend(text.rsplitn(most.unwrap_or(usize::MAX - 1) + 1, at)),
            None => {
                let mut rest = text.trim_end_matches(is_space);
                while !rest.is_empty() {
                    let space = rest.char_indices().rfind(|(_, letter)| is_space(*letter));
                    let begin = space.filter(|_| most != Some(parts.len()));
                    let begin = begin.map_or(0, |(at, letter)| at + letter.len_utf8());
                    parts.push(&rest[begin..]);
                    rest = rest[..begin].trim_end_matches(is_space);
                }
            }
        }
        Ok(parts.into_iter().rev().collect())
    })
}

/// What ends a line in Python.
pub(super) fn is_line_break(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `splitlines`; lines keep what ends them if they are to.
fn lines(text: &str, keep: bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let line = rest;
        let Some(end) = rest.find(is_line_break) else {
            rest = "";
            return (!line.is_empty()).then_some(line);
        };
        let width = match &rest[end..] {
            after if after.starts_with("\r\n") => 2,
            after => after.chars().next().map_or(1, char::len_utf8),
        };
        rest = &rest[end + width..];
        Some(&line[..if keep { end + width } else { end }])
    })
}

/// `title`: a letter behind none is large, and all others are small.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut within = false;
    while let Some(letter) = letters.next() {
        match (within, letter) {
            // The one letter that is written otherwise at the end of a word.
            (true, 'Σ') => out.push(if letters.peek().copied().is_some_and(is_cased) { 'σ' } else { 'ς' }),
            (true, letter) => out.extend(letter.to_lowercase()),
            (false, letter) => push_title(&mut out, letter),
        }
        within = is_cased(letter);
    }
    out
}

/// `capitalize`: the first letter is that of a title, and all others are small.
pub(super) fn capitalized(text: &str) -> String {
    let Some(first) = text.chars().next() else { return String::new() };
    let small = text.to_lowercase();
    let mut out = String::with_capacity(text.len());
    push_title(&mut out, first);
    out.push_str(small.get(first.to_lowercase().map(char::len_utf8).sum()..).unwrap_or_default());
    out
}

fn is_cased(letter: char) -> bool {
    letter.is_lowercase() || letter.is_uppercase() || of_two(letter).is_some()
}

/// A sign of two letters of which the first alone is large.
fn of_two(letter: char) -> Option<char> {
    match letter {
        'Ǆ'..='ǆ' => Some('ǅ'),
        'Ǉ'..='ǉ' => Some('ǈ'),
        'Ǌ'..='ǌ' => Some('ǋ'),
        'Ǳ'..='ǳ' => Some('ǲ'),
        _ => None,
    }
}

fn push_title(out: &mut String, letter: char) {
    let mut large = letter.to_uppercase();
    match (of_two(letter), letter) {
        (Some(sign), _) => out.push(sign),
        // Large letters of Georgian stand in no title.
        (None, 'ა'..='ჿ') => out.push(letter),
        (None, 'ŉ') => out.extend(large),
        // Greek with an iota below, which stays below.
        (None, '\u{1f80}'..='\u{1faf}') => out.extend(char::from_u32(u32::from(letter) | 8)),
        (None, 'ᾳ' | 'ῃ' | 'ῳ') => out.extend(char::from_u32(u32::from(letter) + 9)),
        (None, 'ᾼ' | 'ῌ' | 'ῼ') => out.push(letter),
        (None, _) => {
            out.extend(large.next());
            out.extend(large.flat_map(char::to_lowercase));
        }
    }
}
