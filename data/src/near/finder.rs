//! Rows in, clusters out.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::buckets::{Buckets, Edge};
use super::clusters::Clusters;
use super::sketch::{Bands, Care, Sketcher, least_agreement};
use super::text::{append_compared, comparable, each_shingle};
use super::union::Union;
use crate::error::DataError;
use crate::spill::{Bits, Columns, Scratch, ScratchFile, Sorted, Sorter, SpillError, Texts};

/// Below this so many rows meet by chance that comparing them takes longer than training.
pub(crate) const LEAST_SIMILARITY: f64 = 0.5;

/// Rows are numbered in 32 bits, which is what keeps a comparison of ten million of them small.
pub(crate) const MOST_ROWS: usize = u32::MAX as usize;

/// Rows that are prepared side by side: as many as are written as one block of keys, and so many bytes at most.
const BATCH: (usize, usize) = (16 << 10, 8 << 20);

/// Rows that one worker takes at a time.
const CHUNK: usize = 256;

/// Which row of a cluster stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The one that was pushed first.
    #[default]
    First,
    /// The one whose compared text has the most bytes; of equally long ones the first.
    Longest,
}

/// What counts as near, and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NearOptions {
    /// The Jaccard index of character 5-grams from which on two rows are near-equal, from 0.5 to 1.
    pub similarity: f64,
    /// Which row of a cluster stays.
    pub keep: Keep,
    /// Whether every pair found is kept for [`Clusters::pairs`]; costs a comparison of rows that are already joined.
    pub pairs: bool,
    /// Where rows wait, and in how much memory.
    pub scratch: Scratch,
}

/// Collects rows and finds those that are near-equal.
pub struct NearFinder {
    options: NearOptions,
    sketcher: Sketcher,
    waiting: Waiting,
    stored: Stored,
    rows: usize,
}

/// Raw texts of rows that are not prepared yet.
#[derive(Default)]
struct Waiting {
    text: String,
    ends: Vec<usize>,
}

/// What is on disk.
struct Stored {
    texts: Texts,
    keys: Columns,
    digests: ScratchFile,
    /// (hash of the compared text, row).
    equal: Sorter<(u128, u32)>,
    /// Rows of which nothing is left to compare.
    aside: Bits,
}

impl NearFinder {
    /// A finder without rows.
    ///
    /// # Errors
    /// A similarity outside 0.5 to 1.
    pub fn new(options: NearOptions) -> Result<Self, DataError> {
        let similarity = options.similarity;
        if !(LEAST_SIMILARITY..=1.0).contains(&similarity) {
            return Err(DataError::Similarity { similarity, least: LEAST_SIMILARITY });
        }
        let bands = Bands::for_similarity(similarity, Care::DUPLICATES);
        let file = || ScratchFile::new(&options.scratch.folder);
        let stored = Stored {
            texts: Texts::new(&options.scratch.folder),
            keys: Columns::new(file(), bands.bands),
            digests: file(),
            equal: Sorter::new(&options.scratch.part(4)),
            aside: Bits::default(),
        };
        Ok(Self { sketcher: Sketcher::new(bands), options, waiting: Waiting::default(), stored, rows: 0 })
    }

    /// Takes the next row. Of a text above 256 KiB only the beginning is compared. A text without letters and numbers
    /// is near no other: exact duplicates are another stage's.
    ///
    /// # Errors
    /// A temporary file that cannot be written; more than 2^32 - 1 rows.
    pub fn push(&mut self, text: &str) -> Result<(), DataError> {
        if self.rows == MOST_ROWS {
            return Err(DataError::TooManyRows { most: MOST_ROWS });
        }
        self.rows += 1;
        self.waiting.text.push_str(comparable(text));
        self.waiting.ends.push(self.waiting.text.len());
        let (rows, bytes) = BATCH;
        if self.waiting.ends.len() == rows || self.waiting.text.len() >= bytes {
            self.store()?;
        }
        Ok(())
    }

    /// Compares all rows that met.
    ///
    /// # Errors
    /// A temporary file that cannot be written or read.
    pub fn finish(mut self) -> Result<Clusters, DataError> {
        self.store()?;
        let Self { options, mut stored, rows, sketcher, .. } = self;
        let mut union = Union::new(rows);
        let mut pairs = Sorter::new(&options.scratch.part(4));
        join_equal(stored.equal.finish()?, &mut union, &mut stored.aside, |first, row| {
            if options.pairs { pairs.push((first, row, 1f64.to_bits())) } else { Ok(()) }
        })?;
        let buckets = Buckets {
            digests: &digests(&stored.digests, rows)?,
            texts: &stored.texts,
            similarity: options.similarity,
            least_agreement: least_agreement(options.similarity, Care::DUPLICATES),
            all: options.pairs,
        };
        let mut comparisons = 0;
        for band in 0..sketcher.bands().bands {
            let mut keyed = Sorter::new(&options.scratch.part(2));
            let mut row = 0;
            stored.keys.column(band, |key| {
                let known = stored.aside.contains(row);
                let pushed = if known { Ok(()) } else { keyed.push(u64::from(key) << 32 | u64::from(row)) };
                row += 1;
                pushed
            })?;
            comparisons += buckets.join(&keyed.finish()?, &mut union, |edge: Edge| {
                let (first, second) = (edge.rows.0.min(edge.rows.1), edge.rows.0.max(edge.rows.1));
                if options.pairs { pairs.push((first, second, edge.similarity.to_bits())) } else { Ok(()) }
            })?;
        }
        let found = gathered(union, &stored.texts, &options, pairs.finish()?)?;
        Ok(Clusters { comparisons, ..found })
    }

