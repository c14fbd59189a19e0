//! Lines that stand in so many rows that they say nothing of any: a shared instruction is not a leak.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::features::LEAST_CHARACTERS;
use crate::near::compared;
use crate::spill::{Sorted, SpillError};

/// In a small set a share is a handful of rows: a line must stand in more than so many to be called shared, or a
/// question that was copied a few times would hide itself.
const LEAST_ROWS: usize = 5;

/// A long line that stands in so many rows is a passage that questions are asked about, and not a question: prompts with
/// retrieved passages share them, and are no leaks of each other for it.
const PASSAGE_ROWS: usize = 8;

/// Characters of such a line in its compared form: a question that many rows ask is shorter.
const PASSAGE_CHARACTERS: usize = 100;

/// The hashes of lines that are left out of every comparison.
#[derive(Debug, Default)]
pub(super) struct SharedLines {
    shared: HashSet<u64>,
    /// Lines of [`PASSAGE_ROWS`] rows; the long ones are left out of rows that say something beside them.
    repeated: HashSet<u64>,
    /// Contents of nothing but shared lines that are compared all the same, by their compared forms: questions that are asked often.
    asked: HashSet<u64>,
}

impl SharedLines {
    /// The lines that stand in more than `share` of `rows` rows, and where `passages` says so the long ones that stand in
    /// [`PASSAGE_ROWS`]; `lines` has the hash of each line of each row, those of one row once.
    pub(super) fn of(
        lines: &Sorted<u64>,
        share: f64,
        passages: bool,
        rows: usize,
    ) -> Result<Self, SpillError> {
        let (mut shared, mut repeated) = (HashSet::new(), HashSet::new());
        let (mut line, mut count) = (0, 0);
        for hash in lines.iter() {
            let hash = hash?;
            count = if hash == line { count + 1 } else { 1 };
            line = hash;
            if count > LEAST_ROWS && count as f64 > share * rows as f64 {
                shared.insert(line);
            }
            if passages && count == PASSAGE_ROWS {
                repeated.insert(line);
            }
        }
        Ok(Self { shared, repeated, asked: HashSet::new() })
    }

    pub(super) fn len(&self) -> usize {
        self.shared.len()
    }

    /// Compares contents of nothing but shared lines all the same, by the numbers that [`SharedLines::bare`] has of them.
    pub(super) fn keep(&mut self, asked: HashSet<u64>) {
        self.asked = asked;
    }

    /// The number of a content that says something, and nothing but shared lines.
    pub(super) fn bare(&self, content: &str) -> Option<u64> {
        let is_own = |line: &str| line_hash(line).is_some_and(|hash| !self.shared.contains(&hash));
        if self.shared.is_empty() || content.lines().any(|line| is_own(line) && !compared(line).is_empty()) {
            return None;
        }
        let form = compared(content);
        form.chars().nth(LEAST_CHARACTERS - 1).is_some().then(|| xxh3_64(form.as_bytes()))
    }

    /// The text without its shared lines, and without the passages that it says something about; a question of nothing else that is
    /// asked often is left whole.
    pub(super) fn without(&self, content: &str) -> String {
        if self.shared.is_empty() && self.repeated.is_empty() {
            return content.to_owned();
        }
        let is_shared = |line: &&str| line_hash(line).is_some_and(|hash| self.shared.contains(&hash));
        let own: Vec<&str> = content.lines().filter(|line| !is_shared(line)).collect();
        let is_passage = |line: &&&str| {
            line_hash(line).is_some_and(|hash| self.repeated.contains(&hash))
                && compared(line).chars().nth(PASSAGE_CHARACTERS - 1).is_some()
        };
        let beside: Vec<&str> = own.iter().filter(|line| !is_passage(line)).copied().collect();
        let beside = beside.join("\n");
        let says_something = compared(&beside).chars().nth(LEAST_CHARACTERS - 1).is_some();
        if says_something {
            return beside;
        }
        let is_asked =
            !self.asked.is_empty() && self.bare(content).is_some_and(|key| self.asked.contains(&key));
        if is_asked { content.to_owned() } else { own.join("\n") }
    }

