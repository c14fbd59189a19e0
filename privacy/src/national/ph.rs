//! The Philippines.

use super::checksums::{digits, one_separator, plausible, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PHONE_WORDS: &[&str] =
    &["mobile", "cellphone", "cell", "phone", "contact", "numero", "telepono", "gcash"];
const TAX_WORDS: &[&str] = &["tin", "tax identification", "taxpayer", "bir"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::PhMobileNumber,
        rule: "ph-mobile",
        // Mobile networks are 9xx behind 0 or the country, grouped 3, 3, 4.
        pattern: r"(?:\+?63[- ]?|0[- ]?)(?:9[0-9]{2}|\(9[0-9]{2}\))[- ]?[0-9]{3}[- ]?[0-9]{4}",
        score: 0.4,
        check: Some(phone),
        context: PHONE_WORDS,
    },
    Form {
        entity: Entity::PhTin,
        rule: "ph-tin",
        pattern: r"[0-9]{3}[- ][0-9]{3}[- ][0-9]{3}(?:[- ][0-9]{3,5})?",
        score: 0.2,
        check: Some(taxpayer),
        context: TAX_WORDS,
    },
];

/// The country without `+` is told from any other number by its length only.
fn phone(text: &str) -> Check {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    plausible(matches!(digits, 11 | 12))
}

/// Bureau of Internal Revenue: eight digits with weights 9 to 2, modulo 11, are the ninth; then the branch.
fn taxpayer(text: &str) -> Check {
    let Some(digits) = text.get(..11).and_then(digits::<9>) else { return Check::Invalid };
    let checked = weighted(&digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == u32::from(digits[8]);
    verdict(checked && one_separator(text) && digits.iter().any(|&digit| digit != 0))
}
