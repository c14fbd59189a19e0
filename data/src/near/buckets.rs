//! Rows that met in a band, compared.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::sketch::agreement;
use super::text::{jaccard, shingle_set};
use super::union::Union;
use crate::spill::{Sorted, SpillError, Texts};

/// In a bucket of so many rows every one is compared with every other: its pairs cost less than choosing among them.
const ALL_PAIRS: usize = 64;

/// The same where every pair is wanted: half a million pairs of digests are looked at in a millisecond.
const ALL_PAIRS_WANTED: usize = 1024;

/// In a larger bucket rows are compared with so many leaders, rows that none before them was near to.
const MOST_LEADERS: usize = 256;

/// Of the leaders whose digests allow it, a row is compared exactly with so many, the most promising ones.
const MOST_COMPARED: usize = 32;

/// Rows of the buckets that are worked on side by side; what they found is joined before the next begin.
const BATCH_ROWS: usize = 1 << 16;

/// Shingles that one worker holds, 32 MiB of them.
const MOST_SHINGLES: usize = 4 << 20;

/// Two rows found near-equal.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) rows: (u32, u32),
    pub(super) similarity: f64,
}

/// What rows are compared by.
pub(super) struct Buckets<'a> {
    pub(super) texts: &'a Texts,
    pub(super) digests: &'a [u64],
    pub(super) similarity: f64,
    pub(super) least_agreement: u32,
    /// Whether rows of one cluster are compared too, so that every pair is seen.
    pub(super) all: bool,
}

impl Buckets<'_> {
    /// Joins what is near in the buckets of one band: records of a key in the upper half and a row in the lower.
    /// Returns how many pairs were compared exactly.
    ///
    /// Batches have a fixed size and are joined in order: the result does not depend on the number of threads.
    pub(super) fn join(
        &self,
        keyed: &Sorted<u64>,
        union: &mut Union,
        mut found: impl FnMut(Edge) -> Result<(), SpillError>,
    ) -> Result<u64, SpillError> {
        let mut compared = 0;
        let (mut rows, mut ends): (Vec<u32>, Vec<usize>) = (Vec::new(), Vec::new());
        let (mut key, mut start) = (None, 0);
        for record in keyed.iter() {
            let record = record?;
            if key != Some(record >> 32) {
                close(&mut rows, &mut ends, start);
                if rows.len() >= BATCH_ROWS {
                    compared += self.batch(&rows, &ends, union, &mut found)?;
                    rows.clear();
                    ends.clear();
                }
                (key, start) = (Some(record >> 32), rows.len());
            }
            rows.push(record as u32);
        }
        close(&mut rows, &mut ends, start);
        compared += self.batch(&rows, &ends, union, &mut found)?;
        Ok(compared)
    }

    fn batch(
        &self,
        rows: &[u32],
        ends: &[usize],
        union: &mut Union,
        found: &mut impl FnMut(Edge) -> Result<(), SpillError>,
    ) -> Result<u64, SpillError> {
        let known = &*union;
        let done: Result<Vec<(Vec<Edge>, u64)>, SpillError> = (0..ends.len())
            .into_par_iter()
            .with_min_len(16)
            .map(|index| {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                let mut bucket = Bucket::new(self, &rows[start..ends[index]], known);
                bucket.compare_rows()?;
                Ok((bucket.edges, bucket.compared))
            })
            .collect();
        let mut compared = 0;
        for (edges, comparisons) in done? {
            compared += comparisons;
            for edge in edges {
                union.join(edge.rows.0, edge.rows.1);
                found(edge)?;
            }
        }
        Ok(compared)
    }
}

/// Ends a bucket, and forgets it if it holds one row.
fn close(rows: &mut Vec<u32>, ends: &mut Vec<usize>, start: usize) {
    match rows.len() - start {
        0 | 1 => rows.truncate(start),
        _ => ends.push(rows.len()),
    }
}

/// The rows of one bucket.
struct Bucket<'a> {
    of: &'a Buckets<'a>,
    rows: &'a [u32],
    /// Which of the rows are in one cluster, by their places in `rows`.
    local: Union,
    sets: HashMap<u32, Arc<Vec<u64>>>,
    held: usize,
    edges: Vec<Edge>,
    compared: u64,
    text: String,
}

