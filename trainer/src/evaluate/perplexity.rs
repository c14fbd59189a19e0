//! Loss, perplexity and token accuracy on held-out rows.

use rtune_data::{Example, PackedRow, pack};
use serde::{Deserialize, Serialize};

use super::by_name::VALIDATION_LOSS;
use super::watch::Watched;
use crate::checkpoint::FORMAT;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::metrics::{EvaluationLine, GeneralLine, GoldenLine, Line};

/// The folder of evaluations in a run folder.
pub(crate) const EVALUATIONS: &str = "eval";

/// The file of the evaluation after `step` steps.
pub(crate) fn file_of(step: u64) -> String {
    format!("step-{step:06}.json")
}

/// The rows of an evaluation, packed once for all of a run.
#[derive(Clone, Debug)]
pub struct ValidationSet {
    rows: Vec<PackedRow>,
    examples: usize,
}

/// What `eval/step-NNNNNN.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// [`FORMAT`].
    pub format: u64,
    /// Steps done.
    pub step: u64,
    /// The held-out rows, where there are any.
    #[serde(flatten)]
    pub validation: Option<Validated>,
    /// The golden rows, where they are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Watched>,
    /// General skills, where they are measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general: Option<Watched>,
}

/// The held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Rows.
    pub rows: usize,
    /// Their supervised tokens.
    pub supervised_tokens: u64,
    /// Nats a supervised token.
    pub validation_loss_nats: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// Part of the supervised tokens that are the likeliest.
    pub token_accuracy: f64,
}

impl ValidationSet {
    /// Packs `examples` into rows of at most `capacity_tokens`; `None` when there are none.
    pub fn new(examples: &[Example], capacity_tokens: usize) -> Option<Self> {
        if examples.is_empty() {
            return None;
        }
        let references: Vec<&Example> = examples.iter().collect();
        Some(Self { rows: pack(&references, capacity_tokens), examples: examples.len() })
    }

    /// Evaluates; `go_on` is asked before each packed row with (rows done, rows in all). `None` if it
    /// said no.
    ///
    /// # Errors
    /// Those of [`Engine::score`].
    pub fn evaluate(
        &self,
        engine: &mut Engine,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Validated>, TrainerError> {
        let mut sum = LossSum::default();
        for (index, row) in self.rows.iter().enumerate() {
            if !go_on(index, self.rows.len()) {
                return Ok(None);
            }
            sum += engine.score(row)?;
        }
        Ok(Some(Validated {
            rows: self.examples,
            supervised_tokens: sum.supervised_tokens,
            validation_loss_nats: sum.mean_nats(),
            perplexity: sum.perplexity(),
            token_accuracy: sum.token_accuracy(),
        }))
    }
}

impl Evaluation {
    /// Before anything is measured.
    pub fn after(step: u64) -> Self {
        Self { format: FORMAT, step, validation: None, golden: None, general: None }
    }

    /// The value of a metric of [`super::by_name`]; `None` where it was not measured.
    pub fn value(&self, metric: &str) -> Option<f64> {
        match metric {
            VALIDATION_LOSS => self.validation.as_ref().map(|rows| rows.validation_loss_nats),
            _ => self.golden.as_ref().and_then(|golden| golden.figures.get(metric).copied()),
        }
    }

    /// The lines of metrics.jsonl.
    pub fn lines(&self) -> Vec<Line> {
        let step = self.step;
        let validation = self.validation.as_ref().map(|rows| {
            Line::Evaluation(EvaluationLine {
                step,
                validation_loss_nats: rows.validation_loss_nats,
                perplexity: rows.perplexity,
                token_accuracy: rows.token_accuracy,
            })
        });
        let golden = self.golden.clone().map(|watched| {
            // A figure of nothing is no number, and a line that had one could not be read again.
            let golden = watched.figures.into_iter().filter(|(_, value)| value.is_finite()).collect();
            Line::Golden(GoldenLine { step, golden_rows: watched.rows, golden })
        });
        let general = self.general.as_ref().map(|watched| {
            let figure = |name: &str| watched.figures.get(name).copied().unwrap_or_default();
            Line::General(GeneralLine {
                step,
                general_rows: watched.rows,
                general_loss_nats: figure("answer-nats"),
                general_right: figure("checks"),
            })
        });
        validation.into_iter().chain(golden).chain(general).collect()
    }
}
