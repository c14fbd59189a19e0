//! Some tokens of the rows, for what is searched by the outputs of attention and MLP.

use std::ops::Range;

use rtune_models::{Readers, Staged, StagedBlock};

use super::CalibrationRow;

/// Tokens that candidates are compared on: as many as a packed row has where nothing is said, so that a search takes no more
/// memory than the rows' way through a block does.
const MOST_TOKENS: usize = 2048;

/// Documents, evenly from the first to the last, packed into one row.
pub(super) struct Sample {
    row: CalibrationRow,
    /// Which of the rows, and which of its tokens.
    places: Vec<(usize, Range<usize>)>,
}

/// What attention and MLP of a block read of it.
pub(super) struct Read<'s> {
    sample: &'s Sample,
    attention_td: Vec<f32>,
    mlp_td: Vec<f32>,
}

impl Sample {
    /// At most [`MOST_TOKENS`] tokens of `rows`: every so many documents, the last one as far as there is room. A document that
    /// is cut stays what it was up to there, as tokens see none behind them.
    pub(super) fn of(rows: &[CalibrationRow]) -> Self {
        let all: usize = rows.iter().map(|row| row.tokens.len()).sum();
        let step = all.div_ceil(MOST_TOKENS).max(1);
        let documents = rows.iter().enumerate().flat_map(|(number, row)| {
            row.bounds.windows(2).map(move |bounds| (number, bounds[0]..bounds[1]))
        });
        let mut row = CalibrationRow { bounds: vec![0], ..CalibrationRow::default() };
        let mut places = Vec::new();
        for (number, range) in documents.step_by(step) {
            let room = MOST_TOKENS - row.tokens.len();
            let range = range.start..range.end.min(range.start + room);
            if range.is_empty() {
                continue;
            }
            row.tokens.extend_from_slice(&rows[number].tokens[range.clone()]);
            row.positions.extend_from_slice(&rows[number].positions[range.clone()]);
            row.bounds.push(row.tokens.len());
            places.push((number, range));
        }
        Self { row, places }
    }

    /// What attention and MLP of `block` read, where the rows are `hidden` before it, each `[T, D]`.
    pub(super) fn read(&self, staged: &Staged<'_>, block: &StagedBlock, hidden: &[Vec<f32>]) -> Read<'_> {
        let width = staged.spec().width;
        let mut x_td = Vec::with_capacity(self.row.tokens.len() * width);
        for (number, tokens) in &self.places {
            x_td.extend_from_slice(&hidden[*number][tokens.start * width..tokens.end * width]);
        }
        let mut read = Read { sample: self, attention_td: Vec::new(), mlp_td: Vec::new() };
        staged.watch(block, &self.row.view(), &x_td, &mut |readers, x_ti| match readers {
            Readers::Projections => read.attention_td = x_ti.to_vec(),
            Readers::MlpInputs => read.mlp_td = x_ti.to_vec(),
            Readers::Output | Readers::Down => {}
        });
        read
    }
}

impl Read<'_> {
    /// What the half of `block` that `readers` belong to adds to the residual, `[T, D]`.
    pub(super) fn half(&self, staged: &Staged<'_>, block: &StagedBlock, readers: Readers) -> Vec<f32> {
        let n_td = match readers {
            Readers::Projections | Readers::Output => &self.attention_td,
            Readers::MlpInputs | Readers::Down => &self.mlp_td,
        };
        staged.half(block, &self.sample.row.view(), readers, n_td)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lengths: &[usize]) -> CalibrationRow {
        let mut row = CalibrationRow { bounds: vec![0], ..CalibrationRow::default() };
        for length in lengths {
            row.tokens.extend((row.tokens.len() as u32..).take(*length));
            row.positions.extend(0..*length as u32);
            row.bounds.push(row.tokens.len());
        }
        row
    }

    #[test]
    fn few_tokens_are_taken_whole() {
        let rows = [row(&[3, 5]), row(&[2])];
        let sample = Sample::of(&rows);
        assert_eq!(sample.places, [(0, 0..3), (0, 3..8), (1, 0..2)]);
        assert_eq!(sample.row.bounds, [0, 3, 8, 10]);
        assert_eq!(sample.row.tokens, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]);
        assert_eq!(sample.row.positions, [0, 1, 2, 0, 1, 2, 3, 4, 0, 1]);
    }

    #[test]
    fn many_are_taken_from_all_over_up_to_a_bound() {
        let rows: Vec<CalibrationRow> = (0..8).map(|_| row(&[512; 4])).collect();
        let sample = Sample::of(&rows);
        let numbers: Vec<usize> = sample.places.iter().map(|(number, _)| *number).collect();
        assert_eq!((numbers, sample.row.tokens.len()), (vec![0, 2, 4, 6], MOST_TOKENS));
        // One that is longer than all there is room for is cut.
        let sample = Sample::of(&[row(&[2 * MOST_TOKENS])]);
        assert_eq!(sample.places, [(0, 0..MOST_TOKENS)]);
        assert_eq!((sample.row.bounds, sample.row.positions.len()), (vec![0, MOST_TOKENS], MOST_TOKENS));
    }
}
