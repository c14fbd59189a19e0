//! The forms against cases made from the definitions, by a matcher too plain to be wrong: every form at every position.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use super::forms;
use crate::check::Check;
use crate::entity::Entity;
use crate::form::Form;

mod elsewhere;
mod engine;
mod europe;

/// The spans of `entity` in `text`, in bytes, without what lies inside a longer one.
pub(super) fn spans(entity: Entity, text: &str) -> Vec<(usize, usize)> {
    let found = all_spans(entity, text);
    let longest = |&(start, end): &(usize, usize)| {
        !found.iter().any(|&(other_start, other_end)| {
            (other_start, other_end) != (start, end) && other_start <= start && end <= other_end
        })
    };
    found.iter().filter(|span| longest(span)).copied().collect()
}

/// Leftmost matches of each form from every position, with word boundaries.
pub(super) fn all_spans(entity: Entity, text: &str) -> BTreeSet<(usize, usize)> {
    let mut found = BTreeSet::new();
    for form in forms().filter(|form| form.entity == entity) {
        let (regex, _) = expressions(form);
        let mut from = 0;
        while let Some(span) = text.get(from..).and_then(|_| regex.find_at(text, from)) {
            from = span.start() + text[span.start()..].chars().next().map_or(1, char::len_utf8);
            let valid = form.check.is_none_or(|check| check(span.as_str()) != Check::Invalid);
            if valid && bounded(text, span.start(), span.end()) {
                found.insert((span.start(), span.end()));
            }
        }
    }
    found
}

/// Whether some form is the whole of `text[start..end]`, and words end there.
pub(super) fn is_whole(entity: Entity, text: &str, start: usize, end: usize) -> bool {
    let span = &text[start..end];
    let is = |form: &Form| {
        let valid = form.check.is_none_or(|check| check(span) != Check::Invalid);
        valid && expressions(form).1.is_match(span)
    };
    bounded(text, start, end) && forms().filter(|form| form.entity == entity).any(is)
}

/// The expression of a form, and the same over all of a text.
fn expressions(form: &Form) -> &'static (Regex, Regex) {
    static BUILT: OnceLock<HashMap<&'static str, (Regex, Regex)>> = OnceLock::new();
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).case_insensitive(true).build().expect("a pattern of the crate")
    };
    let both =
        |form: &'static Form| (form.rule, (build(form.pattern), build(&format!("^(?:{})$", form.pattern))));
    &BUILT.get_or_init(|| forms().map(both).collect())[form.rule]
}

fn bounded(text: &str, start: usize, end: usize) -> bool {
    // As in the scanner: Korean and Thai write particles on without a space.
    let spaceless = |neighbour: char| matches!(neighbour, '\u{e00}'..='\u{eff}' | '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{d7ff}');
    let joins = |neighbour: char| neighbour == '_' || neighbour.is_alphanumeric() && !spaceless(neighbour);
    !text[..start].chars().next_back().is_some_and(joins) && !text[end..].chars().next().is_some_and(joins)
}

/// Each text holds exactly the spans given as texts, in order.
pub(super) fn holds(entity: Entity, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let found: Vec<&str> =
            spans(entity, text).into_iter().map(|(start, end)| &text[start..end]).collect();
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
            assert!(
                !found.iter().any(|&(start, end)| &longer[start..end] == *text),
                "{entity} in {longer:?}"
            );
        }
    }
}

/// None of the texts holds one.
pub(super) fn none(entity: Entity, texts: &[&str]) {
    for text in texts {
        holds(entity, &[(text, &[])]);
    }
}

/// With a sign in place of `?`, one and only one of 0 to 9 and A to Z makes an identifier.
pub(super) fn one_check_sign(entity: Entity, text: &str) {
    let signs = ('0'..='9').chain('A'..='Z');
    let right = signs.filter(|&sign| {
        let candidate = text.replace('?', &sign.to_string());
        spans(entity, &candidate) == [(0, candidate.len())]
    });
    assert_eq!(right.count(), 1, "{entity} in {text:?}");
}

#[test]
fn every_form_compiles_and_asks_for_words_in_small_letters() {
    let mut rules = BTreeSet::new();
    for form in forms() {
        expressions(form);
        assert!(rules.insert(form.rule), "two rules {}", form.rule);
        assert!((0.0..=1.0).contains(&form.score) && form.score > 0.0, "{}", form.rule);
        assert!(form.context.iter().all(|word| *word == word.to_lowercase()), "{}", form.rule);
    }
}

#[test]
fn a_checksum_never_panics_on_what_its_form_lets_through() {
    let texts =
        ["", "0", "A", "Ä", "0000000000000000000000", "AAAAAAAAAAAAAAAAAAAA", "-- -- --", "١٢٣٤٥٦٧٨٩"];
    for check in forms().filter_map(|form| form.check) {
        texts.iter().for_each(|text| {
            check(text);
        });
    }
}
