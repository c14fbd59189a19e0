//! Conversations of Intercom: a source, and parts.
//!
//! Source: developers.intercom.com, "Conversations": `source` began the conversation, `conversation_parts` holds what
//! followed; bodies are HTML.

use serde_json::{Map, Value};

use super::markup::text_of;
use super::{Agents, Side, dialogue};
use crate::problem::ProblemKind;
use crate::record::Message;

/// Parts that both sides see; notes and changes of the assignment are the agents' own.
const SEEN_PARTS: [&str; 4] = ["comment", "open", "close", "quick_reply"];

/// Authors that ask.
const CUSTOMERS: [&str; 4] = ["user", "lead", "contact", "visitor"];

/// The source and the parts that both sides see as turns.
pub(super) fn conversation(
    fields: &mut Map<String, Value>,
    agents: &Agents,
) -> Result<Vec<Message>, ProblemKind> {
    let source = fields.remove("source").unwrap_or_default();
    let parts = match fields.remove("conversation_parts") {
        Some(Value::Array(parts)) => parts,
        Some(Value::Object(mut list)) => match list.remove("conversation_parts") {
            Some(Value::Array(parts)) => parts,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let seen = |part: &&Value| {
        let kind = part.get("part_type").and_then(Value::as_str).unwrap_or("comment");
        SEEN_PARTS.contains(&kind) && part.get("redacted") != Some(&Value::Bool(true))
    };
    let all = std::iter::once(&source).chain(parts.iter().filter(seen));
    let turns: Vec<(Side, String)> =
        all.filter_map(|part| Some((side_of(part, agents), text_of(part.get("body")?.as_str()?)))).collect();
    let subject = source.get("subject").and_then(Value::as_str).map(text_of);
    dialogue(subject.as_deref(), turns)
}

fn side_of(part: &Value, agents: &Agents) -> Side {
    let author = part.get("author");
    let said = |name: &str| author.and_then(|author| author.get(name)).and_then(Value::as_str);
    let is_agent = if agents.is_empty() {
        said("type").is_some_and(|kind| !CUSTOMERS.contains(&kind))
    } else {
        ["id", "email"].into_iter().filter_map(said).any(|who| agents.has(who))
    };
    if is_agent { Side::Agent } else { Side::Customer }
}
