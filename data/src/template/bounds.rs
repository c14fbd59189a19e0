//! What a template may make on the way to what it prints.
//!
//! Steps alone bound no memory: twenty of `s ~ s` make a million of one. So the operators and filters that make texts or lists
//! are functions of this file ([`super::rewrite`] puts them there), and each asks first whether what it will make fits into
//! what one rendering may make in all.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, context, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::attributes;
use super::cut::cut;
use super::needs::{argument_of, needed, pieces};
use super::python;
use super::text::{filled_with, text_of, text_of_floats};

/// Bytes of all texts and lists that one rendering makes, also of those it drops again: a conversation of 64 MiB is the
/// largest that is read, and templates pass on each text a few times.
pub(super) const MOST_MADE_BYTES: usize = 1 << 30;
/// What a list holds an item in.
pub(super) const ITEM_BYTES: usize = size_of::<Value>();
/// What going through a list takes, so that few lists that hold one another again and again are not gone through for minutes.
const LIST_BYTES: usize = 1 << 10;
/// Lists in lists, deeper than any conversation: what goes through them does so on the stack.
const MOST_DEPTH: usize = 200;
/// Filters that make a text of what they are given, whatever it is.
const OF_TEXTS: [&str; 10] =
    ["capitalize", "e", "escape", "lower", "replace", "safe", "string", "title", "trim", "upper"];

/// Names that no template has; what they stand for.
pub(super) const JOINED: &str = "__bounded_joined";
pub(super) const ADDED: &str = "__bounded_added";
pub(super) const TIMES: &str = "__bounded_times";
pub(super) const SHOWN: &str = "__bounded_shown";
pub(super) const CUT: &str = "__bounded_cut";
pub(super) const FILTERED: &str = "__bounded_filtered";
pub(super) const ATTRIBUTE: &str = "__bounded_attribute";
pub(super) const ITEM: &str = "__bounded_item";
/// The bytes that a rendering may make.
const MOST: &str = "__bounded_most";
/// What each of them begins with.
pub(super) const PREFIX: &str = "__bounded_";

/// More was to be made than there is room for.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
pub(super) struct Full(pub(super) usize);

/// What a rendering may still make, in bytes, and what it might make in all.
#[derive(Clone, Copy)]
pub(super) struct Left {
    bytes: usize,
    of_bytes: usize,
}

/// Gives an environment the functions, and each of its renderings room for so many bytes.
pub(super) fn add(environment: &mut Environment<'_>, most_bytes: usize) {
    environment.add_global(MOST, most_bytes);
    environment.add_function(JOINED, joined);
    environment.add_function(ADDED, added);
    environment.add_function(TIMES, times);
    environment.add_function(SHOWN, shown);
    environment.add_function(CUT, cut);
    environment.add_filter(FILTERED, filtered);
    python::add(environment);
    environment.add_function(ATTRIBUTE, attributes::attribute);
    environment.add_function(ITEM, attributes::item);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(emit);
    // Prints all there is, and stands in no other Jinja.
    environment.remove_global("debug");
}

/// What there is room for.
fn left(state: &mut State<'_, '_>) -> Left {
    if let Some(left) = state.get_extension::<Left>() {
        return *left;
    }
    let most = state.lookup(MOST).and_then(|most| usize::try_from(most).ok()).unwrap_or(0);
    *state.get_or_insert_extension(Left { bytes: most, of_bytes: most })
}

impl Left {
    /// What is left when so much more is made.
    fn less(self, bytes: usize) -> Result<Self, Error> {
        let full = || {
            let problem = "more texts are made than there may be";
            Error::new(ErrorKind::InvalidOperation, problem).with_source(Full(self.of_bytes))
        };
        Ok(Self { bytes: self.bytes.checked_sub(bytes).ok_or_else(full)?, ..self })
    }
}

/// Notes what is made.
pub(super) fn take(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let less = left(state).less(bytes)?;
    *state.get_or_insert_extension(less) = less;
    Ok(())
}

/// Bytes that a value takes by itself.
pub(super) fn size(value: &Value) -> usize {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => value.as_bytes().map_or(0, <[u8]>::len),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            value.len().unwrap_or(0).saturating_mul(ITEM_BYTES)
        }
        _ => 0,
    }
}

/// Whether a value has nothing within it.
fn is_plain(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

/// About the bytes of a value as a text, each part as often as it stands in it.
pub(super) fn weight(value: &Value, room: Left) -> Result<usize, Error> {
    let mut left = room;
    weigh(value, &mut left, 0)?;
    Ok(room.bytes - left.bytes)
}

fn weigh(value: &Value, left: &mut Left, depth: usize) -> Result<(), Error> {
    let own = if is_plain(value) { size(value) } else { LIST_BYTES };
    *left = left.less(own.saturating_add(ITEM_BYTES))?;
    if is_plain(value) {
        return Ok(());
    }
    if depth == MOST_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "lists stand too deep in one another"));
    }
    for item in value.try_iter()? {
        weigh(&item, left, depth + 1)?;
        if value.kind() == ValueKind::Map {
            weigh(&value.get_item(&item)?, left, depth + 1)?;
        }
    }
    Ok(())
}

/// What a value takes as a text, before it is one.
pub(super) fn text_bytes(value: &Value, room: Left) -> Result<usize, Error> {
    if is_plain(value) { Ok(size(value)) } else { weight(value, room) }
}

