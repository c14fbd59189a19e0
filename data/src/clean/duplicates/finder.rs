//! Equal rows among millions, by sorted hashes.

use crate::error::DataError;
use crate::spill::{Bits, Scratch, Sorted, Sorter, SpillError};

/// In what two rows are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// Every byte of every turn.
    Raw,
    /// Their canonical forms.
    Canonical,
}

/// A row that equals an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The row.
    pub row: usize,
    /// The first row it equals.
    pub first: usize,
    /// In what.
    pub equality: Equality,
}

/// Collects the hashes of rows and finds those that came before.
pub struct DuplicateFinder {
    scratch: Scratch,
    /// (hash of the raw content, row, hash of its canonical form).
    rows: Sorter<(u128, u32, u128)>,
}

/// The duplicates found; one bit a row is in memory, the rest on disk.
pub struct EqualRows {
    dropped: Bits,
    /// (row, first row, whether only canonically equal).
    listed: Sorted<(u32, u32, u32)>,
    raw: usize,
    canonical: usize,
}

impl DuplicateFinder {
    /// A finder without rows.
    pub fn new(scratch: &Scratch) -> Self {
        Self { scratch: scratch.clone(), rows: Sorter::new(&scratch.part(2)) }
    }

    /// Takes the hashes of a row's raw content ([`crate::Record::content_hash`]) and of its canonical form
    /// ([`super::canonical_hash`]). Rows may come in any order; a row's number is its place, the lowest is the first.
    ///
    /// # Errors
    /// A temporary file that cannot be written; a number above 2^32 - 1.
    pub fn push(&mut self, row: usize, raw: [u8; 16], canonical: [u8; 16]) -> Result<(), DataError> {
        Ok(self.rows.push((u128::from_le_bytes(raw), number(row)?, u128::from_le_bytes(canonical)))?)
    }

    /// Finds the rows that equal an earlier one.
    ///
    /// # Errors
    /// A temporary file that cannot be written or read.
    pub fn finish(self) -> Result<EqualRows, DataError> {
        let mut listed = Sorter::new(&self.scratch.part(4));
        let mut firsts = Sorter::new(&self.scratch.part(4));
        let (mut raw, mut canonical, mut dropped) = (0, 0, Bits::default());
        let mut group = None;
        for record in self.rows.finish()?.iter() {
            let (hash, row, form) = record?;
            match group {
                Some((same, first)) if same == hash => {
                    raw += 1;
                    dropped.insert(row);
                    listed.push((row, first, 0))?;
                }
                _ => {
                    group = Some((hash, row));
                    firsts.push((form, row))?;
                }
            }
        }
        let mut group = None;
        for record in firsts.finish()?.iter() {
            let (form, row) = record?;
            match group {
                Some((same, first)) if same == form => {
                    canonical += 1;
                    dropped.insert(row);
                    listed.push((row, first, 1))?;
                }
                _ => group = Some((form, row)),
            }
        }
        Ok(EqualRows { dropped, listed: listed.finish()?, raw, canonical })
    }
}

impl EqualRows {
    /// Whether no earlier row equals this one, raw or in its canonical form.
    pub fn kept(&self, row: usize) -> bool {
        u32::try_from(row).is_ok_and(|row| !self.dropped.contains(row))
    }

    /// How many rows equal an earlier one byte for byte.
    pub fn raw(&self) -> usize {
        self.raw
    }

    /// How many more rows equal an earlier one in their canonical form.
    pub fn canonical(&self) -> usize {
        self.canonical
    }

    /// Every duplicate, in the order of the rows.
    ///
    /// # Errors
    /// A temporary file that cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Result<Duplicate, SpillError>> + '_ {
        self.listed.iter().map(|record| {
            let (row, first, kind) = record?;
            let equality = if kind == 0 { Equality::Raw } else { Equality::Canonical };
            Ok(Duplicate { row: row as usize, first: first as usize, equality })
        })
    }
}

/// The number of a row as it is stored.
pub(super) fn number(row: usize) -> Result<u32, DataError> {
    u32::try_from(row).map_err(|_| DataError::TooManyRows { most: u32::MAX as usize })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::stream::{stream, uniform_below};

    fn hash(number: u64) -> [u8; 16] {
        let mut bytes = [0; 16];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn raw_and_canonical_equality_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut finder = DuplicateFinder::new(&Scratch::new(folder.path()));
        for (row, (raw, canonical)) in [(1, 1), (2, 1), (1, 1), (2, 1), (3, 2)].into_iter().enumerate() {
            finder.push(row, hash(raw), hash(100 + canonical)).expect("room");
        }
        let found = finder.finish().expect("duplicates");
        let listed: Vec<Duplicate> = found.iter().map(|row| row.expect("a row")).collect();
        let duplicate = |row, first, equality| Duplicate { row, first, equality };
        assert_eq!(
            listed,
            [
                duplicate(1, 0, Equality::Canonical),
                duplicate(2, 0, Equality::Raw),
                duplicate(3, 1, Equality::Raw)
            ]
        );
        assert_eq!((found.raw(), found.canonical()), (2, 1));
        assert_eq!((0..5).filter(|&row| found.kept(row)).collect::<Vec<_>>(), [0, 4]);
    }

    #[test]
    fn sorting_finds_what_a_table_finds() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut finder = DuplicateFinder::new(&Scratch { folder: folder.path().to_owned(), memory_bytes: 0 });
        let mut random = stream(4, "test", "duplicates", 0);
        let (mut raws, mut forms) = (HashMap::new(), HashMap::new());
        let mut expected = Vec::new();
        for row in 0..20_000 {
            let raw = uniform_below(&mut random, 15_000);
            let form = raw / 2;
            finder.push(row, hash(raw), hash(form)).expect("room");
            match (raws.get(&raw), forms.get(&form)) {
                (Some(&first), _) => expected.push(Duplicate { row, first, equality: Equality::Raw }),
                (_, Some(&first)) => expected.push(Duplicate { row, first, equality: Equality::Canonical }),
                _ => {}
            }
            raws.entry(raw).or_insert(row);
            forms.entry(form).or_insert(row);
        }
        let found = finder.finish().expect("duplicates");
        assert!(found.iter().map(|row| row.expect("a row")).eq(expected.iter().copied()));
        assert_eq!(found.raw() + found.canonical(), expected.len());
        assert_eq!((0..20_000).filter(|&row| !found.kept(row)).count(), expected.len());
    }
}
