//! Names of persons: by rules, and who else finds them.

mod capitals;
mod confirm;
mod context;
mod cue_words;
mod cues;
mod echo;
mod finder;
mod fold;
mod gazetteer;
mod judge;
mod lower;
mod marks;
mod repeat;
mod sets;
mod surroundings;
mod things;
mod word;

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

    /// The persons in `texts`, which are the turns of one record, and the places and organisations that a word beside them
    /// gives away (`lives in`, `Ltd`). `known` has for each text what other rules found in
    /// it, or is empty: names are not looked for inside those spans, and the local parts of its e-mail addresses say
    /// which words are names.
    ///
    /// The findings of each text are sorted and do not overlap.
    #[must_use]
    pub fn find(&self, texts: &[&str], known: &[Vec<Finding>]) -> Vec<Vec<Finding>> {
        let mut judge = Judge::new(&self.gazetteer);
        let mut capitals: Vec<Capital> = Vec::new();
        let emails = echo::local_parts(texts, known);
        let known: Vec<Known> = (0..texts.len()).map(|number| Known::new(known.get(number))).collect();
        let mut found = Vec::with_capacity(texts.len());
        let mut is_asked = false;
        for (text, known) in texts.iter().zip(&known) {
            capitals::capitals(text, &mut capitals);
            let has_capitals = !capitals.is_empty();
            capitals.retain(|capital| !known.touches(capital.start, capital.end));
            let mut names: Vec<Name> = Vec::new();
            echo::find(&self.gazetteer, text, &capitals, &emails, &mut names);
            judge.judge(text, &capitals, is_asked, &mut names);
            things::find(&self.gazetteer, text, &capitals, &mut names);
            lower::find(&self.gazetteer, text, has_capitals, &mut names);
            names.retain(|name| !known.touches(name.start, name.end));
            found.push(without_overlaps(names));
            is_asked = cues::asks_for_name(text);
        }
        let parts = Parts::new(&self.gazetteer, texts, &found);
        for ((text, known), names) in texts.iter().zip(&known).zip(&mut found) {
            let mut again = Vec::new();
            parts.find(text, names, &mut again);
            again.retain(|name| !known.touches(name.start, name.end));
            if !again.is_empty() {
                names.append(&mut again);
                names.sort_by_key(|name| name.start);
            }
        }
        found.into_iter().map(findings).collect()
    }
}

impl Names {
    /// Holds the persons that a model found in `text` against the rules. Each is cut at line breaks and to the words that can
    /// belong to a name, and dropped where it is a firm, a road, a place or no more than a word. Other findings stay.
    pub fn confirm(&self, text: &str, findings: &mut Vec<Finding>) {
        confirm::confirm(&self.gazetteer, text, findings);
    }
}

/// The spans of a text in which no name is looked for, sorted and apart from each other.
struct Known {
    spans: Vec<(usize, usize)>,
}

impl Known {
    fn new(findings: Option<&Vec<Finding>>) -> Self {
        let mut spans: Vec<(usize, usize)> =
            findings.into_iter().flatten().map(|finding| (finding.start, finding.end)).collect();
        spans.sort_unstable();
        spans.dedup_by(|next, last| {
            let overlaps = next.0 <= last.1;
            if overlaps {
                last.1 = last.1.max(next.1);
            }
            overlaps
        });
        Self { spans }
    }

    fn touches(&self, start: usize, end: usize) -> bool {
        let at = self.spans.partition_point(|span| span.1 <= start);
        self.spans.get(at).is_some_and(|span| span.0 < end)
    }
}

/// Sorted by start; of two that overlap a person, then the longer one, then the surer one.
fn without_overlaps(mut names: Vec<Name>) -> Vec<Name> {
    names.sort_by(|one, other| {
        one.start.cmp(&other.start).then(other.end.cmp(&one.end)).then(other.score.total_cmp(&one.score))
    });
    let mut kept: Vec<Name> = Vec::with_capacity(names.len());
    for name in names {
        match kept.last_mut() {
            Some(last) if name.start < last.end => {
                let rank = |name: &Name| (name.entity == Entity::Person, name.end - name.start);
                if rank(&name) > rank(last) {
                    *last = name;
                }
            }
            _ => kept.push(name),
        }
    }
    kept
}

fn findings(names: Vec<Name>) -> Vec<Finding> {
    let finding = |Name { start, end, entity, score, rule }| Finding { start, end, entity, score, rule };
    names.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests;
