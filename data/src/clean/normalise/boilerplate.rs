//! Lines that stand in many rows.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::edit::Edited;
use super::lines::{Line, lines};
use super::options::BoilerplateOptions;
use super::quoted::without;

/// Counters for lines. An undercount is at most the number of lines over this one, so that with 20 lines a row it is at
/// most 0.03% of the rows: far below any share that makes boilerplate. 64 Ki counters with their lines take about 12 MB.
const MAX_COUNTERS: usize = 1 << 16;
/// Of a line that is counted so many bytes are kept, for the report.
const MAX_KEPT_BYTES: usize = 160;
/// A line with fewer letters is a mark, a label or a greeting, not a notice.
const MIN_LETTERS: usize = 20;
/// And so is one with fewer words, where words are set apart.
const MIN_WORDS: usize = 3;

/// Counts in how many rows a line stands, in bounded memory: the counters of Misra and Gries (Finding repeated elements,
/// 1982). While there are no more distinct lines than counters the counts are exact, and never too high.
#[derive(Debug, Default)]
pub(super) struct LineCounter {
    rows: u64,
    counters: HashMap<u128, Counter>,
    /// What every count may be too low by.
    short_by: u64,
    seen_in_row: HashSet<u128>,
}

#[derive(Debug)]
struct Counter {
    /// The count with `short_by` of the time it came in added, so that lowering all counters is one addition.
    raised: u64,
    line: Box<str>,
}

impl LineCounter {
    /// Counts a line once for the current row.
    pub(super) fn push(&mut self, text: &str) {
        let all: Vec<Line<'_>> = lines(text).collect();
        if all.iter().filter(|line| !line.is_blank()).nth(1).is_none() {
            return;
        }
        for line in all.iter().filter(|line| may_be_boilerplate(line)) {
            let key = key(line.text);
            if self.seen_in_row.insert(key) {
                self.add(key, line.text);
            }
        }
    }

    fn add(&mut self, key: u128, line: &str) {
        if let Some(counter) = self.counters.get_mut(&key) {
            counter.raised += 1;
            return;
        }
        if self.counters.len() == MAX_COUNTERS {
            self.short_by += 1;
            let short_by = self.short_by;
            self.counters.retain(|_, counter| counter.raised > short_by);
            return;
        }
        let kept = &line[..line.floor_char_boundary(MAX_KEPT_BYTES)];
        self.counters.insert(key, Counter { raised: self.short_by + 1, line: kept.into() });
    }

    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        self.seen_in_row.clear();
    }

    pub(super) fn finish(self, options: &BoilerplateOptions) -> Boilerplate {
        let rows = self.rows;
        let least = (options.min_share * rows as f64).ceil().max(options.min_rows as f64) as u64;
        let most = (options.max_share * rows as f64).floor() as u64;
        let mut removed = HashMap::new();
        let mut spared = HashMap::new();
        for (key, counter) in self.counters {
            let count = counter.raised - self.short_by;
            let line = SharedLine { line: counter.line.into(), rows: count };
            match count {
                count if count < least => {}
                count if count > most => drop(spared.insert(key, line)),
                _ => drop(removed.insert(key, line)),
            }
        }
        Boilerplate { removed, spared, undercount_rows: self.short_by, leading_lines: options.leading_lines }
    }
}

/// A line that stands in many rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SharedLine {
    /// How it begins, as one of the rows has it.
    pub line: String,
    /// In how many rows it stands; too low by at most [`Boilerplate::undercount_rows`].
    pub rows: u64,
}

/// The lines that stand in many rows.
///
/// Lines of system turns are never looked at. Of the others, what stands in more than `max_share` of the rows is the
/// set's own template and spared, as are the shared lines that a text begins with (one of several instructions, say),
/// code, headings, labels such as `Message:`, and short lines; a text is never emptied.
#[derive(Clone, Debug, Default)]
pub struct Boilerplate {
    removed: HashMap<u128, SharedLine>,
    spared: HashMap<u128, SharedLine>,
    undercount_rows: u64,
    leading_lines: bool,
}

impl Boilerplate {
    /// The lines that go, the most frequent first.
    pub fn removed(&self) -> Vec<SharedLine> {
        sorted(&self.removed)
    }

    /// The lines that stand in so many rows that they are taken for the set's own template, the most frequent first.
    pub fn spared(&self) -> Vec<SharedLine> {
        sorted(&self.spared)
    }

    /// By how many rows a count may be too low; 0 where there were few enough distinct lines.
    pub fn undercount_rows(&self) -> u64 {
        self.undercount_rows
    }

