//! `exam_pii`: a row names a text, an entity, and the spans of that entity in it, in code points; findings of other entities do
//! not count.

use std::collections::BTreeMap;

use rtune_privacy::{Entity, Finding, ScanOptions, Scanner, code_points};
use serde_json::Value;

/// The least share of cases, in percent, whose spans are exactly those of the row.
const REQUIRED: [(Entity, f64); 10] = [
    (Entity::IbanCode, 98.0),
    (Entity::CreditCard, 95.0),
    (Entity::IpAddress, 95.0),
    (Entity::EmailAddress, 95.0),
    (Entity::PhoneNumber, 80.0),
    (Entity::MacAddress, 90.0),
    (Entity::Url, 80.0),
    (Entity::DateTime, 60.0),
    (Entity::Crypto, 90.0),
    (Entity::UsSsn, 90.0),
];

/// Identifiers with a checksum or a checked structure.
const CHECKED: [Entity; 35] = [
    Entity::AbaRoutingNumber,
    Entity::MedicalLicense,
    Entity::UsNpi,
    Entity::UkNhs,
    Entity::UkDrivingLicence,
    Entity::UkVehicleRegistration,
    Entity::DeBsnr,
    Entity::DeHealthInsurance,
    Entity::DeIdCard,
    Entity::DeLanr,
    Entity::DePassport,
    Entity::DeSocialSecurity,
    Entity::DeTaxId,
    Entity::DeVatId,
    Entity::EsNif,
    Entity::EsNie,
    Entity::ItFiscalCode,
    Entity::ItVatCode,
    Entity::PlPesel,
    Entity::FiPersonalIdentityCode,
    Entity::SePersonnummer,
    Entity::SeOrganisationsnummer,
    Entity::InAadhaar,
    Entity::InGstin,
    Entity::InVehicleRegistration,
    Entity::KrRrn,
    Entity::KrBrn,
    Entity::KrDriverLicense,
    Entity::AuAbn,
    Entity::AuAcn,
    Entity::AuTfn,
    Entity::AuMedicare,
    Entity::CaSin,
    Entity::SgNricFin,
    Entity::SgUen,
];

/// What is required of each of [`CHECKED`], in percent.
const REQUIRED_CHECKED: f64 = 90.0;

/// The most negative cases, in percent, with a finding of their entity.
const MOST_FALSE: f64 = 3.0;

/// A kind with fewer cases may miss one whatever its share.
const FEW: usize = 20;

#[derive(Default)]
struct Tally {
    cases: usize,
    right: usize,
    positives: usize,
    found: usize,
    negatives: usize,
    false_findings: usize,
    right_by_default: usize,
}

#[test]
fn exam_pii() {
    let all = Entity::ALL.to_vec();
    let scanner = Scanner::new(&ScanOptions { entities: all, ..ScanOptions::default() }).expect("a scanner");
    let mut tallies: BTreeMap<Entity, Tally> = BTreeMap::new();
    for row in super::rows("RTUNE_EXAM_PII", "pii.jsonl") {
        let name = row["entity"].as_str().expect("an entity");
        if name == "PATTERN" || name == "PERSON" {
            continue;
        }
        let entity = if name == "PHONE" { Ok(Entity::PhoneNumber) } else { name.parse() };
        let entity = entity.unwrap_or_else(|error| panic!("{error}"));
        let text = row["text"].as_str().expect("a text");
        let expected = spans(&row["spans"]);
        let tally = tallies.entry(entity).or_default();
        let found = of(entity, text, &scanner.scan_all(text));
        let is_right = found == expected;
        tally.cases += 1;
        tally.right += usize::from(is_right);
        tally.right_by_default += usize::from(of(entity, text, &scanner.scan(text)) == expected);
        if expected.is_empty() {
            tally.negatives += 1;
            tally.false_findings += usize::from(!is_right);
        } else {
            tally.positives += 1;
            tally.found += usize::from(is_right);
        }
        if !is_right {
            println!("  {name}: {text:?}: expected {expected:?}, found {found:?}");
        }
    }
    show(&tallies);
    hold(&tallies);
}

/// Names are left to `exam_names`: a `PERSON` is no form.
fn show(tallies: &BTreeMap<Entity, Tally>) {
    println!(
        "{:<28} {:>7} {:>7} {:>7} {:>9} {:>12} {:>10}",
        "entity", "right", "cases", "%", "positive", "false/negat.", "at 0.4"
    );
    for (entity, tally) in tallies {
        println!(
            "{:<28} {:>7} {:>7} {:>7.1} {:>9} {:>12} {:>10}",
            entity.name(),
            tally.right,
            tally.cases,
            super::percent(tally.right, tally.cases),
            format!("{}/{}", tally.found, tally.positives),
            format!("{}/{}", tally.false_findings, tally.negatives),
            tally.right_by_default,
        );
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>();
    println!(
        "all: {} of {}; at the default threshold {}",
        sum(|t| t.right),
        sum(|t| t.cases),
        sum(|t| t.right_by_default)
    );
}

fn hold(tallies: &BTreeMap<Entity, Tally>) {
    let checked = CHECKED.iter().map(|entity| (*entity, REQUIRED_CHECKED));
    let mut wrong = Vec::new();
    for (entity, least) in REQUIRED.into_iter().chain(checked) {
        let Some(tally) = tallies.get(&entity) else { continue };
        let is_few_and_near = tally.cases < FEW && tally.cases - tally.right <= 1;
        let share = super::percent(tally.right, tally.cases);
        let of_positives = super::percent(tally.found, tally.positives);
        if share.min(of_positives) < least && !is_few_and_near {
            wrong.push(format!(
                "{entity}: {share:.1} % ({of_positives:.1} % of those with spans), required {least}"
            ));
        }
        let false_share = super::percent(tally.false_findings, tally.negatives);
        let is_false = tally.negatives > 0 && false_share > MOST_FALSE;
        if is_false && !(tally.negatives < FEW && tally.false_findings <= 1) {
            wrong.push(format!(
                "{entity}: false findings on {false_share:.1} % of negative cases, at most {MOST_FALSE}"
            ));
        }
    }
    assert!(wrong.is_empty(), "below what is required:\n  {}", wrong.join("\n  "));
}

fn spans(value: &Value) -> Vec<(usize, usize)> {
    let number = |value: &Value| value.as_u64().expect("a place") as usize;
    let mut spans: Vec<(usize, usize)> =
        value.as_array().expect("spans").iter().map(|span| (number(&span[0]), number(&span[1]))).collect();
    spans.sort_unstable();
    spans
}

fn of(entity: Entity, text: &str, findings: &[Finding]) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = findings
        .iter()
        .filter(|finding| finding.entity == entity)
        .map(|finding| code_points(text, finding))
        .collect();
    spans.sort_unstable();
    spans
}
