//! Our own form; a field that it does not have is an error.

use super::Object;
use super::parts::{first, name, stars, text, thumbs, turns, without_answer};
use crate::entry::Raw;

const FIELDS: [&str; 15] = [
    "id",
    "prompt",
    "messages",
    "answer",
    "completion",
    "thumbs",
    "rating",
    "stars",
    "comment",
    "correction",
    "user",
    "model",
    "created",
    "created_at",
    "source",
];

pub(super) fn read(object: &Object) -> Result<Option<Raw>, String> {
    let fields = &object.fields;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("expected {}; found `{unknown}`", FIELDS.join(", ")));
    }
    let (called, asked) = first(fields, &["messages", "prompt"]).ok_or("expected `prompt` or `messages`")?;
    let (messages, last) = without_answer(turns(called, asked)?);
    let rating = match first(fields, &["thumbs", "rating"]) {
        Some((called, value)) => thumbs(called, value)?,
        None => None,
    };
    Ok(Some(Raw {
        id: name(fields, &["id"])?,
        messages,
        answer: text(fields, &["answer", "completion"])?.or(last),
        rating,
        stars: fields.get("stars").map_or(Ok(None), |value| stars("stars", value))?,
        comment: text(fields, &["comment"])?,
        correction: text(fields, &["correction"])?,
        user: name(fields, &["user"])?,
        model: text(fields, &["model"])?,
        created: name(fields, &["created", "created_at"])?,
        ..object.begin()
    }))
}
