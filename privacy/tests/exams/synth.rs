//! `exam_synth`: the entities of `exam_names` that rules find: a row names a text and its spans in code points; a span is found if
//! at least four fifths of it are covered by findings of any entity, at the default threshold.

use std::collections::BTreeMap;

use rtune_privacy::{ScanOptions, Scanner, code_points};

/// The least share of an entity's spans that is found, in percent.
const REQUIRED: [(&str, f64); 5] = [
    ("EMAIL_ADDRESS", 97.0),
    ("IBAN_CODE", 97.0),
    ("CREDIT_CARD", 97.0),
    ("US_SSN", 97.0),
    ("PHONE_NUMBER", 85.0),
];

/// An entity with fewer spans may miss one whatever its share.
const FEW: usize = 20;

#[test]
fn exam_synth() {
    let scanner = Scanner::new(&ScanOptions::default()).expect("a scanner");
    let mut tallies: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for row in super::rows("RTUNE_EXAM_NAMES", "synth.jsonl") {
        let text = row["text"].as_str().expect("a text");
        let findings: Vec<(usize, usize)> =
            scanner.scan(text).iter().map(|finding| code_points(text, finding)).collect();
        for span in row["spans"].as_array().expect("spans") {
            let place = |index: usize| span[index].as_u64().expect("a place") as usize;
            let (start, end) = (place(0), place(1));
            let name = span[2].as_str().expect("an entity");
            let covered = |(from, to): &(usize, usize)| end.min(*to).saturating_sub(start.max(*from));
            let is_found = findings.iter().map(covered).sum::<usize>() * 5 >= (end - start) * 4;
            let (found, spans) = tallies.entry(name.to_owned()).or_default();
            *spans += 1;
            *found += usize::from(is_found);
            if !is_found && REQUIRED.iter().any(|(required, _)| *required == name) {
                let before: String =
                    text.chars().skip(start.saturating_sub(24)).take(24.min(start)).collect();
                let missed: String = text.chars().skip(start).take(end - start).collect();
                println!("  {name}: {missed:?} behind {before:?}");
            }
        }
    }
    println!("{:<18} {:>6} {:>6} {:>7}", "entity", "found", "spans", "%");
    for (name, (found, spans)) in &tallies {
        println!("{name:<18} {found:>6} {spans:>6} {:>7.1}", super::percent(*found, *spans));
    }
    let mut wrong = Vec::new();
    for (name, least) in REQUIRED {
        let Some((found, spans)) = tallies.get(name) else { continue };
        let share = super::percent(*found, *spans);
        if share < least && !(*spans < FEW && spans - found <= 1) {
            wrong.push(format!("{name}: {share:.1} %, required {least}"));
        }
    }
    assert!(wrong.is_empty(), "below what is required:\n  {}", wrong.join("\n  "));
}
