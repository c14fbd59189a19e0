//! What is equal, before or within something else, as Python has it. Whatever is read for it is noted, so that no long text is
//! held against another for hours.

use std::cmp::Ordering;

use minijinja::tests::is_sameas;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::attributes::{is_changed, is_of_mappings, item};
use super::needs::argument_of;
use super::room::{ITEM_PARTS, Left, count, is_plain, left, look_through, parts_of, size};

/// Tests that compare, under each of their names, with the operator that they stand for.
const TESTS: [(&str, &str); 16] = [
    ("eq", "=="),
    ("equalto", "=="),
    ("==", "=="),
    ("ne", "!="),
    ("!=", "!="),
    ("lt", "<"),
    ("lessthan", "<"),
    ("<", "<"),
    ("le", "<="),
    ("<=", "<="),
    ("gt", ">"),
    ("greaterthan", ">"),
    (">", ">"),
    ("ge", ">="),
    (">=", ">="),
    ("in", "in"),
];
/// Tests of the engine that no Jinja has.
const FOREIGN: [&str; 2] = ["startingwith", "endingwith"];
/// What a letter takes whose kind is looked up, in bytes that are only looked at.
pub(super) const LETTER: usize = 4;

/// Gives an environment the tests.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, operator) in TESTS {
        let test = move |state: &mut State<'_, '_>, value: &Value, other: &Value| {
            holds(operator, value, other, state)
        };
        environment.add_test(name, test);
    }
    for name in FOREIGN {
        environment.remove_test(name);
    }
    environment.add_test("lower", |state: &mut State<'_, '_>, value: &Value| is_cased(state, value, false));
    environment.add_test("upper", |state: &mut State<'_, '_>, value: &Value| is_cased(state, value, true));
    environment.add_test("divisibleby", is_divisible);
    environment.add_test("sameas", |state: &mut State<'_, '_>, value: &Value, other: &Value| {
        left(state).spend(parts_of(size(value).min(size(other))))?;
        Ok::<_, Error>(is_sameas(value, other))
    });
}

/// `a < b == c`: values with the operators between them.
pub(super) fn compared(state: &mut State<'_, '_>, first: Value, rest: Rest<Value>) -> Result<bool, Error> {
    let mut before = &first;
    for pair in rest.chunks(2) {
        let [operator, after] = pair else { break };
        if !holds(operator.as_str().unwrap_or_default(), before, after, state)? {
            return Ok(false);
        }
        before = after;
    }
    Ok(true)
}

