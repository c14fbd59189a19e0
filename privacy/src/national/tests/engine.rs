//! The scanner's engine against the plain matcher: of spans that overlap it keeps one, and finds no others.

use super::{all_spans, is_whole};
use crate::entity::Entity;
use crate::national::forms;
use crate::scanner::{ScanOptions, Scanner};

/// Identifiers of many countries, right and wrong, and what stands between them.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "536-90-4399", "912-70-1234", "1EG4-TE5-MK72", "1234567893", "021000021", "AB1234563", "943 476 5919", "AB 12 34 56 C",
    "MORGA657054SM9IJ", "EC1A 1BB", "BD51 SMR", "86095742719", "DE136695976", "65170839J003", "A123456780", "L01X00T47",
    "C01234565", "B-AB 1234", "10115", "HRB 12345", "181/815/08155", "12345678Z", "X1234567L", "RSSMRA85T10A562S", "07643520567",
    "AX 1234567", "44051401359", "131052-308T", "811228-9874", "556703-7485", "2341 2341 2346", "27AAPFU0939F1ZV", "AAPFU0939F",
    "KA01AB1234", "ABC1234567", "800101-1234560", "220-81-62517", "11-22-123456-12", "M123A4567", "51 824 753 556", "004 085 616",
    "123 456 782", "2123 45670 1", "046 454 286", "S1234567D", "53125226D", "1520000000004", "10000000146", "34 ABC 123",
    "0532 123 45 67", "8001015009087", "ABC-123DE", "0917 123 4567", "000-123-456-000", " ", ", ", "x", "_", "7", "입니다", "ü", "(", ")", "-",
    "/", ".", "\n", "+",
];

#[test]
fn the_engine_finds_what_the_forms_say() {
    let mut entities: Vec<Entity> = forms().map(|form| form.entity).collect();
    entities.dedup();
    let options = ScanOptions { entities: entities.clone(), threshold: 0.0, ..ScanOptions::default() };
    let scanner = Scanner::new(&options).expect("a scanner");
    for round in 0..400_u32 {
        let mut bytes = [0; 9];
        blake3::Hasher::new().update(b"engine").update(&round.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let text: String = bytes.iter().map(|&byte| PIECES[usize::from(byte) % PIECES.len()]).collect();
        let found = scanner.scan_all(&text);
        for &entity in &entities {
            let by_engine = found.iter().filter(|finding| finding.entity == entity);
            let by_engine: Vec<(usize, usize)> =
                by_engine.map(|finding| (finding.start, finding.end)).collect();
            let plain = all_spans(entity, &text);
            // It may find a shorter span too, where the longest from a place does not end at the end of a word.
            let known = |&(start, end): &(usize, usize)| {
                plain.contains(&(start, end)) || is_whole(entity, &text, start, end)
            };
            assert!(by_engine.iter().all(known), "{entity} in {text:?}: {by_engine:?}, {plain:?}");
            let kept =
                |&(start, end): &(usize, usize)| by_engine.iter().any(|&(from, to)| from < end && start < to);
            assert!(plain.iter().all(kept), "{entity} in {text:?}: {by_engine:?}, {plain:?}");
        }
    }
}

/// No-break spaces and hyphens are blanks and hyphens, at the places of the text.
#[test]
fn numbers_that_are_kept_on_one_line_are_found() {
    let mut entities: Vec<Entity> = forms().map(|form| form.entity).collect();
    entities.extend([Entity::CreditCard, Entity::IbanCode, Entity::StreetAddress, Entity::DateOfBirth]);
    let options = ScanOptions { entities, threshold: 0.0, ..ScanOptions::default() };
    let scanner = Scanner::new(&options).expect("a scanner");
    let more = [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "DE89 3704 0044 0532 0130 00",
        "wohnt Hauptstraße 5, 10115 Berlin",
        "geboren am 12. März 1985",
    ];
    let mut compared = 0;
    for piece in PIECES.iter().copied().chain(more).filter(|piece| piece.contains([' ', '-'])) {
        let plain = format!("it is “{piece}”, é");
        let expected = scanner.scan_all(&plain);
        for (blank, hyphen) in [
            ('\u{a0}', '\u{2010}'),
            ('\u{202f}', '\u{2011}'),
            ('\u{2007}', '\u{2012}'),
            ('\u{2009}', '\u{2212}'),
        ] {
            let written = |c: char| match c {
                ' ' => blank,
                '-' => hyphen,
                c => c,
            };
            let text: String = plain.chars().map(written).collect();
            // A place in the plain text, in the other one.
            let place = |at: usize| plain[..at].chars().map(|c| written(c).len_utf8()).sum::<usize>();
            let found = scanner.scan_all(&text);
            let moved = expected
                .iter()
                .map(|finding| (finding.entity, finding.rule, place(finding.start), place(finding.end)));
            let found: Vec<_> = found
                .iter()
                .map(|finding| (finding.entity, finding.rule, finding.start, finding.end))
                .collect();
            assert_eq!(found, moved.collect::<Vec<_>>(), "{text:?}");
        }
        compared += expected.len();
    }
    assert!(compared > 40, "{compared}");
}
