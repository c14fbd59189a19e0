//! Rows of a question and an answer.

use serde_json::{Map, Value};

use super::{kind_of, take_text, turns};
use crate::problem::ProblemKind;
use crate::record::Message;

/// `instruction`, `input`, `output`, and `history` before them.
pub(super) fn instruction(fields: &mut Map<String, Value>) -> Result<Vec<Message>, ProblemKind> {
    let instruction = take_text(fields, "instruction")?.unwrap_or_default();
    let input = take_text(fields, "input")?.unwrap_or_default();
    let output = take_answer(fields, "output")?;
    if instruction.trim().is_empty() {
        return Err(ProblemKind::EmptyInstruction { field: "instruction" });
    }
    let output = output.map_err(|found| ProblemKind::NoAnswer { found })?;
    let mut messages = history(fields)?;
    let prompt = if input.is_empty() { instruction } else { format!("{instruction}\n\n{input}") };
    messages.push(Message::new("user", prompt));
    messages.push(Message::new("assistant", output));
    Ok(messages)
}

/// A text that must not be empty, or what to say if it is.
fn take_answer(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Result<String, &'static str>, ProblemKind> {
    let there = fields.contains_key(name);
    let text = take_text(fields, name)?.unwrap_or_default();
    let (missing, empty) = match name {
        "output" => ("`output` is missing", "`output` is empty"),
        "completion" => ("`completion` is missing", "`completion` is empty"),
        _ => ("`chosen` is missing", "`chosen` is empty"),
    };
    Ok(if !text.trim().is_empty() { Ok(text) } else { Err(if there { empty } else { missing }) })
}

/// Pairs of a question and an answer, oldest first.
fn history(fields: &mut Map<String, Value>) -> Result<Vec<Message>, ProblemKind> {
    const EXPECTED: &str = "a list of [question, answer]";
    let wrong = |field: String, found: &Value| ProblemKind::WrongType {
        field,
        expected: EXPECTED,
        found: kind_of(found),
    };
    let items = match fields.get("history") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        // Left where it is, to be counted as a field that nothing reads.
        Some(Value::Array(items)) if items.is_empty() => return Ok(Vec::new()),
        Some(Value::Array(_)) => super::take_list(fields, "history")?,
        Some(other) => return Err(wrong("history".to_owned(), other)),
    };
    let mut messages = Vec::with_capacity(items.len() * 2);
    for (index, item) in items.iter().enumerate() {
        let named = || format!("history[{index}]");
        match item.as_array().map(Vec::as_slice) {
            Some([Value::String(asked), Value::String(answered)]) => {
                if answered.trim().is_empty() {
                    return Err(ProblemKind::EmptyAnswer { message: index * 2 + 2 });
                }
                messages.push(Message::new("user", asked.as_str()));
                messages.push(Message::new("assistant", answered.as_str()));
            }
            _ => return Err(wrong(named(), item)),
        }
    }
    Ok(messages)
}

/// `prompt` and `completion`, texts or lists of messages. Answers inside a prompt are not trained.
pub(super) fn completion(
    fields: &mut Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    let mut messages = prompt(fields, "prompt", unread)?;
    messages.extend(answer(fields, "completion", messages.len(), unread)?);
    turns::check(messages)
}

/// `prompt` and `chosen`, the better answer of a pair; without a prompt it is what both answers begin with.
pub(super) fn preference(
    fields: &mut Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    let is_talk = matches!(fields.get("chosen"), Some(Value::Array(turns)) if !begins_with_answer(turns));
    if !is_talk {
        let name = if fields.contains_key("prompt") { "prompt" } else { "instruction" };
        let mut messages = prompt(fields, name, unread)?;
        messages.extend(answer(fields, "chosen", messages.len(), unread)?);
        return turns::check(messages);
    }
    // Whole conversations: what they have in common was asked, and where they part the answer begins.
    let shared = match (fields.get("chosen"), fields.get("rejected")) {
        (Some(Value::Array(chosen)), Some(Value::Array(rejected))) => {
            chosen.iter().zip(rejected).take_while(|(one, other)| one == other).count()
        }
        _ => 0,
    };
    let mut messages = turns::messages(fields, "chosen", 0, unread)?;
    let answers = messages.iter().filter(|message| message.is_answer()).count();
    let before = messages.iter().take(shared).filter(|message| message.is_answer()).count();
    if before < answers {
        untrain(&mut messages[..shared]);
    }
    turns::check(messages)
}

/// Answers that were given before are no answers to this question.
fn untrain(messages: &mut [Message]) {
    messages.iter_mut().filter(|message| message.is_answer()).for_each(|message| message.trained = false);
}

fn begins_with_answer(turns: &[Value]) -> bool {
    turns.first().is_none_or(|turn| turn.get("role").is_some_and(|role| role == "assistant"))
}

fn prompt(
    fields: &mut Map<String, Value>,
    name: &'static str,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    if matches!(fields.get(name), Some(Value::Array(_))) {
        let mut messages = turns::messages(fields, name, 0, unread)?;
        untrain(&mut messages);
        return Ok(messages);
    }
    let text = take_text(fields, name)?.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(ProblemKind::EmptyInstruction { field: name });
    }
    let input =
        if name == "instruction" { take_text(fields, "input")?.unwrap_or_default() } else { String::new() };
    let text = if input.is_empty() { text } else { format!("{text}\n\n{input}") };
    let mut messages = history(fields)?;
    messages.push(Message::new("user", text));
    Ok(messages)
}

fn answer(
    fields: &mut Map<String, Value>,
    name: &'static str,
    before: usize,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    if matches!(fields.get(name), Some(Value::Array(_))) {
        return turns::messages(fields, name, before, unread);
    }
    let text = take_answer(fields, name)?.map_err(|found| ProblemKind::NoAnswer { found })?;
    Ok(vec![Message::new("assistant", text)])
}
