//! What a template may make on the way to what it prints.
//!
//! Steps alone bound no memory: twenty of `s ~ s` make a million of one. So the operators and filters that make texts or lists
//! are functions of this file ([`super::rewrite`] puts them there), and each asks first whether what it will make fits into
//! what one rendering may make in all.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, context, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::attributes;
use super::compare;
use super::cut::cut;
use super::filters;
use super::functions;
use super::needs::{argument_of, needed, pieces, read};
use super::python;
use super::room::{ITEM_BYTES, Left, MOST, as_list, left, size, take, text_bytes};
use super::text::{filled_with, text_of, text_of_floats};

/// Bytes of all texts and lists that one rendering makes, also of those it drops again: a conversation of 64 MiB is the
/// largest that is read, and templates pass on each text a few times.
pub(super) const MOST_MADE_BYTES: usize = 1 << 30;
/// Filters that make a text of what they are given, whatever it is.
const OF_TEXTS: [&str; 10] =
    ["capitalize", "e", "escape", "lower", "replace", "safe", "string", "title", "trim", "upper"];

/// Filters and methods that put what they are given into lists.
const DEEPER: [&str; 6] = ["batch", "dictsort", "groupby", "items", "map", "slice"];
/// Filters of the engine that no Jinja has, and that hold more than they show.
const FOREIGN: [&str; 2] = ["chain", "zip"];
/// What a letter becomes at most where it is escaped.
const ESCAPED: usize = 5;

/// What an operator takes that is asked of the engine, in parts of values.
const OPERATED: usize = 64;

/// Names that no template has; what they stand for.
pub(super) const JOINED: &str = "__bounded_joined";
pub(super) const ADDED: &str = "__bounded_added";
pub(super) const TIMES: &str = "__bounded_times";
pub(super) const SHOWN: &str = "__bounded_shown";
pub(super) const CUT: &str = "__bounded_cut";
pub(super) const FILTERED: &str = "__bounded_filtered";
pub(super) const ATTRIBUTE: &str = "__bounded_attribute";
pub(super) const ITEM: &str = "__bounded_item";
pub(super) const CYCLED: &str = "__bounded_cycled";
pub(super) const COMPARED: &str = "__bounded_compared";
pub(super) const LOOKED_UP: &str = "__bounded_looked_up";
pub(super) const EACH: &str = "__bounded_each";
pub(super) const SPLAT: &str = "__bounded_splat";
pub(super) const NEGATIVE: &str = "__bounded_negative";
pub(super) const READ: &str = "__bounded_read";
pub(super) const HELD: &str = "__bounded_held";
/// What each of them begins with.
pub(super) const PREFIX: &str = "__bounded_";

/// Gives an environment the functions, and each of its renderings room for so many bytes.
pub(super) fn add(environment: &mut Environment<'_>, most_bytes: usize) {
    environment.add_global(MOST, most_bytes);
    environment.add_function(JOINED, joined);
    environment.add_function(ADDED, added);
    environment.add_function(TIMES, times);
    environment.add_function(SHOWN, shown);
    environment.add_function(CUT, cut);
    environment.add_filter(FILTERED, filtered);
    filters::add(environment);
    python::add(environment);
    functions::add(environment);
    environment.add_function(CYCLED, functions::cycled);
    environment.add_function(COMPARED, compare::compared);
    environment.add_function(LOOKED_UP, compare::looked_up);
    environment.add_function(EACH, compare::each);
    environment.add_function(SPLAT, compare::splat);
    environment.add_function(READ, compare::read);
    environment.add_function(NEGATIVE, functions::negative);
    compare::add(environment);
    environment.add_function(HELD, functions::held);
    environment.add_filter(HELD, functions::held);
    for name in FOREIGN {
        environment.remove_filter(name);
    }
    environment.add_function(ATTRIBUTE, attributes::attribute);
    environment.add_function(ITEM, attributes::item);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(emit);
    // Prints all there is, and stands in no other Jinja.
    environment.remove_global("debug");
}

