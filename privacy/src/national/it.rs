//! Italy.

use super::checksums::{all_equal, base_36, digits, luhn, number, proof, signs, verdict};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const FISCAL_WORDS: &[&str] = &["codice fiscale", "cf", "fiscale", "fiscal code"];
const VAT_WORDS: &[&str] = &["partita iva", "p.iva", "piva", "iva", "vat"];
const DRIVER_WORDS: &[&str] = &["patente", "patente di guida", "licenza", "license", "guida"];
const CARD_WORDS: &[&str] = &["carta", "identità", "carta d'identità", "cie", "identity", "documento"];
const PASSPORT_WORDS: &[&str] = &["passaporto", "passport", "documento"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::ItFiscalCode,
        rule: "it-fiscal-code",
        // Decree of 23 December 1976: surname, name, year, letter of the month, day (women: plus 40), municipality, control
        // letter. Of two persons with one code, one has letters in place of digits.
        pattern: concat!(
            r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST](?:[04LQ][1-9MNP-V]|[1256MNRS][0-9LMNP-V]|[37PT][01LM])",
            r"[A-Z][0-9LMNP-V]{3}[A-Z]",
        ),
        score: 0.3,
        check: Some(fiscal_code),
        context: FISCAL_WORDS,
    },
    Form {
        entity: Entity::ItVatCode,
        rule: "it-vat-code",
        pattern: r"[0-9](?:[ _]?[0-9]){10}",
        score: 0.1,
        check: Some(vat_code),
        context: VAT_WORDS,
    },
    Form {
        entity: Entity::ItVatCode,
        rule: "it-vat-code-country",
        pattern: r"IT ?[0-9]{11}",
        score: 0.5,
        check: Some(vat_code),
        context: VAT_WORDS,
    },
    Form {
        entity: Entity::ItDriverLicense,
        rule: "it-driver-license",
        pattern: r"U1[0-9BCDFGHJ-NPRSTUWXYZ]{7}[A-Z]|[A-Z]{2}[0-9]{7}[A-Z]",
        score: 0.2,
        check: None,
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::ItIdentityCard,
        rule: "it-identity-card",
        // On paper; electronic, second and third make.
        pattern: r"[A-Z]{2} ?[0-9]{7}|[0-9]{7}[A-Z]{2}|[A-Z]{2}[0-9]{5}[A-Z]{2}",
        score: 0.1,
        check: None,
        context: CARD_WORDS,
    },
    Form {
        entity: Entity::ItPassport,
        rule: "it-passport",
        pattern: r"[A-Z]{2}[0-9]{7}",
        score: 0.1,
        check: None,
        context: PASSPORT_WORDS,
    },
];

/// What a sign at an odd place (the first is odd) counts towards the control letter.
fn odd_value(sign: u8) -> u32 {
    const BY_ORDER: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    BY_ORDER[even_value(sign) as usize]
}

/// What a sign at an even place counts: a digit itself, A 0, Z 25.
fn even_value(sign: u8) -> u32 {
    let value = base_36(sign);
    if value < 10 { value } else { value - 10 }
}

/// The sum of the odd and even values, modulo 26, is the control letter. A slip of one sign leaves it a person's code, so
/// that a wrong one only proves nothing.
fn fiscal_code(text: &str) -> Check {
    let Some(code) = signs::<16>(text) else { return Check::Invalid };
    let pairs = code[..15].chunks(2);
    let sum: u32 =
        pairs.map(|pair| odd_value(pair[0]) + pair.get(1).map_or(0, |&sign| even_value(sign))).sum();
    proof(sum % 26 == even_value(code[15]))
}

/// Number of the company, not 0000000; office (001 to 100 by province, 120, 121, 888, 999); Luhn.
fn vat_code(text: &str) -> Check {
    let Some(code) = digits::<11>(text) else { return Check::Invalid };
    let office = matches!(number(&code[7..10]), 1..=100 | 120 | 121 | 888 | 999);
    verdict(luhn(&code) && office && !all_equal(&code[..7]))
}
