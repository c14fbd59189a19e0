//! Filters as Jinja has them, where the engine's own refuse something, lack an argument or are not there.
//!
//! Source: `jinja2/filters.py` 3.1.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};
use regex::Regex;

use super::needs::argument_of;
use super::python::{capitalized, stripped};
use super::text::text_of;

/// Gives an environment the filters.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("capitalize", capitalize);
    environment.add_filter("count", length);
    environment.add_filter("first", |state: &mut State<'_, '_>, value: &Value| at_end(state, value, "first"));
    environment.add_filter("float", float);
    environment.add_filter("int", int);
    environment.add_filter("last", |state: &mut State<'_, '_>, value: &Value| at_end(state, value, "last"));
    environment.add_filter("length", length);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", word_count);
}

fn wrong(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

fn capitalize(value: &Value) -> Value {
    let text = capitalized(&text_of(value));
    if value.is_safe() { Value::from_safe_string(text) } else { Value::from(text) }
}

/// What is not there has no items.
fn length(value: &Value) -> Result<usize, Error> {
    match value.len() {
        Some(length) => Ok(length),
        None if value.is_undefined() => Ok(0),
        None => Err(wrong(format!("cannot calculate length of value of type {}", value.kind()))),
    }
}

/// `first` and `last`, by the engine's own where there is something.
fn at_end(state: &mut State<'_, '_>, value: &Value, name: &str) -> Result<Value, Error> {
    let items = || wrong(format!("cannot get {name} item from value of type {}", value.kind()));
    match (value.kind(), value.as_str(), name) {
        (ValueKind::Undefined, ..) => Ok(Value::UNDEFINED),
        (_, Some(text), "first") => Ok(text.chars().next().map_or(Value::UNDEFINED, Value::from)),
        (_, Some(text), _) => Ok(text.chars().next_back().map_or(Value::UNDEFINED, Value::from)),
        (ValueKind::Seq, ..) => {
            let place = if name == "first" { 0 } else { value.len().unwrap_or(0).saturating_sub(1) };
            value.get_item_by_index(place)
        }
        (ValueKind::Map | ValueKind::Iterable, _, "first") => {
            value.try_iter()?.checked().next().unwrap_or(Ok(Value::UNDEFINED))
        }
        (ValueKind::Map | ValueKind::Iterable, ..) => {
            let all = state.apply_filter("list", std::slice::from_ref(value))?;
            at_end(state, &all, name)
        }
        _ => Err(items()),
    }
}

/// `value | int(default=0, base=10)`.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, named: Kwargs) -> Result<Value, Error> {
    let default =
        default.map_or_else(|| named.get::<Option<Value>>("default"), |default| Ok(Some(default)))?;
    let base = base.map_or_else(|| named.get::<Option<u32>>("base"), |base| Ok(Some(base)))?.unwrap_or(10);
    named.assert_all_used()?;
    let default = || default.clone().unwrap_or_else(|| Value::from(0));
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(u8::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Ok(value.clone()),
        ValueKind::Number => Ok(whole(f64::try_from(value.clone())?)?.unwrap_or_else(default)),
        ValueKind::String => {
            let text = digits(value.as_str().unwrap_or_default());
            if let Some(number) = parsed(&text, base)? {
                return Ok(number);
            }
            // `"42.23" | int` is 42.
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(whole(number)?.unwrap_or_else(default)),
                _ => Ok(default()),
            }
        }
        _ => Ok(default()),
    }
}

/// A number without what stands behind its point; nothing if it is none.
fn whole(number: f64) -> Result<Option<Value>, Error> {
    if number.is_nan() {
        return Ok(None);
    }
    if number.abs() >= 1e38 {
        return Err(wrong("cannot convert float to integer".to_owned()));
    }
    let number = number as i128;
    Ok(Some(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)))
}

