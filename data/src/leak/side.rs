//! The rows of one side: their texts on disk, and what of them is looked up.

use rayon::prelude::*;

use super::LeakRow;
use super::features::{Content, Features, Looker};
use super::lines::{SharedLines, line_hashes};
use crate::error::DataError;
use crate::near::{MOST_ROWS, comparable};
use crate::spill::{Filter, Scratch, ScratchFile, Sorted, Sorter, SpillError, Texts};

/// Rows and bytes that are prepared side by side.
const BATCH: (usize, usize) = (16 << 10, 8 << 20);

/// The number of a content of nothing but shared lines, and the hash of its prompt.
type Bare = (u64, [u8; 16]);

/// Rows as they are pushed.
pub(super) struct Side {
    texts: Texts,
    /// The hashes of each row's conversation and prompt: 32 bytes.
    hashes: ScratchFile,
    waiting: String,
    ends: Vec<usize>,
}

impl Side {
    pub(super) fn new(scratch: &Scratch) -> Self {
        let (texts, hashes) = (Texts::new(&scratch.folder), ScratchFile::new(&scratch.folder));
        Self { texts, hashes, waiting: String::new(), ends: Vec::new() }
    }

    pub(super) fn rows(&self) -> usize {
        self.texts.len() + self.ends.len()
    }

    /// Takes a row; its lines go to `lines` in their time.
    pub(super) fn push(&mut self, row: &LeakRow, lines: &mut Sorter<u64>) -> Result<(), DataError> {
        if self.rows() == MOST_ROWS {
            return Err(DataError::TooManyRows { most: MOST_ROWS });
        }
        self.hashes.append(&row.conversation)?;
        self.hashes.append(&row.prompt)?;
        self.waiting.push_str(comparable(&row.content));
        self.ends.push(self.waiting.len());
        if self.ends.len() == BATCH.0 || self.waiting.len() >= BATCH.1 {
            self.store(lines)?;
        }
        Ok(())
    }

    /// Writes down the rows that wait.
    pub(super) fn store(&mut self, lines: &mut Sorter<u64>) -> Result<(), SpillError> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let contents: Vec<&str> =
            starts.zip(&self.ends).map(|(start, &end)| &self.waiting[start..end]).collect();
        let hashes: Vec<Vec<u64>> = contents.par_iter().map(|content| line_hashes(content)).collect();
        for (content, hashes) in contents.into_iter().zip(hashes) {
            self.texts.append(content)?;
            for hash in hashes {
                lines.push(hash)?;
            }
        }
        self.waiting.clear();
        self.ends.clear();
        Ok(())
    }

    /// The content of a row as it was pushed, in place of what `content` held.
    pub(super) fn read(&self, row: u32, content: &mut String) -> Result<(), SpillError> {
        self.texts.read(row, content)
    }

    /// Calls `take` with what is looked up of each row, in order.
    pub(super) fn each(
        &self,
        looker: &Looker,
        shared: &SharedLines,
        mut take: impl FnMut(u32, Looked) -> Result<(), SpillError>,
    ) -> Result<(), SpillError> {
        let rows = self.texts.len() as u32;
        for first in (0..rows).step_by(BATCH.0 / 4) {
            let batch = first..rows.min(first + BATCH.0 as u32 / 4);
            let looked: Result<Vec<Looked>, SpillError> = batch
                .clone()
                .into_par_iter()
                .map_init(String::new, |text, row| self.looked(row, looker, shared, text))
                .collect();
            for (row, looked) in batch.zip(looked?) {
                take(row, looked)?;
            }
        }
        Ok(())
    }

    fn looked(
        &self,
        row: u32,
        looker: &Looker,
        shared: &SharedLines,
        text: &mut String,
    ) -> Result<Looked, SpillError> {
        self.read(row, text)?;
        let content = Content::new(text, shared);
        if content.is_short() {
            let [conversation, prompt] = self.hashes_of(row)?;
            let hash = if shared.bare(text).is_some() { prompt } else { conversation };
            return Ok(Looked::Short(u128::from_le_bytes(hash)));
        }
        Ok(Looked::Content(looker.features(&content)))
    }

    /// The hashes of a row's conversation and prompt.
    fn hashes_of(&self, row: u32) -> Result<[[u8; 16]; 2], SpillError> {
        let mut hashes = [[0; 16]; 2];
        for (hash, place) in hashes.iter_mut().zip(u64::from(row) * 2..) {
            self.hashes.read_at(place * 16, hash)?;
        }
        Ok(hashes)
    }

    /// Calls `take` with every row of nothing but shared lines: the number of its content, and the hash of its prompt.
    pub(super) fn bare(
        &self,
        shared: &SharedLines,
        mut take: impl FnMut(u64, [u8; 16]),
    ) -> Result<(), SpillError> {
        let rows = self.texts.len() as u32;
        for first in (0..rows).step_by(BATCH.0) {
            let of_row = |text: &mut String, row: u32| -> Result<Option<Bare>, SpillError> {
                self.read(row, text)?;
                let Some(key) = shared.bare(text) else { return Ok(None) };
                Ok(Some((key, self.hashes_of(row)?[1])))
            };
            let found: Result<Vec<Option<Bare>>, SpillError> = (first..rows.min(first + BATCH.0 as u32))
                .into_par_iter()
                .map_init(String::new, of_row)
                .collect();
            found?.into_iter().flatten().for_each(|(key, prompt)| take(key, prompt));
        }
        Ok(())
    }
}

