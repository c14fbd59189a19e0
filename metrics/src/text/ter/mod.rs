//! TER: the edits that make a reference of an answer, where a shift of a run of words is one edit (Snover et al. 2006).
//!
//! As sacreBLEU 2.6 has it by default, which follows Tercom: texts in lower case, words apart by whitespace; shifts are
//! taken greedily while they shorten the edit distance, and that is computed around the diagonal only.

mod grid;

use std::collections::HashMap;
use std::ops::{Add, AddAssign};

use self::grid::Grid;
use super::words;

/// Tercom's limits of a shift: words that move together, and how far.
const MAX_SHIFT_WORDS: usize = 10;
const MAX_SHIFT_DISTANCE: usize = 50;
/// sacreBLEU's limit of shifts that are tried for one pair.
const MAX_CANDIDATES: usize = 1000;

/// What a score is computed from, of a sentence or summed over many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TerStatistics {
    edits: u64,
    /// The mean over the references of a sentence.
    reference_words: f64,
}

/// The statistics of one pair.
#[must_use]
pub fn statistics(hypothesis: &str, reference: &str) -> TerStatistics {
    statistics_of_all(hypothesis, &[reference])
}

/// The statistics against several references: the fewest edits, over their mean length.
#[must_use]
pub fn statistics_of_all(hypothesis: &str, references: &[&str]) -> TerStatistics {
    let hypothesis = hypothesis.to_lowercase();
    let hypothesis: Vec<&str> = words(&hypothesis).collect();
    let (mut fewest, mut total_words) = (None::<u64>, 0);
    for reference in references {
        let reference = reference.to_lowercase();
        let reference: Vec<&str> = words(&reference).collect();
        let edits = edits(&hypothesis, &reference);
        fewest = Some(fewest.map_or(edits, |least| least.min(edits)));
        total_words += reference.len();
    }
    let reference_words = total_words as f64 / references.len().max(1) as f64;
    TerStatistics { edits: fewest.unwrap_or(hypothesis.len() as u64), reference_words }
}

/// How a score was computed, in sacreBLEU's words; `references` is the number of references a sentence has.
#[must_use]
pub fn signature(references: usize) -> String {
    format!("TER|nrefs:{references}|case:lc|tok:tercom|norm:no|punct:yes|asian:no")
}

impl TerStatistics {
    /// Edits in a hundred words of the references: 0 is best, and more than 100 is possible.
    #[must_use]
    pub fn score(&self) -> f64 {
        match self.edits {
            _ if self.reference_words > 0.0 => 100.0 * (self.edits as f64 / self.reference_words),
            0 => 0.0,
            _ => 100.0,
        }
    }
}

impl AddAssign for TerStatistics {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.reference_words += other.reference_words;
    }
}

impl Add for TerStatistics {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for TerStatistics {
    fn sum<I: Iterator<Item = Self>>(statistics: I) -> Self {
        statistics.fold(Self::default(), Add::add)
    }
}

/// Shifts and edits that make `reference` of `hypothesis`.
fn edits<'a>(hypothesis: &[&'a str], reference: &[&'a str]) -> u64 {
    if reference.is_empty() {
        return hypothesis.len() as u64;
    }
    let mut numbers = HashMap::new();
    let mut numbered = |words: &[&'a str]| -> Vec<u32> {
        let number = |word: &&'a str| {
            let next = numbers.len() as u32;
            *numbers.entry(*word).or_insert(next)
        };
        words.iter().map(number).collect()
    };
    let (hypothesis, reference) = (numbered(hypothesis), numbered(reference));
    let mut grid = Grid::new(hypothesis, &reference);
    let mut shifts = 0;
    let mut candidates = 0;
    loop {
        let best = best_shift(&mut grid, &mut candidates);
        match best {
            Some(best) if best.gain > 0 && candidates < MAX_CANDIDATES => {
                shifts += 1;
                grid = Grid::new(best.words, &reference);
            }
            _ => return shifts + u64::from(grid.distance()),
        }
    }
}

/// A shift that was tried. Which is best follows Tercom: the greatest gain, the longest run, the earliest start, the
/// earliest place to go to.
struct Shift {
    gain: i64,
    length: usize,
    start: usize,
    target: usize,
    words: Vec<u32>,
}

impl Shift {
    fn rank(&self) -> (i64, usize, std::cmp::Reverse<usize>, std::cmp::Reverse<usize>) {
        (self.gain, self.length, std::cmp::Reverse(self.start), std::cmp::Reverse(self.target))
    }
}

fn best_shift(grid: &mut Grid<'_>, candidates: &mut usize) -> Option<Shift> {
    let alignment = grid.alignment();
    let (hypothesis, reference) = (grid.hypothesis.clone(), grid.reference);
    let before = i64::from(grid.distance());
    let mut best: Option<Shift> = None;
    let run = |start: usize, start_r: usize| {
        let pairs = hypothesis[start..].iter().zip(&reference[start_r..]);
        pairs.take(MAX_SHIFT_WORDS).take_while(|(one, other)| one == other).count()
    };
    for start in 0..hypothesis.len() {
        for start_r in 0..reference.len() {
            if start.abs_diff(start_r) > MAX_SHIFT_DISTANCE {
                continue;
            }
            for length in 1..=run(start, start_r) {
                if !alignment.invites(start, start_r, length) {
                    continue;
                }
                let mut last = None;
                for target in alignment.targets(start_r, length) {
                    // A place that was just tried.
                    if last.replace(target) == Some(target) {
                        continue;
                    }
                    let words = shifted(&hypothesis, start, length, target);
                    let gain = before - i64::from(grid.distance_of(&words));
                    let shift = Shift { gain, length, start, target, words };
                    *candidates += 1;
                    if best.as_ref().is_none_or(|best| shift.rank() > best.rank()) {
                        best = Some(shift);
                    }
                }
                if *candidates >= MAX_CANDIDATES {
                    return best;
                }
            }
        }
    }
    best
}

/// `words` with the run of `length` at `start` moved to before `target`.
fn shifted(words: &[u32], start: usize, length: usize, target: usize) -> Vec<u32> {
    let run = &words[start..start + length];
    // Within the run, or just after it, the target counts from the run's end.
    let (rest_from, rest_to, after) = match target {
        _ if target < start => {
            return [&words[..target], run, &words[target..start], &words[start + length..]].concat();
        }
        _ if target > start + length => (start + length, target, target),
        _ => (start + length, (length + target).min(words.len()), (length + target).min(words.len())),
    };
    [&words[..start], &words[rest_from..rest_to], run, &words[after..]].concat()
}
