//! Sorting more records than memory holds: sorted runs on disk, merged while they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use rayon::slice::ParallelSliceMut;

use super::{Fixed, Scratch, ScratchFile, SpillError};

/// The fewest records held before a run is written.
const LEAST_HELD: usize = 1 << 12;

/// The most runs merged at once: each wants a buffer of some kilobytes to be read in large pieces.
const MOST_RUNS: usize = 512;

/// The fewest and the most bytes of the buffer that reads a run.
const RUN_BUFFER_BYTES: (usize, usize) = (8 << 10, 1 << 20);

/// Records on their way to being sorted.
pub(crate) struct Sorter<T> {
    runs: Runs,
    folder: std::path::PathBuf,
    held: Vec<T>,
    most_held: usize,
    memory_bytes: usize,
}

struct Runs {
    file: ScratchFile,
    /// First and last byte of each run.
    ranges: Vec<(u64, u64)>,
}

/// Sorted records, to be read as often as wanted.
pub(crate) struct Sorted<T> {
    runs: Runs,
    held: Vec<T>,
    memory_bytes: usize,
}

impl<T: Fixed> Sorter<T> {
    /// A sorter that holds at most the memory of `scratch`.
    pub(crate) fn new(scratch: &Scratch) -> Self {
        let most_held = (scratch.memory_bytes / size_of::<T>().max(1)).max(LEAST_HELD);
        let (folder, memory_bytes) = (scratch.folder.clone(), scratch.memory_bytes);
        Self { runs: Runs::new(&folder), folder, held: Vec::new(), most_held, memory_bytes }
    }

    pub(crate) fn push(&mut self, record: T) -> Result<(), SpillError> {
        if self.held.len() == self.most_held {
            self.spill()?;
        } else if self.held.len() == self.held.capacity() {
            // Doubling, but never beyond what may be held.
            let more = self.held.len().max(LEAST_HELD).min(self.most_held - self.held.len());
            self.held.reserve_exact(more);
        }
        self.held.push(record);
        Ok(())
    }

    /// The records in order; equal ones stay as often as they came.
    pub(crate) fn finish(mut self) -> Result<Sorted<T>, SpillError> {
        if self.runs.ranges.is_empty() {
            self.held.par_sort_unstable();
        } else {
            self.spill()?;
            self.held = Vec::new();
        }
        let mut runs = self.runs;
        while runs.ranges.len() > MOST_RUNS {
            runs = merged::<T>(&runs, &self.folder, self.memory_bytes)?;
        }
        Ok(Sorted { runs, held: self.held, memory_bytes: self.memory_bytes })
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        self.held.par_sort_unstable();
        self.runs.append(self.held.drain(..).map(Ok))
    }
}

impl<T: Fixed> Sorted<T> {
    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        let bytes: u64 = self.runs.ranges.iter().map(|(start, end)| end - start).sum();
        self.held.len() + (bytes / T::BYTES.max(1) as u64) as usize
    }

    /// All records, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<T, SpillError>> + '_ {
        let merged = Merge::<T>::new(&self.runs, &self.runs.ranges, self.memory_bytes);
        self.held.iter().map(|&record| Ok(record)).chain(merged)
    }
}

impl Runs {
    fn new(folder: &std::path::Path) -> Self {
        Self { file: ScratchFile::new(folder), ranges: Vec::new() }
    }

    fn append<T: Fixed>(
        &mut self,
        records: impl Iterator<Item = Result<T, SpillError>>,
    ) -> Result<(), SpillError> {
        let start = self.file.length_bytes();
        let mut bytes = vec![0; T::BYTES];
        for record in records {
            record?.put(&mut bytes);
            self.file.append(&bytes)?;
        }
        self.ranges.push((start, self.file.length_bytes()));
        Ok(())
    }
}

/// Fewer and longer runs of the same records.
fn merged<T: Fixed>(runs: &Runs, folder: &std::path::Path, memory_bytes: usize) -> Result<Runs, SpillError> {
    let mut fewer = Runs::new(folder);
    for ranges in runs.ranges.chunks(MOST_RUNS) {
        fewer.append(Merge::<T>::new(runs, ranges, memory_bytes))?;
    }
    Ok(fewer)
}

