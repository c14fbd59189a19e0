//! Rows of `conversations`, as ShareGPT has them: `from` and `value`.

use serde_json::{Map, Value, json};

use super::{kind_of, message, take_list, turns};
use crate::input::json::within;
use crate::problem::ProblemKind;
use crate::record::{Content, Message, TOOL_CALLS};

/// Who speaks, and our role for it.
const SPEAKERS: [(&str, &str); 13] = [
    ("human", "user"),
    ("user", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("chatgpt", "assistant"),
    ("model", "assistant"),
    ("bing", "assistant"),
    ("bard", "assistant"),
    ("system", "system"),
    ("function_call", "assistant"),
    ("observation", "tool"),
    ("function_response", "tool"),
    ("tool", "tool"),
];

const LIST: &str = "conversations";

/// The turns of `conversations`; those with a `role` are messages as templates take them.
pub(super) fn conversation(
    fields: &mut Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    let mut messages = Vec::new();
    for (index, item) in take_list(fields, LIST)?.into_iter().enumerate() {
        let read = match item {
            Value::Object(turn) if turn.contains_key("from") => turn_of(index, turn, unread)?,
            item => message::read(LIST, index, 0, item, unread)?,
        };
        messages.push(read);
    }
    turns::check(messages)
}

fn turn_of(
    index: usize,
    mut turn: Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Message, ProblemKind> {
    let place = format!("{LIST}[{index}]");
    let mut text = |name: &str| match turn.remove(name) {
        Some(Value::String(text)) => Ok(text),
        other => {
            let found = other.as_ref().map_or("nothing", kind_of);
            Err(ProblemKind::WrongType { field: format!("{place}.{name}"), expected: "a text", found })
        }
    };
    let (speaker, value) = (text("from")?, text("value")?);
    let Some((_, role)) = SPEAKERS.iter().find(|(name, _)| *name == speaker) else {
        return Err(ProblemKind::UnknownRole { message: index + 1, role: speaker });
    };
    let mut read = Message::new(*role, value);
    read.trained = message::trained(&place, &mut turn, read.is_answer())?;
    if speaker == "function_call" {
        let calls = calls(&read.content)?.ok_or(ProblemKind::CallNotJson { message: index + 1 })?;
        read.content.clear();
        read.written = Content::Null;
        read.extra.insert(TOOL_CALLS.to_owned(), Value::Array(calls));
    }
    for field in turn.keys().map(|field| format!("{LIST}[].{field}")) {
        if !unread.contains(&field) {
            unread.push(field);
        }
    }
    Ok(read)
}

/// The calls that a text of JSON makes: an object with `name` and `arguments`, or a list of such.
fn calls(text: &str) -> Result<Option<Vec<Value>>, ProblemKind> {
    let items = match within(text)? {
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(item @ Value::Object(_)) => vec![item],
        _ => return Ok(None),
    };
    let call = |item: Value| {
        let name = item.get("name")?.as_str()?;
        let arguments = item.get("arguments")?;
        Some(json!({"type": "function", "function": {"name": name, "arguments": arguments}}))
    };
    Ok(items.into_iter().map(call).collect())
}
