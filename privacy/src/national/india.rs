//! India.

use super::checksums::{
    base_36, digits, is_written_as_a_plate, one_separator, plausible, signs, verdict, verhoeff,
};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const AADHAAR_WORDS: &[&str] = &["aadhaar", "aadhar", "uidai", "uid"];
const GSTIN_WORDS: &[&str] = &["gstin", "gst", "goods and services tax"];
const PAN_WORDS: &[&str] = &["permanent account number", "pan", "income tax"];
const PASSPORT_WORDS: &[&str] = &["passport", "travel document"];
const VEHICLE_WORDS: &[&str] = &["rto", "vehicle", "plate", "registration", "car", "bike", "scooter"];
const VOTER_WORDS: &[&str] = &["voter", "epic", "elector photo identity card", "election"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::InAadhaar,
        rule: "in-aadhaar",
        pattern: r"[2-9][0-9]{3}[- :]?[0-9]{4}[- :]?[0-9]{4}",
        score: 0.2,
        check: Some(aadhaar),
        context: AADHAAR_WORDS,
    },
    Form {
        entity: Entity::InGstin,
        rule: "in-gstin",
        pattern: r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]",
        score: 0.6,
        check: Some(gstin),
        context: GSTIN_WORDS,
    },
    Form {
        entity: Entity::InPan,
        rule: "in-pan",
        // The fourth letter is the kind of holder: person, company, family, firm, trust and so on.
        pattern: r"[A-Z]{3}[ABCEFGHJKLPT][A-Z][0-9]{4}[A-Z]",
        score: 0.6,
        check: None,
        context: PAN_WORDS,
    },
    Form {
        entity: Entity::InPan,
        rule: "in-pan-any-holder",
        pattern: r"[A-Z]{5}[0-9]{4}[A-Z]",
        score: 0.3,
        check: None,
        context: PAN_WORDS,
    },
    Form {
        entity: Entity::InPassport,
        rule: "in-passport",
        pattern: r"[A-PR-WY][1-9][0-9] ?[0-9]{4}[1-9]",
        score: 0.1,
        check: None,
        context: PASSPORT_WORDS,
    },
    Form {
        entity: Entity::InVehicleRegistration,
        rule: "in-vehicle",
        // State, district, series, number; the all-India series with its year first.
        pattern: r"[A-Z]{2}[- ]?[0-9]{1,2}[A-Z]?[- ]?[A-Z]{1,3}[- ]?[0-9]{4}|[2-9][0-9][- ]?BH[- ]?[0-9]{4}[- ]?[A-HJ-NP-Z]{1,2}",
        score: 0.5,
        check: Some(current_vehicle),
        context: VEHICLE_WORDS,
    },
    Form {
        entity: Entity::InVehicleRegistration,
        rule: "in-vehicle-special",
        // Diplomats by country; the armed forces by year.
        pattern: r"[0-9]{1,3}(?:CD|CC|UN)[1-9][0-9]{0,3}|[0-9]{2}[A-Z][0-9]{6}[A-Z]",
        score: 0.3,
        check: None,
        context: VEHICLE_WORDS,
    },
    Form {
        entity: Entity::InVehicleRegistration,
        rule: "in-vehicle-old",
        // Before 1989: letters of the province or the district and its series, and a number.
        pattern: r"[A-Z]{2,3}[0-9]{4}|[A-Z][0-9]{4,5}",
        score: 0.05,
        check: Some(vehicle),
        context: VEHICLE_WORDS,
    },
    Form {
        entity: Entity::InVoter,
        rule: "in-voter",
        pattern: r"[A-Z]{3}[0-9]{7}|[A-Z]{2}/[0-9]{2}/[0-9]{3}/[0-9]{6}",
        score: 0.4,
        check: None,
        context: VOTER_WORDS,
    },
];

/// Unique Identification Authority of India: twelve digits, not 0 or 1 first, Verhoeff's check digit; one that reads the
/// same from both ends is not given out.
fn aadhaar(text: &str) -> Check {
    let Some(aadhaar) = digits::<12>(text) else { return Check::Invalid };
    let palindrome = aadhaar.iter().eq(aadhaar.iter().rev());
    verdict(verhoeff(&aadhaar) && one_separator(text) && !palindrome)
}

/// Goods and Services Tax Network: state, permanent account number, registration, Z, check sign (base 36, weights 1 and 2,
/// digit sums). States are 01 to 38, other territory is 96, 97, 99; without the check sign only the old ones are taken.
fn gstin(text: &str) -> Check {
    let Some(gstin) = signs::<15>(text) else { return Check::Invalid };
    let products =
        gstin[..14].iter().zip([1, 2].into_iter().cycle()).map(|(&sign, weight)| base_36(sign) * weight);
    let sum: u32 = products.map(|product| product / 36 + product % 36).sum();
    let state = (gstin[0] - b'0') * 10 + (gstin[1] - b'0');
    match ((36 - sum % 36) % 36 == base_36(gstin[14]), state) {
        (true, 1..=38 | 96 | 97 | 99) => Check::Valid,
        (false, 1..=37) => Check::Unknown,
        _ => Check::Invalid,
    }
}

/// States and territories by their codes in plates, those of before with them.
const STATES: [&str; 40] = [
    "AN", "AP", "AR", "AS", "BR", "CG", "CH", "DD", "DL", "DN", "GA", "GJ", "HP", "HR", "JH", "JK", "KA",
    "KL", "LA", "LD", "MH", "ML", "MN", "MP", "MZ", "NL", "OD", "OR", "PB", "PY", "RJ", "SK", "TN", "TR",
    "TS", "TG", "UK", "UP", "UA", "WB",
];

/// A state stands first, but in the all-India series; and [`vehicle`].
fn current_vehicle(text: &str) -> Check {
    let first = text.get(..2).unwrap_or_default().to_ascii_uppercase();
    let known = first.starts_with(|c: char| c.is_ascii_digit()) || STATES.contains(&first.as_str());
    if known && is_written_as_a_plate(text) { vehicle(text) } else { Check::Invalid }
}

/// No number is 0000.
fn vehicle(text: &str) -> Check {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    plausible(!digits.ends_with("0000"))
}
