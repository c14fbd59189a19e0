//! Linears in whole numbers, in the 4 bits that GPTQ and AWQ pack or in the blocks of a GGUF file, chosen by what the linears read of some
//! rows.
//!
//! Block by block: rows go through the blocks that are quantised already, what the linears of the next one read is summed up
//! in its products ([`gram`]), these decide its codes, and the rows go on through the block as it will be read back. One
//! block is in memory at a time.

mod awq;
mod blocks;
mod codes;
mod folds;
mod gptq;
mod gram;
mod plan;
mod run;
mod sample;
mod settings;

use rtune_models::RowView;

pub use run::RoundingError;
pub(crate) use run::{Calibrator, Target};
pub use settings::{Calibrated, Method};

/// Rows that a model is calibrated on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalibrationRow {
    /// Token ids, `[T]`.
    pub tokens: Vec<u32>,
    /// Positions, `[T]`, from 0 in each document.
    pub positions: Vec<u32>,
    /// Cumulative bounds of the documents: first 0, last T.
    pub bounds: Vec<usize>,
}

impl CalibrationRow {
    fn view(&self) -> RowView<'_> {
        RowView {
            tokens: &self.tokens,
            positions: &self.positions,
            bounds: &self.bounds,
            parents: &[],
            noise: None,
        }
    }
}
