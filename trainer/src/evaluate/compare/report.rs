//! What of a golden report is compared.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Which;
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;

/// Larger reports are none.
const MOST_BYTES: u64 = 1 << 32;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    format: u64,
    pub(super) labels: Option<Vec<String>>,
    pub(super) cases: Vec<ReportCase>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportCase {
    pub(super) id: String,
    pub(super) prompt: Vec<Value>,
    pub(super) expected: Vec<String>,
    /// What was expected turn by turn; none where there is one turn.
    #[serde(default)]
    turns: Vec<String>,
    pub(super) slice: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) weight: f64,
    pub(super) checks: usize,
    base: ReportSide,
    pub(super) tuned: Option<ReportSide>,
}

/// What older reports have not is optional.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportSide {
    pub(super) answer: String,
    pub(super) exact_match: bool,
    pub(super) normalised_match: bool,
    pub(super) failed_checks: Vec<String>,
    pub(super) nats: f64,
    pub(super) tokens: u64,
    pub(super) correct_tokens: Option<u64>,
    pub(super) text_nats: Option<f64>,
    pub(super) text_bytes: Option<u64>,
    pub(super) label_nats: Option<Vec<f64>>,
    #[serde(default)]
    turns: Vec<ReportTurn>,
    pub(super) grounded: Option<ReportGrounded>,
    pub(super) extracted: Option<ReportExtracted>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportTurn {
    answer: String,
    grounded: Option<ReportGrounded>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportGrounded {
    unsupported: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportExtracted {
    pub(super) fields: Option<ReportFields>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportFields {
    pub(super) all: ReportCounts,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct ReportCounts {
    pub(super) right: u64,
    pub(super) found: u64,
    pub(super) expected: u64,
}

impl ReportCase {
    pub(super) fn side(&self, which: Which) -> ReportSide {
        match (which, &self.tuned) {
            (Which::Best | Which::Tuned, Some(tuned)) => tuned.clone(),
            _ => self.base.clone(),
        }
    }

    /// Whether two cases ask and expect the same.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        self.expected == other.expected && self.prompt == other.prompt && self.turns == other.turns
    }

    /// Each turn's answer with what was expected there.
    pub(super) fn turns<'a>(&'a self, side: &'a ReportSide) -> Vec<(&'a str, Vec<&'a str>)> {
        let before = self.turns.len().saturating_sub(1).min(side.turns.len());
        let earlier = side.turns.iter().zip(&self.turns).take(before);
        let earlier = earlier.map(|(turn, expected)| (turn.answer.as_str(), vec![expected.as_str()]));
        let last = (side.answer.as_str(), self.expected.iter().map(String::as_str).collect());
        earlier.chain([last]).collect()
    }
}

impl ReportSide {
    /// Whether everything that was said is supported; `None` where nothing was held against sources.
    pub(super) fn is_grounded(&self) -> Option<bool> {
        let last = self.grounded.as_ref()?.unsupported.is_empty();
        let supported =
            |turn: &ReportTurn| turn.grounded.as_ref().is_none_or(|one| one.unsupported.is_empty());
        Some(last && self.turns.iter().all(supported))
    }
}

pub(super) fn read(path: &Path) -> Result<Report, TrainerError> {
    let problem = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let file = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
    if file.len() > MOST_BYTES {
        return Err(problem(format!("expected a golden report, found {} GiB", file.len() >> 30)));
    }
    let text = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let report: Report = serde_json::from_slice(&text)
        .map_err(|error| problem(format!("not a report of `rtune eval`: {error}")))?;
    match report.format {
        FORMAT => Ok(report),
        format => Err(problem(format!("expected format {FORMAT}, found {format}"))),
    }
}