/// What is looked up of a row.
pub(super) enum Looked {
    /// The hash of the conversation, for there is little else; of shared lines alone that of everything before the answer.
    Short(u128),
    /// The keys of its content.
    Content(Features),
}

/// What is looked up of the rows of one side, sorted or to be sorted.
pub(super) struct Keys<N, A, S> {
    /// (key, row, digest).
    pub(super) near: N,
    /// (key, row).
    pub(super) anchors: A,
    /// (key, row).
    pub(super) grams: A,
    /// (hash of the conversation or the prompt, row).
    pub(super) short: S,
}

pub(super) type Sorting = Keys<Sorter<(u64, u32, u64)>, Sorter<(u64, u32)>, Sorter<(u128, u32)>>;
pub(super) type InOrder = Keys<Sorted<(u64, u32, u64)>, Sorted<(u64, u32)>, Sorted<(u128, u32)>>;

impl Sorting {
    pub(super) fn new(scratch: &Scratch) -> Self {
        let (wide, narrow) = (scratch.part(4), scratch.part(8));
        Self {
            near: Sorter::new(&wide),
            anchors: Sorter::new(&narrow),
            grams: Sorter::new(&narrow),
            short: Sorter::new(&scratch.part(16)),
        }
    }

    /// Takes the keys of a row that `wanted` lets pass.
    pub(super) fn push(&mut self, row: u32, looked: Looked, wanted: &Wanted) -> Result<(), SpillError> {
        let features = match looked {
            Looked::Short(hash) => return self.short.push((hash, row)),
            Looked::Content(features) => features,
        };
        let passes = |filter: &Option<Filter>, key| filter.as_ref().is_none_or(|filter| filter.contains(key));
        for key in features.near.into_iter().filter(|&key| passes(&wanted.near, key)) {
            self.near.push((key, row, features.digest))?;
        }
        for key in features.anchors.into_iter().filter(|&key| passes(&wanted.anchors, key)) {
            self.anchors.push((key, row))?;
        }
        for key in features.grams.into_iter().filter(|&key| passes(&wanted.grams, key)) {
            self.grams.push((key, row))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<InOrder, SpillError> {
        Ok(Keys {
            near: self.near.finish()?,
            anchors: self.anchors.finish()?,
            grams: self.grams.finish()?,
            short: self.short.finish()?,
        })
    }
}

/// Which keys are worth keeping: all, or those that the other side may have.
#[derive(Default)]
pub(super) struct Wanted {
    near: Option<Filter>,
    anchors: Option<Filter>,
    grams: Option<Filter>,
}

impl Wanted {
    /// The keys that stand in `keys`, and few others.
    pub(super) fn by(keys: &InOrder, scratch: &Scratch) -> Result<Self, SpillError> {
        let most_bytes = scratch.memory_bytes / 8;
        let mut near = Filter::new(keys.near.len(), most_bytes);
        for record in keys.near.iter() {
            near.insert(record?.0);
        }
        let narrow = |records: &Sorted<(u64, u32)>| {
            let mut filter = Filter::new(records.len(), most_bytes);
            for record in records.iter() {
                filter.insert(record?.0);
            }
            Ok::<Filter, SpillError>(filter)
        };
        Ok(Self {
            near: Some(near),
            anchors: Some(narrow(&keys.anchors)?),
            grams: Some(narrow(&keys.grams)?),
        })
    }
}
