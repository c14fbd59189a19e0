//! What was found: rows that belong together, and the one of each that stays.

use crate::spill::{Sorted, SpillError};

/// Clusters of near-equal rows; rows are numbered from 0 in the order they were pushed. Resident are 4 bytes a row.
pub struct Clusters {
    pub(super) representatives: Vec<u32>,
    /// (first row of the cluster, row) of every row that is not alone.
    pub(super) members: Sorted<(u32, u32)>,
    /// (row, later row, Jaccard index as the bits of an f64) where pairs were asked for.
    pub(super) pairs: Sorted<(u32, u32, u64)>,
    pub(super) dropped: usize,
    pub(super) clusters: usize,
    pub(super) comparisons: u64,
}

/// Rows that are joined by near-equal pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The row that stays.
    pub kept: usize,
    /// All rows, two at least, in order.
    pub rows: Vec<usize>,
}

/// Two rows compared exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The row that came first.
    pub first: usize,
    /// The row that came later.
    pub second: usize,
    /// The Jaccard index of their character 5-grams.
    pub similarity: f64,
}

impl Clusters {
    /// How many rows were pushed.
    pub fn rows(&self) -> usize {
        self.representatives.len()
    }

    /// Whether the row stays: it is alone, or the one kept of its cluster. Panics beyond the last row.
    pub fn kept(&self, row: usize) -> bool {
        self.representative(row) == row
    }

    /// The row that stays in place of this one. Panics beyond the last row.
    pub fn representative(&self, row: usize) -> usize {
        self.representatives[row] as usize
    }

    /// How many rows do not stay.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// How many clusters of two rows or more there are.
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// How many pairs of rows were compared exactly: what was done, beside what was found.
    pub fn comparisons(&self) -> u64 {
        self.comparisons
    }

    /// The clusters, in the order of their first rows.
    ///
    /// # Errors
    /// A temporary file that cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cluster, SpillError>> + '_ {
        let mut members = self.members.iter();
        let mut ahead: Option<(u32, u32)> = None;
        std::iter::from_fn(move || {
            let (first, row) = match ahead.take().map(Ok).or_else(|| members.next())? {
                Ok(member) => member,
                Err(error) => return Some(Err(error)),
            };
            let mut rows = vec![row as usize];
            for member in members.by_ref() {
                match member {
                    Err(error) => return Some(Err(error)),
                    Ok(member) if member.0 == first => rows.push(member.1 as usize),
                    Ok(member) => {
                        ahead = Some(member);
                        break;
                    }
                }
            }
            Some(Ok(Cluster { kept: self.representative(rows[0]), rows }))
        })
    }

    /// The pairs that were compared and found near-equal, in order, each once; none unless they were asked for.
    ///
    /// Rows with the same compared text stand in as many pairs as there are copies: each with the first of them, and
    /// that one with other rows.
    ///
    /// # Errors
    /// A temporary file that cannot be read.
    pub fn pairs(&self) -> impl Iterator<Item = Result<Pair, SpillError>> + '_ {
        let mut last = None;
        self.pairs.iter().filter_map(move |pair| match pair {
            Err(error) => Some(Err(error)),
            Ok((first, second, _)) if last == Some((first, second)) => None,
            Ok((first, second, similarity)) => {
                last = Some((first, second));
                let similarity = f64::from_bits(similarity);
                Some(Ok(Pair { first: first as usize, second: second as usize, similarity }))
            }
        })
    }
}
