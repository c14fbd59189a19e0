//! A row of training data and where it came from.

mod calls;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use calls::OpenedCalls;

/// The roles a message may have. `tool` is the result of a call; `developer` is `system` to templates that do not know it.
pub(crate) const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// The role of the one message of a text that is trained as it stands, without a template.
pub(crate) const TEXT_ROLE: &str = "text";

/// The names under which a message may have its reasoning; templates read the first.
pub(crate) const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The field of a message with the calls it makes.
pub(crate) const TOOL_CALLS: &str = "tool_calls";

/// The field of an instruction with tools of its own, which some templates read in place of the row's.
pub(crate) const TURN_TOOLS: &str = "tools";

/// The file and the line a row was read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file, as the configuration named it.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// How the content of a message was written: templates ask whether it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Content {
    /// A text.
    #[default]
    Text,
    /// `null`, beside calls of tools.
    Null,
    /// Not at all, beside calls of tools.
    Absent,
}

/// One turn of a conversation. Templates see its role, its content and the fields of `extra`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`; `text` where the row is a text and no conversation.
    pub role: String,
    /// The text of the turn.
    pub content: String,
    /// How the content was written; whatever it says, a content that is not empty is a text.
    pub written: Content,
    /// What else templates see, as it was given: `tool_calls`, `tool_call_id`, `name`, `reasoning_content` and the like.
    pub extra: Map<String, Value>,
    /// Whether it is trained, if it is an answer; templates do not see it.
    pub trained: bool,
}

impl Message {
    /// A message of this role and content.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            written: Content::Text,
            extra: Map::new(),
            trained: true,
        }
    }

    /// Whether this is a turn that a model answers with.
    pub fn is_answer(&self) -> bool {
        self.role == "assistant" || self.role == TEXT_ROLE
    }

    /// Whether this is an answer that is not trained.
    pub(crate) fn is_passed_over(&self) -> bool {
        self.is_answer() && !self.trained
    }

    /// Whether this is a turn that says how to answer: `system` or `developer`.
    pub fn is_instruction(&self) -> bool {
        self.role == "system" || self.role == "developer"
    }

    /// Whether it calls tools.
    pub fn calls_tools(&self) -> bool {
        self.extra.contains_key(TOOL_CALLS)
    }

    /// What it says was thought before the answer.
    pub fn reasoning(&self) -> Option<&Value> {
        REASONING_FIELDS.iter().find_map(|field| self.extra.get(*field))
    }

    /// The content as templates see it: `Some(None)` is none, `None` is not there.
    pub(crate) fn seen_content(&self) -> Option<Option<&str>> {
        match self.written {
            Content::Null if self.content.is_empty() => Some(None),
            Content::Absent if self.content.is_empty() => None,
            _ => Some(Some(&self.content)),
        }
    }
}

/// Role, content and the other fields, flat.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("role", &self.role)?;
        if let Some(content) = self.seen_content() {
            fields.serialize_entry("content", &content)?;
        }
        for (name, value) in &self.extra {
            fields.serialize_entry(name, value)?;
        }
        fields.end()
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Turns, rendered by a chat template; its answers are trained.
    Conversation,
    /// One text, trained whole and without a template.
    Text,
}

/// A row as read: a conversation that holds at least one answer, or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The user's `id`, or the content hash in hex.
    pub id: String,
    /// Where the row stands.
    pub origin: Origin,
    /// The turns. A row of instruction, input and output is one user message and one answer; a text is one message of
    /// the role `text`.
    pub messages: Vec<Message>,
    /// The tools that may be called, as templates see them; mostly none.
    pub tools: Vec<Value>,
}

impl Record {
    /// A record without tools; without an explicit id its content hash is its id.
    pub fn new(id: Option<String>, origin: Origin, messages: Vec<Message>) -> Self {
        Self::with_tools(id, origin, messages, Vec::new())
    }

    /// A record; without an explicit id its content hash is its id.
    pub fn with_tools(id: Option<String>, origin: Origin, messages: Vec<Message>, tools: Vec<Value>) -> Self {
        let id = id.unwrap_or_else(|| hex(&content_hash(&messages, &tools)));
        Self { id, origin, messages, tools }
    }

    /// What the row is.
    pub fn form(&self) -> Form {
        match self.messages.as_slice() {
            [only] if only.role == TEXT_ROLE => Form::Text,
            _ => Form::Conversation,
        }
    }

    /// BLAKE3, cut to 128 bits, of the whole conversation and its tools; the id and the origin have no part in it.
    pub fn content_hash(&self) -> [u8; 16] {
        content_hash(&self.messages, &self.tools)
    }

    /// The hash of everything before the last answer. A text has nothing before it: it asks what it says.
    pub fn prompt_hash(&self) -> [u8; 16] {
        match self.form() {
            Form::Text => self.content_hash(),
            Form::Conversation => content_hash(self.prompt(), &self.tools),
        }
    }

