//! What a template may make on the way to what it prints.
//!
//! Steps alone bound no memory: twenty of `s ~ s` make a million of one. So the operators and filters that make texts or lists
//! are functions of this file ([`super::rewrite`] puts them there), and each asks first whether what it will make fits into
//! what one rendering may make in all.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, context, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Bytes of all texts and lists that one rendering makes, also of those it drops again: a conversation of 64 MiB is the
/// largest that is read, and templates pass on each text a few times.
pub(super) const MOST_MADE_BYTES: usize = 1 << 30;
/// What a list holds an item in.
const ITEM_BYTES: usize = size_of::<Value>();
/// What a part of a text takes as an item, with what says how long it is.
const PART_BYTES: usize = 3 * ITEM_BYTES;
/// What going through a list takes, so that few lists that hold one another again and again are not gone through for minutes.
const LIST_BYTES: usize = 1 << 10;
/// No template indents or pads by more.
const MOST_WIDTH: i64 = 1 << 20;
/// Lists in lists, deeper than any conversation: what goes through them does so on the stack.
const MOST_DEPTH: usize = 200;
/// Filters that hand items on, or count them, and make no text of them.
const OF_ITEMS: [&str; 27] = [
    "abs",
    "attr",
    "bool",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "get",
    "groupby",
    "int",
    "items",
    "keys",
    "last",
    "length",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "select",
    "selectattr",
    "values",
];

/// Names that no template has; what they stand for.
pub(super) const JOINED: &str = "__bounded_joined";
pub(super) const ADDED: &str = "__bounded_added";
pub(super) const TIMES: &str = "__bounded_times";
pub(super) const SHOWN: &str = "__bounded_shown";
pub(super) const MADE: &str = "__bounded_made";
pub(super) const FILTERED: &str = "__bounded_filtered";
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
struct Left {
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
    environment.add_function(MADE, made);
    environment.add_filter(FILTERED, filtered);
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

/// Notes what was made.
fn take(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let less = left(state).less(bytes)?;
    *state.get_or_insert_extension(less) = less;
    Ok(())
}

/// Bytes that a value takes by itself.
fn size(value: &Value) -> usize {
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
fn weight(value: &Value, room: Left) -> Result<usize, Error> {
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
fn text_bytes(value: &Value, room: Left) -> Result<usize, Error> {
    if is_plain(value) { Ok(size(value)) } else { weight(value, room) }
}

/// `{{ value }}`.
fn emit(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let bytes = text_bytes(value, left(state))?;
    take(state, bytes)?;
    escape_formatter(out, state, value)
}

/// `a ~ b ~ c`.
fn joined(state: &mut State<'_, '_>, parts: Rest<Value>) -> Result<Value, Error> {
    let (room, mut bytes) = (left(state), 0_usize);
    for part in parts.iter() {
        bytes = bytes.saturating_add(text_bytes(part, room)?);
    }
    take(state, bytes)?;
    Ok(Value::from(parts.iter().map(Value::to_string).collect::<String>()))
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

fn whole(value: &Value) -> Option<i64> {
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

/// A value that was made.
fn made(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    take(state, size(&value))?;
    Ok(value)
}

/// The first of the values that a function is called with, as a text.
pub(super) fn message(state: &mut State<'_, '_>, values: &[Value]) -> Result<String, Error> {
    let Some(message) = values.first() else { return Ok(String::new()) };
    text_bytes(message, left(state))?;
    Ok(message.to_string())
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
    let mut given = vec![value.clone()];
    given.extend_from_slice(arguments);
    let result = state.apply_filter(name, &given)?;
    take(state, size(&result).saturating_add(pieces(name, value)))?;
    Ok(result)
}

/// `value.name(arguments)`, of texts, lists and maps.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let room = left(state);
    room.less(match (name, arguments.first()) {
        // The text stands between the items here.
        ("join", Some(items)) => needed(name, items, std::slice::from_ref(value), room)?,
        _ => needed(name, value, arguments, room)?,
    })?;
    let result = unknown_method_callback(state, value, name, arguments)?;
    take(state, size(&result).saturating_add(pieces(name, value)))?;
    Ok(result)
}

/// What a text takes that is cut up.
fn pieces(name: &str, value: &Value) -> usize {
    if matches!(name, "split" | "splitlines" | "lines") { size(value) } else { 0 }
}

/// The most bytes that a filter or a method makes.
fn needed(name: &str, value: &Value, arguments: &[Value], room: Left) -> Result<usize, Error> {
    let text = value.as_str().unwrap_or_default();
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str).unwrap_or_default();
    match name {
        "batch" | "slice" | "indent" | "tojson" | "pprint" if arguments.iter().any(is_wide) => {
            let problem = format!("expected at most {MOST_WIDTH} in `{name}`");
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
        "join" => {
            Ok(weight(value, room)?
                .saturating_add(argument(0).len().saturating_mul(value.len().unwrap_or(0))))
        }
        "replace" => {
            let (from, to) = (argument(0), argument(1));
            let found = if to.len() > from.len() { text.matches(from).count() } else { 0 };
            Ok(text.len().saturating_add(found.saturating_mul(to.len())))
        }
        "indent" => {
            let width =
                arguments.first().and_then(whole).and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
            Ok(text_bytes(value, room)?.saturating_add((text.lines().count() + 1).saturating_mul(width)))
        }
        "format" => {
            let digits = text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max().unwrap_or(0);
            let asks = text.contains('*') || text.contains(":{");
            if digits > 6 || asks && arguments.iter().any(is_wide) {
                let problem = format!("expected widths of at most {MOST_WIDTH} in `format`");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
            let places = text.bytes().filter(|byte| matches!(byte, b'%' | b'{')).count();
            let widest = if digits > 0 || asks { MOST_WIDTH as usize } else { 0 };
            let mut bytes = widest;
            for argument in arguments {
                bytes = bytes.saturating_add(weight(argument, room)?);
            }
            Ok(text.len().saturating_add(places.saturating_mul(bytes)))
        }
        "split" | "splitlines" | "lines" => {
            let parts = match arguments.first().and_then(Value::as_str) {
                Some(between) if name == "split" => text.matches(between).count(),
                _ => text.split(char::is_whitespace).count(),
            };
            Ok(text.len().saturating_add(parts.saturating_mul(PART_BYTES)))
        }
        // Of a text these make a list of its letters.
        "list" | "batch" | "slice" | "sort" => Ok(text.len().saturating_mul(ITEM_BYTES)),
        _ if OF_ITEMS.contains(&name) => Ok(0),
        _ => text_bytes(value, room),
    }
}

/// A number, or one among named arguments, that is larger than a width.
fn is_wide(argument: &Value) -> bool {
    match argument.kind() {
        ValueKind::Number => {
            argument.as_i64().is_none_or(|number| number > MOST_WIDTH) && argument.is_integer()
        }
        ValueKind::Map => argument.try_iter().is_ok_and(|mut names| {
            names
                .any(|name| argument.get_item(&name).is_ok_and(|value| !value.is_kwargs() && is_wide(&value)))
        }),
        _ => false,
    }
}
