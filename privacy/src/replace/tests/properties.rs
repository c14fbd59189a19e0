//! What holds of any record in any script, with findings anywhere.

use super::replacer;
use crate::entity::Entity;
use crate::finding::Finding;
use crate::replace::{Mode, Scope};

const MODES: [Mode; 6] = [Mode::Tag, Mode::Numbered, Mode::Surrogate, Mode::Hash, Mode::Mask, Mode::DropRow];

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "Anna", " ", "Müller", "@", "x.de", "李小龍", "👩‍👩‍👧", "e\u{301}", "\u{0}", "\n", "1", "23", "-", "Иван", "محمد", "ß", "İ", "<PERSON>",
    "[NAME_1]", "<", "[", "Ǆ", "2024-02-29", "+49", "::", "ﬁ", "\u{202e}", "ก", "März", "/", "%", "'",
];

/// As random as can be, and the same in every run.
fn bytes(round: u32) -> Vec<u8> {
    let mut bytes = vec![0; 96];
    blake3::Hasher::new().update(b"properties").update(&round.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Texts of pieces, and findings that begin and end at characters, some of them adjacent, overlapping or beyond the end.
fn record(round: u32) -> (Vec<String>, Vec<Vec<Finding>>) {
    let bytes = bytes(round);
    let mut next = bytes.iter().map(|&byte| usize::from(byte));
    let mut draw = move || next.next().unwrap_or(0);
    let mut texts = Vec::new();
    let mut findings = Vec::new();
    for _ in 0..draw() % 4 {
        let text: String = (0..draw() % 9).map(|_| PIECES[draw() % PIECES.len()]).collect();
        let borders: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len(), text.len() + 3]).collect();
        let found = (0..draw() % 5).map(|_| {
            let (one, two) = (borders[draw() % borders.len()], borders[draw() % borders.len()]);
            let entity = Entity::ALL[draw() % Entity::ALL.len()];
            Finding { start: one.min(two), end: one.max(two), entity, score: 1.0, rule: "test" }
        });
        findings.push(found.collect());
        texts.push(text);
    }
    (texts, findings)
}

#[test]
fn what_is_not_found_stays_and_counts_add_up() {
    for round in 0..20_000 {
        let (texts, findings) = record(round);
        for mode in MODES {
            let mut made = texts.clone();
            let scrubbed = replacer(mode, Scope::Record).replace(&mut made, &findings);
            let counted: usize = scrubbed.counts.values().sum();
            match mode {
                Mode::DropRow => {
                    assert!(made == texts && scrubbed.replaced == 0 && scrubbed.drop == (counted > 0))
                }
                _ => assert!(counted == scrubbed.replaced && !scrubbed.drop),
            }
            for ((before, after), found) in texts.iter().zip(&made).zip(&findings) {
                let first =
                    found.iter().map(|finding| finding.start).min().unwrap_or(before.len()).min(before.len());
                let last = found.iter().map(|finding| finding.end).max().unwrap_or(0).min(before.len());
                assert!(
                    after.starts_with(&before[..first]) && after.ends_with(&before[last..]),
                    "{before:?} {after:?}"
                );
                if found.is_empty() {
                    assert_eq!(before, after);
                }
            }
            let mut again = texts.clone();
            replacer(mode, Scope::Record).replace(&mut again, &findings);
            assert_eq!(again, made);
        }
    }
}

#[test]
fn through_a_set_any_record_is_survived() {
    for round in 0..5_000 {
        let (mut texts, findings) = record(round);
        replacer(Mode::Surrogate, Scope::Set).replace(&mut texts, &findings);
    }
}

/// Findings over all of a scrubbed text find only placeholders or what stands between them.
#[test]
fn placeholders_are_not_replaced_again() {
    for round in 0..5_000 {
        let (texts, findings) = record(round);
        for mode in [Mode::Tag, Mode::Numbered, Mode::Hash] {
            let mut made = texts.clone();
            replacer(mode, Scope::Record).replace(&mut made, &findings);
            let words = made.iter().map(|text| {
                let inside = super::super::placeholder::spans(text);
                let within = |span: std::ops::Range<usize>| [span.clone(), span.start + 1..span.end - 1];
                let spans = inside.into_iter().flat_map(within);
                let person = |span: std::ops::Range<usize>| Finding {
                    start: span.start,
                    end: span.end,
                    entity: Entity::Person,
                    score: 1.0,
                    rule: "test",
                };
                spans.map(person).collect()
            });
            let words: Vec<Vec<Finding>> = words.collect();
            let mut again = made.clone();
            assert_eq!(replacer(mode, Scope::Record).replace(&mut again, &words).replaced, 0);
            assert_eq!(again, made);
        }
    }
}

#[test]
fn time_grows_with_the_length_of_a_record() {
    // Twenty thousand persons with their addresses in one record; what is quadratic takes minutes.
    let mut text = String::new();
    let mut findings = Vec::new();
    let mut add = |text: &mut String, entity: Entity, value: &str| {
        findings.push(Finding {
            start: text.len(),
            end: text.len() + value.len(),
            entity,
            score: 1.0,
            rule: "test",
        });
        text.push_str(value);
        text.push(' ');
    };
    let letters = |number: usize| -> String {
        (0..4).map(|place| char::from(b'a' + (number / 26_usize.pow(place) % 26) as u8)).collect()
    };
    for number in 0..20_000 {
        let name = letters(number);
        add(&mut text, Entity::Person, &format!("A{name} B{name}"));
        add(&mut text, Entity::EmailAddress, &format!("a{name}@x.de"));
        add(&mut text, Entity::Person, &format!("{}.", &name[..1]));
    }
    for mode in MODES {
        let start = std::time::Instant::now();
        let mut texts = [text.clone()];
        replacer(mode, Scope::Record).replace(&mut texts, std::slice::from_ref(&findings));
        assert!(start.elapsed().as_secs() < 60, "{mode:?}: {:?}", start.elapsed());
    }
}
