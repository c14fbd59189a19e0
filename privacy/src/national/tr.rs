//! Türkiye.

use super::checksums::{digits, plausible, verdict, weighted};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PERSON_WORDS: &[&str] = &["tc", "t.c.", "tckn", "kimlik", "kimlik no", "turkish id", "vatandaşlık"];
const PLATE_WORDS: &[&str] = &["plaka", "araç", "license plate", "plate", "ruhsat"];
const PHONE_WORDS: &[&str] = &["telefon", "tel", "cep", "gsm", "phone", "mobile", "numara"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::TrNationalId,
        rule: "tr-national-id",
        pattern: r"[1-9][0-9]{10}",
        score: 0.3,
        check: Some(national_id),
        context: PERSON_WORDS,
    },
    Form {
        entity: Entity::TrLicensePlate,
        rule: "tr-license-plate",
        // Provinces 01 to 81; letters without Q, W, X.
        pattern: r"(?:0[1-9]|[1-7][0-9]|8[01])[- ]?[A-PR-VYZ]{1,3}[- ]?[0-9]{2,5}",
        score: 0.3,
        check: Some(plate),
        context: PLATE_WORDS,
    },
    Form {
        entity: Entity::TrPhoneNumber,
        rule: "tr-phone",
        // Areas begin with 2, 3, 4, mobile telephones with 5; before them 0, the country or nothing.
        pattern: r"(?:(?:\+|00)90[- ]?|0[- ]?)?\(?[2-5][0-9]{2}\)?[- ]?[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{2}",
        score: 0.2,
        check: Some(phone),
        context: PHONE_WORDS,
    },
];

/// General Directorate of Population: seven times the digits at odd places less those at even places, modulo 10, is the
/// tenth; the sum of ten, modulo 10, the eleventh.
fn national_id(text: &str) -> Check {
    let Some(digits) = digits::<11>(text) else { return Check::Invalid };
    // 9 is -1 modulo 10.
    let tenth = weighted(&digits[..9], &[7, 9, 7, 9, 7, 9, 7, 9, 7]) % 10;
    let eleventh = weighted(&digits[..10], &[1; 10]) % 10;
    verdict(u32::from(digits[9]) == tenth && u32::from(digits[10]) == eleventh)
}

/// Three letters go with at most four digits; fewer letters with one more.
fn plate(text: &str) -> Check {
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = text.bytes().filter(u8::is_ascii_digit).count() - 2;
    plausible(letters <= 2 || digits <= 4)
}

/// Brackets come in pairs.
fn phone(text: &str) -> Check {
    plausible(text.contains('(') == text.contains(')'))
}
