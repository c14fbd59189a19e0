//! LangSmith: runs (`id`, `inputs`, `outputs`) and feedback (`run_id`, `key`, `score`, `value`, `comment`, `correction`).

use std::collections::HashMap;

use serde_json::Value;

use super::Object;
use super::parts::{Fields, answer, first, name, text, thumbs, turns, without_answer};
use crate::entry::Raw;
use crate::error::FeedbackError;

/// Feedback of all objects: that of a run may stand in it, or beside it. Runs that nobody said anything of are no feedback.
pub(super) fn read(objects: &[Object]) -> Result<Vec<Raw>, FeedbackError> {
    let mut runs: Vec<(Raw, bool)> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for object in objects.iter().filter(|object| object.fields.contains_key("inputs")) {
        let (raw, id, said) = run(object).map_err(|problem| object.wrong(problem))?;
        if let Some(id) = id {
            by_id.insert(id, runs.len());
        }
        runs.push((raw, said));
    }
    for object in objects.iter().filter(|object| !object.fields.contains_key("inputs")) {
        let wrong = |problem: String| object.wrong(problem);
        let of = name(&object.fields, &["run_id"]).map_err(wrong)?;
        let of = of.ok_or_else(|| object.wrong("expected a run with `inputs`, or feedback with `run_id`"))?;
        let Some(&place) = by_id.get(&of) else {
            // Without its run nobody knows what was asked: it is counted, and not kept.
            runs.push((object.begin(), true));
            continue;
        };
        let (raw, said) = &mut runs[place];
        add(raw, &object.fields).map_err(wrong)?;
        *said = true;
    }
    Ok(runs.into_iter().filter(|(_, said)| *said).map(|(raw, _)| raw).collect())
}

/// A run, its id, and whether something was said of it in it.
fn run(object: &Object) -> Result<(Raw, Option<String>, bool), String> {
    let fields = &object.fields;
    let inputs = fields.get("inputs").unwrap_or(&Value::Null);
    let (messages, last) = without_answer(turns("inputs", inputs)?);
    let said = match fields.get("outputs") {
        None | Some(Value::Null) => last,
        Some(outputs) => answer("outputs", outputs)?.or(last),
    };
    let id = name(fields, &["id", "run_id"])?;
    let none = Fields::new();
    let metadata = fields.get("extra").and_then(|extra| extra["metadata"].as_object()).unwrap_or(&none);
    let mut raw = Raw {
        id: id.clone(),
        messages,
        answer: said,
        user: name(metadata, &["user_id", "user"])?,
        model: text(metadata, &["ls_model_name", "model"])?,
        created: name(fields, &["start_time"])?,
        ..object.begin()
    };
    let inside = fields.get("feedback").and_then(Value::as_array);
    for one in inside.into_iter().flatten() {
        add(&mut raw, one.as_object().ok_or("expected objects in `feedback`")?)?;
    }
    Ok((raw, id, inside.is_some_and(|all| !all.is_empty())))
}

/// Adds one piece of feedback; of several ratings the lowest counts.
fn add(raw: &mut Raw, fields: &Fields) -> Result<(), String> {
    match first(fields, &["score", "value"]) {
        // Scores are from 0 to 1; one above is of a scale of stars.
        Some((name, Value::Number(number))) => match number.as_f64() {
            Some(score) if (0.0..=1.0).contains(&score) => {
                let rating = if score > 0.5 {
                    1
                } else if score < 0.5 {
                    -1
                } else {
                    0
                };
                raw.rating = Some(raw.rating.map_or(rating, |before| before.min(rating)));
            }
            Some(-1.0) => raw.rating = Some(-1),
            _ => {
                let stars = super::parts::stars(name, &Value::Number(number.clone()))?;
                raw.stars = raw.stars.into_iter().chain(stars).min();
            }
        },
        // A value may be any word of a category; those of thumbs count.
        Some((name, value @ (Value::String(_) | Value::Bool(_)))) => {
            if let Ok(Some(rating)) = thumbs(name, value) {
                raw.rating = Some(raw.rating.map_or(rating, |before| before.min(rating)));
            }
        }
        _ => {}
    }
    if let Some(comment) = text(fields, &["comment"])? {
        raw.comment =
            Some(raw.comment.take().map_or(comment.clone(), |before| format!("{before}\n{comment}")));
    }
    if let Some((called, correction)) = first(fields, &["correction"]) {
        raw.correction = answer(called, correction)?.or(raw.correction.take());
    }
    let source = fields.get("feedback_source").and_then(Value::as_object);
    if let (None, Some(source)) = (&raw.user, source) {
        raw.user = name(source, &["user_id", "ls_user_id"])?;
    }
    Ok(())
}
