//! What of a golden report is compared.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Which;
use super::answers::key_of;
use super::texts::ReportTexts;
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;

/// Larger reports are none.
const MOST_BYTES: u64 = 1 << 32;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    format: u64,
    pub(super) labels: Option<Vec<String>>,
    pub(super) cases: Vec<ReportCase>,
    pub(super) texts: Option<ReportTexts>,
    judge: Option<ReportJudge>,
}

/// What a judge said of the cases, in their order.
#[derive(Clone, Debug, Deserialize)]
struct ReportJudge {
    cases: Vec<ReportJudged>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportJudged {
    base: Option<ReportScore>,
    tuned: Option<ReportScore>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct ReportScore {
    score: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportCase {
    pub(super) id: String,
    pub(super) prompt: Vec<Value>,
    pub(super) expected: Vec<String>,
    /// What was expected turn by turn; none where there is one turn.
    #[serde(default)]
    turns: Vec<String>,
    #[serde(default)]
    pub(super) context: Vec<String>,
    pub(super) slice: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) weight: f64,
    pub(super) checks: usize,
    /// An older report has none.
    checks_hash: Option<String>,
    pub(super) base: ReportSide,
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
    pub(super) called: Option<ReportCalled>,
    pub(super) similarity: Option<ReportSimilarity>,
    /// The judge's; it stands beside the cases.
    #[serde(skip)]
    pub(super) judged: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportSimilarity {
    pub(super) bert_score: ReportBertScore,
    pub(super) relevancy: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportBertScore {
    pub(super) f1: f64,
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
pub(super) struct ReportCalled {
    pub(super) right: bool,
    counts: ReportCallCounts,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportCallCounts {
    expected: u64,
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
    /// Whether tools should be called.
    pub(super) fn calls(&self) -> bool {
        self.base.called.as_ref().is_some_and(|called| called.counts.expected > 0)
    }

    pub(super) fn side(&self, which: Which) -> ReportSide {
        match (which, &self.tuned) {
            (Which::Best | Which::Tuned, Some(tuned)) => tuned.clone(),
            _ => self.base.clone(),
        }
    }

    /// Whether two cases ask and expect the same, by the same checks.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        let checks = self.checks_hash.as_ref().zip(other.checks_hash.as_ref());
        self.expected == other.expected
            && self.prompt == other.prompt
            && self.turns == other.turns
            && self.checks == other.checks
            && checks.is_none_or(|(own, others)| own == others)
    }

    /// What belongs together has equal keys: a row that stands twice is no second witness.
    pub(super) fn key(&self) -> String {
        key_of(&self.id, self.cluster.as_deref())
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
    /// How many answers, one a turn, are supported in everything that they say, and how many were held against sources; `None` for none.
    pub(super) fn grounded_answers(&self) -> Option<[u64; 2]> {
        let last = self.grounded.as_ref()?;
        let held: Vec<&ReportGrounded> = match self.turns.as_slice() {
            [] => vec![last],
            turns => turns.iter().filter_map(|turn| turn.grounded.as_ref()).collect(),
        };
        let supported = held.iter().filter(|one| one.unsupported.is_empty()).count();
        Some([supported as u64, held.len() as u64])
    }

    /// The answers, one a turn.
    pub(super) fn said(self) -> Vec<String> {
        match self.turns.is_empty() {
            true => vec![self.answer],
            false => self.turns.into_iter().map(|turn| turn.answer).collect(),
        }
    }

    /// How many answers were made.
    pub(super) fn answers(&self) -> usize {
        self.turns.len().max(1)
    }
}

/// The bytes of a report, if they are not too many for one.
///
/// # Errors
/// [`TrainerError::Unreadable`].
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, TrainerError> {
    let problem = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let file = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
    if file.len() > MOST_BYTES {
        let (most, found) = (MOST_BYTES >> 30, file.len() >> 30);
        return Err(problem(format!("expected a golden report of at most {most} GiB, found {found} GiB")));
    }
    std::fs::read(path).map_err(|error| problem(error.to_string()))
}

pub(super) fn read(path: &Path) -> Result<Report, TrainerError> {
    let problem = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let mut report: Report = serde_json::from_slice(&bytes_of(path)?)
        .map_err(|error| problem(format!("not a report of `rtune eval`: {error}")))?;
    let judged = report.judge.take().map(|judge| judge.cases).unwrap_or_default();
    for (case, judged) in report.cases.iter_mut().zip(judged) {
        case.base.judged = judged.base.map(|one| one.score);
        if let Some(tuned) = &mut case.tuned {
            tuned.judged = judged.tuned.map(|one| one.score);
        }
    }
    match report.format {
        FORMAT => Ok(report),
        format => Err(problem(format!("expected format {FORMAT}, found {format}"))),
    }
}
