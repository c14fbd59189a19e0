//! One key and several values: an id that names two rows, a prompt with different answers.

use std::collections::BinaryHeap;

use super::finder::number;
use crate::error::DataError;
use crate::spill::{Scratch, Sorter};

/// Pairs of rows kept as examples, those that come first.
const MOST_EXAMPLES: usize = 20;

/// Collects (key, value) of rows and finds the keys that have more than one value.
///
/// With the hashes of ids and of contents it finds ids that name different rows; with those of prompts and of answers
/// it finds prompts with different answers.
pub struct ConflictFinder {
    /// (key, row, value).
    rows: Sorter<(u128, u32, u128)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// Keys with more than one value.
    pub keys: usize,
    /// Rows whose value is not that of the first row with their key.
    pub rows: usize,
    /// The first row with a key and a row with another value, the 20 of the lowest such rows, in their order.
    pub examples: Vec<(usize, usize)>,
}

impl ConflictFinder {
    /// A finder without rows.
    pub fn new(scratch: &Scratch) -> Self {
        Self { rows: Sorter::new(&scratch.part(2)) }
    }

    /// Takes a row that has a key; rows without one are left out.
    ///
    /// # Errors
    /// A temporary file that cannot be written; a number above 2^32 - 1.
    pub fn push(&mut self, row: usize, key: [u8; 16], value: [u8; 16]) -> Result<(), DataError> {
        Ok(self.rows.push((u128::from_le_bytes(key), number(row)?, u128::from_le_bytes(value)))?)
    }

    /// Compares the values of each key.
    ///
    /// # Errors
    /// A temporary file that cannot be written or read.
    pub fn finish(self) -> Result<Conflicts, DataError> {
        let mut found = Conflicts::default();
        // The greatest row on top, to be given up for a lower one.
        let mut examples: BinaryHeap<(u32, u32)> = BinaryHeap::new();
        let mut group: Option<(u128, u32, u128, bool)> = None;
        for record in self.rows.finish()?.iter() {
            let (key, row, value) = record?;
            match &mut group {
                Some((same, first, of_first, conflict)) if *same == key => {
                    if *of_first != value {
                        found.keys += usize::from(!*conflict);
                        found.rows += 1;
                        *conflict = true;
                        examples.push((row, *first));
                        if examples.len() > MOST_EXAMPLES {
                            examples.pop();
                        }
                    }
                }
                _ => group = Some((key, row, value, false)),
            }
        }
        let examples = examples.into_sorted_vec().into_iter();
        found.examples = examples.map(|(row, first)| (first as usize, row as usize)).collect();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflicts(rows: &[(u8, u8)]) -> Conflicts {
        let folder = tempfile::tempdir().expect("a folder");
        let mut finder = ConflictFinder::new(&Scratch::new(folder.path()));
        for (row, &(key, value)) in rows.iter().enumerate() {
            finder.push(row, [key; 16], [value; 16]).expect("room");
        }
        finder.finish().expect("conflicts")
    }

    #[test]
    fn another_value_of_the_same_key_is_a_conflict() {
        let found = conflicts(&[(9, 1), (2, 1), (9, 1), (9, 2), (2, 2), (9, 1), (9, 3), (5, 5)]);
        assert_eq!(found, Conflicts { keys: 2, rows: 3, examples: vec![(0, 3), (1, 4), (0, 6)] });
        assert_eq!(conflicts(&[(1, 1), (1, 1), (2, 1)]), Conflicts::default());
    }

    #[test]
    fn the_first_examples_are_kept() {
        let rows: Vec<(u8, u8)> = (0..100).rev().flat_map(|key| [(key, 1), (key, 2)]).collect();
        let found = conflicts(&rows);
        assert_eq!((found.keys, found.rows), (100, 100));
        assert_eq!(found.examples, (0..20).map(|pair| (2 * pair, 2 * pair + 1)).collect::<Vec<_>>());
    }
}
