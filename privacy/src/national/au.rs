//! Australia.

use super::checksums::{all_equal, digits, likely, one_separator, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const BUSINESS_WORDS: &[&str] = &["australian business number", "abn", "business number"];
const COMPANY_WORDS: &[&str] = &["australian company number", "acn", "company number"];
const TAX_WORDS: &[&str] = &["tax file number", "tfn", "tax"];
const MEDICARE_WORDS: &[&str] = &["medicare", "medicare card", "medicare number"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::AuAbn,
        rule: "au-abn",
        pattern: r"[1-9][0-9][- ]?[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3}",
        score: 0.1,
        check: Some(business_number),
        context: BUSINESS_WORDS,
    },
    Form {
        entity: Entity::AuAcn,
        rule: "au-acn",
        pattern: r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3}",
        score: 0.1,
        check: Some(company_number),
        context: COMPANY_WORDS,
    },
    Form {
        entity: Entity::AuTfn,
        rule: "au-tfn",
        pattern: r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3}",
        score: 0.1,
        check: Some(tax_file_number),
        context: TAX_WORDS,
    },
    Form {
        entity: Entity::AuMedicare,
        rule: "au-medicare",
        pattern: r"[2-6][0-9]{3}[- ]?[0-9]{5}[- ]?[0-9]",
        score: 0.1,
        check: Some(medicare),
        context: MEDICARE_WORDS,
    },
];

/// Australian Business Register: one less in the first digit, weights 10, 1, 3 to 19, modulo 89.
fn business_number(text: &str) -> Check {
    let Some(mut digits) = digits::<11>(text) else { return Check::Invalid };
    digits[0] = digits[0].saturating_sub(1);
    verdict(
        weighted(&digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).is_multiple_of(89) && one_separator(text),
    )
}

/// Australian Securities and Investments Commission: weights 8 to 1, complement to 10.
fn company_number(text: &str) -> Check {
    let Some(digits) = digits::<9>(text) else { return Check::Invalid };
    let check = (10 - weighted(&digits, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10;
    likely(u32::from(digits[8]) == check && one_separator(text) && !all_equal(&digits))
}

/// Australian Taxation Office: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, modulo 11.
fn tax_file_number(text: &str) -> Check {
    let Some(digits) = digits::<9>(text) else { return Check::Invalid };
    let checked = weighted(&digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11);
    likely(checked && one_separator(text) && !all_equal(&digits))
}

/// Services Australia: eight digits, a check digit (weights 1, 3, 7, 9, modulo 10), the number of the issue.
fn medicare(text: &str) -> Check {
    let Some(digits) = digits::<10>(text) else { return Check::Invalid };
    likely(weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == u32::from(digits[8]) && one_separator(text))
}
