//! What several forms have: texts, turns, thumbs and stars.

use serde_json::{Map, Value};

use crate::entry::Turn;

/// A longer text is no answer that anybody read.
const LONGEST_TEXT: usize = 1 << 20;

pub(super) type Fields = Map<String, Value>;

/// The first of these fields that is there and not `null`.
pub(super) fn first<'a>(fields: &'a Fields, names: &[&str]) -> Option<(&'a str, &'a Value)> {
    let found =
        names.iter().find_map(|name| fields.get_key_value(*name).filter(|(_, value)| !value.is_null()));
    found.map(|(name, value)| (name.as_str(), value))
}

/// A text, or none.
pub(super) fn text(fields: &Fields, names: &[&str]) -> Result<Option<String>, String> {
    match first(fields, names) {
        None => Ok(None),
        Some((name, Value::String(text))) if text.len() > LONGEST_TEXT => Err(format!(
            "expected `{name}` of at most {} KiB, found {} bytes",
            LONGEST_TEXT >> 10,
            text.len()
        )),
        Some((_, Value::String(text))) => Ok(Some(text.clone()).filter(|text| !text.trim().is_empty())),
        Some((name, other)) => Err(format!("expected `{name}` to be a text, found {}", short(other))),
    }
}

/// A name, which may be a number.
pub(super) fn name(fields: &Fields, names: &[&str]) -> Result<Option<String>, String> {
    match first(fields, names) {
        Some((_, Value::Number(number))) => Ok(Some(number.to_string())),
        _ => text(fields, names),
    }
}

/// What was said: a text is a user's turn, a list is turns, an object has them.
pub(super) fn turns(name: &str, value: &Value) -> Result<Vec<Turn>, String> {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => {
            Err(format!("expected `{name}` of at most {} KiB", LONGEST_TEXT >> 10))
        }
        Value::String(text) => Ok(vec![Turn::new("user", text.as_str())]),
        Value::Array(all) => all.iter().map(|one| turn(name, one)).collect(),
        Value::Object(fields) => match first(fields, &["messages", "input", "question", "prompt", "query"]) {
            Some((inner, value)) => turns(inner, value),
            None => Err(format!("expected `messages` or `input` in `{name}`")),
        },
        other => Err(format!("expected `{name}` to be a text or messages, found {}", short(other))),
    }
}

fn turn(name: &str, value: &Value) -> Result<Turn, String> {
    let Value::Object(fields) = value else {
        return Err(format!("expected messages in `{name}`, found {}", short(value)));
    };
    // LangChain has kinds in place of roles, and keeps a message's fields in `data` or `kwargs`.
    if let (None, Some((_, inner @ Value::Object(_)))) =
        (fields.get("content"), first(fields, &["data", "kwargs"]))
    {
        let mut inner = inner.clone();
        if let (Some(kind), Some(inner)) = (fields.get("type"), inner.as_object_mut()) {
            inner.entry("type").or_insert_with(|| kind.clone());
        }
        return turn(name, &inner);
    }
    let role = first(fields, &["role", "type"]).and_then(|(_, role)| role.as_str()).unwrap_or_default();
    let role = match role {
        "human" | "user" => "user",
        "ai" | "assistant" => "assistant",
        "system" | "developer" => "system",
        "tool" | "function" => "tool",
        other => {
            return Err(format!(
                "expected a `role` of user, assistant, system or tool in `{name}`, found `{other}`"
            ));
        }
    };
    let content = match fields.get("content") {
        Some(Value::Array(pieces)) => {
            let texts = pieces.iter().filter_map(|piece| piece["text"].as_str().or_else(|| piece.as_str()));
            texts.collect::<Vec<_>>().join("\n")
        }
        None | Some(Value::Null) => String::new(),
        _ => text(fields, &["content"])?.unwrap_or_default(),
    };
    Ok(Turn::new(role, content))
}

/// Whether tools are called anywhere in what was said, in any tool's words.
pub(super) fn calls_tools(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.iter().any(calls_tools),
        Value::Object(fields) => {
            let says = |name: &str| match fields.get(name) {
                None | Some(Value::Null) => false,
                Some(Value::Array(calls)) => !calls.is_empty(),
                Some(Value::Object(call)) => !call.is_empty(),
                Some(_) => true,
            };
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
            ["tool_calls", "function_call"].into_iter().any(says)
                || ["tool_use", "tool_call", "function_call"].contains(&kind)
                || fields.values().any(calls_tools)
        }
        _ => false,
    }
}

/// Takes the answer off the end of a conversation.
pub(super) fn without_answer(mut turns: Vec<Turn>) -> (Vec<Turn>, Option<String>) {
    let answer = turns.pop_if(|last| last.role == "assistant").map(|last| last.content);
    (turns, answer)
}

/// An answer: a text, messages of which the last counts, or an object that has one of these.
pub(super) fn answer(name: &str, value: &Value) -> Result<Option<String>, String> {
    let text = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => match all.last() {
            None => None,
            Some(Value::Object(fields)) if fields.contains_key("text") => answer("text", &fields["text"])?,
            Some(Value::Object(fields)) if fields.contains_key("message") => {
                answer("message", &fields["message"])?
            }
            Some(Value::String(_)) => answer(name, &all[0])?,
            Some(last @ Value::Array(_)) => answer(name, last)?,
            Some(last) => Some(turn(name, last)?.content),
        },
        Value::Object(fields) => {
            let names =
                ["output", "answer", "text", "content", "messages", "choices", "generations", "response"];
            match first(fields, &names) {
                Some((inner, value)) => answer(inner, value)?,
                None => return Err(format!("expected `output`, `messages` or `choices` in `{name}`")),
            }
        }
        other => return Err(format!("expected `{name}` to be an answer, found {}", short(other))),
    };
    match text.filter(|text| !text.trim().is_empty()) {
        Some(text) if text.len() > LONGEST_TEXT => {
            Err(format!("expected `{name}` of at most {} KiB", LONGEST_TEXT >> 10))
        }
        text => Ok(text),
    }
}

/// Thumbs: 1 and -1, true and false, up and down, and what tools call them.
pub(super) fn thumbs(name: &str, value: &Value) -> Result<Option<i8>, String> {
    let found = match value {
        Value::Null => return Ok(None),
        Value::Bool(up) => Some(if *up { 1 } else { -1 }),
        // A table's column with gaps has whole numbers as 1.0.
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= 1.0);
            whole.map(|number| number as i8)
        }
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "up" | "thumbs_up" | "thumbs-up" | "positive" | "good" | "like" | "yes" => Some(1),
            "down" | "thumbs_down" | "thumbs-down" | "negative" | "bad" | "dislike" | "no" => Some(-1),
            "neutral" => Some(0),
            _ => None,
        },
        _ => None,
    };
    let found = found.filter(|rating| (-1..=1).contains(rating));
    found
        .map(Some)
        .ok_or_else(|| format!("expected `{name}` to be up, down or -1 to 1, found {}", short(value)))
}

/// Stars, from 1 to 5.
pub(super) fn stars(name: &str, value: &Value) -> Result<Option<u8>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    let whole = number.filter(|number| number.fract() == 0.0 && (1.0..=5.0).contains(number));
    whole
        .map(|number| Some(number as u8))
        .ok_or_else(|| format!("expected `{name}` from 1 to 5, found {}", short(value)))
}

/// A value as an error names it: feedback is personal, so that of texts only their kind is said.
pub(super) fn short(value: &Value) -> String {
    match value {
        Value::String(_) => "another text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}
