//! Rows of messages.

use serde_json::{Map, Value};

use super::{message, take_list};
use crate::problem::ProblemKind;
use crate::record::Message;

/// `messages`, as templates take them.
pub(super) fn conversation(
    fields: &mut Map<String, Value>,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    if let Some(field) = ["input", "output"].into_iter().find(|field| fields.contains_key(*field)) {
        return Err(ProblemKind::Unsupported { field: field.to_owned() });
    }
    check(messages(fields, "messages", 0, unread)?)
}

/// The messages of the list `name`, of which `before` stand before it in the row.
pub(super) fn messages(
    fields: &mut Map<String, Value>,
    name: &str,
    before: usize,
    unread: &mut Vec<String>,
) -> Result<Vec<Message>, ProblemKind> {
    let items = take_list(fields, name)?.into_iter().enumerate();
    items.map(|(index, item)| message::read(name, index, before, item, unread)).collect()
}

/// The messages, if there is something to be learned from them.
pub(super) fn check(messages: Vec<Message>) -> Result<Vec<Message>, ProblemKind> {
    if !messages.iter().any(Message::is_answer) {
        return Err(ProblemKind::NoAnswer { found: "`messages` has no assistant turn" });
    }
    if !messages.iter().any(|message| message.is_answer() && message.trained) {
        return Err(ProblemKind::NoAnswer { found: "no assistant turn is to be trained" });
    }
    let is_empty = |message: &Message| {
        message.is_answer() && !message.calls_tools() && message.content.trim().is_empty()
    };
    match messages.iter().position(is_empty) {
        Some(index) => Err(ProblemKind::EmptyAnswer { message: index + 1 }),
        None => Ok(messages),
    }
}
