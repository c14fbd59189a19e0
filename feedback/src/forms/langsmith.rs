//! LangSmith: runs (`id`, `inputs`, `outputs`) and feedback (`run_id`, `key`, `feedback_source`, `score`, `value`, `comment`, `correction`).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Object;
use super::parts::{Fields, answer, first, name, text, thumbs, turns, without_answer};
use crate::entry::Raw;
use crate::error::FeedbackError;

/// Keys under which users say what they think, in any case and with `_` for `-`.
pub const USER_KEYS: [&str; 8] =
    ["user-score", "user-feedback", "user-rating", "feedback", "rating", "stars", "thumbs", "like"];
/// Sources of feedback that are people.
const PEOPLE: [&str; 2] = ["app", "user"];

/// What was found, and what was left out.
#[derive(Default)]
pub(super) struct Found {
    pub(super) raws: Vec<Raw>,
    pub(super) not_users: usize,
    pub(super) off_scale: usize,
}

/// Which pieces of feedback are users', and which of their keys are of a scale.
struct Users<'a> {
    keys: &'a [String],
    /// Keys with a score that is neither thumbs nor stars: what its other scores mean nobody knows.
    other_scale: HashSet<String>,
}

impl Users<'_> {
    /// Whether a user said this, and no evaluator.
    fn said(&self, fields: &Fields) -> bool {
        let key = key(fields);
        let source = fields.get("feedback_source").and_then(|source| source["type"].as_str());
        let is_named = USER_KEYS.contains(&key.as_str()) || self.keys.iter().any(|one| folded(one) == key);
        is_named || source.is_some_and(|source| PEOPLE.contains(&source.to_ascii_lowercase().as_str()))
    }
}

fn key(fields: &Fields) -> String {
    fields.get("key").and_then(Value::as_str).map(folded).unwrap_or_default()
}

fn folded(key: &str) -> String {
    key.trim().to_lowercase().replace(['_', ' '], "-")
}

/// Feedback of all objects: that of a run may stand in it, or beside it. Runs that nobody said anything of are no feedback.
pub(super) fn read(objects: &[Object], keys: &[String]) -> Result<Found, FeedbackError> {
    let is_run = |object: &&Object| object.fields.contains_key("inputs");
    let mut users = Users { keys, other_scale: HashSet::new() };
    for object in objects {
        let inside = object.fields.get("feedback").and_then(Value::as_array);
        let inside = inside.into_iter().flatten().filter_map(Value::as_object);
        for fields in inside.chain((!is_run(&object)).then_some(&object.fields)) {
            let score = first(fields, &["score", "value"]).and_then(|(_, value)| value.as_f64());
            if users.said(fields) && score.is_some_and(|score| rated(&key(fields), score).is_none()) {
                users.other_scale.insert(key(fields));
            }
        }
    }
    let mut found = Found::default();
    let mut runs: Vec<(Raw, bool)> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for object in objects.iter().filter(is_run) {
        let (raw, id, said) = run(object, &users, &mut found).map_err(|problem| object.wrong(problem))?;
        if let Some(id) = id {
            by_id.insert(id, runs.len());
        }
        runs.push((raw, said));
    }
    for object in objects.iter().filter(|object| !is_run(object)) {
        let wrong = |problem: String| object.wrong(problem);
        let of = name(&object.fields, &["run_id"]).map_err(wrong)?;
        let of = of.ok_or_else(|| object.wrong("expected a run with `inputs`, or feedback with `run_id`"))?;
        if !users.said(&object.fields) {
            found.not_users += 1;
            continue;
        }
        let Some(&place) = by_id.get(&of) else {
            // Without its run nobody knows what was asked: it is counted, and not kept.
            runs.push((object.begin(), true));
            continue;
        };
        let (raw, said) = &mut runs[place];
        add(raw, &object.fields, &users, &mut found).map_err(wrong)?;
        *said = true;
    }
    found.raws = runs.into_iter().filter(|(_, said)| *said).map(|(raw, _)| raw).collect();
    Ok(found)
}

/// A run, its id, and whether a user said something of it in it.
fn run(object: &Object, users: &Users<'_>, found: &mut Found) -> Result<(Raw, Option<String>, bool), String> {
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
    let mut said = false;
    for one in inside.into_iter().flatten() {
        let one = one.as_object().ok_or("expected objects in `feedback`")?;
        match users.said(one) {
            true => add(&mut raw, one, users, found)?,
            false => found.not_users += 1,
        }
        said |= users.said(one);
    }
    Ok((raw, id, said))
}

/// A score as thumbs or stars: from 0 to 1 it is thumbs, above it stars, and under a key of stars always that. `None` for one of another scale.
fn rated(key: &str, score: f64) -> Option<Rated> {
    let stars =
        || (score.fract() == 0.0 && (1.0..=5.0).contains(&score)).then_some(Rated::Stars(score as u8));
    if key.contains("star") {
        return stars();
    }
    match score {
        score if score > 0.5 && score <= 1.0 => Some(Rated::Thumbs(1)),
        0.5 => Some(Rated::Thumbs(0)),
        -1.0 => Some(Rated::Thumbs(-1)),
        score if (0.0..0.5).contains(&score) => Some(Rated::Thumbs(-1)),
        _ => stars(),
    }
}

enum Rated {
    Thumbs(i8),
    Stars(u8),
}

/// Adds one piece of feedback; of several ratings the lowest counts.
fn add(raw: &mut Raw, fields: &Fields, users: &Users<'_>, found: &mut Found) -> Result<(), String> {
    let mut thumb = |rating: i8| raw.rating = Some(raw.rating.map_or(rating, |before| before.min(rating)));
    let key = key(fields);
    match first(fields, &["score", "value"]) {
        Some((_, Value::Number(_))) if users.other_scale.contains(&key) => found.off_scale += 1,
        Some((_, Value::Number(number))) => match number.as_f64().and_then(|score| rated(&key, score)) {
            Some(Rated::Thumbs(rating)) => thumb(rating),
            Some(Rated::Stars(stars)) => raw.stars = raw.stars.into_iter().chain([stars]).min(),
            None => found.off_scale += 1,
        },
        // A value may be any word of a category; those of thumbs count.
        Some((name, value @ (Value::String(_) | Value::Bool(_)))) => {
            if let Ok(Some(rating)) = thumbs(name, value) {
                thumb(rating);
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
