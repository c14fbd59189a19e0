//! What the steps changed: counts and the first few examples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{Part, Step};

/// So many examples of each step are kept: enough to see what it does, few enough to be read.
const MAX_EXAMPLES: usize = 5;
/// So many characters around a change are shown.
const CONTEXT_CHARACTERS: usize = 24;
/// So many characters of the change itself are shown.
const SHOWN_CHARACTERS: usize = 80;

/// A place where a step changed a text. It holds text of the row as it was: what a report shows of it must be scrubbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Example {
    /// The number of the row, as the caller counts.
    pub row: u64,
    /// Which part of the row.
    pub part: Part,
    /// The first place that changed, with a little around it, before; `…` stands where something is left out.
    pub before: String,
    /// The same place after.
    pub after: String,
}

/// What one step changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepChanges {
    /// How many texts it changed.
    pub texts: u64,
    /// How many places in them.
    pub places: u64,
    /// The bytes that went into the step where it changed something.
    pub bytes_before: u64,
    /// And those that came out.
    pub bytes_after: u64,
    /// The first few, by row.
    pub examples: Vec<Example>,
}

/// What all steps changed. Several of these, of different rows, merge into one whatever their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changes {
    /// How many texts were looked at.
    pub texts: u64,
    /// How many of them came out other than they went in.
    pub changed_texts: u64,
    /// Texts left as they were because the steps found no end in them; ordinary text has none of these.
    pub unsettled_texts: u64,
    /// By step.
    pub steps: BTreeMap<Step, StepChanges>,
    #[serde(skip)]
    row: u64,
}

impl Changes {
    /// Nothing changed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the row that the next texts belong to; examples carry its number.
    pub fn at_row(&mut self, row: u64) {
        self.row = row;
    }

    /// Adds what another worker saw.
    pub fn merge(&mut self, other: Self) {
        self.texts += other.texts;
        self.changed_texts += other.changed_texts;
        self.unsettled_texts += other.unsettled_texts;
        for (step, theirs) in other.steps {
            let ours = self.steps.entry(step).or_default();
            ours.texts += theirs.texts;
            ours.places += theirs.places;
            ours.bytes_before += theirs.bytes_before;
            ours.bytes_after += theirs.bytes_after;
            ours.examples.extend(theirs.examples);
            ours.examples.sort_by_key(|example| example.row);
            ours.examples.truncate(MAX_EXAMPLES);
        }
    }

    /// What a step did to a text, to be counted once the text is settled.
    pub(super) fn note(&self, step: Step, part: Part, before: &str, after: &str, places: usize) -> Note {
        let wanted = self.steps.get(&step).is_none_or(|changes| changes.examples.len() < MAX_EXAMPLES);
        let example = wanted.then(|| {
            let (before, after) = snippets(before, after);
            Example { row: self.row, part, before, after }
        });
        Note { step, places, bytes_before: before.len(), bytes_after: after.len(), example }
    }

    /// Counts what was done to one text; a step that ran more than once changed one text all the same.
    pub(super) fn commit(&mut self, notes: Vec<Note>, changed: bool) {
        self.changed_texts += u64::from(changed);
        let mut counted: Vec<Step> = Vec::new();
        for note in notes {
            let changes = self.steps.entry(note.step).or_default();
            if !counted.contains(&note.step) {
                counted.push(note.step);
                changes.texts += 1;
                if changes.examples.len() < MAX_EXAMPLES {
                    changes.examples.extend(note.example);
                }
            }
            changes.places += note.places as u64;
            changes.bytes_before += note.bytes_before as u64;
            changes.bytes_after += note.bytes_after as u64;
        }
    }
}

/// What a step did to one text.
pub(super) struct Note {
    step: Step,
    places: usize,
    bytes_before: usize,
    bytes_after: usize,
    example: Option<Example>,
}

/// Where two texts differ, with some characters around.
fn snippets(before: &str, after: &str) -> (String, String) {
    let start = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    let start = floor(before, after, start);
    let rest = (before.len() - start).min(after.len() - start);
    let same = before.bytes().rev().zip(after.bytes().rev()).take(rest).take_while(|(a, b)| a == b).count();
    (snippet(before, start, before.len() - same), snippet(after, start, after.len() - same))
}

/// The last place up to `index` that is between characters in both texts, which are the same up to there.
fn floor(one: &str, other: &str, mut index: usize) -> usize {
    while !(one.is_char_boundary(index) && other.is_char_boundary(index)) {
        index -= 1;
    }
    index
}

fn snippet(text: &str, start: usize, end: usize) -> String {
    let end = text.ceil_char_boundary(end.max(start));
    let before = text[..start].char_indices().rev().take(CONTEXT_CHARACTERS).last();
    let from = before.map_or(start, |(index, _)| index);
    let shown = text[start..end].char_indices().nth(SHOWN_CHARACTERS);
    let cut = shown.map(|(index, _)| start + index);
    let to = cut.unwrap_or_else(|| {
        let after = text[end..].char_indices().nth(CONTEXT_CHARACTERS);
        after.map_or(text.len(), |(index, _)| end + index)
    });
    let (left, right) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    format!("{left}{}{right}", &text[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_shows_the_place() {
        assert_eq!(snippets("a b", "a-b"), ("a b".into(), "a-b".into()));
        let long = "x".repeat(100);
        let (before, after) = snippets(&format!("{long}<b>{long}"), &format!("{long}{long}"));
        let context = "x".repeat(CONTEXT_CHARACTERS);
        assert_eq!(before, format!("…{context}<b>{context}…"));
        assert_eq!(after, format!("…{context}{context}…"));
        assert_eq!(snippets("é", "è"), ("é".into(), "è".into()));
        assert_eq!(snippets("aé", "aéé"), ("aé".into(), "aéé".into()));
    }

    #[test]
    fn merging_knows_no_order() {
        let part = |rows: &[u64]| {
            let mut changes = Changes::new();
            for &row in rows {
                changes.at_row(row);
                let note = changes.note(Step::Html, Part::Input, "<b>", "", 1);
                changes.commit(vec![note], true);
            }
            changes
        };
        let (mut one, mut other) = (part(&[1, 2, 3, 4]), part(&[5, 6, 7]));
        one.merge(part(&[5, 6, 7]));
        other.merge(part(&[1, 2, 3, 4]));
        assert_eq!(one.steps, other.steps);
        assert_eq!(one.steps[&Step::Html].texts, 7);
        assert_eq!(one.steps[&Step::Html].examples.len(), MAX_EXAMPLES);
    }
}
