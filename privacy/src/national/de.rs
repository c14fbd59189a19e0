//! Germany.

use super::checksums::{
    all_equal, base_36, digits, icao_9303, is_date_of_a_century, iso_7064_mod_11_10, likely, number,
    one_separator, plausible, signs, verdict, weighted, weighted_digit_sums,
};
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

const PRACTICE_WORDS: &[&str] =
    &["bsnr", "betriebsstättennummer", "betriebsstätte", "praxis", "praxisnummer", "arztpraxis"];
const DRIVER_WORDS: &[&str] =
    &["führerschein", "führerscheinnummer", "fahrerlaubnis", "driving licence", "driving license"];
const REGISTER_WORDS: &[&str] =
    &["handelsregister", "registergericht", "amtsgericht", "handelsregisternummer"];
const HEALTH_WORDS: &[&str] = &[
    "krankenversicherung",
    "versichertennummer",
    "krankenversichertennummer",
    "kvnr",
    "krankenkasse",
    "gesundheitskarte",
];
const CARD_WORDS: &[&str] = &["personalausweis", "ausweis", "ausweisnummer", "identity card", "id card"];
const PLATE_WORDS: &[&str] = &["kennzeichen", "kfz", "nummernschild", "fahrzeug", "zulassung", "auto", "pkw"];
const DOCTOR_WORDS: &[&str] = &["lanr", "arztnummer", "arzt", "ärztin", "vertragsarzt"];
const PASSPORT_WORDS: &[&str] = &["reisepass", "pass", "passnummer", "reisepassnummer", "passport"];
const POSTCODE_WORDS: &[&str] =
    &["plz", "postleitzahl", "anschrift", "adresse", "wohnort", "ort", "postcode"];
const PENSION_WORDS: &[&str] = &[
    "rentenversicherung",
    "rentenversicherungsnummer",
    "sozialversicherung",
    "sozialversicherungsnummer",
    "rvnr",
    "svnr",
];
const TAX_ID_WORDS: &[&str] = &[
    "steuer-id",
    "steueridentifikationsnummer",
    "steuerliche",
    "identifikationsnummer",
    "idnr",
    "tax id",
    "tin",
];
const TAX_NUMBER_WORDS: &[&str] = &["steuernummer", "st.-nr", "st-nr", "stnr", "finanzamt", "tax number"];
const VAT_WORDS: &[&str] = &["ust-id", "ust-idnr", "ustid", "umsatzsteuer", "umsatzsteuer-id", "vat"];

