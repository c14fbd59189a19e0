//! Records of Argilla: `fields`, and `responses` by question (version 2) or by user (version 1).

use std::collections::HashSet;

use serde_json::Value;

use super::Object;
use super::parts::{Fields, answer, first, name, stars, text, thumbs, turns, without_answer};
use crate::entry::Raw;
use crate::error::FeedbackError;

const STARS: [&str; 3] = ["stars", "rating", "score"];
const THUMBS: [&str; 4] = ["thumbs", "label", "liked", "preference"];
const CORRECTION: [&str; 4] = ["correction", "corrected", "rewrite", "edited"];
const COMMENT: [&str; 3] = ["comment", "comments", "feedback"];

/// The records, and how many ratings are left out: a question that has one value that is neither stars nor thumbs is of another scale, and so are its others.
pub(super) fn read(objects: &[Object]) -> Result<(Vec<Raw>, usize), FeedbackError> {
    let mut other_scale = HashSet::new();
    for object in objects {
        let said = responses(object.fields.get("responses")).map_err(|problem| object.wrong(problem))?;
        let is_off = |(question, value, _): &(String, Value, _)| {
            let (question, is) = (question.as_str(), |names: &[&str]| names.contains(&question.as_str()));
            // A question of labels may have classes of its own.
            is(&STARS) && stars(question, value).is_err() || is(&THUMBS) && thumbs(question, value).is_err()
        };
        other_scale.extend(said.into_iter().filter(is_off).map(|(question, ..)| question));
    }
    let (mut raws, mut left_out) = (Vec::with_capacity(objects.len()), 0);
    for object in objects {
        let raw = record(object, &other_scale, &mut left_out);
        raws.push(raw.map_err(|problem| object.wrong(problem))?);
    }
    Ok((raws, left_out))
}

fn record(object: &Object, other_scale: &HashSet<String>, left_out: &mut usize) -> Result<Raw, String> {
    let fields = object.fields.get("fields").and_then(Value::as_object).ok_or("expected `fields`")?;
    let asked = first(fields, &["messages", "chat", "prompt", "instruction", "question", "input", "text"]);
    let (called, asked) =
        asked.ok_or("expected `prompt`, `instruction`, `question` or `chat` in `fields`")?;
    let (messages, last) = without_answer(turns(called, asked)?);
    let said = match first(fields, &["response", "answer", "completion", "output"]) {
        Some((called, value)) => answer(called, value)?,
        None => last,
    };
    let none = Fields::new();
    let metadata = object.fields.get("metadata").and_then(Value::as_object).unwrap_or(&none);
    let mut raw = Raw {
        id: name(&object.fields, &["id", "external_id"])?,
        messages,
        answer: said,
        model: text(metadata, &["model"])?,
        user: name(metadata, &["user", "user_id"])?,
        created: name(&object.fields, &["inserted_at", "updated_at"])?,
        ..object.begin()
    };
    for (question, value, user) in responses(object.fields.get("responses"))? {
        let is = |names: &[&str]| names.contains(&question.as_str());
        if other_scale.contains(&question) {
            *left_out += usize::from(!value.is_null());
            continue;
        }
        if is(&STARS) {
            // Of several people the strictest counts: what one of them found wrong is worth a look.
            raw.stars = raw.stars.into_iter().chain(stars(&question, &value)?).min();
        } else if is(&THUMBS) {
            raw.rating = raw.rating.into_iter().chain(thumbs(&question, &value)?).min();
        } else if is(&CORRECTION) {
            raw.correction = answer(&question, &value)?.or(raw.correction.take());
        } else if is(&COMMENT) {
            raw.comment = answer(&question, &value)?.or(raw.comment.take());
        } else {
            continue;
        }
        raw.user = raw.user.take().or(user);
    }
    Ok(raw)
}

/// Question, value and user of every response that was submitted.
fn responses(found: Option<&Value>) -> Result<Vec<(String, Value, Option<String>)>, String> {
    let is_submitted = |one: &Value| one["status"].as_str().is_none_or(|status| status == "submitted");
    let user = |one: &Value| one["user_id"].as_str().map(str::to_owned);
    match found {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(by_question)) => {
            let mut all = Vec::new();
            for (question, given) in by_question {
                let given = given.as_array().ok_or("expected a list of each question's `responses`")?;
                let given = given.iter().filter(|one| is_submitted(one));
                all.extend(given.map(|one| (question.clone(), one["value"].clone(), user(one))));
            }
            Ok(all)
        }
        Some(Value::Array(by_user)) => {
            let mut all = Vec::new();
            for one in by_user.iter().filter(|one| is_submitted(one)) {
                let values = one["values"].as_object().ok_or("expected `values` in each of `responses`")?;
                all.extend(
                    values.iter().map(|(name, value)| (name.clone(), value["value"].clone(), user(one))),
                );
            }
            Ok(all)
        }
        Some(_) => Err("expected `responses` by question or by user".to_owned()),
    }
}
