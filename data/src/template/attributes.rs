//! `mapping.name` where mappings have a method of that name.
//!
//! Jinja looks for an attribute before an item, and for an item before an attribute in brackets: `schema.items` is the method of
//! a dict, whatever the schema says under `items`. The sandbox of transformers hides the methods that change a dict.

use std::fmt;
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Object, ObjectRepr, Value, ValueKind};

/// Methods of a dict.
const METHODS: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
/// Those that change it.
const HIDDEN: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
/// What is a mapping to the engine and none in Jinja: it has no methods, and what it holds are its attributes.
const OTHERS: [&str; 3] = ["::Namespace", "::Loop", "::Macro"];
/// Those of them that can come to hold other values: a loop holds what `changed` was called with.
const CHANGED: [&str; 2] = ["::Namespace", "::Loop"];

/// Whether mappings have a method of this name.
pub(super) fn is_of_mappings(name: &str) -> bool {
    METHODS.contains(&name) || HIDDEN.contains(&name)
}

/// `value.name`.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    match is_dict(value) {
        true if METHODS.contains(&name) => Ok(Value::from_object(Method(name.to_owned()))),
        true if HIDDEN.contains(&name) => Ok(Value::UNDEFINED),
        _ => value.get_attr(name),
    }
}

/// `value["name"]`.
pub(super) fn item(value: &Value, name: &str) -> Result<Value, Error> {
    let item = value.get_item(&Value::from(name))?;
    if item.is_undefined() && is_dict(value) { attribute(value, name) } else { Ok(item) }
}

/// `value | attr("name")`, which never is an item.
pub(super) fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    if is_dict(value) && !METHODS.contains(&name) {
        return Ok(Value::UNDEFINED);
    }
    attribute(value, name)
}

fn is_dict(value: &Value) -> bool {
    value.kind() == ValueKind::Map && !is_any(value, &OTHERS)
}

/// Whether a value can come to hold others after it was made.
pub(super) fn is_changed(value: &Value) -> bool {
    is_any(value, &CHANGED)
}

/// Whether a value is the `loop` of a loop.
pub(super) fn is_loop(value: &Value) -> bool {
    is_any(value, &CHANGED[1..])
}

/// Whether a value is an object of one of these types.
fn is_any(value: &Value, names: &[&str]) -> bool {
    let is_named = |object: &str| names.iter().any(|name| object.ends_with(name));
    value.as_object().is_some_and(|object| is_named(object.type_name()))
}

/// A method that is not called: it is there, and is true. It does not hold its mapping, or values would stand in one another
/// without end.
#[derive(Debug)]
struct Method(String);

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<built-in method {} of dict object>", self.0)
    }
}
