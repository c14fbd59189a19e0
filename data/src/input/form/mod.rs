//! An object to the conversation or the text it holds: which form it has, and what the form means.

mod flat;
mod intercom;
mod markup;
mod message;
mod sharegpt;
mod side;
mod turns;
mod zendesk;

use serde_json::{Map, Value};

use super::{Format, MAX_DEPTH, json, kind_of, numbers};
use crate::problem::ProblemKind;
use crate::record::{Message, TEXT_ROLE};
pub(super) use side::{Agents, Side, dialogue};

/// A row as read, before it has a place.
pub(super) struct ParsedRow {
    pub(super) id: Option<String>,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Value>,
    /// The fields that belong to neither the id nor the form, and [`CONTEXT_FIELD`] where it became part of the prompt.
    pub(super) extra: Map<String, Value>,
    /// Their names, and those of fields inside messages as `messages[].name`, each once.
    pub(super) unread_fields: Vec<String>,
}

/// Fields of a row that other tools turn into text of the prompt or the answer, or render it by.
const MEANINGFUL_FIELDS: [&str; 3] = ["functions", "documents", "chat_template_kwargs"];

/// Fields beside a row's form that evaluations read, where it is a golden row.
const EXAMINED_FIELDS: [&str; 10] = [
    "references",
    "labels",
    "slice",
    "cluster",
    "weight",
    "human",
    "checks",
    "ask",
    "context",
    CONTEXT_FIELD,
];

/// What an instruction is about. It becomes part of the prompt, and answers are held against it.
const CONTEXT_FIELD: &str = "input";

/// Fields that say what a text is answered with: beside them a `text` is a question and no training text.
const ANSWER_FIELDS: [&str; 9] =
    ["label", "labels", "category", "class", "target", "answer", "response", "output", "intent"];

/// The forms that a field of their own shows.
const FORMS: [(&str, Form); 5] = [
    ("instruction", Form::Instruction),
    ("messages", Form::Messages),
    ("conversations", Form::ShareGpt),
    ("completion", Form::Completion),
    ("chosen", Form::Preference),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Instruction,
    Messages,
    ShareGpt,
    Completion,
    Preference,
    Text,
    Zendesk,
    Intercom,
}

/// Reads a row that was given our names, as [`read`] does, and refuses one that is too deep or has a number that would be trained or
/// compared with other digits, whichever way it came in.
pub(super) fn parse(
    fields: Map<String, Value>,
    wanted: Option<Format>,
    agents: &Agents,
) -> Result<ParsedRow, ProblemKind> {
    let mut row = match read(fields, wanted, agents) {
        Ok(row) => row,
        // A number where a text should be is told as the number it is.
        Err(kind) => return Err(numbers::refuse_in_text(&kind.to_string()).err().unwrap_or(kind)),
    };
    refuse_large_numbers(&mut row)?;
    let mut seen = row.messages.iter().flat_map(|message| message.extra.values()).chain(&row.tools);
    if seen.any(|value| json::is_deeper(value, MAX_DEPTH)) {
        return Err(ProblemKind::TooDeep);
    }
    Ok(row)
}

/// Refuses whole numbers beyond 64 bits in what is trained or examined; in fields that nobody reads they become texts, which keep
/// their digits wherever such a field is written out again.
fn refuse_large_numbers(row: &mut ParsedRow) -> Result<(), ProblemKind> {
    row.id.as_deref().map_or(Ok(()), numbers::refuse_in_text)?;
    for message in &row.messages {
        numbers::refuse_in_text(&message.content)?;
        message.extra.values().try_for_each(numbers::refuse)?;
    }
    row.tools.iter().try_for_each(numbers::refuse)?;
    for (name, value) in &mut row.extra {
        match EXAMINED_FIELDS.contains(&name.as_str()) {
            true => numbers::refuse(value)?,
            false => numbers::as_texts(value),
        }
    }
    Ok(())
}