/// `{{ value }}`.
fn emit(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let is_html = matches!(state.auto_escape(), AutoEscape::Html);
    let bytes = text_bytes(value, &left(state))?;
    take(state, if is_html { python::escaped_bytes(value, bytes) } else { bytes })?;
    let floats = text_of_floats(value).map(Value::from);
    let value = floats.as_ref().unwrap_or(value);
    match is_html {
        true => escape_formatter(out, state, &python::escape(value)),
        false => escape_formatter(out, state, value),
    }
}

/// `a ~ b ~ c`.
fn joined(state: &mut State<'_, '_>, parts: Rest<Value>) -> Result<Value, Error> {
    let (room, mut bytes) = (left(state), 0_usize);
    for part in parts.iter() {
        bytes = bytes.saturating_add(text_bytes(part, &room)?);
    }
    take(state, bytes)?;
    Ok(Value::from(parts.iter().map(text_of).collect::<String>()))
}

/// `a + b + c`, from the left.
fn added(state: &mut State<'_, '_>, parts: Rest<Value>) -> Result<Value, Error> {
    let mut parts = parts.iter();
    let mut sum = parts.next().cloned().unwrap_or_default();
    for part in parts {
        sum = sum_of(state, sum, part)?;
    }
    Ok(sum)
}

/// `a + b`.
pub(super) fn sum_of(state: &mut State<'_, '_>, left: Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        take(state, left.len() + right.len())?;
        return Ok(Value::from([left, right].concat()));
    }
    if let Some(sum) = whole(&left).zip(whole(right)).and_then(|(left, right)| left.checked_add(right)) {
        return Ok(Value::from(sum));
    }
    take(state, size(&left).saturating_add(size(right)))?;
    if let Some(sum) = broken(&left, right).map(|(left, right)| left + right) {
        return Ok(Value::from(sum));
    }
    operated(state, "a + b", &left, right)
}

/// `a * b`.
fn times(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    if let Some(number) = whole(&left).zip(whole(&right)).and_then(|(left, right)| left.checked_mul(right)) {
        return Ok(Value::from(number));
    }
    for (repeated, count) in [(&left, &right), (&right, &left)] {
        let (false, Some(count)) = (repeated.is_number(), whole(count)) else { continue };
        let count = usize::try_from(count).unwrap_or(0);
        take(state, size(repeated).saturating_mul(count))?;
        // The engine's is a list of that list, and may be one of such lists.
        if matches!(repeated.kind(), ValueKind::Seq | ValueKind::Iterable) && repeated.len().is_some() {
            let items: Vec<Value> = repeated.try_iter()?.collect();
            let all = items.iter().cycle().take(items.len() * count).cloned();
            let is_tuple = repeated.is_tuple();
            let all: Vec<Value> = all.collect();
            return Ok(if is_tuple { Value::from(Tuple::from(all)) } else { Value::from(all) });
        }
    }
    if let Some(product) = broken(&left, &right).map(|(left, right)| left * right) {
        return Ok(Value::from(product));
    }
    operated(state, "a * b", &left, &right)
}

/// Two numbers of which one is no whole number.
fn broken(left: &Value, right: &Value) -> Option<(f64, f64)> {
    let are_broken = !left.is_integer() || !right.is_integer();
    let of = |value: &Value| f64::try_from(value.clone()).ok().filter(|_| value.is_number());
    if are_broken { of(left).zip(of(right)) } else { None }
}

pub(super) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().filter(|_| value.is_integer())
}

/// What the engine's own operator makes of two values, which takes as long as some hundred steps.
fn operated(state: &mut State<'_, '_>, operator: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    self::left(state).spend(OPERATED)?;
    let result = state.env().compile_expression(operator)?.eval(context! { a => left, b => right });
    // The place is the template's, and no expression's.
    let result = result.map_err(|error| match error.detail() {
        Some(detail) => Error::new(error.kind(), detail.to_owned()),
        None => Error::from(error.kind()),
    })?;
    as_list(state, result)
}