    pub(super) fn remove<'a>(&self, text: &'a str) -> Edited<'a> {
        if self.removed.is_empty() || !text.contains('\n') {
            return Edited::unchanged(text);
        }
        let all: Vec<Line<'_>> = lines(text).collect();
        let mut leading = !self.leading_lines;
        let mut gone = vec![false; all.len()];
        for (line, gone) in all.iter().zip(&mut gone).filter(|(line, _)| !line.is_blank()) {
            let key = may_be_boilerplate(line).then(|| key(line.text));
            let shared = key.is_some_and(|key| self.removed.contains_key(&key));
            leading &= shared || key.is_some_and(|key| self.spared.contains_key(&key));
            *gone = shared && !leading;
        }
        if all.iter().zip(&gone).all(|(line, &gone)| gone || line.is_blank()) {
            return Edited::unchanged(text);
        }
        without(text, &all, &gone)
    }
}

fn sorted(lines: &HashMap<u128, SharedLine>) -> Vec<SharedLine> {
    let mut lines: Vec<SharedLine> = lines.values().cloned().collect();
    lines.sort_by(|one, other| other.rows.cmp(&one.rows).then_with(|| one.line.cmp(&other.line)));
    lines
}

/// Whether a line is a sentence and no mark that sets the parts of a prompt.
fn may_be_boilerplate(line: &Line<'_>) -> bool {
    let text = line.text.trim();
    if line.code || text.len() < MIN_LETTERS || text.starts_with('#') || text.ends_with([':', '：']) {
        return false;
    }
    let spaced = text.is_ascii() || text.contains(' ');
    text.chars().filter(|c| c.is_alphabetic()).nth(MIN_LETTERS - 1).is_some()
        && (!spaced || text.split_whitespace().nth(MIN_WORDS - 1).is_some())
}

/// Lines that differ in case and spaces are the same.
fn key(line: &str) -> u128 {
    let line = line.trim();
    let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && byte != b'\t';
    if line.bytes().all(plain) && !line.as_bytes().windows(2).any(|pair| pair == b"  ") {
        return xxh3_128(line.as_bytes());
    }
    let mut hash = Xxh3::new();
    for (index, word) in line.split_whitespace().enumerate() {
        if index > 0 {
            hash.update(b" ");
        }
        hash.update(word.to_lowercase().as_bytes());
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &str = "This message is confidential and meant for the addressee only.";

    fn learn(texts: &[String]) -> Boilerplate {
        let mut counter = LineCounter::default();
        for text in texts {
            counter.push(text);
            counter.end_row();
        }
        counter.finish(&BoilerplateOptions::default())
    }

    fn mails() -> Vec<String> {
        let mail = |row: usize| match row % 4 {
            0 => format!("Sort this message into spam or ham.\nMy number is {row}.\n{NOTICE}"),
            _ => {
                format!("Sort this message into spam or ham.\nThere is a question in mail {row} about cards.")
            }
        };
        (0..200).map(mail).collect()
    }

    #[test]
    fn notices_go_and_instructions_stay() {
        let boilerplate = learn(&mails());
        let removed = boilerplate.removed();
        assert_eq!(removed, [SharedLine { line: NOTICE.into(), rows: 50 }]);
        assert_eq!(boilerplate.spared()[0].rows, 200);
        let text = "Sort this message into spam or ham.\nMy number is 8.\nthis  message is CONFIDENTIAL and meant for the addressee only.";
        assert_eq!(boilerplate.remove(text).text, "Sort this message into spam or ham.\nMy number is 8.");
        for text in
            [NOTICE.to_owned(), format!("{NOTICE}\nwhat does this mean?"), format!("```\na\n{NOTICE}\n```")]
        {
            assert_eq!(boilerplate.remove(&text), Edited::unchanged(&text));
        }
    }

    #[test]
    fn one_of_several_instructions_is_none() {
        let ways = ["Tell whether this is spam or not.", "Is the following message spam or not?"];
        let texts: Vec<String> =
            (0..100).map(|row| format!("{}\nmessage number {row} of all", ways[row % 2])).collect();
        let boilerplate = learn(&texts);
        assert_eq!(boilerplate.removed().len(), 2);
        assert!(texts.iter().all(|text| boilerplate.remove(text).changes == 0));
    }

    #[test]
    fn memory_is_bounded_and_counts_are_never_too_high() {
        let mut counter = LineCounter::default();
        for row in 0..100_000 {
            counter.push(&format!(
                "head\na line that stands here alone, number {row}\nanother one of these lines, {row}"
            ));
            if row % 10 == 0 {
                counter.push(&format!("head\n{NOTICE}"));
            }
            counter.end_row();
        }
        assert!(counter.counters.len() <= MAX_COUNTERS);
        let boilerplate = counter.finish(&BoilerplateOptions::default());
        let removed = boilerplate.removed();
        assert_eq!(removed.len(), 1);
        assert!(removed[0].rows <= 10_000 && removed[0].rows + boilerplate.undercount_rows() >= 10_000);
    }
}
