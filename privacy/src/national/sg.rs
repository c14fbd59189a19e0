//! Singapore.

use super::checksums::{digits, number, proof, signs, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PERSON_WORDS: &[&str] = &["nric", "fin", "identification card", "identity card"];
const COMPANY_WORDS: &[&str] = &["uen", "unique entity number", "business registration", "acra"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::SgNricFin,
        rule: "sg-nric-fin",
        pattern: r"[STFGM][0-9]{7}[A-Z]",
        score: 0.5,
        check: Some(nric_fin),
        context: PERSON_WORDS,
    },
    Form {
        entity: Entity::SgNricFin,
        rule: "sg-nric-fin-other-letter",
        // The series grows by letters: M came in 2022. A misread first letter is a person's number still.
        pattern: r"[A-Z][0-9]{7}[A-Z]",
        score: 0.05,
        check: None,
        context: PERSON_WORDS,
    },
    Form {
        entity: Entity::SgUen,
        rule: "sg-uen",
        // Businesses; local companies with their year; other entities with century, year and kind.
        pattern: r"[0-9]{8,9}[A-Z]|[RST][0-9]{2}[A-Z]{2}[0-9]{4}[A-Z]",
        score: 0.3,
        check: Some(entity_number),
        context: COMPANY_WORDS,
    },
];

/// Immigration & Checkpoints Authority: weights 2, 7, 6, 5, 4, 3, 2; 4 more for T and G, 3 more for M; modulo 11 into a row
/// of letters by series. The rows were never published officially, so that another letter proves nothing.
fn nric_fin(text: &str) -> Check {
    let (Some(signs), Some(digits)) = (signs::<9>(text), digits::<7>(text)) else { return Check::Invalid };
    let (more, row): (u32, &[u8; 11]) = match signs[0] {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        _ => (3, b"XWUTRQPNJLK"),
    };
    let remainder = ((weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + more) % 11) as usize;
    // The row of M runs from the other end.
    let place = if signs[0] == b'M' { 10 - remainder } else { remainder };
    proof(signs[8] == row[place])
}

/// Accounting and Corporate Regulatory Authority: a row of letters and weights for each of the three forms, modulo 11.
fn entity_number(text: &str) -> Check {
    if let Some(signs) = signs::<10>(text)
        && signs[0].is_ascii_alphabetic()
    {
        return other_entity(&signs);
    }
    let last = text.bytes().next_back().map(|byte| byte.to_ascii_uppercase());
    match (digits::<8>(text), digits::<9>(text)) {
        (Some(business), _) => {
            let remainder = weighted(&business, &[10, 4, 9, 3, 8, 2, 7, 1]) % 11;
            verdict(last == Some(b"XMKECAWLJDB"[remainder as usize]))
        }
        (None, Some(company)) => {
            let remainder = weighted(&company, &[10, 8, 6, 4, 9, 7, 5, 3, 1]) % 11;
            let founded = matches!(number(&company[..4]), 1800..=2100);
            verdict(founded && last == Some(b"ZKCMDNERGWH"[remainder as usize]))
        }
        (None, None) => Check::Invalid,
    }
}

fn other_entity(signs: &[u8; 10]) -> Check {
    const ORDER: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWX0123456789";
    let places = signs[..9].iter().map(|sign| ORDER.iter().position(|other| other == sign));
    let Some(values) = places.collect::<Option<Vec<usize>>>() else { return Check::Invalid };
    let products = values.iter().zip([4, 3, 5, 3, 10, 2, 2, 5, 7]).map(|(value, weight)| value * weight);
    // 6 is 11 less 5: the sum is taken five lower.
    verdict(signs[9] == ORDER[(products.sum::<usize>() + 6) % 11])
}
