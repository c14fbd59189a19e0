//! A row of training data and where it came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The roles a message may have; every chat template knows these three.
pub(crate) const ROLES: [&str; 3] = ["system", "user", "assistant"];

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

/// One turn of a conversation. Templates see exactly these fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the turn.
    pub content: String,
}

impl Message {
    /// A message of this role and content.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// Whether this is a turn that a model answers with.
    pub fn is_answer(&self) -> bool {
        self.role == "assistant"
    }
}

/// A row as read: a conversation that holds at least one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The user's `id`, or the content hash in hex.
    pub id: String,
    /// Where the row stands.
    pub origin: Origin,
    /// The turns. A row of instruction, input and output is one user message and one answer.
    pub messages: Vec<Message>,
}

impl Record {
    /// A record; without an explicit id its content hash is its id.
    pub fn new(id: Option<String>, origin: Origin, messages: Vec<Message>) -> Self {
        let id = id.unwrap_or_else(|| hex(&content_hash(&messages)));
        Self { id, origin, messages }
    }

    /// BLAKE3, cut to 128 bits, of the whole conversation; the id and the origin have no part in it.
    pub fn content_hash(&self) -> [u8; 16] {
        content_hash(&self.messages)
    }

    /// The hash of everything before the last answer.
    pub fn prompt_hash(&self) -> [u8; 16] {
        content_hash(self.prompt())
    }

    /// The turns before the last answer: what a model is shown when this row is asked of it.
    pub fn prompt(&self) -> &[Message] {
        &self.messages[..self.last_answer().unwrap_or(self.messages.len())]
    }

    /// The text of the last answer.
    pub fn answer(&self) -> Option<&str> {
        self.last_answer().map(|index| self.messages[index].content.as_str())
    }

    fn last_answer(&self) -> Option<usize> {
        self.messages.iter().rposition(Message::is_answer)
    }
}

/// Lengths stand before the texts, so that no two conversations run into the same bytes.
fn content_hash(messages: &[Message]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for message in messages {
        for text in [&message.role, &message.content] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(line: u64) -> Origin {
        Origin { file: Path::new("a.jsonl").into(), line }
    }

    #[test]
    fn the_id_is_the_users_or_the_content_hash() {
        let messages = vec![Message::new("user", "a"), Message::new("assistant", "b")];
        let own = Record::new(Some("row-1".into()), origin(1), messages.clone());
        let derived = Record::new(None, origin(2), messages);
        assert_eq!(own.id, "row-1");
        assert_eq!(derived.id.len(), 32);
        assert_eq!(own.content_hash(), derived.content_hash());
        assert_eq!(derived.origin.to_string(), "a.jsonl:2");
    }

    #[test]
    fn texts_cannot_flow_into_each_other() {
        let one = content_hash(&[Message::new("user", "ab"), Message::new("assistant", "c")]);
        let other = content_hash(&[Message::new("user", "a"), Message::new("assistant", "bc")]);
        assert_ne!(one, other);
    }

    #[test]
    fn the_prompt_ends_before_the_last_answer() {
        let messages =
            ["user", "assistant", "user", "assistant", "user"].map(|role| Message::new(role, role));
        let record = Record::new(None, origin(1), messages.to_vec());
        assert_eq!(record.prompt().len(), 3);
        assert_eq!(record.answer(), Some("assistant"));
    }
}
