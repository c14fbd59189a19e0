//! Spain.

use super::checksums::{digits, number, verdict};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const NIF_WORDS: &[&str] =
    &["nif", "dni", "documento nacional de identidad", "identificación", "identificacion"];
const NIE_WORDS: &[&str] = &["nie", "número de identificación de extranjero", "extranjero", "extranjería"];
const PASSPORT_WORDS: &[&str] = &["pasaporte", "passport", "número de pasaporte"];

/// The letter of a number is the one at its remainder by 23: order of 23 October 1989.
const CONTROL_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::EsNif,
        rule: "es-nif",
        // Eight digits; leading zeros are left out by hand.
        pattern: r"[0-9]{7,8}[- ]?[A-HJ-NP-TV-Z]",
        score: 0.5,
        check: Some(controlled),
        context: NIF_WORDS,
    },
    Form {
        entity: Entity::EsNie,
        rule: "es-nie",
        pattern: r"[XYZ]-?[0-9]{7,8}[- ]?[A-HJ-NP-TV-Z]",
        score: 0.5,
        check: Some(controlled),
        context: NIE_WORDS,
    },
    Form {
        entity: Entity::EsPassport,
        rule: "es-passport",
        pattern: r"[A-Z]{3}[0-9]{6}",
        score: 0.1,
        check: None,
        context: PASSPORT_WORDS,
    },
];

/// The digits, with 0, 1, 2 before them for X, Y, Z, modulo 23.
fn controlled(text: &str) -> Check {
    let prefix = match text.bytes().next().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'Y') => 1,
        Some(b'Z') => 2,
        _ => 0,
    };
    let digits = match (digits::<8>(text), digits::<7>(text)) {
        (Some(eight), _) => number(&eight),
        (None, Some(seven)) => number(&seven),
        (None, None) => return Check::Invalid,
    };
    let expected = CONTROL_LETTERS[((prefix * 10_000_000 + digits) % 23) as usize];
    verdict(text.bytes().next_back().is_some_and(|letter| letter.eq_ignore_ascii_case(&expected)))
}
