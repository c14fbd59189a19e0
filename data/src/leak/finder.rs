//! Rows of both sides in, leaks out.

use std::collections::{HashMap, HashSet};

use super::LeakRow;
use super::candidates::Search;
use super::features::Looker;
use super::leaks::{LeakKind, LeakedSet, Leaks, Places};
use super::lines::SharedLines;
use super::side::{Side, Sorting, Wanted};
use crate::error::DataError;
use crate::near::LEAST_SIMILARITY;
use crate::spill::{Bits, Scratch, Sorted, Sorter, SpillError};

/// Shared lines shown.
const MOST_EXAMPLES: usize = 20;

/// Rows looked through for shared lines to show: a line in a twentieth of all rows stands early.
const MOST_LOOKED_THROUGH: u32 = 10_000;

/// Prompts that a content of nothing but shared lines may have if it is a question. What stands in more is a form letter, and what each
/// row is about stands in its other turns.
const MOST_PROMPTS: usize = 5;

/// What counts as a leak.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakOptions {
    /// The Jaccard index of character 5-grams from which on two contents are near, from 0.5 to 1.
    pub similarity: f64,
    /// The share of the held-out content's character 5-grams that stand in one training content if it is contained
    /// there; looked for in contents of 40 characters or more.
    pub contained: f64,
    /// The words of a run that is looked for on both sides. GPT-3 and lm-eval use 13 at most and GPT-3 8 at least.
    pub overlap_words: usize,
    /// The share of the held-out content's runs of words that stand in one training content if they overlap. A run
    /// that stands in more than 10 training rows is a phrase of the field and does not count (as in GPT-3).
    pub overlap: f64,
    /// A line that stands in more than this share of all rows is left out of every content that says something else.
    pub shared_line: f64,
    /// Whether a long line of 8 rows or more is a passage that they ask about, and left out beside a question.
    pub passages: bool,
    /// The most pairs listed of one held-out row, the plainest and nearest.
    pub pairs_per_row: usize,
    /// Where rows wait, and in how much memory.
    pub scratch: Scratch,
}

impl LeakOptions {
    /// Near from 0.8, contained from 0.9, overlap from a tenth of the runs of 13 words, lines in more than 5% of the
    /// rows left out, 16 pairs a row.
    ///
    /// At 0.8 a pair is the same question with a word changed; at 0.7 short questions of one subject begin to meet.
    pub fn new(scratch: Scratch) -> Self {
        Self {
            similarity: 0.8,
            contained: 0.9,
            overlap_words: 13,
            overlap: 0.1,
            shared_line: 0.05,
            passages: true,
            pairs_per_row: 16,
            scratch,
        }
    }
}

/// Compares training rows with held-out rows, by what their users say.
///
/// The content of a row is all its user turns, without system turns and answers. Lines that many rows share are left
/// out before anything is compared, and so are long passages that 8 rows or more ask about. A content of which fewer than 5 letters and numbers remain ("yes", "ok") leaks
/// only if the whole conversation is the same. A content of shared lines alone is a question that is asked often, and compared whole; where it stands in
/// more than 5 different prompts it is a form letter, and leaks only if everything before the answer is the same.
pub struct LeakFinder {
    options: LeakOptions,
    held_out: Side,
    train: Side,
    places: Places,
    lines: Sorter<u64>,
}

impl LeakFinder {
    /// A finder without rows.
    ///
    /// # Errors
    /// A similarity or a share outside its range.
    pub fn new(options: LeakOptions) -> Result<Self, DataError> {
        let shares = [
            (options.similarity, LEAST_SIMILARITY),
            (options.contained, LEAST_SIMILARITY),
            (options.overlap, 0.0),
        ];
        for (similarity, least) in shares {
            if !(least..=1.0).contains(&similarity) {
                return Err(DataError::Similarity { similarity, least });
            }
        }
        let side = || Side::new(&options.scratch);
        let (held_out, train) = (side(), side());
        let lines = Sorter::new(&options.scratch.part(4));
        Ok(Self { held_out, train, lines, options, places: Places::default() })
    }

    /// Takes a held-out row of set number `set`. Of a content above 256 KiB only the beginning is compared.
    ///
    /// # Errors
    /// A temporary file that cannot be written; more than 2^32 - 1 rows.
    pub fn held_out(&mut self, set: usize, row: &LeakRow) -> Result<(), DataError> {
        self.held_out.push(row, &mut self.lines)?;
        self.places.push(set);
        Ok(())
    }

    /// Takes a training row, as [`LeakFinder::held_out`] does; rows of both sides may come in any order.
    ///
    /// # Errors
    /// A temporary file that cannot be written; more than 2^32 - 1 rows.
    pub fn train(&mut self, row: &LeakRow) -> Result<(), DataError> {
        self.train.push(row, &mut self.lines)
    }

