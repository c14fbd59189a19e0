//! Sweden.

use super::checksums::{digits, is_date, is_date_of_a_century, likely, luhn, number, verdict};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PERSON_WORDS: &[&str] =
    &["personnummer", "samordningsnummer", "personal identity", "födelsenummer", "svenskt personnummer"];
const COMPANY_WORDS: &[&str] =
    &["organisationsnummer", "orgnummer", "org.nr", "org nr", "company", "bolag", "företag"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::SePersonnummer,
        rule: "se-personnummer",
        pattern: r"(?:1[89]|20)?[0-9]{2}[01][0-9]{3}[-+]?[0-9]{4}",
        score: 0.5,
        check: Some(personnummer),
        context: PERSON_WORDS,
    },
    Form {
        entity: Entity::SeOrganisationsnummer,
        rule: "se-organisationsnummer",
        // 16 stands before the number where twelve digits are wanted.
        pattern: r"(?:16)?[1-35-9][0-9][2-9][0-9]{3}-?[0-9]{4}",
        score: 0.3,
        check: Some(organisationsnummer),
        context: COMPANY_WORDS,
    },
];

/// Skatteverket, SKV 704 and 707: the day of birth, plus 60 in a co-ordination number; Luhn over ten digits.
fn personnummer(text: &str) -> Check {
    match (digits::<12>(text), digits::<10>(text)) {
        (Some(long), _) => {
            let born = is_date(number(&long[..4]), number(&long[4..6]), number(&long[6..8]) % 60);
            verdict(luhn(&long[2..]) && born)
        }
        (None, Some(short)) => {
            let born =
                is_date_of_a_century(number(&short[..2]), number(&short[2..4]), number(&short[4..6]) % 60);
            verdict(luhn(&short) && born)
        }
        (None, None) => Check::Invalid,
    }
}

/// Lag (1974:174): the third digit is at least 2, so that none is a personnummer; Luhn over ten digits.
fn organisationsnummer(text: &str) -> Check {
    let ten = match (digits::<12>(text), digits::<10>(text)) {
        (Some(long), _) => luhn(&long[2..]),
        (None, short) => short.is_some_and(|short| luhn(&short)),
    };
    likely(ten)
}
