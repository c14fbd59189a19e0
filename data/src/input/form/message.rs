//! One message of a row.

use serde_json::{Map, Value};

use super::{kind_of, says_something};
use crate::problem::ProblemKind;
use crate::record::{Content, Message, ROLES, TOOL_CALLS, TURN_TOOLS};

/// Fields that templates see: those that the templates of known families read.
const SEEN_FIELDS: [&str; 7] =
    [TOOL_CALLS, "tool_call_id", "name", "reasoning_content", "thinking", "reasoning", "tool_plan"];

/// Fields that would change the text, in a way of calling that no template reads any more.
const MEANINGFUL_FIELDS: [&str; 1] = ["function_call"];

/// Reads the message `index` of the list `list`; `before` messages of the row stand before the list.
pub(super) fn read(
    list: &str,
    index: usize,
    before: usize,
    item: Value,
    unread: &mut Vec<String>,
) -> Result<Message, ProblemKind> {
    let place = format!("{list}[{index}]");
    let Value::Object(mut fields) = item else {
        let found = kind_of(&item);
        return Err(ProblemKind::WrongType { field: place, expected: "an object", found });
    };
    if let Some(field) = MEANINGFUL_FIELDS.into_iter().find(|name| says_something(fields.get(*name))) {
        return Err(ProblemKind::Unsupported { field: format!("{place}.{field}") });
    }
    let role = match fields.remove("role") {
        Some(Value::String(role)) => role,
        other => {
            let found = other.as_ref().map_or("nothing", kind_of);
            return Err(ProblemKind::WrongType { field: format!("{place}.role"), expected: "a text", found });
        }
    };
    if !ROLES.contains(&role.as_str()) {
        return Err(ProblemKind::UnknownRole { message: before + index + 1, role });
    }
    let mut message = Message::new(role, "");
    message.trained = trained(&place, &mut fields, message.is_answer())?;
    for name in SEEN_FIELDS {
        if says_anything(name, fields.get(name)) {
            let value = fields.remove(name).unwrap_or_default();
            if name == TOOL_CALLS {
                calls(&place, &value)?;
            }
            message.extra.insert(name.to_owned(), value);
        }
    }
    if message.is_instruction() && says_something(fields.get(TURN_TOOLS)) {
        let value = fields.remove(TURN_TOOLS).unwrap_or_default();
        if !value.is_array() && !value.is_string() {
            let (field, found) = (format!("{place}.{TURN_TOOLS}"), kind_of(&value));
            return Err(ProblemKind::WrongType { field, expected: "a text or a list", found });
        }
        message.extra.insert(TURN_TOOLS.to_owned(), value);
    }
    (message.content, message.written) = content(&place, &mut fields, message.calls_tools())?;
    for field in fields.keys().map(|field| format!("{list}[].{field}")) {
        if !unread.contains(&field) {
            unread.push(field);
        }
    }
    Ok(message)
}

/// Whether templates are given a field: nulls and empty lists, which tables put where nothing was, are left out; an empty
/// text of reasoning is one.
fn says_anything(name: &str, value: Option<&Value>) -> bool {
    says_something(value) || (name != "name" && value.is_some_and(|value| value == ""))
}

/// The text, and how it was written.
fn content(
    place: &str,
    fields: &mut Map<String, Value>,
    calls_tools: bool,
) -> Result<(String, Content), ProblemKind> {
    let wrong =
        |field: String, found: &'static str| Err(ProblemKind::WrongType { field, expected: "a text", found });
    match fields.remove("content") {
        Some(Value::String(text)) => Ok((text, Content::Text)),
        Some(Value::Null) if calls_tools => Ok((String::new(), Content::Null)),
        None if calls_tools => Ok((String::new(), Content::Absent)),
        Some(Value::Array(parts)) => {
            let mut text = String::new();
            for (index, part) in parts.iter().enumerate() {
                let named = format!("{place}.content[{index}]");
                match (part, part.get("type").and_then(Value::as_str), part.get("text")) {
                    (Value::String(part), ..) | (_, Some("text") | None, Some(Value::String(part))) => {
                        text.push_str(part)
                    }
                    (_, Some(kind), _) if kind != "text" => {
                        return Err(ProblemKind::Unsupported { field: format!("{named}.{kind}") });
                    }
                    (Value::Object(_), _, text) => {
                        return wrong(format!("{named}.text"), text.map_or("nothing", kind_of));
                    }
                    (other, ..) => return wrong(named, kind_of(other)),
                }
            }
            Ok((text, Content::Text))
        }
        other => wrong(format!("{place}.content"), other.as_ref().map_or("nothing", kind_of)),
    }
}

fn calls(place: &str, value: &Value) -> Result<(), ProblemKind> {
    let wrong = |field: String, expected, found| Err(ProblemKind::WrongType { field, expected, found });
    let Value::Array(calls) = value else {
        return wrong(format!("{place}.{TOOL_CALLS}"), "a list", kind_of(value));
    };
    match calls.iter().enumerate().find(|(_, call)| !call.is_object()) {
        Some((index, call)) => wrong(format!("{place}.{TOOL_CALLS}[{index}]"), "an object", kind_of(call)),
        None => Ok(()),
    }
}

/// Whether an answer is trained, by any of the names that other tools have for it.
pub(super) fn trained(
    place: &str,
    fields: &mut Map<String, Value>,
    is_answer: bool,
) -> Result<bool, ProblemKind> {
    let mut trained = true;
    for name in ["weight", "train", "training"] {
        let named = || format!("{place}.{name}");
        let said = match fields.remove(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Bool(said)) if name != "weight" => said,
            Some(Value::Number(weight)) if name == "weight" && weight.as_f64() == Some(0.0) => false,
            Some(Value::Number(weight)) if name == "weight" && weight.as_f64() == Some(1.0) => true,
            Some(other) => {
                let expected = if name == "weight" { "0 or 1" } else { "true or false" };
                let found = if other.is_number() { "another number" } else { kind_of(&other) };
                return Err(ProblemKind::WrongType { field: named(), expected, found });
            }
        };
        // Only answers are trained: a question that is said to be is not what this row would teach.
        if said && !is_answer {
            return Err(ProblemKind::Unsupported { field: named() });
        }
        trained &= said;
    }
    Ok(trained || !is_answer)
}
