//! The forms against cases made from the definitions, by a matcher too plain to be wrong: every form at every position.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};

use super::forms;
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

mod europe;
mod exam;

/// The spans of `entity` in `text`, in bytes: leftmost matches of each form from every position, with word boundaries, without
/// what lies inside a longer span of the same entity.
pub(super) fn spans(entity: Entity, text: &str) -> Vec<(usize, usize)> {
    let mut found = BTreeSet::new();
    for form in forms().filter(|form| form.entity == entity) {
        let regex = compiled(form);
        let mut from = 0;
        while let Some(span) = text.get(from..).and_then(|_| regex.find_at(text, from)) {
            from = span.start() + text[span.start()..].chars().next().map_or(1, char::len_utf8);
            let valid = form.check.is_none_or(|check| check(span.as_str()) != Check::Invalid);
            if valid && bounded(text, span.start(), span.end()) {
                found.insert((span.start(), span.end()));
            }
        }
    }
    let longest = |&(start, end): &(usize, usize)| {
        !found.iter().any(|&(other_start, other_end)| {
            (other_start, other_end) != (start, end) && other_start <= start && end <= other_end
        })
    };
    found.iter().filter(|span| longest(span)).copied().collect()
}

fn compiled(form: &Form) -> Regex {
    RegexBuilder::new(form.pattern).case_insensitive(true).build().expect("a pattern of the crate")
}

fn bounded(text: &str, start: usize, end: usize) -> bool {
    let joins = |neighbour: char| neighbour.is_alphanumeric() || neighbour == '_';
    !text[..start].chars().next_back().is_some_and(joins) && !text[end..].chars().next().is_some_and(joins)
}

/// Each text holds exactly the spans given as texts, in order.
pub(super) fn holds(entity: Entity, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let found: Vec<&str> = spans(entity, text).into_iter().map(|(start, end)| &text[start..end]).collect();
        assert_eq!(&found, expected, "{entity} in {text:?}");
    }
}

/// Each text is one identifier, whole, and none once a letter, digit or underscore is joined to it.
pub(super) fn whole(entity: Entity, texts: &[&str]) {
    for text in texts {
        holds(entity, &[(text, &[text])]);
        holds(entity, &[(&format!("({text})."), &[text])]);
        for longer in [format!("x{text}"), format!("{text}_"), format!("{text}7"), format!("9{text}")] {
            let found = spans(entity, &longer);
            assert!(!found.contains(&(0, longer.len())) || found.is_empty() || longer.len() == text.len(), "{longer:?}");
            assert!(!found.iter().any(|&(start, end)| &longer[start..end] == *text), "{entity} in {longer:?}");
        }
    }
}

/// None of the texts holds one.
pub(super) fn none(entity: Entity, texts: &[&str]) {
    for text in texts {
        holds(entity, &[(text, &[])]);
    }
}

#[test]
fn every_form_compiles_and_asks_for_words_in_small_letters() {
    let mut rules = BTreeSet::new();
    for form in forms() {
        compiled(form);
        assert!(rules.insert(form.rule), "two rules {}", form.rule);
        assert!((0.0..=1.0).contains(&form.score) && form.score > 0.0, "{}", form.rule);
        assert!(form.context.iter().all(|word| *word == word.to_lowercase()), "{}", form.rule);
    }
}

/// With RTUNE_EXAM_PII, a table of the national entities of that file by the plain matcher; without it the fixture's.
#[test]
fn a_checksum_never_panics_on_what_its_form_lets_through() {
    let texts = ["", "0", "A", "Ä", "0000000000000000000000", "AAAAAAAAAAAAAAAAAAAA", "-- -- --", "١٢٣٤٥٦٧٨٩"];
    for check in forms().filter_map(|form| form.check) {
        texts.iter().for_each(|text| {
            check(text);
        });
    }
}
