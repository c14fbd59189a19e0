//! TER: the edits that make a reference of an answer, where a shift of a run of words is one edit (Snover et al. 2006).
//!
//! As sacreBLEU 2.6 has it by default, which follows Tercom: texts in lower case, words apart by whitespace; shifts are
//! taken greedily while they shorten the edit distance, and that is computed around the diagonal only.

use std::ops::{Add, AddAssign};

use super::words;

/// Tercom's limits of a shift: words that move together, and how far.
const MAX_SHIFT_WORDS: usize = 10;
const MAX_SHIFT_DISTANCE: usize = 50;
/// Cells on either side of the diagonal that are computed.
const BEAM_CELLS: usize = 25;
/// sacreBLEU's limit of shifts that are tried for one pair.
const MAX_CANDIDATES: usize = 1000;
/// More than any distance; a cell that was not computed has it.
const FAR: u32 = u32::MAX / 2;

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
fn edits(hypothesis: &[&str], reference: &[&str]) -> u64 {
    if reference.is_empty() {
        return hypothesis.len() as u64;
    }
    let mut grid = Grid::new(hypothesis, reference);
    let mut shifts = 0;
    let mut candidates = 0;
    loop {
        let best = best_shift(&mut grid, &mut candidates);
        match best {
            Some(best) if best.gain > 0 && candidates < MAX_CANDIDATES => {
                shifts += 1;
                grid = Grid::new(&best.words, reference);
            }
            _ => return shifts + u64::from(grid.distance()),
        }
    }
}

/// A shift that was tried. Which is best follows Tercom: the greatest gain, the longest run, the earliest start, the
/// earliest place to go to.
struct Shift<'a> {
    gain: i64,
    length: usize,
    start: usize,
    target: usize,
    words: Vec<&'a str>,
}

impl Shift<'_> {
    fn rank(&self) -> (i64, usize, std::cmp::Reverse<usize>, std::cmp::Reverse<usize>) {
        (self.gain, self.length, std::cmp::Reverse(self.start), std::cmp::Reverse(self.target))
    }
}

fn best_shift<'a>(grid: &mut Grid<'a, '_>, candidates: &mut usize) -> Option<Shift<'a>> {
    let alignment = grid.alignment();
    let (hypothesis, reference) = (grid.hypothesis.clone(), grid.reference);
    let before = i64::from(grid.distance());
    let mut best: Option<Shift<'a>> = None;
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
fn shifted<'a>(words: &[&'a str], start: usize, length: usize, target: usize) -> Vec<&'a str> {
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

/// Where the words of the reference went in the hypothesis, and which of both are wrong.
struct Alignment {
    /// For each word of the reference the last word of the hypothesis that is at it or before; none before the first.
    at: Vec<Option<usize>>,
    wrong_in_hypothesis: Vec<bool>,
    wrong_in_reference: Vec<bool>,
}

impl Alignment {
    /// Whether a run is wrong where it is, wanted where it would go, and would not move within itself.
    fn invites(&self, start: usize, start_r: usize, length: usize) -> bool {
        let within = self.at[start_r].is_some_and(|at| (start..start + length).contains(&at));
        self.wrong_in_hypothesis[start..start + length].contains(&true)
            && self.wrong_in_reference[start_r..start_r + length].contains(&true)
            && !within
    }

    /// Before which words of the hypothesis a run may go: after those that the words around its place are aligned to.
    fn targets(&self, start_r: usize, length: usize) -> impl Iterator<Item = usize> + '_ {
        let before_first = start_r.checked_sub(1).map_or(Some(0), |index| Some(self.after(index)));
        before_first.into_iter().chain((start_r..start_r + length).map(|index| self.after(index)))
    }

    fn after(&self, index_r: usize) -> usize {
        self.at[index_r].map_or(0, |at| at + 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Substitute,
    /// A word of the hypothesis goes.
    Delete,
    /// A word of the reference comes.
    Insert,
    Unknown,
}

/// The edit distances of all prefixes of the hypothesis, one row each, to those of the reference.
struct Grid<'a, 'r> {
    hypothesis: Vec<&'a str>,
    reference: &'r [&'r str],
    /// `hypothesis.len() + 1` rows of `reference.len() + 1` cells.
    cells: Vec<(u32, Step)>,
    /// Rows of a shifted hypothesis.
    scratch: Vec<(u32, Step)>,
}

