//! The United States.

use super::checksums::{
    all_equal, digits, likely, luhn, number, one_separator, plausible, signs, verdict, weighted,
};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const SSN_WORDS: &[&str] = &["ssn", "ssns", "ssid", "ss#", "social", "security"];
const ITIN_WORDS: &[&str] = &["itin", "individual", "taxpayer", "tax", "tin"];
const PASSPORT_WORDS: &[&str] = &["passport", "passports", "travel", "document"];
const DRIVER_WORDS: &[&str] =
    &["driver", "drivers", "driver's", "license", "licence", "permit", "lic", "dl", "dmv", "identification"];
const BANK_WORDS: &[&str] = &["account", "acct", "acc", "bank", "checking", "savings", "debit"];
const MEDICARE_WORDS: &[&str] = &["mbi", "medicare", "beneficiary", "cms", "patient"];
const NPI_WORDS: &[&str] = &["npi", "provider", "national provider identifier", "cms", "physician"];
const ROUTING_WORDS: &[&str] = &["aba", "routing", "rtn", "transit", "bank", "wire"];
const DEA_WORDS: &[&str] = &["dea", "medical", "certificate", "prescriber", "registration"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::UsSsn,
        rule: "us-ssn",
        pattern: r"[0-8][0-9]{2}[- .][0-9]{2}[- .][0-9]{4}",
        score: 0.5,
        check: Some(ssn),
        context: SSN_WORDS,
    },
    Form {
        entity: Entity::UsSsn,
        rule: "us-ssn-digits",
        pattern: r"[0-8][0-9]{8}",
        score: 0.05,
        check: Some(ssn),
        context: SSN_WORDS,
    },
    Form {
        entity: Entity::UsSsn,
        rule: "us-ssn-one-separator",
        pattern: r"[0-8][0-9]{2}-[0-9]{6}|[0-8][0-9]{4}-[0-9]{4}",
        score: 0.05,
        check: Some(ssn),
        context: SSN_WORDS,
    },
    Form {
        entity: Entity::UsItin,
        rule: "us-itin",
        pattern: r"9[0-9]{2}[- ][5-9][0-9][- ][0-9]{4}",
        score: 0.5,
        check: Some(itin),
        context: ITIN_WORDS,
    },
    Form {
        entity: Entity::UsItin,
        rule: "us-itin-digits",
        pattern: r"9[0-9]{2}(?:[5-9][0-9]{5}|-[5-9][0-9]{5}|[5-9][0-9]-[0-9]{4})",
        score: 0.1,
        check: Some(itin),
        context: ITIN_WORDS,
    },
    Form {
        entity: Entity::UsPassport,
        rule: "us-passport",
        pattern: r"[A-Z][0-9]{8}",
        score: 0.1,
        check: None,
        context: PASSPORT_WORDS,
    },
    Form {
        entity: Entity::UsPassport,
        rule: "us-passport-digits",
        pattern: r"[0-9]{9}",
        score: 0.05,
        check: None,
        context: PASSPORT_WORDS,
    },
    Form {
        entity: Entity::UsDriverLicense,
        rule: "us-driver-license",
        // By state: a letter and digits (most), two or three letters before (Colorado, Idaho, Ohio, North Dakota), letters
        // between or after (Iowa, Kansas, Missouri, Maine, New Hampshire, Vermont, Nevada).
        // What is longer stands first, as the first alternative that fits is taken.
        pattern: concat!(
            r"[A-Z][0-9]{6}R|[A-Z]{2}[0-9]{6}[A-Z]|[A-Z]{3}[0-9]{6}|[A-Z]{2}[0-9]{2,7}|[A-Z](?:[0-9]{18}|[0-9]{3,14})",
            r"|[0-9]{8}[A-Z]{2}|[0-9]{7,9}[A-Z]|[0-9]{3}[A-Z]{2}[0-9]{4}|[0-9]{3}[A-Z][0-9]{6}|[0-9]{2}[A-Z]{3}[0-9]{5}",
            r"|[A-Z][0-9][A-Z][0-9][A-Z]",
        ),
        score: 0.3,
        check: None,
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::UsDriverLicense,
        rule: "us-driver-license-digits",
        pattern: r"[0-9]{16}|[0-9]{6,14}",
        score: 0.01,
        check: None,
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::UsBankNumber,
        rule: "us-bank-number",
        pattern: r"[0-9]{8,17}",
        score: 0.05,
        check: None,
        context: BANK_WORDS,
    },
    Form {
        entity: Entity::UsMbi,
        rule: "us-mbi",
        // The Centers for Medicare & Medicaid Services leave out S, L, O, I, B and Z, which look like digits.
        pattern: concat!(
            r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]-[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]",
            r"-[AC-HJKMNP-RT-Y]{2}[0-9]{2}",
        ),
        score: 0.5,
        check: None,
        context: MEDICARE_WORDS,
    },
    Form {
        entity: Entity::UsMbi,
        rule: "us-mbi-plain",
        pattern: concat!(
            r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9][0-9]",
            r"[AC-HJKMNP-RT-Y]{2}[0-9]{2}",
        ),
        score: 0.3,
        check: None,
        context: MEDICARE_WORDS,
    },
    Form {
        entity: Entity::UsNpi,
        rule: "us-npi",
        pattern: r"[12][0-9]{9}|[12][0-9]{3}[- ][0-9]{3}[- ][0-9]{3}",
        score: 0.1,
        check: Some(npi),
        context: NPI_WORDS,
    },
    Form {
        entity: Entity::AbaRoutingNumber,
        rule: "us-aba-routing",
        pattern: r"[0-3678][0-9]{8}|[0-3678][0-9]{3}[- ][0-9]{4}[- ][0-9]",
        score: 0.05,
        check: Some(aba_routing),
        context: ROUTING_WORDS,
    },
    Form {
        entity: Entity::MedicalLicense,
        rule: "us-dea",
        pattern: r"[ABCDEFGHJKLMPRSTUX][A-Z9][0-9]{7}",
        score: 0.4,
        check: Some(dea),
        context: DEA_WORDS,
    },
];

