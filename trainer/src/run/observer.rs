//! What a run tells whoever watches it.

use std::path::Path;

use crate::metrics::{EvaluationLine, GeneralLine, GoldenLine, SampleLine, StepLine};

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Tensors of the base are being read.
    Loading {
        /// Tensors read.
        done: usize,
        /// Tensors in all.
        total: usize,
    },
    /// The model stands in memory and the first step is next.
    Ready(&'a Ready),
    /// An evaluation is under way.
    Evaluating {
        /// Rows done.
        done: usize,
        /// Rows in all.
        total: usize,
    },
    /// An evaluation is done.
    Evaluation(&'a EvaluationLine),
    /// Golden rows were asked.
    Golden(&'a GoldenLine),
    /// General skills were looked at.
    General(&'a GeneralLine),
    /// A held-out prompt was answered.
    Sample(&'a SampleLine),
    /// A step is done.
    Step {
        /// Its line.
        line: &'a StepLine,
        /// Steps of the whole run.
        steps: u64,
    },
    /// A checkpoint is on the disk.
    Saved {
        /// Steps done.
        step: u64,
        /// Its folder.
        folder: &'a Path,
    },
    /// Something that is worth knowing and no fault, such as a change since the run began.
    Note(&'a str),
    /// Something that should be looked at, such as a damaged checkpoint or a loss that jumped.
    Warning(&'a str),
    /// The run is at its end, and its adapter does nothing: why.
    Useless(&'a str),
}

/// The size of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// Trained numbers.
    pub trainable: usize,
    /// Frozen and trained numbers.
    pub parameters: usize,
    /// Memory of the frozen ones.
    pub base_bytes: usize,
    /// Training rows.
    pub train_rows: usize,
    /// Validation rows.
    pub validation_rows: usize,
    /// Steps done before.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
}

/// Watches a run, and may ask it to stop.
pub trait Observer {
    /// Is told of everything, in order.
    fn on(&mut self, event: Event<'_>);
    /// Asked after every step, and between the rows of an evaluation: whether to save and end now.
    fn stop_requested(&self) -> bool;
    /// The step after which to save and end, should the run come there; none unless said otherwise.
    fn stops_after(&self) -> Option<u64> {
        None
    }
}