    /// Prepares the rows that wait and writes them down, in order.
    fn store(&mut self) -> Result<(), SpillError> {
        let waiting = std::mem::take(&mut self.waiting);
        let (sketcher, ends) = (&self.sketcher, &waiting.ends);
        let prepared: Vec<Chunk> = ends
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(index, chunk)| {
                let start = if index == 0 { 0 } else { ends[index * CHUNK - 1] };
                Chunk::prepare(sketcher, &waiting.text, start, chunk)
            })
            .collect();
        let mut row = (self.rows - ends.len()) as u32;
        let mut keys = Vec::with_capacity(ends.len() * sketcher.bands().bands);
        for chunk in prepared {
            let mut start = 0;
            for (&end, (hash, digest)) in chunk.ends.iter().zip(chunk.hashes.into_iter().zip(chunk.digests)) {
                self.stored.texts.append(&chunk.text[start..end])?;
                self.stored.digests.append(&digest.to_le_bytes())?;
                match start == end {
                    true => self.stored.aside.insert(row),
                    false => self.stored.equal.push((hash, row))?,
                }
                start = end;
                row += 1;
            }
            keys.extend(chunk.keys);
        }
        self.stored.keys.push(&keys)?;
        self.waiting = waiting;
        self.waiting.text.clear();
        self.waiting.ends.clear();
        Ok(())
    }
}

/// Some rows, prepared.
#[derive(Default)]
struct Chunk {
    text: String,
    ends: Vec<usize>,
    hashes: Vec<u128>,
    keys: Vec<u32>,
    digests: Vec<u64>,
}

impl Chunk {
    /// Prepares the rows of `text` that end at `ends`, the first of which begins at `start`.
    fn prepare(sketcher: &Sketcher, text: &str, mut start: usize, ends: &[usize]) -> Self {
        let mut chunk = Self::default();
        let (mut shingles, mut values) = (Vec::new(), Vec::new());
        for &end in ends {
            let before = chunk.text.len();
            append_compared(&text[start..end], &mut chunk.text);
            let compared = &chunk.text[before..];
            shingles.clear();
            each_shingle(compared, |shingle| shingles.push(shingle));
            chunk.hashes.push(xxh3_128(compared.as_bytes()));
            chunk.digests.push(sketcher.sketch(&shingles, &mut values, &mut chunk.keys));
            chunk.ends.push(chunk.text.len());
            start = end;
        }
        chunk
    }
}

/// Joins rows with the same compared text to the first of them, and sets them aside: what is near one is near all.
fn join_equal(
    hashed: Sorted<(u128, u32)>,
    union: &mut Union,
    aside: &mut Bits,
    mut equal: impl FnMut(u32, u32) -> Result<(), SpillError>,
) -> Result<(), SpillError> {
    let mut group = None;
    for record in hashed.iter() {
        let (hash, row) = record?;
        match group {
            Some((same, first)) if same == hash => {
                union.join(first, row);
                aside.insert(row);
                equal(first, row)?;
            }
            _ => group = Some((hash, row)),
        }
    }
    Ok(())
}

fn digests(file: &ScratchFile, rows: usize) -> Result<Vec<u64>, SpillError> {
    let mut digests = Vec::with_capacity(rows);
    let mut bytes = Vec::new();
    while digests.len() < rows {
        let count = (rows - digests.len()).min(BATCH.0);
        bytes.resize(count * 8, 0);
        file.read_at(digests.len() as u64 * 8, &mut bytes)?;
        let words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        digests.extend(words);
    }
    Ok(digests)
}

/// The clusters of joined rows, with the row of each that stays.
fn gathered(
    union: Union,
    texts: &Texts,
    options: &NearOptions,
    pairs: Sorted<(u32, u32, u64)>,
) -> Result<Clusters, SpillError> {
    let mut firsts = union.into_firsts();
    let mut members = Sorter::new(&options.scratch.part(4));
    let (mut dropped, mut clusters) = (0, Bits::default());
    for (row, &first) in (0..).zip(&firsts) {
        if row != first {
            if !clusters.contains(first) {
                clusters.insert(first);
                members.push((first, first))?;
            }
            members.push((first, row))?;
            dropped += 1;
        }
    }
    let members: Sorted<(u32, u32)> = members.finish()?;
    if options.keep == Keep::Longest {
        keep_longest(&members, texts, &mut firsts)?;
    }
    let clusters = members.len() - dropped;
    Ok(Clusters { representatives: firsts, members, pairs, dropped, clusters, comparisons: 0 })
}

/// Puts the longest row of each cluster in the place of the first.
fn keep_longest(
    members: &Sorted<(u32, u32)>,
    texts: &Texts,
    representatives: &mut [u32],
) -> Result<(), SpillError> {
    // Of each cluster, at the place of its first row: the longest so far. Rows come with their cluster, in order.
    let (mut cluster, mut longest_bytes) = (None, 0);
    let mut length = [0];
    for member in members.iter() {
        let (first, row) = member?;
        texts.lengths(row as usize, &mut length)?;
        if cluster != Some(first) || length[0] > longest_bytes {
            (cluster, longest_bytes) = (Some(first), length[0]);
            representatives[first as usize] = row;
        }
    }
    // What a first row names is now the row kept; every other row still names its first row.
    for member in members.iter() {
        let (first, row) = member?;
        if row != first {
            representatives[row as usize] = representatives[first as usize];
        }
    }
    Ok(())
}