impl<'a, 'r> Grid<'a, 'r> {
    fn new(hypothesis: &[&'a str], reference: &'r [&'r str]) -> Self {
        let columns = reference.len() + 1;
        let mut cells = vec![(FAR, Step::Unknown); columns * (hypothesis.len() + 1)];
        for (column, cell) in cells[..columns].iter_mut().enumerate() {
            *cell = (column as u32, Step::Insert);
        }
        fill(&mut cells, hypothesis, reference, 1);
        Self { hypothesis: hypothesis.to_vec(), reference, cells, scratch: Vec::new() }
    }

    fn distance(&self) -> u32 {
        self.cells.last().map_or(0, |cell| cell.0)
    }

    /// The distance of `words`, as many as the hypothesis has: rows of what both begin with are not computed again.
    fn distance_of(&mut self, words: &[&str]) -> u32 {
        let same = words.iter().zip(&self.hypothesis).take_while(|(one, other)| one == other).count();
        let columns = self.reference.len() + 1;
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.cells[..columns * (same + 1)]);
        self.scratch.resize(self.cells.len(), (FAR, Step::Unknown));
        fill(&mut self.scratch, words, self.reference, same + 1);
        self.scratch.last().map_or(0, |cell| cell.0)
    }

    fn alignment(&self) -> Alignment {
        let columns = self.reference.len() + 1;
        let (mut row, mut column) = (self.hypothesis.len(), self.reference.len());
        let mut steps = Vec::with_capacity(row + column);
        while row > 0 || column > 0 {
            let step = self.cells[row * columns + column].1;
            steps.push(step);
            match step {
                Step::Insert => column -= 1,
                Step::Delete => row -= 1,
                Step::Keep | Step::Substitute => (row, column) = (row - 1, column - 1),
                // Left of the beam there is only the way up, above it only the way left.
                Step::Unknown if row > 0 => row -= 1,
                Step::Unknown => column -= 1,
            }
        }
        let mut alignment =
            Alignment { at: Vec::new(), wrong_in_hypothesis: Vec::new(), wrong_in_reference: Vec::new() };
        for step in steps.into_iter().rev() {
            let wrong = step != Step::Keep;
            if step != Step::Insert {
                alignment.wrong_in_hypothesis.push(wrong);
            }
            if matches!(step, Step::Keep | Step::Substitute | Step::Insert) {
                alignment.at.push(alignment.wrong_in_hypothesis.len().checked_sub(1));
                alignment.wrong_in_reference.push(wrong);
            }
        }
        alignment.at.resize(self.reference.len(), None);
        alignment.wrong_in_reference.resize(self.reference.len(), true);
        alignment.wrong_in_hypothesis.resize(self.hypothesis.len(), true);
        alignment
    }
}

/// Computes the rows of `cells` from `first` on, around the diagonal of a table of these lengths.
fn fill(cells: &mut [(u32, Step)], hypothesis: &[&str], reference: &[&str], first: usize) {
    let columns = reference.len() + 1;
    let ratio = if hypothesis.is_empty() { 1.0 } else { reference.len() as f64 / hypothesis.len() as f64 };
    // Rows of a much longer reference must still overlap.
    let beam = match BEAM_CELLS as f64 {
        cells if cells < ratio / 2.0 => (ratio / 2.0 + cells).ceil() as usize,
        _ => BEAM_CELLS,
    };
    for row in first..=hypothesis.len() {
        let diagonal = (row as f64 * ratio).floor() as usize;
        let end = if row == hypothesis.len() { columns } else { columns.min(diagonal + beam) };
        let (above, current) = cells[(row - 1) * columns..(row + 1) * columns].split_at_mut(columns);
        for column in diagonal.saturating_sub(beam)..end {
            current[column] = if column == 0 {
                (above[0].0 + 1, Step::Delete)
            } else {
                let same = hypothesis[row - 1] == reference[column - 1];
                // Of equal ways the first counts, as in Tercom.
                let ways = [
                    (
                        above[column - 1].0 + u32::from(!same),
                        if same { Step::Keep } else { Step::Substitute },
                    ),
                    (above[column].0 + 1, Step::Delete),
                    (current[column - 1].0 + 1, Step::Insert),
                ];
                ways.into_iter()
                    .fold((FAR, Step::Unknown), |best, way| if best.0 > way.0 { way } else { best })
            };
        }
    }
}
