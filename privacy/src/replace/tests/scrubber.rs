//! Finding and replacing together.

use std::sync::Arc;

use super::SALT;
use crate::entity::Entity;
use crate::finding::Finding;
use crate::names::{NameFinder, NameFinderError};
use crate::replace::{Mode, Replacement, Scope, Scrubber};
use crate::scanner::{ScanOptions, Scanner};

fn scrubber(mode: Mode, finder: Option<Arc<dyn NameFinder>>) -> Scrubber {
    let scanner = Scanner::new(&ScanOptions::default()).expect("a scanner");
    let replacement = Replacement { mode, scope: Scope::Record, salt: Some(SALT.to_owned()) };
    Scrubber::new(&replacement, scanner, finder).expect("a scrubber")
}

/// Two turns of support, with what a record of that kind holds.
fn record() -> Vec<String> {
    let key = format!("{}{}", concat!("gh", "p_"), "Zk3RtY7uQw9LmN2bVc8XsD4fGh6JpK1aEiOo");
    [
        "Hello, my name is Martina Lindqvist, my card 4111 1111 1111 1111 was charged twice. Write to martina.lindqvist@nordmail.se \
         or call +46 8 123 456 78. My account number is 12345678901.",
        "Dear Ms Lindqvist,\nwe see account 12345678901 and the login from 81.2.69.142. Is DE89 3704 0044 0532 0130 00 still yours?",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("Sure. My password is Tr0ub4dor&3 and the token {key}. Regards,\nMartina Lindqvist")])
    .collect()
}

const PERSONAL: &[&str] = &[
    "Martina",
    "Lindqvist",
    "4111",
    "nordmail",
    "123 456 78",
    "81.2.69.142",
    "DE89",
    "0532 0130",
    "Tr0ub4dor",
    "RtY7uQw9",
];

#[test]
fn nothing_personal_is_left_in_any_mode() {
    for mode in [Mode::Tag, Mode::Numbered, Mode::Surrogate, Mode::Hash, Mode::Mask] {
        let mut texts = record();
        let scrubbed = scrubber(mode, None).scrub(&mut texts).expect("no finder");
        let all = texts.join("\n");
        for personal in PERSONAL {
            assert!(!all.contains(personal), "{mode:?}: {personal} in {all}");
        }
        assert!(scrubbed.replaced >= 9 && scrubbed.counts.contains_key(&Entity::ApiKey), "{scrubbed:?}");
        // What is nobody's stays.
        assert!(all.contains("was charged twice") && all.contains("still yours?"), "{all}");
    }
    let mut texts = record();
    assert!(scrubber(Mode::DropRow, None).scrub(&mut texts).expect("no finder").drop);
    assert_eq!(texts, record());
}

#[test]
fn the_same_value_has_one_number_through_the_record() {
    let mut texts = record();
    scrubber(Mode::Numbered, None).scrub(&mut texts).expect("no finder");
    assert_eq!(texts[0].matches("[NAME_1]").count() + texts[2].matches("[NAME_1]").count(), 2, "{texts:?}");
    assert!(texts[0].contains("[EMAIL_1]") && texts[0].contains("[CARD_1]"), "{texts:?}");
}

#[test]
fn a_second_scrub_finds_nothing_new() {
    let mut rows: Vec<Vec<String>> = vec![record()];
    if let Some(path) = std::env::var_os("RTUNE_EXAM_NAMES") {
        let text = std::fs::read_to_string(path).expect("the exam is readable");
        let rows_of =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a row"));
        rows.extend(rows_of.filter_map(|row| Some(vec![row["text"].as_str()?.to_owned()])));
    }
    for mode in [Mode::Tag, Mode::Numbered, Mode::Hash] {
        let scrubber = scrubber(mode, None);
        for row in &rows {
            let mut texts = row.clone();
            scrubber.scrub(&mut texts).expect("no finder");
            let once = texts.clone();
            let scrubbed = scrubber.scrub(&mut texts).expect("no finder");
            assert_eq!((scrubbed.replaced, &texts), (0, &once), "{mode:?}");
        }
    }
}

/// A finder that knows one name and where it stands in the texts it was asked about.
struct Knows(&'static str);

impl NameFinder for Knows {
    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        let found = texts.iter().map(|text| {
            // Only the first mention, as a model may miss the others.
            let start = text.find(self.0)?;
            let end = start + self.0.len();
            Some(Finding { start, end, entity: Entity::Person, score: 0.9, rule: "test" })
        });
        Ok(found.map(|finding| finding.into_iter().collect()).collect())
    }

    fn identity(&self) -> &str {
        "test"
    }
}

#[test]
fn a_finder_of_names_is_asked_once_for_a_batch_and_its_names_are_repeated() {
    let mut rows = vec![
        vec!["xylo Quendu came".to_owned(), "we saw xylo Quendu and xylo Quendu again".to_owned()],
        Vec::new(),
        vec!["nobody".to_owned()],
    ];
    let scrubber = scrubber(Mode::Numbered, Some(Arc::new(Knows("xylo Quendu"))));
    let scrubbed = scrubber.scrub_batch(&mut rows).expect("the finder works");
    assert_eq!(rows[0], ["[NAME_1] came", "we saw [NAME_1] and [NAME_1] again"]);
    assert_eq!(scrubbed.iter().map(|scrubbed| scrubbed.replaced).collect::<Vec<usize>>(), [3, 0, 0]);
    let mut texts = ["xylo Quendu came".to_owned()];
    scrubber.scrub(&mut texts).expect("the finder works");
    assert_eq!(texts[0], "[NAME_1] came");
}

/// A finder that fails, or answers for too few texts.
struct Fails(bool);

impl NameFinder for Fails {
    fn find(&self, _: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        if self.0 { Err(NameFinderError { reason: "out of memory".to_owned() }) } else { Ok(Vec::new()) }
    }

    fn identity(&self) -> &str {
        "test"
    }
}

#[test]
fn a_finder_that_fails_leaves_the_texts() {
    for fails in [true, false] {
        let mut texts = record();
        assert!(scrubber(Mode::Tag, Some(Arc::new(Fails(fails)))).scrub(&mut texts).is_err());
        assert_eq!(texts, record());
    }
}

#[test]
fn what_is_allowed_or_not_asked_for_stays() {
    let options = ScanOptions {
        entities: vec![Entity::EmailAddress],
        allow: vec!["support@firma.de".to_owned()],
        ..ScanOptions::default()
    };
    let scanner = Scanner::new(&options).expect("a scanner");
    let replacement = Replacement { mode: Mode::Tag, scope: Scope::Record, salt: None };
    let scrubber = Scrubber::new(&replacement, scanner, Some(Arc::new(Knows("Anna")))).expect("a scrubber");
    let mut texts = ["Anna, Support@firma.de, anna@firma.de".to_owned()];
    scrubber.scrub(&mut texts).expect("the finder works");
    assert_eq!(texts[0], "Anna, Support@firma.de, <EMAIL_ADDRESS>");
}
