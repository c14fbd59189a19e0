//! One line of JSONL to the conversation it holds.

use serde_json::{Map, Value};

use crate::problem::ProblemKind;
use crate::record::{Message, ROLES};

/// A line as read, before it has a place.
pub(crate) struct ParsedRow {
    pub(crate) id: Option<String>,
    pub(crate) messages: Vec<Message>,
    /// The fields that belong to neither the id nor the form.
    pub(crate) extra: Map<String, Value>,
    /// Their names, and those of fields inside messages as `messages[].name`, each once.
    pub(crate) unread_fields: Vec<String>,
}

/// Fields of a row that other tools turn into text of the prompt or the answer.
const MEANINGFUL_ROW_FIELDS: [&str; 7] =
    ["system", "history", "tools", "functions", "documents", "chosen", "rejected"];

/// Fields of a message that templates turn into text, or that other tools weigh the loss by.
const MEANINGFUL_MESSAGE_FIELDS: [&str; 8] = [
    "tool_calls",
    "function_call",
    "tool_call_id",
    "reasoning_content",
    "thinking",
    "weight",
    "train",
    "training",
];

/// Reads one line, without its line break.
pub(crate) fn parse_row(line: &[u8]) -> Result<ParsedRow, ProblemKind> {
    let text = std::str::from_utf8(line)
        .map_err(|error| ProblemKind::InvalidUtf8 { column: error.valid_up_to() + 1 })?;
    let value: Value = serde_json::from_str(text).map_err(|error| invalid_json(text, &error))?;
    let Value::Object(mut fields) = value else {
        return Err(ProblemKind::NotAnObject { found: kind_of(&value) });
    };
    if let Some(field) = meaningful(&fields, &MEANINGFUL_ROW_FIELDS) {
        return Err(ProblemKind::Unsupported { field: field.to_owned() });
    }
    let mut unread_fields = Vec::new();
    let flat = fields.contains_key("instruction");
    let (id, messages) = match (flat, fields.contains_key("messages")) {
        (true, true) => return Err(ProblemKind::MixedShape),
        (true, false) => (take_id(&mut fields)?, flat_row(&mut fields)?),
        (false, true) => (take_id(&mut fields)?, conversation(&mut fields, &mut unread_fields)?),
        (false, false) => return Err(ProblemKind::UnknownShape { keys: fields.keys().cloned().collect() }),
    };
    unread_fields.extend(fields.keys().cloned());
    Ok(ParsedRow { id, messages, extra: fields, unread_fields })
}

fn invalid_json(text: &str, error: &serde_json::Error) -> ProblemKind {
    // serde_json ends its message with a place counted inside the line, where every line is line 1.
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
    ProblemKind::InvalidJson {
        column: error.column(),
        reason,
        looks_like_array: text.trim_start().starts_with('['),
    }
}

/// A field is only meaningful if it says something: `"tools": null` and `"history": []` change nothing.
fn meaningful<'a>(fields: &Map<String, Value>, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().find(|&name| match fields.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    })
}

fn take_id(fields: &mut Map<String, Value>) -> Result<Option<String>, ProblemKind> {
    const EXPECTED: &str = "a text or a whole number";
    match fields.remove("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.is_empty() => Ok(Some(id)),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Ok(Some(id.to_string())),
        Some(other) => {
            let found = if other.is_string() { "an empty text" } else { kind_of(&other) };
            Err(ProblemKind::WrongType { field: "id".to_owned(), expected: EXPECTED, found })
        }
    }
}

fn flat_row(fields: &mut Map<String, Value>) -> Result<Vec<Message>, ProblemKind> {
    let instruction = take_text(fields, "instruction")?.unwrap_or_default();
    let input = take_text(fields, "input")?.unwrap_or_default();
    let had_output = fields.contains_key("output");
    let output = take_text(fields, "output")?.unwrap_or_default();
    if instruction.trim().is_empty() {
        return Err(ProblemKind::EmptyInstruction);
    }
    if output.trim().is_empty() {
        let found = if had_output { "`output` is empty" } else { "`output` is missing" };
        return Err(ProblemKind::NoAnswer { found });
    }
    let prompt = if input.is_empty() { instruction } else { format!("{instruction}\n\n{input}") };
    Ok(vec![Message::new("user", prompt), Message::new("assistant", output)])
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ProblemKind> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(ProblemKind::WrongType { field: name.to_owned(), expected: "a text", found: kind_of(&other) })
        }
    }
}

fn conversation(
    fields: &mut Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    if let Some(field) = ["input", "output"].into_iter().find(|field| fields.contains_key(*field)) {
        return Err(ProblemKind::Unsupported { field: field.to_owned() });
    }
    let items = match fields.remove("messages") {
        Some(Value::Array(items)) => items,
        other => {
            let found = other.as_ref().map_or("nothing", kind_of);
            return Err(ProblemKind::WrongType { field: "messages".to_owned(), expected: "a list", found });
        }
    };
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        messages.push(message(index, item, unread)?);
    }
    if !messages.iter().any(Message::is_answer) {
        return Err(ProblemKind::NoAnswer { found: "`messages` has no assistant turn" });
    }
    let empty = messages.iter().position(|message| message.is_answer() && message.content.trim().is_empty());
    match empty {
        Some(index) => Err(ProblemKind::EmptyAnswer { message: index + 1 }),
        None => Ok(messages),
    }
}

fn message(index: usize, item: Value, unread: &mut Vec<String>) -> Result<Message, ProblemKind> {
    let named = |field: &str| format!("messages[{index}]{field}");
    let Value::Object(mut fields) = item else {
        let found = kind_of(&item);
        return Err(ProblemKind::WrongType { field: named(""), expected: "an object", found });
    };
    if let Some(field) = meaningful(&fields, &MEANINGFUL_MESSAGE_FIELDS) {
        return Err(ProblemKind::Unsupported { field: named(&format!(".{field}")) });
    }
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        other => {
            let found = other.as_ref().map_or("nothing", kind_of);
            Err(ProblemKind::WrongType { field: named(&format!(".{name}")), expected: "a text", found })
        }
    };
    let (role, content) = (text("role")?, text("content")?);
    if !ROLES.contains(&role.as_str()) {
        return Err(ProblemKind::UnknownRole { message: index + 1, role });
    }
    for field in fields.keys().map(|field| format!("messages[].{field}")) {
        if !unread.contains(&field) {
            unread.push(field);
        }
    }
    Ok(Message { role, content })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
