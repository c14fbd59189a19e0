//! Rows that stand on both sides of the line between training and examination.

mod candidates;
mod features;
mod finder;
mod join;
mod leaks;
mod lines;
mod side;

#[cfg(test)]
mod exam;
#[cfg(test)]
mod tests;

pub use finder::{LeakFinder, LeakOptions};
pub use leaks::{LeakKind, LeakPair, LeakedSet, Leaks};

use std::collections::{HashMap, HashSet};

use crate::clean::duplicates::canonical_hash;
use crate::record::{Form, Origin, Record};

/// A row as [`LeakFinder`] compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakRow {
    /// What its user says.
    pub content: String,
    /// A hash of the whole conversation that does not see what shall be no difference ([`canonical_hash`]).
    pub conversation: [u8; 16],
    /// The same of everything before the last answer; of a text, which has nothing before it, of all of it.
    pub prompt: [u8; 16],
}

impl LeakRow {
    /// This row.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let conversation = canonical_hash(&record.messages);
        let prompt = match record.form() {
            Form::Text => conversation,
            Form::Conversation => canonical_hash(record.prompt()),
        };
        Self { content: record.users_text(), conversation, prompt }
    }
}

/// A held-out row whose prompt is also trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The training row.
    pub train: Origin,
    /// The held-out row.
    pub held_out: Origin,
    /// Whether the whole row is the same, or only its prompt.
    pub same_answer: bool,
}

/// The rows of `held_out` whose whole content, or whose prompt, equals that of a training row; in order.
pub fn leaks<'a>(train: impl IntoIterator<Item = &'a Record>, held_out: &[Record]) -> Vec<Leak> {
    let (mut contents, mut prompts) = (HashMap::new(), HashMap::new());
    for row in train {
        contents.entry(row.content_hash()).or_insert(&row.origin);
        prompts.entry(row.prompt_hash()).or_insert(&row.origin);
    }
    let mut found = Vec::new();
    for row in held_out {
        let same_row = contents.get(&row.content_hash());
        if let Some(&train) = same_row.or_else(|| prompts.get(&row.prompt_hash())) {
            let (train, held_out) = (train.clone(), row.origin.clone());
            found.push(Leak { train, held_out, same_answer: same_row.is_some() });
        }
    }
    found
}

/// How many prompts have more than one answer.
pub fn conflicts<'a>(rows: impl IntoIterator<Item = &'a Record>) -> usize {
    let mut answers: HashMap<[u8; 16], HashSet<[u8; 16]>> = HashMap::new();
    for row in rows {
        answers.entry(row.prompt_hash()).or_default().insert(row.content_hash());
    }
    answers.values().filter(|contents| contents.len() > 1).count()
}

#[cfg(test)]
mod equality_tests {
    use std::path::Path;

    use super::*;
    use crate::record::Message;

    fn row(file: &str, line: u64, prompt: &str, answer: &str) -> Record {
        let origin = Origin { file: Path::new(file).into(), line };
        Record::new(None, origin, vec![Message::new("user", prompt), Message::new("assistant", answer)])
    }

    #[test]
    fn a_row_on_both_sides_is_found() {
        let train = [row("train", 1, "a", "1"), row("train", 2, "b", "2"), row("train", 3, "a", "3")];
        let golden = [row("golden", 1, "c", "1"), row("golden", 2, "a", "3"), row("golden", 3, "b", "9")];
        let found = leaks(&train, &golden);
        let places: Vec<_> =
            found.iter().map(|leak| (leak.train.line, leak.held_out.line, leak.same_answer)).collect();
        assert_eq!(places, [(3, 2, true), (2, 3, false)]);
    }

    #[test]
    fn a_conflict_is_one_prompt_with_two_answers() {
        let rows =
            [row("t", 1, "a", "1"), row("t", 2, "a", "1"), row("t", 3, "b", "1"), row("t", 4, "b", "2")];
        assert_eq!(conflicts(&rows), 1);
    }
}
