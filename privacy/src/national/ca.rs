//! Canada.

use super::checksums::{all_equal, digits, likely, luhn, one_separator};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

pub(crate) const FORMS: &[Form] = &[Form {
    entity: Entity::CaSin,
    rule: "ca-sin",
    pattern: r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3}",
    score: 0.3,
    check: Some(social_insurance_number),
    context: &["sin", "social insurance", "social insurance number", "numéro d'assurance sociale", "nas"],
}];

/// Service Canada: Luhn. Numbers of individuals begin with 1 to 7 or 9; the tax agency's begin with 0; 8 is for businesses.
fn social_insurance_number(text: &str) -> Check {
    let Some(digits) = digits::<9>(text) else { return Check::Invalid };
    let grouped = matches!(text.len(), 9 | 11);
    likely(luhn(&digits) && one_separator(text) && grouped && digits[0] != 8 && !all_equal(&digits))
}