fn holds(operator: &str, one: &Value, other: &Value, state: &mut State<'_, '_>) -> Result<bool, Error> {
    match operator {
        "==" => equal(state, one, other),
        "!=" => Ok(!equal(state, one, other)?),
        "in" => is_within(state, one, other),
        "not in" => Ok(!is_within(state, one, other)?),
        operator => {
            let order = order(&left(state), operator, one, other)?;
            Ok(order.is_some_and(|order| match operator {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
    }
}

fn wrong(problem: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// `one == other`.
pub(super) fn equal(state: &mut State<'_, '_>, one: &Value, other: &Value) -> Result<bool, Error> {
    same(&left(state), one, other)
}

fn same(room: &Left, one: &Value, other: &Value) -> Result<bool, Error> {
    room.spend(ITEM_PARTS)?;
    match (one.kind(), other.kind()) {
        (ValueKind::String, ValueKind::String) => {
            if size(one) != size(other) {
                return Ok(false);
            }
            look_through(one, room)?;
            Ok(one == other)
        }
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            if one.is_tuple() != other.is_tuple() || one.len() != other.len() {
                return Ok(false);
            }
            for (one, other) in one.try_iter()?.checked().zip(other.try_iter()?.checked()) {
                if !same(room, &one?, &other?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        // What changes is equal to itself alone.
        (ValueKind::Map, ValueKind::Map) if is_changed(one) || is_changed(other) => Ok(is_sameas(one, other)),
        (ValueKind::Map, ValueKind::Map) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            for key in one.try_iter()? {
                look_through(&key, room)?;
                let held = |map: &Value| map.as_object().and_then(|map| map.get_value(&key));
                let (Some(one), Some(other)) = (held(one), held(other)) else { return Ok(false) };
                if !same(room, &one, &other)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(one == other),
    }
}

/// Which of two values stands before the other; neither, where one is no number.
fn order(room: &Left, operator: &str, one: &Value, other: &Value) -> Result<Option<Ordering>, Error> {
    room.spend(1)?;
    if one.is_undefined() || other.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match (one.kind(), other.kind()) {
        (ValueKind::Number | ValueKind::Bool, ValueKind::Number | ValueKind::Bool) => {
            let (one, other) = (number(one), number(other));
            let is_none =
                |value: &Value| !value.is_integer() && f64::try_from(value.clone()).is_ok_and(f64::is_nan);
            Ok((!is_none(&one) && !is_none(&other)).then(|| one.cmp(&other)))
        }
        (ValueKind::String, ValueKind::String) => {
            room.spend(parts_of(size(one).min(size(other))))?;
            Ok(Some(one.as_str().cmp(&other.as_str())))
        }
        (ValueKind::Seq, ValueKind::Seq) if one.is_tuple() == other.is_tuple() => {
            for (one, other) in one.try_iter()?.checked().zip(other.try_iter()?.checked()) {
                let (one, other) = (one?, other?);
                if !same(room, &one, &other)? {
                    return order(room, operator, &one, &other);
                }
            }
            Ok(Some(one.len().cmp(&other.len())))
        }
        (one, other) => Err(wrong(format!("'{operator}' not supported between {one} and {other}"))),
    }
}

/// True and false are numbers, too.
fn number(value: &Value) -> Value {
    if value.kind() == ValueKind::Bool { Value::from(u8::from(value.is_true())) } else { value.clone() }
}

/// Whether each of the values that a filter sorts stands before or behind each other: what sorts them asks some of them alone, and
/// has an order of its own for what Python refuses.
pub(super) fn have_order(
    state: &mut State<'_, '_>,
    name: &str,
    value: &Value,
    arguments: &[Value],
) -> Result<(), Error> {
    let place = if name == "groupby" { 0 } else { arguments.len() };
    let attribute = argument_of(arguments, place, "attribute");
    let Some(attributes) = attribute.as_str() else {
        let by_key = name != "dictsort" || argument_of(arguments, 1, "by").as_str() != Some("value");
        return if by_key { are_alike(value) } else { Ok(()) };
    };
    let default = argument_of(arguments, arguments.len(), "default");
    for attribute in attributes.split(',').map(str::trim) {
        let named = [("attribute", Value::from(attribute)), ("default", default.clone())];
        let named = Value::from(Kwargs::from_iter(named));
        are_alike(&state.apply_filter("map", &[value.clone(), named])?)?;
    }
    Ok(())
}

/// Whether values are of one kind that has an order; what is none, or not there, is equal to what is like it and needs none.
fn are_alike(values: &Value) -> Result<(), Error> {
    let kind = |value: &Value| match value.kind() {
        ValueKind::Bool | ValueKind::Number => (ValueKind::Number, false),
        kind => (kind, value.is_tuple()),
    };
    let mut items = values.try_iter()?;
    let (Some(first), Some(second)) = (items.next(), items.next()) else { return Ok(()) };
    let first = kind(&first);
    let has_order = !matches!(first.0, ValueKind::Map | ValueKind::Iterable | ValueKind::Plain);
    for item in std::iter::once(second).chain(items) {
        let other = kind(&item);
        if other != first && (item.is_undefined() || first.0 == ValueKind::Undefined) {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        if other != first || !has_order {
            return Err(wrong(format!("'<' not supported between {} and {}", other.0, first.0)));
        }
    }
    Ok(())
}

/// `one in other`.
fn is_within(state: &mut State<'_, '_>, one: &Value, other: &Value) -> Result<bool, Error> {
    let room = left(state);
    room.spend(1)?;
    match other.kind() {
        ValueKind::String => {
            let (Some(one), Some(text)) = (one.as_str(), other.as_str()) else {
                return Err(wrong(format!("'in' a text requires a text before it, found {}", one.kind())));
            };
            room.spend(parts_of(text.len().saturating_add(one.len())))?;
            Ok(text.contains(one))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for item in other.try_iter()?.checked() {
                if same(&room, &item?, one)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        ValueKind::Map => {
            look_through(one, &room)?;
            Ok(other.as_object().is_some_and(|map| map.get_value(one).is_some()))
        }
        ValueKind::Undefined => Ok(false),
        kind => Err(wrong(format!("a value of type {kind} is not iterable"))),
    }
}

/// `list.count(value)` and `list.index(value)`.
pub(super) fn method(
    state: &mut State<'_, '_>,
    list: &Value,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, Error>> {
    let (ValueKind::Seq, "count" | "index", [value]) = (list.kind(), name, arguments) else { return None };
    let mut places = || {
        let room = left(state);
        let mut found = 0;
        for (place, item) in list.try_iter()?.checked().enumerate() {
            if same(&room, &item?, value)? {
                if name == "index" {
                    return Ok(Value::from(place));
                }
                found += 1;
            }
        }
        if name == "count" {
            Ok(Value::from(found))
        } else {
            Err(wrong("the item is not in the list".to_owned()))
        }
    };
    Some(places())
}

/// `value[key]`; texts are looked up by their letters.
pub(super) fn looked_up(state: &mut State<'_, '_>, value: &Value, key: &Value) -> Result<Value, Error> {
    let room = left(state);
    if is_plain(key) {
        look_through(key, &room)?;
    }
    match value.kind() {
        ValueKind::String if key.is_integer() => look_through(value, &room)?,
        // Whatever makes its items anew goes through them for it.
        ValueKind::Iterable => room.spend(count(value))?,
        _ => {}
    }
    match key.as_str() {
        Some(name) if is_of_mappings(name) => item(value, name),
        _ => value.get_item(key),
    }
}

/// What a loop goes through, or what a call is given all items of.
pub(super) fn each(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::None => return Err(wrong("none is not iterable".to_owned())),
        ValueKind::Seq | ValueKind::Undefined => {}
        ValueKind::String => look_through(&value, &left(state))?,
        _ => left(state).spend(count(&value))?,
    }
    Ok(value)
}

/// All items of a value as arguments.
pub(super) fn splat(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    left(state).spend(count(&value))?;
    each(state, value)
}

/// A value that is read as a whole by what cannot say so itself.
pub(super) fn read(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    look_through(&value, &left(state))?;
    Ok(value)
}

/// `text is lower`, `text is upper`.
fn is_cased(state: &mut State<'_, '_>, value: &Value, large: bool) -> Result<bool, Error> {
    let Some(text) = value.as_str() else { return Ok(false) };
    left(state).spend(parts_of(text.len().saturating_mul(LETTER)))?;
    let (mut small, mut capital) = (false, false);
    for letter in text.chars() {
        small |= letter.is_lowercase();
        capital |= letter.is_uppercase();
    }
    Ok(if large { capital && !small } else { small && !capital })
}

/// `number is divisibleby(other)`.
fn is_divisible(value: &Value, other: &Value) -> Result<bool, Error> {
    let whole = |value: &Value| i128::try_from(number(value)).ok();
    if let (Some(value), Some(other)) = (whole(value), whole(other)) {
        let none = || wrong("integer modulo by zero".to_owned());
        return Ok(other == -1 || value.checked_rem(other).ok_or_else(none)? == 0);
    }
    let (value, other) = (f64::try_from(number(value))?, f64::try_from(number(other))?);
    if other == 0.0 { Err(wrong("float modulo by zero".to_owned())) } else { Ok(value % other == 0.0) }
}