    /// The shared lines of a text.
    pub(super) fn within<'a>(&self, content: &'a str) -> impl Iterator<Item = (u64, &'a str)> {
        let hashed = content.lines().filter_map(|line| Some((line_hash(line)?, line.trim())));
        hashed.filter(|(hash, _)| self.shared.contains(hash))
    }
}

/// The hashes of the lines of a text, each once, in no order that matters.
pub(super) fn line_hashes(content: &str) -> Vec<u64> {
    let mut hashes: Vec<u64> = content.lines().filter_map(line_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// What a line says, as a number; nothing for an empty one.
fn line_hash(line: &str) -> Option<u64> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let form = compared(line);
    Some(if form.is_empty() { xxh3_64(line.as_bytes()) } else { xxh3_64(form.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::{Scratch, Sorter};

    fn shared(rows: &[String], share: f64) -> SharedLines {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sorter = Sorter::new(&Scratch::new(folder.path()));
        rows.iter().flat_map(|row| line_hashes(row)).for_each(|hash| sorter.push(hash).expect("room"));
        SharedLines::of(&sorter.finish().expect("sorted"), share, true, rows.len()).expect("lines")
    }

    #[test]
    fn an_instruction_is_left_out_and_the_rest_stays() {
        let rows: Vec<String> = (0..100)
            .map(|row| format!("Is this spam? Answer:\n\nmessage {row}\nmessage {row}\n--"))
            .collect();
        let lines = shared(&rows, 0.05);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.without(" is this spam?  answer\nyes\n--\nno"), "yes\nno");
        assert_eq!(
            lines.within(&rows[3]).map(|(_, line)| line).collect::<Vec<_>>(),
            ["Is this spam? Answer:", "--"]
        );
    }

    #[test]
    fn a_passage_is_left_out_beside_a_question_and_not_alone() {
        let passage = "Orders can be paid in three or six monthly instalments; the first is due when you order, the rest on the same date of each month.";
        let mut rows: Vec<String> =
            (0..8).map(|row| format!("question {row} is this\n\n{passage}")).collect();
        rows.extend((0..292).map(|row| format!("something else {row}")));
        let lines = shared(&rows, 0.05);
        assert_eq!(lines.len(), 0, "eight of three hundred are no twentieth");
        assert_eq!(lines.without(&rows[3]), "question 3 is this\n");
        assert_eq!(lines.without(passage), passage, "it is all that the row says");
        let short: Vec<String> = (0..8).map(|row| format!("Hello {row}\nwhere is my order?")).collect();
        assert_eq!(shared(&short, 1.0).without(&short[2]), short[2], "a question is no passage");
    }

    #[test]
    fn a_content_of_shared_lines_alone_is_bare() {
        let rows: Vec<String> =
            (0..20).map(|row| format!("Where is my parcel?\n--\nYes\nown {row}")).collect();
        let mut lines = shared(&rows, 0.05);
        let key = lines.bare("where is  MY parcel").expect("nothing else is said");
        assert_eq!(lines.bare("Where is my parcel?\n...\n"), Some(key), "marks say nothing");
        assert_eq!((lines.bare(&rows[3]), lines.bare("yes"), lines.bare("")), (None, None, None));
        assert_eq!(lines.without("Where is my parcel?"), "");
        lines.keep(HashSet::from([key]));
        assert_eq!(lines.without("Where is my parcel?"), "Where is my parcel?");
        assert_eq!(
            lines.without("Where is my parcel?\nNo"),
            "No",
            "beside it a row says something of its own"
        );
    }

    #[test]
    fn a_few_rows_are_not_many() {
        let rows: Vec<String> =
            (0..60).map(|row| if row < 5 { "copied".into() } else { format!("own {row}") }).collect();
        assert_eq!(shared(&rows, 0.05).len(), 0, "five of sixty are more than a twentieth, but few");
        let rows: Vec<String> =
            (0..60).map(|row| if row < 6 { "copied".into() } else { format!("own {row}") }).collect();
        assert_eq!(shared(&rows, 0.05).len(), 1);
        assert_eq!(shared(&rows, 0.1).len(), 0, "six of sixty are not more than a tenth");
        assert_eq!(shared(&[], 0.05).without("all\nstays"), "all\nstays");
    }
}
