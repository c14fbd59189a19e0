//! Nigeria.

use super::checksums::{all_equal, digits, likely, plate, verhoeff};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PERSON_WORDS: &[&str] = &["nin", "national identification number", "nimc", "national identity"];
const VEHICLE_WORDS: &[&str] = &["plate", "plate number", "vehicle", "registration", "frsc", "licence plate"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::NgNin,
        rule: "ng-nin",
        pattern: r"[0-9]{11}",
        score: 0.2,
        check: Some(national_id),
        context: PERSON_WORDS,
    },
    Form {
        entity: Entity::NgVehicleRegistration,
        rule: "ng-vehicle",
        // Local government, number, year and batch.
        pattern: r"[A-Z]{3}[- ]?[0-9]{3}[- ]?[A-Z]{2}",
        score: 0.3,
        check: Some(plate),
        context: VEHICLE_WORDS,
    },
];

/// National Identity Management Commission: eleven digits, Verhoeff's check digit.
fn national_id(text: &str) -> Check {
    let Some(digits) = digits::<11>(text) else { return Check::Invalid };
    likely(verhoeff(&digits) && !all_equal(&digits))
}
