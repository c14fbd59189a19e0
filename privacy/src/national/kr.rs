//! Korea.

use super::checksums::{digits, is_date, likely, number, one_separator, plausible, proof, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const RESIDENT_WORDS: &[&str] = &["주민등록번호", "주민번호", "rrn", "resident registration", "korean rrn"];
const FOREIGNER_WORDS: &[&str] =
    &["외국인등록번호", "frn", "foreigner registration", "arc", "alien registration"];
const BUSINESS_WORDS: &[&str] = &["사업자등록번호", "사업자번호", "brn", "business registration"];
const DRIVER_WORDS: &[&str] = &["운전면허", "면허번호", "운전면허번호", "driver", "license", "licence"];
const PASSPORT_WORDS: &[&str] = &["여권", "여권번호", "passport"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::KrRrn,
        rule: "kr-rrn",
        pattern: r"[0-9]{2}[01][0-9][0-3][0-9]-?[1-490][0-9]{6}",
        score: 0.5,
        check: Some(resident),
        context: RESIDENT_WORDS,
    },
    Form {
        entity: Entity::KrFrn,
        rule: "kr-frn",
        pattern: r"[0-9]{2}[01][0-9][0-3][0-9]-?[5-8][0-9]{6}",
        score: 0.5,
        check: Some(foreigner),
        context: FOREIGNER_WORDS,
    },
    Form {
        entity: Entity::KrBrn,
        rule: "kr-brn",
        pattern: r"[0-9]{3}-?[0-9]{2}-?[0-9]{5}",
        score: 0.3,
        check: Some(business),
        context: BUSINESS_WORDS,
    },
    Form {
        entity: Entity::KrDriverLicense,
        rule: "kr-driver-license",
        pattern: r"[12][0-9][- ]?[0-9]{2}[- ]?[0-9]{6}[- ]?[0-9]{2}",
        score: 0.3,
        check: Some(driver_license),
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::KrPassport,
        rule: "kr-passport",
        // Kinds: multiple, single, residence, government, diplomatic. A letter stands after three digits since 2021.
        pattern: r"[MSRGD][0-9]{3}(?:[A-Z][0-9]{4}|[0-9]{5})",
        score: 0.2,
        check: None,
        context: PASSPORT_WORDS,
    },
];

const WEIGHTS: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];

/// Ministry of the Interior and Safety: date of birth, sex with century, region, order, check digit modulo 11. Since October
/// 2020 the last six digits are drawn, so that a check digit proves a number and its lack proves nothing.
fn resident(text: &str) -> Check {
    let Some(number) = digits::<13>(text) else { return Check::Invalid };
    let century = [1800, 1900, 1900, 2000, 2000, 0, 0, 0, 0, 1800][usize::from(number[6])];
    let check = (11 - weighted(&number, &WEIGHTS) % 11) % 10;
    registered(&number, century, check)
}

/// The same with 5 to 8 for sex and century, and a check digit that lies two higher.
fn foreigner(text: &str) -> Check {
    let Some(number) = digits::<13>(text) else { return Check::Invalid };
    let century = if number[6] < 7 { 1900 } else { 2000 };
    let check = (13 - weighted(&number, &WEIGHTS) % 11) % 10;
    registered(&number, century, check)
}

fn registered(digits: &[u8; 13], century: u32, check: u32) -> Check {
    let born = is_date(century + number(&digits[..2]), number(&digits[2..4]), number(&digits[4..6]));
    if born { proof(u32::from(digits[12]) == check) } else { Check::Invalid }
}

/// National Tax Service: weights 1, 3, 7, 1, 3, 7, 1, 3, 5, the tens of the last product added, modulo 10.
fn business(text: &str) -> Check {
    let Some(digits) = digits::<10>(text) else { return Check::Invalid };
    let sum = weighted(&digits, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + u32::from(digits[8]) * 5 / 10;
    let groups = matches!(text.bytes().filter(|&byte| byte == b'-').count(), 0 | 2);
    likely((10 - sum % 10) % 10 == u32::from(digits[9]) && groups && number(&digits[..3]) > 100)
}

/// Police agency: region 11 to 28, year, order, check digits that are not published.
fn driver_license(text: &str) -> Check {
    let Some(digits) = digits::<12>(text) else { return Check::Invalid };
    plausible(matches!(number(&digits[..2]), 11..=28) && one_separator(text))
}