impl<'a> Bucket<'a> {
    fn new(of: &'a Buckets<'a>, rows: &'a [u32], known: &Union) -> Self {
        let mut local = Union::new(rows.len());
        let mut places: Vec<(u32, u32)> =
            (0..).zip(rows).map(|(place, &row)| (known.first(row), place)).collect();
        places.sort_unstable();
        for pair in places.windows(2) {
            if pair[0].0 == pair[1].0 {
                local.join(pair[0].1, pair[1].1);
            }
        }
        let (edges, text) = (Vec::new(), String::new());
        Self { of, rows, local, sets: HashMap::new(), held: 0, edges, compared: 0, text }
    }

    fn compare_rows(&mut self) -> Result<(), SpillError> {
        let most = if self.of.all { ALL_PAIRS_WANTED } else { ALL_PAIRS };
        match self.rows.len() <= most {
            true => self.every_pair(),
            false => self.by_leaders(),
        }
    }

    fn every_pair(&mut self) -> Result<(), SpillError> {
        for second in 1..self.rows.len() as u32 {
            for first in 0..second {
                if self.promising(first, second) {
                    self.compare(first, second)?;
                }
            }
        }
        Ok(())
    }

    /// Compares each row with those before it that were near to none: a row costs at most `MOST_LEADERS` looks and
    /// `MOST_COMPARED` comparisons, however many rows are near-equal. Where there are more leaders, half of their
    /// places stay with the first and half go to the latest.
    fn by_leaders(&mut self) -> Result<(), SpillError> {
        let mut leaders: Vec<u32> = Vec::new();
        let mut replaced = 0;
        for place in 0..self.rows.len() as u32 {
            // A leader is the first of its cluster here, or was until another joined it to an earlier one.
            if !self.of.all && self.local.first(place) != place {
                continue;
            }
            let mut near: Vec<(u32, u32)> = leaders
                .iter()
                .filter(|&&leader| self.promising(leader, place))
                .map(|&leader| (u32::MAX - self.agreement(leader, place), leader))
                .collect();
            near.sort_unstable();
            let mut alone = true;
            for &(_, leader) in near.iter().take(MOST_COMPARED) {
                if self.compare(leader, place)? {
                    alone = false;
                    if !self.of.all {
                        break;
                    }
                }
            }
            if alone && leaders.len() < MOST_LEADERS {
                leaders.push(place);
            } else if alone {
                leaders[MOST_LEADERS / 2 + replaced % (MOST_LEADERS / 2)] = place;
                replaced += 1;
            }
        }
        Ok(())
    }

    fn agreement(&self, first: u32, second: u32) -> u32 {
        let digest = |place: u32| self.of.digests[self.rows[place as usize] as usize];
        agreement(digest(first), digest(second))
    }

    fn promising(&self, first: u32, second: u32) -> bool {
        self.agreement(first, second) >= self.of.least_agreement
            && (self.of.all || self.local.first(first) != self.local.first(second))
    }

    /// Compares two rows exactly and notes them if they are near-equal.
    fn compare(&mut self, first: u32, second: u32) -> Result<bool, SpillError> {
        self.compared += 1;
        let (one, other) = (self.set(first)?, self.set(second)?);
        let (fewer, more) = (one.len().min(other.len()), one.len().max(other.len()));
        if (fewer as f64 / more as f64) < self.of.similarity {
            return Ok(false);
        }
        let similarity = jaccard(&one, &other);
        let near = similarity >= self.of.similarity;
        if near {
            self.local.join(first, second);
            let rows = (self.rows[first as usize], self.rows[second as usize]);
            self.edges.push(Edge { rows, similarity });
        }
        Ok(near)
    }

    fn set(&mut self, place: u32) -> Result<Arc<Vec<u64>>, SpillError> {
        if let Some(set) = self.sets.get(&place) {
            return Ok(set.clone());
        }
        self.of.texts.read(self.rows[place as usize], &mut self.text)?;
        let set = Arc::new(shingle_set(&self.text));
        if self.held + set.len() > MOST_SHINGLES {
            self.sets.clear();
            self.held = 0;
        }
        self.held += set.len();
        self.sets.insert(place, set.clone());
        Ok(set)
    }
}
