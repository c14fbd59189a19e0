//! The United Kingdom.

use super::checksums::{
    all_equal, digits, is_date_of_a_century, likely, number, one_separator, plate, plausible, signs, weighted,
};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const NHS_WORDS: &[&str] =
    &["nhs", "national health service", "health services authority", "health authority", "patient"];
const NINO_WORDS: &[&str] = &["national insurance", "nino", "ni number", "insurance"];
const DRIVER_WORDS: &[&str] = &["driving licence", "driving license", "driver", "licence", "license", "dvla"];
const PASSPORT_WORDS: &[&str] = &["passport", "travel document", "hmpo"];
const POSTCODE_WORDS: &[&str] = &["postcode", "post code", "address", "postal"];
const VEHICLE_WORDS: &[&str] =
    &["vehicle", "registration", "reg", "number plate", "plate", "car", "dvla", "v5c", "mot"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::UkNhs,
        rule: "uk-nhs",
        pattern: r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{4}",
        score: 0.5,
        check: Some(nhs),
        context: NHS_WORDS,
    },
    Form {
        entity: Entity::UkNino,
        rule: "uk-nino",
        // HM Revenue & Customs: no D, F, I, Q, U, V in the prefix, no O as its second letter; A to D last.
        pattern: r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        score: 0.5,
        check: Some(nino),
        context: NINO_WORDS,
    },
    Form {
        entity: Entity::UkDrivingLicence,
        rule: "uk-driving-licence",
        // Five letters of the surname filled up with 9; decade, month (women: plus 50), day and year of birth; initials;
        // a sign against equal names; two check letters.
        pattern: r"[A-Z][A-Z9]{4}[0-9](?:0[1-9]|1[0-2]|5[1-9]|6[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9][A-Z9]{2}[A-Z0-9][A-Z]{2}",
        score: 0.5,
        check: Some(driving_licence),
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::UkPassport,
        rule: "uk-passport",
        pattern: r"[A-Z]{2}[0-9]{7}",
        score: 0.1,
        check: None,
        context: PASSPORT_WORDS,
    },
    Form {
        entity: Entity::UkPostcode,
        rule: "uk-postcode",
        // BS 7666: by place, the letters that are used. The inward half has no C, I, K, M, O, V.
        pattern: concat!(
            r"(?:GIR ?0AA|(?:[A-PR-UWYZ][0-9]{1,2}|[A-PR-UWYZ][A-HK-Y][0-9]{1,2}|[A-PR-UWYZ][0-9][A-HJKPSTUW]",
            r"|[A-PR-UWYZ][A-HK-Y][0-9][ABEHMNPRVWXY]) ?[0-9][ABD-HJLNP-UW-Z]{2})",
        ),
        score: 0.1,
        check: None,
        context: POSTCODE_WORDS,
    },
    Form {
        entity: Entity::UkVehicleRegistration,
        rule: "uk-vehicle-current",
        // Since September 2001: no I, Q, Z in the area, no I, Q behind; half-years 02 to 29 and 51 to 79.
        pattern: r"[A-HJ-PR-Y]{2}(?:0[2-9]|[12][0-9]|5[1-9]|[67][0-9]) ?[A-HJ-PR-Z]{3}",
        score: 0.5,
        check: Some(plate),
        context: VEHICLE_WORDS,
    },
    Form {
        entity: Entity::UkVehicleRegistration,
        rule: "uk-vehicle-older",
        // Year letter first (1983 to 2001) or last (1963 to 1983): no I, O, Q, U, Z.
        pattern: r"[A-HJ-NPR-TV-Y][1-9][0-9]{0,2} ?[A-HJ-PR-Y]{3}|[A-HJ-PR-Y]{3} ?[1-9][0-9]{0,2}[A-HJ-NPR-TV-Y]",
        score: 0.2,
        check: Some(plate),
        context: VEHICLE_WORDS,
    },
];

/// NHS Data Dictionary: weights 10 to 2, modulo 11; a remainder that would make the check digit 10 is not issued.
fn nhs(text: &str) -> Check {
    let Some(nhs) = digits::<10>(text) else { return Check::Invalid };
    let checked = weighted(&nhs, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    likely(checked && one_separator(text) && !all_equal(&nhs))
}

/// Prefixes that HM Revenue & Customs does not use, or uses for what is no person's.
fn nino(text: &str) -> Check {
    const UNUSED: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    let Some(nino) = signs::<9>(text) else { return Check::Invalid };
    plausible(!UNUSED.iter().any(|prefix| nino.starts_with(*prefix)))
}

/// The surname is letters, then 9; the day of birth is one of its month.
fn driving_licence(text: &str) -> Check {
    let Some(licence) = signs::<16>(text) else { return Check::Invalid };
    let letters = licence[..5].iter().take_while(|sign| sign.is_ascii_alphabetic()).count();
    let filled = licence[letters..5].iter().all(|&sign| sign == b'9');
    let value = |from: usize, to: usize| {
        number(&licence[from..to].iter().map(|sign| sign - b'0').collect::<Vec<u8>>())
    };
    let (month, day) = (value(6, 8) % 50, value(8, 10));
    let year = value(5, 6) * 10 + value(10, 11);
    plausible(filled && is_date_of_a_century(year, month, day))
}
