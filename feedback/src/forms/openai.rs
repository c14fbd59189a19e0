//! OpenAI: rows of evals (`input`, `ideal`, an `output` where one was stored) and of preferences (`preferred_output`,
//! `non_preferred_output`).

use super::Object;
use super::parts::{Fields, answer, first, name, stars, text, thumbs, turns, without_answer};
use crate::entry::Raw;

pub(super) fn read(object: &Object) -> Result<Option<Raw>, String> {
    let fields = &object.fields;
    let (called, asked) = first(fields, &["input"]).ok_or("expected `input`")?;
    let (messages, last) = without_answer(turns(called, asked)?);
    let of = |names: &[&str]| match first(fields, names) {
        Some((called, value)) => answer(called, value),
        None => Ok(None),
    };
    let preferred = of(&["preferred_output"])?;
    let rejected = of(&["non_preferred_output"])?;
    // What was said of the answer stands in `metadata`, as the API has no other place for it.
    let none = Fields::new();
    let said = fields.get("metadata").and_then(serde_json::Value::as_object).unwrap_or(&none);
    let rating = match first(said, &["thumbs", "rating", "score"]) {
        Some((called, value)) => thumbs(called, value)?,
        None => rejected.as_ref().map(|_| -1),
    };
    Ok(Some(Raw {
        id: name(fields, &["id"])?,
        messages,
        answer: rejected.or(of(&["output", "completion", "sample"])?).or(last),
        rating,
        stars: said.get("stars").map_or(Ok(None), |value| stars("metadata.stars", value))?,
        comment: text(said, &["comment"])?,
        correction: preferred.or(of(&["ideal"])?),
        user: name(said, &["user", "user_id"])?.or(name(fields, &["user"])?),
        model: text(fields, &["model"])?,
        created: name(fields, &["created", "created_at"])?,
        ..object.begin()
    }))
}