pub(crate) const FORMS: &[Form] = &[
    Form {
        entity: Entity::DeBsnr,
        rule: "de-bsnr",
        pattern: r"[0-9]{9}",
        score: 0.05,
        check: Some(bsnr),
        context: PRACTICE_WORDS,
    },
    Form {
        entity: Entity::DeFuehrerschein,
        rule: "de-fuehrerschein",
        // Annex 8 of the Fahrerlaubnis-Verordnung: authority, running number, check sign, number of the copy.
        pattern: r"[A-Z][A-Z0-9][0-9]{2}[A-Z0-9]{6}[A-Z0-9]",
        score: 0.2,
        check: Some(driver_licence),
        context: DRIVER_WORDS,
    },
    Form {
        entity: Entity::DeHandelsregister,
        rule: "de-handelsregister",
        pattern: r"HR[AB](?:[- ]| ?Nr\.? ?)?[0-9]{1,6}[A-Z]?",
        score: 0.5,
        check: None,
        context: REGISTER_WORDS,
    },
    Form {
        entity: Entity::DeHealthInsurance,
        rule: "de-kvnr",
        pattern: r"[A-Z][0-9]{9}",
        score: 0.4,
        check: Some(health_insurance),
        context: HEALTH_WORDS,
    },
    Form {
        entity: Entity::DeIdCard,
        rule: "de-id-card",
        // Serial number, with the check digit of the machine-readable zone or without.
        pattern: r"[LMNPRTVWXY][0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]?",
        score: 0.1,
        check: Some(id_card),
        context: CARD_WORDS,
    },
    Form {
        entity: Entity::DeKfz,
        rule: "de-kfz",
        pattern: r"(?:[A-Z]|Ä|Ö|Ü){1,3}(?:-[A-Z]{1,2}[- ]?| [A-Z]{1,2} )[1-9][0-9]{0,3}[EH]?",
        score: 0.2,
        check: Some(plate),
        context: PLATE_WORDS,
    },
    Form {
        entity: Entity::DeLanr,
        rule: "de-lanr",
        pattern: r"[0-9]{9}",
        score: 0.1,
        check: Some(lanr),
        context: DOCTOR_WORDS,
    },
    Form {
        entity: Entity::DePassport,
        rule: "de-passport",
        pattern: r"[CFGHJK][0-9CFGHJKLMNPRTVWXYZ]{8}[0-9]?",
        score: 0.2,
        check: Some(passport),
        context: PASSPORT_WORDS,
    },
    Form {
        entity: Entity::DePlz,
        rule: "de-plz",
        pattern: r"[0-9]{5}",
        score: 0.05,
        check: Some(postcode),
        context: POSTCODE_WORDS,
    },
    Form {
        entity: Entity::DeSocialSecurity,
        rule: "de-rvnr",
        pattern: r"[0-9]{2} ?[0-9]{6} ?[A-Z] ?[0-9]{3}",
        score: 0.4,
        check: Some(pension_insurance),
        context: PENSION_WORDS,
    },
    Form {
        entity: Entity::DeTaxId,
        rule: "de-tax-id",
        pattern: r"[1-9][0-9]{10}|[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}",
        score: 0.4,
        check: Some(tax_id),
        context: TAX_ID_WORDS,
    },
    Form {
        entity: Entity::DeTaxNumber,
        rule: "de-tax-number",
        // By Land: 2 or 3, 3 or 4, 4 or 5 digits; five and five in Baden-Württemberg; a 0 before the first group in Hesse.
        pattern: r"[0-9]{2,3}[/ ][0-9]{3}[/ ][0-9]{5}|[0-9]{3}[/ ][0-9]{4}[/ ][0-9]{4}|[0-9]{5}/[0-9]{5}",
        score: 0.3,
        check: Some(tax_number),
        context: TAX_NUMBER_WORDS,
    },
    Form {
        entity: Entity::DeTaxNumber,
        rule: "de-tax-number-federal",
        pattern: r"(?:1[01]|2[1-8]|3[0-2]|4[01]|5[0-9])[0-9]{2}0[0-9]{8}",
        score: 0.1,
        check: Some(federal_tax_number),
        context: TAX_NUMBER_WORDS,
    },
    Form {
        entity: Entity::DeVatId,
        rule: "de-vat-id",
        pattern: r"DE ?[1-9][0-9]{2} ?[0-9]{3} ?[0-9]{3}",
        score: 0.5,
        check: Some(vat_id),
        context: VAT_WORDS,
    },
];

/// Kassenärztliche Bundesvereinigung: a region, then a running number, without a check digit. No region is 00.
fn bsnr(text: &str) -> Check {
    let Some(bsnr) = digits::<9>(text) else { return Check::Invalid };
    plausible(number(&bsnr[..2]) != 0 && !all_equal(&bsnr))
}

/// Since 2013: weights 9 to 1 over base 36, modulo 11, X for 10. Numbers of other makes are valid too.
fn driver_licence(text: &str) -> Check {
    let Some(licence) = signs::<11>(text) else { return Check::Invalid };
    let sum: u32 = licence[..9].iter().zip((1..=9).rev()).map(|(&sign, weight)| base_36(sign) * weight).sum();
    let expected = if sum % 11 == 10 { 33 } else { sum % 11 };
    if base_36(licence[9]) == expected {
        return Check::Valid;
    }
    let all_digits_behind = licence[2..10].iter().all(u8::is_ascii_digit);
    plausible(all_digits_behind)
}

/// Section 290 of the fifth book of the Sozialgesetzbuch: the letter as two digits, weights 1 and 2, digit sums, modulo 10.
fn health_insurance(text: &str) -> Check {
    let Some(signs) = signs::<10>(text) else { return Check::Invalid };
    let Some(rest) = digits::<9>(text) else { return Check::Invalid };
    let letter = (signs[0] - b'A' + 1) % 27;
    let mut values = [0; 10];
    values[..2].copy_from_slice(&[letter / 10, letter % 10]);
    values[2..].copy_from_slice(&rest[..8]);
    verdict(weighted_digit_sums(&values, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2]) % 10 == u32::from(rest[8]))
}

