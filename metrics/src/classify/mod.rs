//! Answers as labels.
//!
//! An answer that is no label is counted: it is wrong, and stands in its own column, [`UNPARSED`]. Averages are
//! scikit-learn's with `zero_division=0`, over the classes that occur in the gold labels.

mod baselines;
mod calibration;
mod choice;
mod confusion;
mod curve;
mod labels;
mod preset;
mod report;
#[cfg(test)]
pub(crate) mod tests;

pub use baselines::{NearestRow, majority};
pub use calibration::{Calibration, ReliabilityBin, brier, calibration};
pub use choice::{ChoiceBy, choose, probabilities};
pub use confusion::Confusion;
pub use curve::{CurvePoint, PrecisionRecallCurve, precision_recall_curve};
pub use labels::{DEFAULT_PREFIXES, LabelError, LabelSet, UNPARSED};
pub use preset::{Grade, Judgement, Limits, judge};
pub use report::{Averages, ClassScores, ClassificationReport};
