//! Edit distances around the diagonal, and what they align.

use std::ops::Range;

/// Cells on either side of the diagonal that are computed.
const BEAM_CELLS: usize = 25;
/// More than any distance; a cell that was not computed has it.
const FAR: u32 = u32::MAX / 2;

/// Where the words of the reference went in the hypothesis, and which of both are wrong.
pub(super) struct Alignment {
    /// For each word of the reference the last word of the hypothesis that is at it or before; none before the first.
    at: Vec<Option<usize>>,
    wrong_in_hypothesis: Vec<bool>,
    wrong_in_reference: Vec<bool>,
}

impl Alignment {
    /// Whether a run is wrong where it is, wanted where it would go, and would not move within itself.
    pub(super) fn invites(&self, start: usize, start_r: usize, length: usize) -> bool {
        let within = self.at[start_r].is_some_and(|at| (start..start + length).contains(&at));
        self.wrong_in_hypothesis[start..start + length].contains(&true)
            && self.wrong_in_reference[start_r..start_r + length].contains(&true)
            && !within
    }

    /// Before which words of the hypothesis a run may go: after those that the words around its place are aligned to.
    pub(super) fn targets(&self, start_r: usize, length: usize) -> impl Iterator<Item = usize> + '_ {
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

/// A distance and the last step to it.
type Cell = (u32, Step);

/// The edit distances of all prefixes of the hypothesis, one row each, to those of the reference. Words are numbers.
pub(super) struct Grid<'r> {
    pub(super) hypothesis: Vec<u32>,
    pub(super) reference: &'r [u32],
    /// `hypothesis.len() + 1` rows of `reference.len() + 1` cells.
    cells: Vec<Cell>,
    /// The row of a shifted hypothesis that is computed, and the one before.
    rows: [Vec<Cell>; 2],
}

impl<'r> Grid<'r> {
    pub(super) fn new(hypothesis: Vec<u32>, reference: &'r [u32]) -> Self {
        let columns = reference.len() + 1;
        let mut cells = vec![(FAR, Step::Unknown); columns * (hypothesis.len() + 1)];
        for (column, cell) in cells[..columns].iter_mut().enumerate() {
            *cell = (column as u32, Step::Insert);
        }
        let band = Band::new(hypothesis.len(), reference.len());
        for row in 1..=hypothesis.len() {
            let (above, current) = cells[(row - 1) * columns..(row + 1) * columns].split_at_mut(columns);
            fill(above, current, hypothesis[row - 1], reference, band.columns(row));
        }
        let row = vec![(FAR, Step::Unknown); columns];
        let rows = [row.clone(), row];
        Self { hypothesis, reference, cells, rows }
    }

    pub(super) fn distance(&self) -> u32 {
        self.cells.last().map_or(0, |cell| cell.0)
    }

    /// The distance of `words`, as many as the hypothesis has: rows of what both begin with are not computed again.
    pub(super) fn distance_of(&mut self, words: &[u32]) -> u32 {
        let columns = self.reference.len() + 1;
        let band = Band::new(words.len(), self.reference.len());
        let same = words.iter().zip(&self.hypothesis).take_while(|(one, other)| one == other).count();
        let [above, current] = &mut self.rows;
        above.copy_from_slice(&self.cells[columns * same..columns * (same + 1)]);
        for row in same + 1..=words.len() {
            let range = band.columns(row);
            // This row reads on the left of its range, the next one on either side of it, where an earlier row may have left
            // something.
            if let Some(left) = range.start.checked_sub(1) {
                current[left] = (FAR, Step::Unknown);
            }
            fill(above, current, words[row - 1], self.reference, range.clone());
            let next = if row < words.len() { band.columns(row + 1).end } else { range.end };
            current[range.end..next].fill((FAR, Step::Unknown));
            std::mem::swap(above, current);
        }
        above.last().map_or(0, |cell| cell.0)
    }

    pub(super) fn alignment(&self) -> Alignment {
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

/// Which columns of a row are computed.
struct Band {
    rows: usize,
    columns: usize,
    ratio: f64,
    beam: usize,
}

impl Band {
    fn new(hypothesis: usize, reference: usize) -> Self {
        let ratio = if hypothesis == 0 { 1.0 } else { reference as f64 / hypothesis as f64 };
        // Rows of a much longer reference must still overlap.
        let beam = match BEAM_CELLS as f64 {
            cells if cells < ratio / 2.0 => (ratio / 2.0 + cells).ceil() as usize,
            _ => BEAM_CELLS,
        };
        Self { rows: hypothesis, columns: reference + 1, ratio, beam }
    }

    fn columns(&self, row: usize) -> Range<usize> {
        let diagonal = (row as f64 * self.ratio).floor() as usize;
        let end = if row == self.rows { self.columns } else { self.columns.min(diagonal + self.beam) };
        diagonal.saturating_sub(self.beam)..end
    }
}

/// Computes some columns of a row for a word of the hypothesis.
fn fill(above: &[Cell], current: &mut [Cell], word: u32, reference: &[u32], columns: Range<usize>) {
    for column in columns {
        current[column] = if column == 0 {
            (above[0].0 + 1, Step::Delete)
        } else {
            let same = word == reference[column - 1];
            // Of equal ways the first counts, as in Tercom.
            let ways = [
                (above[column - 1].0 + u32::from(!same), if same { Step::Keep } else { Step::Substitute }),
                (above[column].0 + 1, Step::Delete),
                (current[column - 1].0 + 1, Step::Insert),
            ];
            ways.into_iter().fold((FAR, Step::Unknown), |best, way| if best.0 > way.0 { way } else { best })
        };
    }
}