/// What reads several runs as one.
struct Merge<'a, T> {
    cursors: Vec<Cursor<'a>>,
    /// The next record of each run that has one; filled at the first call.
    heap: BinaryHeap<Reverse<(T, usize)>>,
    started: bool,
}

impl<'a, T: Fixed> Merge<'a, T> {
    fn new(runs: &'a Runs, ranges: &[(u64, u64)], memory_bytes: usize) -> Self {
        let (least, most) = RUN_BUFFER_BYTES;
        let share_bytes = (memory_bytes / ranges.len().max(1)).clamp(least, most);
        let chunk_bytes = (share_bytes / T::BYTES.max(1)).max(1) * T::BYTES.max(1);
        let cursors = ranges.iter().map(|&(next, end)| Cursor {
            file: &runs.file,
            next,
            end,
            chunk_bytes,
            bytes: Vec::new(),
            read: 0,
        });
        Self { cursors: cursors.collect(), heap: BinaryHeap::new(), started: false }
    }

    fn start(&mut self) -> Result<(), SpillError> {
        self.started = true;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            if let Some(record) = cursor.next()? {
                self.heap.push(Reverse((record, index)));
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<T>, SpillError> {
        if !self.started {
            self.start()?;
        }
        let Some(mut least) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse((record, index)) = *least;
        match self.cursors[index].next()? {
            Some(next) => *least = Reverse((next, index)),
            None => drop(PeekMut::pop(least)),
        }
        Ok(Some(record))
    }
}

impl<T: Fixed> Iterator for Merge<'_, T> {
    type Item = Result<T, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

struct Cursor<'a> {
    file: &'a ScratchFile,
    next: u64,
    end: u64,
    chunk_bytes: usize,
    bytes: Vec<u8>,
    read: usize,
}

impl Cursor<'_> {
    fn next<T: Fixed>(&mut self) -> Result<Option<T>, SpillError> {
        if self.read == self.bytes.len() {
            let left = (self.end - self.next).min(self.chunk_bytes as u64);
            if left == 0 {
                return Ok(None);
            }
            self.bytes.resize(left as usize, 0);
            self.file.read_at(self.next, &mut self.bytes)?;
            self.next += left;
            self.read = 0;
        }
        let record = T::take(&self.bytes[self.read..]);
        self.read += T::BYTES;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;
    use crate::stream::stream;

    type Row = (u64, u32);

    fn sorted(count: usize, memory_bytes: usize) -> (Sorted<Row>, Vec<Row>) {
        let folder = tempfile::tempdir().expect("a folder");
        let scratch = Scratch { folder: folder.path().to_owned(), memory_bytes };
        let mut random = stream(3, "test", "sorter", count as u64);
        let mut sorter = Sorter::new(&scratch);
        let records: Vec<_> =
            (0..count).map(|_| (random.next_u64() % 1000, random.next_u64() as u32)).collect();
        records.iter().for_each(|&record| sorter.push(record).expect("room"));
        (sorter.finish().expect("sorted"), records)
    }

    #[test]
    fn any_number_of_runs_is_one_order() {
        for (count, memory_bytes) in
            [(0, 0), (1, 0), (4096, 0), (4097, 0), (50_000, 200_000), (50_000, 1 << 30)]
        {
            let (sorted, mut records) = sorted(count, memory_bytes);
            records.sort_unstable();
            for _ in 0..2 {
                let read: Vec<_> = sorted.iter().map(|record| record.expect("a record")).collect();
                assert_eq!(read, records, "{count} in {memory_bytes}");
            }
            assert_eq!(sorted.len(), count);
        }
    }

    #[test]
    fn too_many_runs_are_merged_twice() {
        let count = LEAST_HELD * (MOST_RUNS + 3);
        let (sorted, mut records) = sorted(count, 0);
        assert!(sorted.runs.ranges.len() > 1 && sorted.held.is_empty());
        records.sort_unstable();
        assert!(sorted.iter().map(|record| record.expect("a record")).eq(records));
    }
}
