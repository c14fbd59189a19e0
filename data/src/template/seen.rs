//! Messages as templates see them, with what transformers does to them first.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::record::{Message, REASONING_FIELDS};

/// The names that templates know reasoning by: the standard one, and that of gpt-oss.
const STANDARD: &str = REASONING_FIELDS[0];
const OLDER: &str = REASONING_FIELDS[1];

/// Messages of rows.
pub(super) struct Seen<'a> {
    pub(super) messages: &'a [Message],
    /// Whether the template tells a developer from the system.
    pub(super) knows_developer: bool,
}

impl Serialize for Seen<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.messages.len()))?;
        for message in self.messages {
            list.serialize_element(&SeenMessage { message, knows_developer: self.knows_developer })?;
        }
        list.end()
    }
}

struct SeenMessage<'a> {
    message: &'a Message,
    knows_developer: bool,
}

impl Serialize for SeenMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { message, knows_developer } = *self;
        let role = match message.role.as_str() {
            "developer" if !knows_developer => "system",
            role => role,
        };
        let reasoning = message.reasoning();
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("role", role)?;
        if let Some(content) = message.seen_content() {
            fields.serialize_entry("content", &content)?;
        }
        for (name, value) in message.extra.iter().filter(|(name, _)| *name != STANDARD) {
            fields.serialize_entry(name, value)?;
        }
        if let Some(reasoning) = reasoning {
            fields.serialize_entry(STANDARD, reasoning)?;
            if !message.extra.contains_key(OLDER) {
                fields.serialize_entry(OLDER, reasoning)?;
            }
        }
        fields.end()
    }
}

/// The same for messages as JSON: `reasoning_content` is filled from its older names, and `thinking` from it.
pub(super) fn with_reasoning(messages: &Value) -> Value {
    let mut messages = messages.clone();
    for message in messages.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let mut named = REASONING_FIELDS.iter().filter_map(|field| message.get(*field));
        let Some(reasoning) = named.find(|value| !value.is_null()).cloned() else { continue };
        message.insert(STANDARD.to_owned(), reasoning.clone());
        message.entry(OLDER).or_insert(reasoning);
    }
    messages
}
