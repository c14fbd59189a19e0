//! Poland.

use super::checksums::{digits, is_date, number, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

pub(crate) const FORMS: &[Form] = &[Form {
    entity: Entity::PlPesel,
    rule: "pl-pesel",
    pattern: r"[0-9]{11}",
    score: 0.4,
    check: Some(pesel),
    context: &["pesel"],
}];

/// Act on population records of 2010: year, month with the century in it (80, 0, 20, 40, 60), day; weights 1, 3, 7, 9.
fn pesel(text: &str) -> Check {
    const WEIGHTS: [u32; 11] = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let Some(pesel) = digits::<11>(text) else { return Check::Invalid };
    let (year, month, day) = (number(&pesel[..2]), number(&pesel[2..4]), number(&pesel[4..6]));
    let century = [1900, 2000, 2100, 2200, 1800][(month / 20) as usize];
    verdict(weighted(&pesel, &WEIGHTS).is_multiple_of(10) && is_date(century + year, month % 20, day))
}
