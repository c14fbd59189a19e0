//! Corrections of `rtune review`; what was only scored has nothing to train on.

use rtune_trainer::evaluate::reviews::Review;
use serde_json::Value;

use super::Object;
use super::parts::turns;
use crate::entry::Raw;

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
        user: Some(review.reviewer),
        created: Some(review.unix_seconds.to_string()),
        ..object.begin()
    }))
}
