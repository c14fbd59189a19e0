//! In how many rows a word stands, about.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

/// Rows of the sketch: a word is overcounted only where it shares a counter with more frequent words in all of them.
const DEPTH: usize = 4;
/// Counters a row: 8 MiB in all, and no overcount to speak of below a million distinct words.
const WIDTH: usize = 1 << 20;

/// A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update: memory is fixed, and a count is never
/// too low, so that a word of the set is never taken for a mistake.
#[derive(Clone, Debug)]
pub(crate) struct WordSketch {
    counts: Vec<u16>,
    seen_in_row: HashSet<u64>,
}

impl Default for WordSketch {
    fn default() -> Self {
        Self { counts: vec![0; DEPTH * WIDTH], seen_in_row: HashSet::new() }
    }
}

impl WordSketch {
    /// Counts the words of a text once for the current row.
    pub(crate) fn push(&mut self, text: &str) {
        for word in super::words(text) {
            let hash = hash(&text[word]);
            if self.seen_in_row.insert(hash) {
                let least = self.estimate(hash);
                for cell in cells(hash) {
                    let count = &mut self.counts[cell];
                    *count = (*count).max(least.saturating_add(1));
                }
            }
        }
    }

    pub(crate) fn end_row(&mut self) {
        self.seen_in_row.clear();
    }

    /// In how many rows the word stands, at most 65,535.
    pub(crate) fn rows(&self, word: &str) -> u32 {
        u32::from(self.estimate(hash(word)))
    }

    fn estimate(&self, hash: u64) -> u16 {
        cells(hash).map(|cell| self.counts[cell]).into_iter().min().unwrap_or(0)
    }
}

/// Case is kept: what stands as a name only is no word.
fn hash(word: &str) -> u64 {
    xxh3_64(word.as_bytes())
}

/// A cell in each row, by double hashing (Kirsch and Mitzenmacher, 2006).
fn cells(hash: u64) -> [usize; DEPTH] {
    let (one, other) = (hash as u32 as u64, hash >> 32 | 1);
    std::array::from_fn(|row| {
        let place = one.wrapping_add(other.wrapping_mul(row as u64)) as usize;
        row * WIDTH + place % WIDTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rows_and_never_too_low() {
        let mut sketch = WordSketch::default();
        for row in 0..1_000 {
            sketch.push("common common words");
            sketch.push(&format!("common {}", ["even", "odd"][row % 2]));
            sketch.end_row();
        }
        assert_eq!(
            ["common", "words", "even", "odd"].map(|word| sketch.rows(word)),
            [1_000, 1_000, 500, 500]
        );
        assert_eq!(sketch.rows("never"), 0);
    }
}