/// Social Security Administration: no area 000, 666 or 900 to 999, no group 00, no serial 0000. Numbers that
/// advertisements printed were withdrawn, and runs of digits are typed to fill a field.
fn ssn(text: &str) -> Check {
    const WITHDRAWN: [u32; 2] = [78_051_120, 219_099_999];
    let Some(ssn) = digits::<9>(text) else { return Check::Invalid };
    let (area, group, serial) = (number(&ssn[..3]), number(&ssn[3..5]), number(&ssn[5..]));
    let issued = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    plausible(issued && one_separator(text) && !all_equal(&ssn) && !WITHDRAWN.contains(&number(&ssn)))
}

/// Internal Revenue Service: 9 first; the fourth and fifth digits from 50 to 65, 70 to 88, 90 to 92 or 94 to 99.
fn itin(text: &str) -> Check {
    let Some(itin) = digits::<9>(text) else { return Check::Invalid };
    let group = number(&itin[3..5]);
    plausible(matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99) && one_separator(text))
}

/// 45 CFR 162.406: Luhn over the number behind 80840, the issuer of health identifiers in the United States.
fn npi(text: &str) -> Check {
    let Some(npi) = digits::<10>(text) else { return Check::Invalid };
    let mut card = [8, 0, 8, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    card[5..].copy_from_slice(&npi);
    likely(luhn(&card) && one_separator(text))
}

/// American Bankers Association: a Federal Reserve district first, weights 3, 7, 1, modulo 10.
fn aba_routing(text: &str) -> Check {
    let Some(routing) = digits::<9>(text) else { return Check::Invalid };
    let district = matches!(number(&routing[..2]), 1..=12 | 21..=32 | 61..=72 | 80);
    likely(
        district
            && weighted(&routing, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
            && one_separator(text),
    )
}

/// Drug Enforcement Administration: digits 1, 3, 5 plus twice digits 2, 4, 6; the last digit of the sum is the seventh.
fn dea(text: &str) -> Check {
    let Some(signs) = signs::<9>(text) else { return Check::Invalid };
    let registrant: String = signs[2..].iter().map(|&sign| char::from(sign)).collect();
    let Some(number) = digits::<7>(&registrant) else { return Check::Invalid };
    verdict(weighted(&number, &[1, 2, 1, 2, 1, 2]) % 10 == u32::from(number[6]) && !all_equal(&number))
}
