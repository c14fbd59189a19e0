//! Thailand.

use super::checksums::{all_equal, digits, number, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

pub(crate) const FORMS: &[Form] = &[Form {
    entity: Entity::ThTnin,
    rule: "th-tnin",
    pattern: r"[1-8][0-9]{12}|[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]",
    score: 0.3,
    check: Some(national_id),
    context: &[
        "เลขประจำตัวประชาชน",
        "เลขบัตรประชาชน",
        "บัตรประชาชน",
        "thai",
        "tnin",
        "thai id",
        "national id",
        "citizen",
    ],
}];

/// Department of Provincial Administration: kind of person, province, district, order; weights 13 to 2, modulo 11.
fn national_id(text: &str) -> Check {
    const WEIGHTS: [u32; 12] = [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    let Some(digits) = digits::<13>(text) else { return Check::Invalid };
    let province =
        matches!(number(&digits[1..3]), 10..=27 | 30..=49 | 50..=58 | 60..=67 | 70..=77 | 80..=86 | 90..=96);
    let check = (11 - weighted(&digits, &WEIGHTS) % 11) % 10;
    verdict(province && u32::from(digits[12]) == check && !all_equal(&digits))
}