    /// Compares the sides.
    ///
    /// # Errors
    /// A temporary file that cannot be written or read.
    pub fn finish(mut self) -> Result<Leaks, DataError> {
        self.held_out.store(&mut self.lines)?;
        self.train.store(&mut self.lines)?;
        let Self { options, held_out, train, places, lines } = self;
        let scratch = &options.scratch;
        let rows = held_out.rows() + train.rows();
        let mut shared = SharedLines::of(&lines.finish()?, options.shared_line, options.passages, rows)?;
        shared.keep(asked_often(&shared, &held_out, &train)?);
        let looker = Looker::new(options.similarity, options.overlap_words.max(1));
        let keys = |side: &Side, wanted: &Wanted| {
            let mut sorting = Sorting::new(scratch);
            side.each(&looker, &shared, |row, looked| sorting.push(row, looked, wanted))?;
            sorting.finish()
        };
        let ours = keys(&held_out, &Wanted::default())?;
        let wanted = Wanted::by(&ours, scratch)?;
        let theirs = keys(&train, &wanted)?;
        drop(wanted);
        let search = Search { options: &options, held_out: &held_out, train: &train, shared: &shared };
        let found = search.pairs(ours, theirs)?;
        let (pairs, leaked, sets) = chosen(&found, &places, &options)?;
        let shared_examples = examples(&shared, [&held_out, &train])?;
        Ok(Leaks { places, leaked, pairs, sets, shared_lines: shared.len(), shared_examples })
    }
}

/// A pair found: (held-out row, training row, kind, bits of the similarity).
pub(super) type Found = (u32, u32, u32, u64);

type Chosen = (Sorted<(u32, u32, u64, u32)>, Bits, Vec<LeakedSet>);

/// Of each held-out row the plainest and nearest pairs, each training row once, and the figures of the sets.
fn chosen(found: &Sorted<Found>, places: &Places, options: &LeakOptions) -> Result<Chosen, SpillError> {
    let mut sets: Vec<LeakedSet> =
        places.counts().iter().map(|&rows| LeakedSet { rows, ..LeakedSet::default() }).collect();
    let mut leaked = Bits::default();
    let mut pairs = Sorter::new(&options.scratch.part(4));
    let mut close = |row: u32, of_row: &mut Vec<(u32, u64, u32)>| -> Result<(), SpillError> {
        of_row.sort_unstable();
        if let Some(&(kind, ..)) = of_row.first() {
            let set = &mut sets[places.place_of(row).0];
            set.leaked += 1;
            set.by_kind[kind as usize % LeakKind::ALL.len()] += 1;
            leaked.insert(row);
        }
        for (kind, distance, train) in of_row.drain(..).take(options.pairs_per_row.max(1)) {
            pairs.push((row, kind, distance, train))?;
        }
        Ok(())
    };
    let mut of_row: Vec<(u32, u64, u32)> = Vec::new();
    let mut current = None;
    for record in found.iter() {
        let (row, train, kind, similarity) = record?;
        if let Some(last) = current.filter(|&last| last != row) {
            close(last, &mut of_row)?;
        }
        // Records of one pair follow each other, the plainest kind first.
        if current != Some(row) || of_row.last().is_none_or(|&(.., last)| last != train) {
            of_row.push((kind, !similarity, train));
        }
        current = Some(row);
    }
    if let Some(last) = current {
        close(last, &mut of_row)?;
    }
    Ok((pairs.finish()?, leaked, sets))
}

/// The held-out contents of nothing but shared lines that are questions and no form letters, by the numbers that [`SharedLines::bare`] has
/// of them.
fn asked_often(shared: &SharedLines, held_out: &Side, train: &Side) -> Result<HashSet<u64>, SpillError> {
    let mut prompts: HashMap<u64, HashSet<[u8; 16]>> = HashMap::new();
    if shared.len() == 0 {
        return Ok(HashSet::new());
    }
    let add = |known: &mut HashSet<[u8; 16]>, prompt| {
        if known.len() <= MOST_PROMPTS {
            known.insert(prompt);
        }
    };
    held_out.bare(shared, |key, prompt| add(prompts.entry(key).or_default(), prompt))?;
    if !prompts.is_empty() {
        train.bare(shared, |key, prompt| {
            if let Some(known) = prompts.get_mut(&key) {
                add(known, prompt);
            }
        })?;
    }
    Ok(prompts.into_iter().filter(|(_, known)| known.len() <= MOST_PROMPTS).map(|(key, _)| key).collect())
}

/// Some of the shared lines, as they stand.
fn examples(shared: &SharedLines, sides: [&Side; 2]) -> Result<Vec<String>, SpillError> {
    let (mut seen, mut examples, mut content) = (Vec::new(), Vec::new(), String::new());
    let wanted = shared.len().min(MOST_EXAMPLES);
    for side in sides {
        for row in 0..MOST_LOOKED_THROUGH.min(side.rows() as u32) {
            if examples.len() == wanted {
                return Ok(examples);
            }
            side.read(row, &mut content)?;
            for (hash, line) in shared.within(&content) {
                if !seen.contains(&hash) && examples.len() < wanted {
                    seen.push(hash);
                    examples.push(line.to_owned());
                }
            }
        }
    }
    Ok(examples)
}
