//! Places and organisations, where a word beside them gives them away.

use super::capitals::Capital;
use super::cues::{self, Cue};
use super::fold::fold;
use super::gazetteer::Gazetteer;
use super::judge::{Name, joins};
use super::marks;
use super::surroundings::begins_sentence;
use crate::entity::Entity;

/// Longest word that is looked at as a legal form.
const MAX_FORM_BYTES: usize = 12;

/// Adds the runs of capitalised words that end with a legal form, and the known places behind `in`, `moved to`, `City:`.
pub(super) fn find(gazetteer: &Gazetteer, text: &str, capitals: &[Capital], out: &mut Vec<Name>) {
    let mut from = 0;
    for at in 0..capitals.len() {
        let capital = &capitals[at];
        if at > 0 && !joins(text, &capitals[at - 1], capital) {
            from = at;
        }
        let word = capital.of(text);
        if at > from && word.len() <= MAX_FORM_BYTES && marks::is_legal_form(&fold(word)) {
            // `The Acme GmbH`: an article at the beginning of a sentence is none of the name.
            let first = &capitals[from];
            let has_article = at - from > 1
                && begins_sentence(text, first.start)
                && gazetteer.flags(first.of(text)).is_no_name();
            let start = if has_article { capitals[from + 1].start } else { first.start };
            out.push(Name {
                start,
                end: capital.end,
                entity: Entity::Organization,
                score: 0.7,
                rule: "organisation-form",
            });
        } else if at == from
            && gazetteer.flags(word).is_place()
            && cues::before(text, capital.start) == Cue::Place
        {
            out.push(Name {
                start: capital.start,
                end: capital.end,
                entity: Entity::Location,
                score: 0.6,
                rule: "place-cue",
            });
        }
    }
}
