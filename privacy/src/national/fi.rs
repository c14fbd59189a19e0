//! Finland.

use super::checksums::{digits, is_date, number, verdict};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

pub(crate) const FORMS: &[Form] = &[Form {
    entity: Entity::FiPersonalIdentityCode,
    rule: "fi-hetu",
    pattern: r"[0-3][0-9][01][0-9]{3}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]",
    score: 0.5,
    check: Some(personal_identity_code),
    context: &["hetu", "henkilötunnus", "personbeteckning", "personal identity code", "henkilötunnukseni"],
}];

/// Digital and Population Data Services Agency: date of birth, sign of the century (since 2023 several each), individual
/// number from 002, and the sign at the remainder by 31 of the nine digits.
fn personal_identity_code(text: &str) -> Check {
    const SIGNS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (Some(body), Some(&sign)) = (text.get(..10), text.as_bytes().get(10)) else { return Check::Invalid };
    let Some(digits) = digits::<9>(body) else { return Check::Invalid };
    let century = match body.as_bytes()[6].to_ascii_uppercase() {
        b'+' => 1800,
        b'A'..=b'F' => 2000,
        _ => 1900,
    };
    let born = is_date(century + number(&digits[4..6]), number(&digits[2..4]), number(&digits[..2]));
    let expected = SIGNS[(number(&digits) % 31) as usize];
    verdict(born && number(&digits[6..]) >= 2 && sign.eq_ignore_ascii_case(&expected))
}