/// `{{ value }}`.
fn emit(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let bytes = text_bytes(value, left(state))?;
    take(state, bytes)?;
    let floats = text_of_floats(value).map(Value::from);
    let value = floats.as_ref().unwrap_or(value);
    match matches!(state.auto_escape(), AutoEscape::Html) {
        true => escape_formatter(out, state, &python::escape(value)),
        false => escape_formatter(out, state, value),
    }
}

/// `a ~ b ~ c`.
fn joined(state: &mut State<'_, '_>, parts: Rest<Value>) -> Result<Value, Error> {
    let (room, mut bytes) = (left(state), 0_usize);
    for part in parts.iter() {
        bytes = bytes.saturating_add(text_bytes(part, room)?);
    }
    take(state, bytes)?;
    Ok(Value::from(parts.iter().map(text_of).collect::<String>()))
}

/// `a + b + c`, from the left.
fn added(state: &mut State<'_, '_>, parts: Rest<Value>) -> Result<Value, Error> {
    let mut parts = parts.iter().cloned();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        sum = match (sum.as_str(), part.as_str()) {
            (Some(left), Some(right)) => {
                take(state, left.len() + right.len())?;
                Value::from([left, right].concat())
            }
            _ => match whole(&sum).zip(whole(&part)).and_then(|(left, right)| left.checked_add(right)) {
                Some(number) => Value::from(number),
                None => {
                    take(state, size(&sum).saturating_add(size(&part)))?;
                    operated(state, "a + b", &sum, &part)?
                }
            },
        };
    }
    Ok(sum)
}

/// `a * b`.
fn times(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    if let Some(number) = whole(&left).zip(whole(&right)).and_then(|(left, right)| left.checked_mul(right)) {
        return Ok(Value::from(number));
    }
    for (repeated, count) in [(&left, &right), (&right, &left)] {
        if let (false, Some(count)) = (repeated.is_number(), whole(count)) {
            let count = usize::try_from(count).unwrap_or(0);
            take(state, size(repeated).saturating_mul(count))?;
        }
    }
    operated(state, "a * b", &left, &right)
}

pub(super) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().filter(|_| value.is_integer())
}

/// What the engine's own operator makes of two values.
fn operated(state: &State<'_, '_>, operator: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    let result = state.env().compile_expression(operator)?.eval(context! { a => left, b => right });
    // The place is the template's, and no expression's.
    result.map_err(|error| match error.detail() {
        Some(detail) => Error::new(error.kind(), detail.to_owned()),
        None => Error::from(error.kind()),
    })
}

/// A value that is looked for as a text, or that holds others: neither is larger or deeper than what can be gone through.
fn shown(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    text_bytes(&value, left(state))?;
    Ok(value)
}

/// The first of the values that a function is called with, as a text.
pub(super) fn message(state: &mut State<'_, '_>, values: &[Value]) -> Result<String, Error> {
    let Some(message) = values.first() else { return Ok(String::new()) };
    text_bytes(message, left(state))?;
    Ok(text_of(message))
}

/// `value | name(arguments)`.
fn filtered(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let mut arguments = arguments.0;
    if named.args().next().is_some() {
        arguments.push(Value::from(named));
    }
    apply(state, name, value, &arguments)
}

fn apply(state: &mut State<'_, '_>, name: &str, value: &Value, arguments: &[Value]) -> Result<Value, Error> {
    if let ("map", Some(of_each)) = (name, arguments.first().and_then(Value::as_str)) {
        let mut items = Vec::new();
        for item in value.try_iter()? {
            take(state, ITEM_BYTES)?;
            items.push(apply(state, of_each, &item, &arguments[1..])?);
        }
        return Ok(Value::from(items));
    }
    let room = left(state);
    room.less(needed(name, value, arguments, room)?)?;
    let result = state.apply_filter(name, &given(name, value, arguments, room)?)?;
    take(state, size(&result).saturating_add(pieces(name, value)))?;
    Ok(result)
}

/// What a filter is called with: where it makes a text of something, that is Python's.
fn given(name: &str, value: &Value, arguments: &[Value], room: Left) -> Result<Vec<Value>, Error> {
    let mut given = vec![value.clone()];
    given.extend_from_slice(arguments);
    match name {
        "format" => {
            let filled = filled_with(value.as_str().unwrap_or_default(), given.split_off(1));
            given.extend(filled);
        }
        // What an `attribute` names is looked up by the filter itself.
        "join" if argument_of(arguments, 1, "attribute").is_undefined() => {
            if let (false, Ok(items)) = (value.kind() == ValueKind::String, value.try_iter()) {
                given[0] = items.map(as_text).collect();
            }
        }
        name if OF_TEXTS.contains(&name) => {
            for value in &given {
                text_bytes(value, room)?;
            }
            given[0] = as_text(value.clone());
        }
        _ => {}
    }
    Ok(given)
}

/// A value that is or holds floats as a text, and any other as it is.
fn as_text(value: Value) -> Value {
    text_of_floats(&value).map_or(value, Value::from)
}

/// `value.name(arguments)`, of texts, lists and maps.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let room = left(state);
    room.less(match (name, arguments.first()) {
        // The text stands between the items here.
        ("join", Some(items)) => needed(name, items, std::slice::from_ref(value), room)?,
        _ => needed(name, value, arguments, room)?,
    })?;
    let own = value.as_str().and_then(|text| python::method(text, name, arguments));
    let result = own.unwrap_or_else(|| unknown_method_callback(state, value, name, arguments))?;
    take(state, size(&result).saturating_add(pieces(name, value)))?;
    Ok(result)
}
