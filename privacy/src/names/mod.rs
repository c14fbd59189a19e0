//! Names of persons: by rules, and who else finds them.

mod capitals;
mod cues;
mod echo;
mod finder;
mod fold;
mod gazetteer;
mod judge;
mod lower;
mod marks;
mod repeat;

pub use finder::{NameFinder, NameFinderError};

use capitals::Capital;
use gazetteer::Gazetteer;
use judge::{Judge, Name};
use repeat::Parts;

use crate::entity::Entity;
use crate::finding::Finding;

/// Finds names without a model: by what stands before them, by a list of names, by e-mail addresses, and again wherever
/// a name of the same record stands.
pub struct Names {
    gazetteer: Gazetteer,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// With the list that is part of the program; it takes no time to open.
    #[must_use]
    pub fn new() -> Self {
        Self { gazetteer: Gazetteer::new() }
    }

    /// The persons in `texts`, which are the turns of one record. `known` has for each text what other rules found in
    /// it, or is empty: names are not looked for inside those spans, and the local parts of its e-mail addresses say
    /// which words are names.
    ///
    /// The findings of each text are sorted and do not overlap.
    #[must_use]
    pub fn find(&self, texts: &[&str], known: &[Vec<Finding>]) -> Vec<Vec<Finding>> {
        let mut judge = Judge::new(&self.gazetteer);
        let mut capitals: Vec<Capital> = Vec::new();
        let emails = echo::local_parts(texts, known);
        let mut found = Vec::with_capacity(texts.len());
        let mut is_asked = false;
        for (number, text) in texts.iter().enumerate() {
            let known = known.get(number).map_or(&[][..], Vec::as_slice);
            let is_known =
                |start: usize, end: usize| known.iter().any(|one| one.start < end && start < one.end);
            capitals::capitals(text, &mut capitals);
            let has_capitals = !capitals.is_empty();
            capitals.retain(|capital| !is_known(capital.start, capital.end));
            let mut names: Vec<Name> = Vec::new();
            echo::find(&self.gazetteer, text, &capitals, &emails, &mut names);
            judge.judge(text, &capitals, is_asked, &mut names);
            lower::find(&self.gazetteer, text, has_capitals, &mut names);
            names.retain(|name| !is_known(name.start, name.end));
            found.push(without_overlaps(names));
            is_asked = cues::asks_for_name(text);
        }
        let parts = Parts::new(&self.gazetteer, texts, &found);
        for (number, (text, names)) in texts.iter().zip(&mut found).enumerate() {
            let known = known.get(number).map_or(&[][..], Vec::as_slice);
            let mut again = Vec::new();
            parts.find(text, names, &mut again);
            again.retain(|name| !known.iter().any(|one| one.start < name.end && name.start < one.end));
            if !again.is_empty() {
                names.append(&mut again);
                names.sort_by_key(|name| name.start);
            }
        }
        found.into_iter().map(findings).collect()
    }
}

/// Sorted by start; of two that overlap the longer one, then the surer one.
fn without_overlaps(mut names: Vec<Name>) -> Vec<Name> {
    names.sort_by(|one, other| {
        one.start.cmp(&other.start).then(other.end.cmp(&one.end)).then(other.score.total_cmp(&one.score))
    });
    let mut kept: Vec<Name> = Vec::with_capacity(names.len());
    for name in names {
        match kept.last_mut() {
            Some(last) if name.start < last.end => {
                if name.end - name.start > last.end - last.start {
                    *last = name;
                }
            }
            _ => kept.push(name),
        }
    }
    kept
}

fn findings(names: Vec<Name>) -> Vec<Finding> {
    let person = |name: Name| {
        let Name { start, end, score, rule } = name;
        Finding { start, end, entity: Entity::Person, score, rule }
    };
    names.into_iter().map(person).collect()
}