/// With ten signs the last checks the others; with nine there is nothing to check by.
fn id_card(text: &str) -> Check {
    match text.len() {
        10 => checked_document(text),
        _ => Check::Unknown,
    }
}

/// As on identity cards; but nine signs with digits only behind the letter end with a check digit, as before 2007.
fn passport(text: &str) -> Check {
    let digits_only = text.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    match text.len() {
        10 => checked_document(text),
        _ if checked_document(text) == Check::Valid => Check::Valid,
        _ => plausible(!digits_only),
    }
}

fn checked_document(text: &str) -> Check {
    let signs: Vec<u8> = text.bytes().map(|byte| byte.to_ascii_uppercase()).collect();
    let Some((&check, rest)) = signs.split_last() else { return Check::Invalid };
    verdict(check.is_ascii_digit() && icao_9303(rest) == base_36(check))
}

/// Plates are in capitals; `in my 5` is none. A hyphen makes small letters a plate too.
fn plate(text: &str) -> Check {
    plausible(text.contains('-') || !text.bytes().any(|byte| byte.is_ascii_lowercase()))
}

/// Kassenärztliche Bundesvereinigung: weights 4 and 9 over six digits; the seventh makes the sum a multiple of 10; then
/// the specialty, of two digits.
fn lanr(text: &str) -> Check {
    let Some(lanr) = digits::<9>(text) else { return Check::Invalid };
    let check = (10 - weighted(&lanr[..6], &[4, 9, 4, 9, 4, 9]) % 10) % 10;
    likely(u32::from(lanr[6]) == check && number(&lanr[7..]) != 0)
}

/// Deutsche Post: from 01001 to 99998.
fn postcode(text: &str) -> Check {
    let Some(postcode) = digits::<5>(text) else { return Check::Invalid };
    plausible(matches!(number(&postcode), 1_001..=99_998))
}

/// Deutsche Rentenversicherung: area, date of birth, letter of the name as two digits, serial number, check digit.
fn pension_insurance(text: &str) -> Check {
    let Some(signs) = signs::<12>(text) else { return Check::Invalid };
    let Some(rest) = digits::<11>(text) else { return Check::Invalid };
    let letter = (signs[8] - b'A' + 1) % 27;
    let mut values = [0; 12];
    values[..8].copy_from_slice(&rest[..8]);
    values[8..10].copy_from_slice(&[letter / 10, letter % 10]);
    values[10..].copy_from_slice(&rest[8..10]);
    let checked =
        weighted_digit_sums(&values, &[2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]) % 10 == u32::from(rest[10]);
    let born = is_date_of_a_century(number(&rest[6..8]), number(&rest[4..6]), number(&rest[2..4]));
    verdict(checked && born && number(&rest[..2]) != 0)
}

/// Section 139b of the Abgabenordnung: ISO 7064 MOD 11,10. Of the first ten digits one stands there twice or three times;
/// the check digit alone makes a number likely, but not sure.
fn tax_id(text: &str) -> Check {
    let Some(tax_id) = digits::<11>(text) else { return Check::Invalid };
    let mut counts = [0; 10];
    tax_id[..10].iter().for_each(|&digit| counts[usize::from(digit)] += 1);
    let repeated = counts.iter().filter(|&&count| count > 1).count();
    let most = counts.iter().copied().max().unwrap_or(0);
    match (iso_7064_mod_11_10(&tax_id), repeated, most) {
        (false, _, _) | (_, _, 4..) => Check::Invalid,
        (true, 1, _) => Check::Valid,
        (true, _, _) => Check::Unknown,
    }
}

/// The tax office is not 000, nor the district.
fn tax_number(text: &str) -> Check {
    let groups = text.split(['/', ' ']);
    plausible(
        one_separator(text) && groups.filter(|group| group.bytes().all(|byte| byte == b'0')).count() == 0,
    )
}

/// ELSTER: thirteen digits, the office's four first, then 0.
fn federal_tax_number(text: &str) -> Check {
    let Some(number) = digits::<13>(text) else { return Check::Invalid };
    plausible(number[4] == 0 && !all_equal(&number[5..]))
}

/// Bundeszentralamt für Steuern: ISO 7064 MOD 11,10.
fn vat_id(text: &str) -> Check {
    let Some(vat_id) = digits::<9>(text) else { return Check::Invalid };
    verdict(iso_7064_mod_11_10(&vat_id))
}