    /// The turns before the last answer: what a model is shown when this row is asked of it.
    pub fn prompt(&self) -> &[Message] {
        &self.messages[..self.last_answer().unwrap_or(self.messages.len())]
    }

    /// The text of the last answer.
    pub fn answer(&self) -> Option<&str> {
        self.last_answer().map(|index| self.messages[index].content.as_str())
    }

    /// What the user says, turn by turn; all of a text.
    pub fn users_text(&self) -> String {
        self.joined(|message| message.role == "user" || message.role == TEXT_ROLE)
    }

    /// What is learnt of the row, to be compared by shingles: every turn but those that say how to answer, with what else templates
    /// see of it, and the tools. An answer that is not trained stands there backwards: it has no shingles of one that is.
    pub(crate) fn learnt_text(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for message in self.messages.iter().filter(|message| !message.is_instruction()) {
            match message.is_passed_over() {
                true => parts.push(message.content.chars().rev().collect()),
                false => parts.push(message.content.clone()),
            }
            parts.extend(message.extra.values().map(Value::to_string));
        }
        parts.extend(self.tools.iter().map(Value::to_string));
        parts.join("\n")
    }

    fn joined(&self, wanted: impl Fn(&Message) -> bool) -> String {
        let turns = self.messages.iter().filter(|message| wanted(message));
        turns.map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn last_answer(&self) -> Option<usize> {
        self.messages.iter().rposition(Message::is_answer)
    }

    /// Every text of the row that somebody wrote or said: contents, reasoning, names, what tools are called with and what
    /// they answered; in order. What ties calls to answers (ids, kinds, names of functions) and the tools are not among
    /// them.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        let mut texts = Vec::new();
        for message in &mut self.messages {
            texts.push(&mut message.content);
            let is_said = |name: &str| name != "tool_call_id" && name != TURN_TOOLS;
            for (name, value) in message.extra.iter_mut().filter(|(name, _)| is_said(name)) {
                said_in(value, name == TOOL_CALLS, &mut texts);
            }
        }
        texts
    }

    /// The row as a line of JSONL that reads as the same row: `text`, or `messages` with `tools`.
    pub fn to_json(&self) -> Value {
        let mut row = Map::new();
        if self.id != hex(&self.content_hash()) {
            row.insert("id".to_owned(), Value::from(self.id.as_str()));
        }
        if self.form() == Form::Text {
            row.insert("text".to_owned(), Value::from(self.answer().unwrap_or_default()));
            return Value::Object(row);
        }
        row.insert("messages".to_owned(), self.messages.iter().map(as_written).collect());
        if !self.tools.is_empty() {
            row.insert("tools".to_owned(), Value::Array(self.tools.clone()));
        }
        Value::Object(row)
    }
}

fn said_in<'a>(value: &'a mut Value, is_call: bool, texts: &mut Vec<&'a mut String>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter_mut().for_each(|item| said_in(item, is_call, texts)),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "id" | "type" | "name" if is_call => {}
                    // What stands in the arguments is the user's, whatever it is called.
                    "arguments" => said_in(field, false, texts),
                    _ => said_in(field, is_call, texts),
                }
            }
        }
        _ => {}
    }
}

fn as_written(message: &Message) -> Value {
    let mut fields = Map::new();
    fields.insert("role".to_owned(), Value::from(message.role.as_str()));
    if let Some(content) = message.seen_content() {
        fields.insert("content".to_owned(), content.map_or(Value::Null, Value::from));
    }
    fields.extend(message.extra.clone());
    if !message.trained {
        fields.insert("train".to_owned(), Value::Bool(false));
    }
    Value::Object(fields)
}

/// What stands where a length would: no text is as long. It keeps what few rows have apart from the texts that all have,
/// whose hashes are those of a time when there was nothing else.
const NO_LENGTH: u64 = u64::MAX;

/// Lengths stand before the texts, so that no two conversations run into the same bytes.
fn content_hash(messages: &[Message], tools: &[Value]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let add = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for message in messages {
        add(&mut hasher, &message.role);
        add(&mut hasher, &message.content);
        let plain = (&Map::new(), Some(Some(message.content.as_str())), true);
        if (&message.extra, message.seen_content(), message.trained) != plain {
            hasher.update(&NO_LENGTH.to_le_bytes());
            let content = message.seen_content().map(|content| content.is_some());
            hasher.update(&[
                u8::from(message.trained),
                u8::from(content.is_some()),
                u8::from(content == Some(true)),
            ]);
            for (name, value) in &message.extra {
                add(&mut hasher, name);
                add(&mut hasher, &value.to_string());
            }
        }
    }
    if !tools.is_empty() {
        hasher.update(&NO_LENGTH.to_le_bytes());
        tools.iter().for_each(|tool| add(&mut hasher, &tool.to_string()));
    }
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
