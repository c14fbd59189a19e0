//! Tickets of Zendesk: a requester, and comments.
//!
//! Source: developer.zendesk.com, "Tickets", "Ticket Comments" and the JSON export, which has each ticket with its comments.

use serde_json::{Map, Value};

use super::markup::text_of;
use super::{Agents, Side, dialogue, kind_of, take_list};
use crate::input::numbers;
use crate::problem::ProblemKind;
use crate::record::Message;

/// The public comments as turns; those of the requester ask.
pub(super) fn conversation(
    fields: &mut Map<String, Value>,
    agents: &Agents,
) -> Result<Vec<Message>, ProblemKind> {
    let requester = id_of(fields.get("requester_id")).or_else(|| id_of(fields.get("requester")?.get("id")));
    let subject = fields.remove("subject");
    let mut turns = Vec::new();
    for (index, comment) in take_list(fields, "comments")?.into_iter().enumerate() {
        let Value::Object(comment) = comment else {
            let field = format!("comments[{index}]");
            return Err(ProblemKind::WrongType { field, expected: "an object", found: kind_of(&comment) });
        };
        if comment.get("public") == Some(&Value::Bool(false)) {
            continue;
        }
        turns.push((side_of(&comment, requester.as_deref(), agents), body_of(&comment)));
    }
    dialogue(subject.as_ref().and_then(Value::as_str), turns)
}

fn id_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(id) => Some(numbers::digits_of(id).unwrap_or(id).to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Agents are those whom the source names; if it names none, those whom Zendesk says to be, or who did not ask.
fn side_of(comment: &Map<String, Value>, requester: Option<&str>, agents: &Agents) -> Side {
    let author = comment.get("author");
    let id = id_of(comment.get("author_id")).or_else(|| id_of(author?.get("id")));
    let said = |name: &str| author.and_then(|author| author.get(name)).and_then(Value::as_str);
    let is_agent = if agents.is_empty() {
        match (said("role"), &id) {
            (Some("end-user"), _) => false,
            (Some("agent" | "admin"), _) => true,
            (_, Some(id)) => requester.is_some_and(|requester| requester != id),
            _ => false,
        }
    } else {
        id.is_some_and(|id| agents.has(&id)) || said("email").is_some_and(|address| agents.has(address))
    };
    if is_agent { Side::Agent } else { Side::Customer }
}

fn body_of(comment: &Map<String, Value>) -> String {
    let said = |name: &str| comment.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    match said("plain_body").or_else(|| said("body")) {
        Some(text) => text.to_owned(),
        None => said("html_body").map(text_of).unwrap_or_default(),
    }
}
