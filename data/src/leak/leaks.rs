//! What was found on both sides.

use crate::spill::{Bits, Sorted, SpillError};

/// In what a held-out row and a training row are the same, the plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LeakKind {
    /// The user says the same, byte for byte.
    Exact,
    /// The user says the same in its canonical form: without case, punctuation and white space.
    Canonical,
    /// The user says too little to tell (under 5 letters and numbers), but the whole conversation is the same; or nothing but a form letter,
    /// and everything before the answer is the same.
    Conversation,
    /// The Jaccard index of the character 5-grams is high.
    Near,
    /// What the held-out row says stands in the training row, among other things.
    Contained,
    /// The held-out row has long runs of words in common with the training row.
    Overlap,
}

impl LeakKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 6] =
        [Self::Exact, Self::Canonical, Self::Conversation, Self::Near, Self::Contained, Self::Overlap];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Canonical => "canonical",
            Self::Conversation => "conversation",
            Self::Near => "near",
            Self::Contained => "contained",
            Self::Overlap => "overlap",
        }
    }
}

/// A held-out row and a training row that give it away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakPair {
    /// The number of the training row, in the order of [`super::LeakFinder::train`].
    pub train_row: usize,
    /// The held-out set.
    pub set: usize,
    /// The number of the row within its set, in the order of [`super::LeakFinder::held_out`].
    pub held_out_row: usize,
    /// The plainest kind that holds.
    pub kind: LeakKind,
    /// The Jaccard index of the 5-grams; for `Contained` the share of the held-out row's 5-grams, for `Overlap` that of
    /// its runs of words, that stand in the training row.
    pub similarity: f64,
}

/// What became of one held-out set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeakedSet {
    /// Rows of the set.
    pub rows: usize,
    /// Rows that leak, each counted once.
    pub leaked: usize,
    /// The same by the plainest kind of any of their pairs, in the order of [`LeakKind::ALL`].
    pub by_kind: [usize; LeakKind::ALL.len()],
}

/// The leaks; pairs wait on disk, and in memory are one bit a held-out row and the figures.
pub struct Leaks {
    pub(super) places: Places,
    pub(super) leaked: Bits,
    /// (held-out row, kind, complement of the bits of the similarity, training row).
    pub(super) pairs: Sorted<(u32, u32, u64, u32)>,
    pub(super) sets: Vec<LeakedSet>,
    pub(super) shared_lines: usize,
    pub(super) shared_examples: Vec<String>,
}

impl Leaks {
    /// The held-out sets, by their numbers.
    pub fn sets(&self) -> &[LeakedSet] {
        &self.sets
    }

    /// How many held-out rows leak, over all sets.
    pub fn leaked(&self) -> usize {
        self.sets.iter().map(|set| set.leaked).sum()
    }

    /// Whether this held-out row leaks.
    pub fn is_leaked(&self, set: usize, held_out_row: usize) -> bool {
        self.places.row_of(set, held_out_row).is_some_and(|row| self.leaked.contains(row))
    }

    /// How many lines were left out because they stand in too many rows.
    pub fn shared_lines(&self) -> usize {
        self.shared_lines
    }

    /// The first of those lines, 20 at most.
    pub fn shared_examples(&self) -> &[String] {
        &self.shared_examples
    }

    /// The pairs, by held-out row in the order they were pushed; of each the plainest and nearest first.
    ///
    /// # Errors
    /// A temporary file that cannot be read.
    pub fn pairs(&self) -> impl Iterator<Item = Result<LeakPair, SpillError>> + '_ {
        self.pairs.iter().map(|pair| {
            let (row, kind, distance, train) = pair?;
            let (set, held_out_row) = self.places.place_of(row);
            let kind = LeakKind::ALL[kind as usize % LeakKind::ALL.len()];
            let similarity = f64::from_bits(!distance);
            Ok(LeakPair { train_row: train as usize, set, held_out_row, kind, similarity })
        })
    }
}

/// Which rows belong to which set: rows mostly come set by set, so that a few runs say it all.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    runs: Vec<Run>,
    /// Rows of each set.
    counts: Vec<usize>,
    rows: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: usize,
    set: usize,
    first_in_set: usize,
}

impl Places {
    /// The next row is one of this set.
    pub(super) fn push(&mut self, set: usize) {
        if set >= self.counts.len() {
            self.counts.resize(set + 1, 0);
        }
        if self.runs.last().is_none_or(|run| run.set != set) {
            self.runs.push(Run { first: self.rows, set, first_in_set: self.counts[set] });
        }
        self.counts[set] += 1;
        self.rows += 1;
    }

    pub(super) fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// The set of a row, and its number there.
    pub(super) fn place_of(&self, row: u32) -> (usize, usize) {
        let run = self.runs[self.runs.partition_point(|run| run.first <= row as usize) - 1];
        (run.set, run.first_in_set + row as usize - run.first)
    }

    fn row_of(&self, set: usize, row_in_set: usize) -> Option<u32> {
        if row_in_set >= *self.counts.get(set)? {
            return None;
        }
        let of_set = self.runs.iter().rev().filter(|run| run.set == set);
        let run = of_set.into_iter().find(|run| run.first_in_set <= row_in_set)?;
        u32::try_from(run.first + row_in_set - run.first_in_set).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_sets() {
        let sets = [2, 0, 0, 1, 0, 2, 2];
        let mut places = Places::default();
        sets.iter().for_each(|&set| places.push(set));
        let found: Vec<_> = (0..7).map(|row| places.place_of(row)).collect();
        assert_eq!(found, [(2, 0), (0, 0), (0, 1), (1, 0), (0, 2), (2, 1), (2, 2)]);
        for (row, &(set, in_set)) in (0..).zip(&found) {
            assert_eq!(places.row_of(set, in_set), Some(row));
        }
        assert_eq!((places.row_of(0, 3), places.row_of(3, 0)), (None, None));
        assert_eq!(places.counts(), [3, 1, 3]);
    }
}
