//! Corrections of `rtune review`; what was only scored has nothing to train on.

use std::collections::HashMap;

use rtune_trainer::evaluate::reviews::Review;
use serde_json::Value;

use super::Object;
use super::parts::turns;
use crate::entry::Raw;

/// Without reviews that a later one takes the place of.
pub(super) fn last_words(objects: Vec<Object>) -> Vec<Object> {
    let key = |object: &Object| {
        let answer = |side: &str| object.fields.get(side).map(|side| side["answer"].to_string());
        let name = |name: &str| object.fields.get(name).map(Value::to_string);
        (name("case"), name("reviewer"), answer("first"), answer("second"))
    };
    let last: HashMap<_, usize> = objects.iter().enumerate().map(|(at, object)| (key(object), at)).collect();
    let is_last = |(at, object): (usize, Object)| (last.get(&key(&object)) == Some(&at)).then_some(object);
    objects.into_iter().enumerate().filter_map(is_last).collect()
}

/// The reviewer is no user: nothing is capped of what he wrote, and his name stands in the file of reviews.
pub(super) fn read(object: &Object) -> Result<Option<Raw>, String> {
    let review: Review = serde_json::from_value(Value::Object(object.fields.clone()))
        .map_err(|error| format!("expected a review: {error}"))?;
    review.check()?;
    let Some(correction) = review.correction else { return Ok(None) };
    Ok(Some(Raw {
        id: Some(review.case),
        messages: turns("asked", &Value::Array(review.asked))?,
        comment: review.comment,
        correction: Some(correction),
        created: Some(review.unix_seconds.to_string()),
        ..object.begin()
    }))
}
