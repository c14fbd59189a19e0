//! `merge-report.json`: what was merged onto what, and what it changed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::calibrated::{Method, RoundingError};
use crate::divergence::Divergence;
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::folder::NewFolder;
use crate::model::{VerifiedAdapter, Written};
use crate::weights::{LinearFigures, Onto, Rounding};

/// Its name in the folder of the merged model.
pub(crate) const FILE: &str = rtune_models::MERGE_REPORT;
/// The name of the report of a base that was calibrated alone.
pub(crate) const QUANTIZATION_FILE: &str = "quantization-report.json";
/// The format of the report.
const FORMAT: u64 = 1;

/// The report of one merge. Equal inputs give equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergeReport {
    /// 1.
    pub format: u64,
    /// What the adapter was added to: `dequantized` or `original`.
    pub onto: &'static str,
    /// How the base was held while the adapter was trained: `nf4`, `nf4, double`, `int8` or `none`.
    pub trained_on: String,
    /// The element type of the files.
    pub dtype: &'static str,
    /// How the linears of the blocks were quantised after the sum, `nf4`, `nf4, double`, `gptq` or `awq`, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantized: Option<&'static str>,
    /// The files of the adapter to their SHA-256.
    pub checkpoint: BTreeMap<String, String>,
    /// The files of weights to their SHA-256.
    pub weights: BTreeMap<String, String>,
    /// Tensors written.
    pub tensors: usize,
    /// Their bytes.
    pub size_bytes: u64,
    /// What rounding to the element type did.
    pub rounding: Rounding,
    /// Between the model with its adapter, as trained, and the merged one, as its files say.
    pub measured: Measured,
    /// Quantisation error over adapter, `ratio` of `linears`; null where the base was not quantised.
    pub quantization_error_over_delta: Option<Spread>,
    /// What linears that were quantised by calibration were quantised by, and what it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationReport>,
    /// How several adapters were made one, where there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combined: Option<CombinedReport>,
    /// Every adapted linear.
    pub linears: Vec<LinearFigures>,
}

/// Several adapters made one. Where there is one, `checkpoint` and `measured` of [`MergeReport`] are the first's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CombinedReport {
    /// `linear`, `ties`, `dare` or `dare-ties`.
    pub method: &'static str,
    /// The part of each change that stays; null for `linear`.
    pub density: Option<f64>,
    /// What the draws of `dare` follow from; null where nothing is drawn.
    pub seed: Option<u64>,
    /// The adapters in order.
    pub adapters: Vec<CombinedPart>,
}

/// One of several adapters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CombinedPart {
    /// Its name, without its place.
    pub run: String,
    /// Its factor.
    pub weight: f64,
    /// Its files to their SHA-256.
    pub checkpoint: BTreeMap<String, String>,
    /// Between the base with this adapter alone, as trained, and the merged model.
    pub measured: Measured,
}

/// A calibration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// Bits of a number.
    pub bits: u32,
    /// Input features that share a scale.
    pub group: usize,
    /// Files of its rows to their BLAKE3, or `train` for the run's.
    pub on: BTreeMap<String, String>,
    /// Rows.
    pub rows: usize,
    /// Their tokens.
    pub tokens: usize,
    /// As `measured` is, were each number rounded to the nearest.
    pub to_nearest: Divergence,
    /// Every linear of the blocks.
    pub errors: Vec<RoundingError>,
}

/// The report of a base that was calibrated alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantizationReport {
    /// 1.
    pub format: u64,
    /// `gptq` or `awq`.
    pub quantized: &'static str,
    /// The element type of all else.
    pub dtype: &'static str,
    /// The files of weights to their SHA-256.
    pub weights: BTreeMap<String, String>,
    /// Tensors of the model that were written.
    pub tensors: usize,
    /// Their bytes.
    pub size_bytes: u64,
    /// Between the base as its files have it and the written one, as its files say.
    pub measured: Measured,
    /// What it was calibrated on.
    pub calibration: CalibrationReport,
}

impl QuantizationReport {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        method: Method,
        dtype: Dtype,
        written: Written,
        measured: Measured,
        calibration: CalibrationReport,
    ) -> Self {
        Self {
            format: FORMAT,
            quantized: method.name(),
            dtype: dtype.name(),
            weights: written.files,
            tensors: written.tensors,
            size_bytes: written.size_bytes,
            measured,
            calibration,
        }
    }

    /// Writes it into the folder of the model.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, folder: &NewFolder) -> Result<(), ReleaseError> {
        write(folder, QUANTIZATION_FILE, self)
    }
}

/// KL and agreement, and the rows they were measured on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Golden files, by their names without their places, to their BLAKE3, or `validation` for the run's held-out rows.
    pub on: BTreeMap<String, String>,
    /// The figures.
    #[serde(flatten)]
    pub divergence: Divergence,
}

/// Some numbers in brief.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The one in the middle; of an even number the upper.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of no numbers there is none.
    #[must_use]
    pub fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        Some(Self { min, median: numbers[numbers.len() / 2], max })
    }
}

impl MergeReport {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        onto: Onto,
        trained_on: String,
        dtype: Dtype,
        adapter: &VerifiedAdapter,
        written: Written,
        measured: Measured,
    ) -> Self {
        Self {
            format: FORMAT,
            onto: onto.name(),
            trained_on,
            dtype: dtype.name(),
            quantized: None,
            checkpoint: adapter.files.clone(),
            weights: written.files,
            tensors: written.tensors,
            size_bytes: written.size_bytes,
            rounding: written.rounding,
            measured,
            quantization_error_over_delta: Spread::of(written.linears.iter().filter_map(|l| l.ratio)),
            calibration: None,
            combined: None,
            linears: written.linears,
        }
    }

    /// Writes it into the folder of the merged model.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, folder: &NewFolder) -> Result<(), ReleaseError> {
        write(folder, FILE, self)
    }
}

fn write(folder: &NewFolder, name: &str, report: &impl Serialize) -> Result<(), ReleaseError> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| ReleaseError::Unwritable {
        path: folder.path().join(name),
        problem: error.to_string(),
    })?;
    text.push('\n');
    folder.write(name, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_sorted_numbers() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
