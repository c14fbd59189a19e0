//! `exam_datafog`: a row names a text and the entities in it, by type and by text.

use std::collections::BTreeMap;

use rtune_privacy::{Entity, ScanOptions, Scanner, code_points};

/// Their types and ours.
const TYPES: [(&str, &[Entity]); 8] = [
    ("EMAIL", &[Entity::EmailAddress]),
    ("PHONE", &[Entity::PhoneNumber]),
    ("SSN", &[Entity::UsSsn]),
    ("CREDIT_CARD", &[Entity::CreditCard]),
    ("IP_ADDRESS", &[Entity::IpAddress]),
    ("DATE", &[Entity::DateTime, Entity::DateOfBirth]),
    ("ZIP_CODE", &[Entity::PostalCode]),
    ("ADDRESS", &[Entity::StreetAddress]),
];

/// The least share of spans of the types that a text's form shows, in percent.
const REQUIRED: f64 = 80.0;

#[derive(Default)]
struct Tally {
    spans: usize,
    found: usize,
    surplus: usize,
}

#[test]
fn exam_datafog() {
    let all = Entity::ALL.to_vec();
    let scanner = Scanner::new(&ScanOptions { entities: all, ..ScanOptions::default() }).expect("a scanner");
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for row in super::rows("RTUNE_EXAM_DATAFOG", "datafog.jsonl") {
        let text = row["input"].as_str().expect("a text");
        let findings = scanner.scan(text);
        for (name, ours) in TYPES {
            let tally = tallies.entry(name).or_default();
            let mut found: Vec<(usize, usize)> = findings
                .iter()
                .filter(|finding| ours.contains(&finding.entity))
                .map(|finding| code_points(text, finding))
                .collect();
            for expected in row["expected_entities"].as_array().expect("entities") {
                if expected["type"].as_str() != Some(name) {
                    continue;
                }
                let place = |key: &str| expected[key].as_u64().expect("a place") as usize;
                let span = (place("start"), place("end"));
                tally.spans += 1;
                if found.contains(&span) {
                    tally.found += 1;
                    found.retain(|other| *other != span);
                } else {
                    println!("  {name}: {text:?}: expected {span:?}, found {found:?}");
                }
            }
            if !found.is_empty() {
                println!("  {name}: {text:?}: surplus {found:?}");
            }
            tally.surplus += found.len();
        }
    }
    println!("at the default threshold, exact spans");
    println!("{:<14} {:>7} {:>7} {:>8}", "type", "found", "spans", "surplus");
    for (name, tally) in &tallies {
        println!("{name:<14} {:>7} {:>7} {:>8}", tally.found, tally.spans, tally.surplus);
    }
    let (found, spans) =
        tallies.values().fold((0, 0), |(found, spans), tally| (found + tally.found, spans + tally.spans));
    let share = super::percent(found, spans);
    println!("all: {found} of {spans} ({share:.1} %)");
    assert!(share >= REQUIRED, "{share:.1} % of the spans found, required {REQUIRED}");
}
