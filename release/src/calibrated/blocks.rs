//! GPTQ's codes in the blocks of a GGUF file: a block's scales are those of its numbers as they stand when its first column is rounded,
//! searched for by what an error in each column costs once those behind it have made up for it; its codes make up for what the
//! columns before lost.

use rayon::prelude::*;
use rtune_kernels::gemm::{Mat, MatMut, multiply};

use crate::gguf::grid::{Grid, Steps};

/// Columns whose errors are taken over to the columns behind them at once; whole blocks are several of these, or one is several of them.
const BATCH: usize = 128;

/// A matrix in blocks.
pub(super) struct Blocks {
    /// Rows of whole blocks.
    pub(super) bytes: Vec<u8>,
    /// What is read of them, `[O, I]`.
    pub(super) values: Vec<f32>,
}

/// A row on its way.
struct Row {
    bytes: Vec<u8>,
    /// Of the block that is being rounded.
    steps: Vec<Steps>,
    codes: Vec<u8>,
    problem: Option<String>,
}

/// The blocks of `weight`, `[O, I]`, rows of whole blocks; `factor` from [`super::gptq::factor`].
///
/// # Errors
/// In words, what no block can hold.
pub(super) fn quantise(
    mut weight: Vec<f32>,
    columns: usize,
    factor: &[f32],
    grid: Grid,
) -> Result<Blocks, String> {
    let count = weight.len() / columns;
    let mut values = vec![0.0; weight.len()];
    let new = || Row { bytes: Vec::new(), steps: Vec::new(), codes: Vec::new(), problem: None };
    let mut rows: Vec<Row> = (0..count).map(|_| new()).collect();
    let weights = costs(factor, columns);
    let mut errors = Vec::new();
    for start in (0..columns).step_by(BATCH) {
        let end = (start + BATCH).min(columns);
        errors.resize(count * (end - start), 0.0);
        let places = weight.par_chunks_mut(columns).zip(values.par_chunks_mut(columns));
        let places = places.zip(rows.par_iter_mut()).zip(errors.par_chunks_mut(end - start));
        places.for_each(|(((weight, values), row), errors)| {
            for column in start..end {
                let place = column % grid.block();
                if place == 0 {
                    let block = column..column + grid.block();
                    row.begin(grid, &weight[block.clone()], &weights[block]);
                }
                let Some(steps) = row.steps.get(place / grid.group()).copied() else { return };
                let code = steps.code(weight[column]);
                row.codes.push(code);
                values[column] = steps.value(code);
                let behind = &factor[column * columns..][..columns];
                let error = (weight[column] - values[column]) / behind[column];
                errors[column - start] = error;
                let rest = weight[column + 1..end].iter_mut().zip(&behind[column + 1..end]);
                rest.for_each(|(value, factor)| *value -= error * factor);
                if place + 1 == grid.block() {
                    row.end(grid);
                }
            }
        });
        if end < columns {
            let (batch, rest) = (end - start, columns - end);
            let left = Mat::new(&errors, count, batch);
            let right = Mat::strided(&factor[start * columns + end..], batch, rest, columns);
            multiply(MatMut::strided(&mut weight[end..], count, rest, columns), 1.0, -1.0, left, right);
        }
    }
    if let Some(problem) = rows.iter_mut().find_map(|row| row.problem.take()) {
        return Err(problem);
    }
    let bytes = rows.into_iter().flat_map(|row| row.bytes).collect();
    Ok(Blocks { bytes, values })
}

/// What a squared error of 1 in each column costs where the columns behind it make up for it: the inverse of the factor's diagonal,
/// squared, in parts of the mean.
fn costs(factor: &[f32], columns: usize) -> Vec<f32> {
    let diagonal = factor.iter().step_by(columns + 1);
    let costs: Vec<f64> = diagonal.map(|value| f64::from(*value).powi(-2)).collect();
    let mean = costs.iter().sum::<f64>() / columns as f64;
    costs.iter().map(|cost| (cost / mean) as f32).collect()
}

impl Row {
    fn begin(&mut self, grid: Grid, values: &[f32], weights: &[f32]) {
        match grid.begin(values, Some(weights)) {
            Ok(block) => {
                self.steps = grid.steps(&block);
                if let Some(steps) = self.steps.iter().find(|steps| !(steps.scale + steps.offset).is_finite())
                {
                    self.problem = Some(format!("a scale of {} is beyond those of 16 bits", steps.scale));
                    self.steps.clear();
                }
                self.bytes.extend(block);
                self.codes.clear();
            }
            Err(problem) => {
                self.problem = Some(problem);
                self.steps.clear();
            }
        }
    }

    fn end(&mut self, grid: Grid) {
        let last = self.bytes.len() - grid.bytes();
        grid.put(&mut self.bytes[last..], &self.codes);
    }
}