/// Reads a row that was given our names. `wanted` is the format that the source says, if it says one; `agents` are those
/// whose comments are answers.
fn read(
    mut fields: Map<String, Value>,
    wanted: Option<Format>,
    agents: &Agents,
) -> Result<ParsedRow, ProblemKind> {
    if let Some(field) = MEANINGFUL_FIELDS.into_iter().find(|name| says_something(fields.get(*name))) {
        return Err(ProblemKind::Unsupported { field: field.to_owned() });
    }
    let form = match wanted {
        Some(Format::Zendesk) => Form::Zendesk,
        Some(Format::Intercom) => Form::Intercom,
        _ => form_of(&fields)?,
    };
    let mut unread = Vec::new();
    let id = take_id(&mut fields)?;
    let context = fields.get(CONTEXT_FIELD).filter(|_| form == Form::Instruction).cloned();
    let mut messages = match form {
        Form::Instruction => flat::instruction(&mut fields)?,
        Form::Completion => flat::completion(&mut fields, &mut unread)?,
        Form::Preference => flat::preference(&mut fields, &mut unread)?,
        Form::Messages => turns::conversation(&mut fields, &mut unread)?,
        Form::ShareGpt => sharegpt::conversation(&mut fields, &mut unread)?,
        Form::Zendesk => zendesk::conversation(&mut fields, agents)?,
        Form::Intercom => intercom::conversation(&mut fields, agents)?,
        Form::Text => {
            let text = take_text(&mut fields, "text")?.unwrap_or_default();
            match text.trim().is_empty() {
                true => return Err(ProblemKind::NoAnswer { found: "`text` is empty" }),
                false => vec![Message::new(TEXT_ROLE, text)],
            }
        }
    };
    let mut tools = Vec::new();
    if form != Form::Text {
        add_system(&mut fields, &mut messages)?;
        tools = take_tools(&mut fields, form == Form::ShareGpt)?;
    }
    if let Some(field) = ["history", "system"].into_iter().find(|name| says_something(fields.get(*name))) {
        return Err(ProblemKind::Unsupported { field: field.to_owned() });
    }
    unread.extend(fields.keys().cloned());
    if let Some(context) = context.filter(|context| says_something(Some(context))) {
        fields.insert(CONTEXT_FIELD.to_owned(), context);
    }
    Ok(ParsedRow { id, messages, tools, extra: fields, unread_fields: unread })
}

fn form_of(fields: &Map<String, Value>) -> Result<Form, ProblemKind> {
    let there = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    let mut found: Vec<(&str, Form)> = FORMS.into_iter().filter(|(name, _)| there(name)).collect();
    // What is asked may be called an instruction in pairs too.
    if there("chosen") && !there("output") {
        found.retain(|(_, form)| *form != Form::Instruction);
    }
    if let [(_, form)] = found.as_slice() {
        return Ok(*form);
    }
    if !found.is_empty() {
        let found = found.iter().map(|(name, _)| (*name).to_owned()).collect();
        return Err(ProblemKind::MixedShape { found });
    }
    if there("conversation_parts")
        || (there("source") && fields.get("type").is_some_and(|kind| kind == "conversation"))
    {
        return Ok(Form::Intercom);
    }
    if there("comments") && ["requester_id", "requester", "submitter_id"].into_iter().any(there) {
        return Ok(Form::Zendesk);
    }
    if there("text") && !ANSWER_FIELDS.into_iter().any(there) {
        return Ok(Form::Text);
    }
    // A field that is there and empty says what the row was meant to be.
    let empty = FORMS.into_iter().find(|(name, _)| fields.contains_key(*name));
    match empty {
        Some((_, form)) => Ok(form),
        None => Err(ProblemKind::UnknownShape { keys: fields.keys().cloned().collect() }),
    }
}

/// Whether leaving a field out would leave something out: `"tools": null` and `"history": []` change nothing.
fn says_something(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
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

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ProblemKind> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(ProblemKind::WrongType { field: name.to_owned(), expected: "a text", found: kind_of(&other) })
        }
    }
}

/// A list, or a text that holds one as JSON, which is how tables have lists.
fn take_list(fields: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, ProblemKind> {
    let value = fields.remove(name);
    let parsed = match &value {
        Some(Value::String(text)) => json::within(text)?,
        _ => None,
    };
    match parsed.or(value) {
        Some(Value::Array(items)) => Ok(items),
        other => {
            let found = other.as_ref().map_or("nothing", kind_of);
            Err(ProblemKind::WrongType { field: name.to_owned(), expected: "a list", found })
        }
    }
}

/// The field `system` becomes the first turn.
fn add_system(fields: &mut Map<String, Value>, messages: &mut Vec<Message>) -> Result<(), ProblemKind> {
    let Some(system) = take_text(fields, "system")?.filter(|text| !text.is_empty()) else { return Ok(()) };
    match messages.first() {
        Some(first) if first.is_instruction() && first.content == system => Ok(()),
        Some(first) if first.is_instruction() => Err(ProblemKind::SystemTwice),
        _ => {
            messages.insert(0, Message::new("system", system));
            Ok(())
        }
    }
}

/// The tools as templates see them. ShareGPT has functions without the object around them.
fn take_tools(fields: &mut Map<String, Value>, may_be_bare: bool) -> Result<Vec<Value>, ProblemKind> {
    if !says_something(fields.get("tools")) {
        // Left where it is, to be counted as a field that nothing reads.
        return Ok(Vec::new());
    }
    let mut tools = take_list(fields, "tools")?;
    for (index, tool) in tools.iter_mut().enumerate() {
        let Some(function) = tool.as_object() else {
            let field = format!("tools[{index}]");
            return Err(ProblemKind::WrongType { field, expected: "an object", found: kind_of(tool) });
        };
        if may_be_bare && function.contains_key("name") && !function.contains_key("function") {
            *tool = serde_json::json!({"type": "function", "function": tool.take()});
        }
    }
    Ok(tools)
}

#[cfg(test)]
#[path = "../form_tests.rs"]
mod tests;