/// A value that is looked for as a text, or that holds others: neither is larger or deeper than what can be gone through.
fn shown(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    text_bytes(&value, &left(state))?;
    Ok(value)
}

/// The first of the values that a function is called with, as a text.
pub(super) fn message(state: &mut State<'_, '_>, values: &[Value]) -> Result<String, Error> {
    let Some(message) = values.first() else { return Ok(String::new()) };
    text_bytes(message, &left(state))?;
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
    if name.starts_with(PREFIX) {
        return Err(Error::new(ErrorKind::UnknownFilter, "the filter is not the template's"));
    }
    if let ("map", Some(of_each)) = (name, arguments.first().and_then(Value::as_str)) {
        // A filter of a filter of a filter, as long as there are arguments.
        if of_each == "map" {
            return Err(Error::new(ErrorKind::InvalidOperation, "`map` is the filter of a `map`"));
        }
        let mut items = Vec::new();
        read(name, value, arguments, &left(state))?;
        for item in value.try_iter()? {
            take(state, ITEM_BYTES)?;
            items.push(apply(state, of_each, &item, &arguments[1..])?);
        }
        return made(state, name, value, Value::from(items), 0);
    }
    let start = if name == "sum" { argument_of(arguments, 1, "start") } else { Value::UNDEFINED };
    if !start.is_number() && !start.is_undefined() {
        read(name, value, arguments, &left(state))?;
        return functions::summed(state, value, arguments, start);
    }
    let room = left(state);
    read(name, value, arguments, &room)?;
    if matches!(name, "dictsort" | "groupby" | "max" | "min" | "sort") {
        compare::have_order(state, name, value, arguments)?;
    }
    room.fits(escaped(state, needed(name, value, arguments, &room)?))?;
    let given = given(name, value, arguments, &room)?;
    let result = match name {
        "replace" if !argument_of(arguments, 2, "count").is_undefined() => filters::replaced(&given),
        name => state.apply_filter(name, &given),
    };
    let result = result.map_err(|error| match error.kind() {
        ErrorKind::UnknownFilter => Error::new(ErrorKind::UnknownFilter, format!("filter {name} is unknown")),
        _ => error,
    })?;
    let result = if name == "groupby" { functions::groups(&result)? } else { result };
    let bytes = size(&result);
    made(state, name, value, result, bytes)
}

/// What something takes where texts are escaped when they are put together.
fn escaped(state: &State<'_, '_>, bytes: usize) -> usize {
    if matches!(state.auto_escape(), AutoEscape::Html) { bytes.saturating_mul(ESCAPED) } else { bytes }
}

/// What a filter or a method made, of so many bytes.
fn made(
    state: &mut State<'_, '_>,
    name: &str,
    of: &Value,
    result: Value,
    bytes: usize,
) -> Result<Value, Error> {
    take(state, bytes.saturating_add(pieces(name, of)))?;
    if result.is_kwargs() {
        return Err(Error::new(ErrorKind::InvalidOperation, "named arguments are no value"));
    }
    let result = as_list(state, result)?;
    if DEEPER.contains(&name) {
        text_bytes(&result, &left(state))?;
    }
    Ok(result)
}

/// What a filter is called with: where it makes a text of something, that is Python's.
fn given(name: &str, value: &Value, arguments: &[Value], room: &Left) -> Result<Vec<Value>, Error> {
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
    let bytes = match (name, arguments) {
        // The text stands between the items here.
        ("join", [items]) => {
            read(name, items, std::slice::from_ref(value), &room)?;
            needed(name, items, std::slice::from_ref(value), &room)?
        }
        _ => {
            read(name, value, arguments, &room)?;
            needed(name, value, arguments, &room)?
        }
    };
    room.fits(bytes)?;
    let own = match value.as_str() {
        Some(text) => python::method(text, name, arguments),
        None => compare::method(state, value, name, arguments),
    };
    let result = own.unwrap_or_else(|| unknown_method_callback(state, value, name, arguments))?;
    let bytes = size(&result);
    made(state, name, value, result, bytes)
}