/// What Python reads a number from: without the blanks around it, and the lines between its digits.
fn digits(text: &str) -> String {
    let text = stripped(text, None, true, true);
    let bytes = text.as_bytes();
    let is_digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_alphanumeric);
    let is_between = |place: usize| place > 0 && is_digit(place - 1) && is_digit(place + 1);
    let letters = text.char_indices().filter(|(place, letter)| *letter != '_' || !is_between(*place));
    letters.map(|(_, letter)| letter).collect()
}

/// `int(text, base)` of Python, up to 128 bits.
fn parsed(text: &str, base: u32) -> Result<Option<Value>, Error> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (&text[..1], rest),
        None => ("", text),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        3..=36 => "",
        _ => return Ok(None),
    };
    let is_prefix = |begin: &str| !prefix.is_empty() && begin.eq_ignore_ascii_case(prefix);
    let digits = if digits.get(..2).is_some_and(is_prefix) { &digits[2..] } else { digits };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Ok(None);
    }
    // Nobody's template counts beyond these.
    let digits = digits.trim_start_matches('0');
    let number = if digits.is_empty() { Ok(0) } else { i128::from_str_radix(&[sign, digits].concat(), base) };
    let number = number.map_err(|_| wrong("the number has more than 128 bits".to_owned()))?;
    Ok(Some(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)))
}

/// `value | float(default=0.0)`.
fn float(value: &Value, default: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let default =
        default.map_or_else(|| named.get::<Option<Value>>("default"), |default| Ok(Some(default)))?;
    named.assert_all_used()?;
    let default = || default.clone().unwrap_or_else(|| Value::from(0.0));
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(f64::from(u8::from(value.is_true())))),
        ValueKind::Number => Ok(Value::from(f64::try_from(value.clone())?)),
        ValueKind::String => {
            let text = digits(value.as_str().unwrap_or_default());
            Ok(text.parse::<f64>().map_or_else(|_| default(), Value::from))
        }
        _ => Ok(default()),
    }
}

/// `text | replace(old, new, count)`, so often at most.
pub(super) fn replaced(given: &[Value]) -> Result<Value, Error> {
    let argument = |index: usize, name| text_of(&argument_of(given, index, name));
    let count = argument_of(given, 3, "count");
    let (text, old, new) = (argument(0, "s"), argument(1, "old"), argument(2, "new"));
    if count.is_none() {
        return Ok(Value::from(text.replace(&old, &new)));
    }
    // Less than none is as often as there are.
    let count = usize::try_from(i64::try_from(count)?).unwrap_or(usize::MAX);
    Ok(Value::from(text.replacen(&old, &new, count)))
}

/// `text | wordcount`: runs of letters, digits and lines.
fn word_count(value: &Value) -> usize {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").ok());
    WORDS.as_ref().map_or(0, |words| words.find_iter(&text_of(value)).count())
}

/// `text | truncate(length=255, killwords=False, end='...', leeway=5)`.
fn truncate(value: &str, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let arguments = arguments.into_values();
    let argument =
        |index, name| Some(argument_of(&arguments, index, name)).filter(|value| !value.is_undefined());
    let count = |index, name, default| argument(index, name).map_or(Ok(default), usize::try_from);
    let (length, leeway) = (count(0, "length", 255)?, count(3, "leeway", 5)?);
    let kill = argument(1, "killwords").is_some_and(|kill| kill.is_true());
    let end = argument(2, "end").map_or_else(|| "...".to_owned(), |end| text_of(&end));
    let kept = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| wrong(format!("expected a length of at least that of `{end}`, found {length}")))?;
    if value.chars().nth(length.saturating_add(leeway)).is_none() {
        return Ok(value.to_owned());
    }
    let (at, _) = value.char_indices().nth(kept).unwrap_or((value.len(), ' '));
    let cut = &value[..at];
    let whole = cut.rsplit_once(' ').map_or(cut, |(whole, _)| whole);
    Ok([if kill { cut } else { whole }, &end].concat())
}
