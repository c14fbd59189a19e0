//! South Africa.

use super::checksums::{digits, is_date_of_a_century, luhn, number, verdict};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

pub(crate) const FORMS: &[Form] = &[Form {
    entity: Entity::ZaIdNumber,
    rule: "za-id-number",
    pattern: r"[0-9]{6} ?[0-9]{4} ?[0-2][89][0-9]",
    score: 0.4,
    check: Some(id_number),
    context: &["id", "id number", "identity number", "rsa id", "sa id", "south african", "identiteitsnommer"],
}];

/// Department of Home Affairs: date of birth, sex and order, citizenship (0 citizen, 1 resident, 2 refugee), 8 or 9, Luhn.
fn id_number(text: &str) -> Check {
    let Some(digits) = digits::<13>(text) else { return Check::Invalid };
    let born = is_date_of_a_century(number(&digits[..2]), number(&digits[2..4]), number(&digits[4..6]));
    verdict(born && luhn(&digits))
}
