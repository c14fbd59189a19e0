//! Loss, perplexity and token accuracy on held-out rows.

use rtune_data::{Example, PackedRow, pack};
use serde::{Deserialize, Serialize};

use crate::checkpoint::FORMAT;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::metrics::EvaluationLine;

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

    /// Evaluates after `step` steps; `go_on` is asked before each packed row with (rows done, rows in all). `None` if it
    /// said no.
    ///
    /// # Errors
    /// Those of [`Engine::score`].
    pub fn evaluate(
        &self,
        engine: &mut Engine,
        step: u64,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Evaluation>, TrainerError> {
        let mut sum = LossSum::default();
        for (index, row) in self.rows.iter().enumerate() {
            if !go_on(index, self.rows.len()) {
                return Ok(None);
            }
            sum += engine.score(row)?;
        }
        Ok(Some(Evaluation {
            format: FORMAT,
            step,
            rows: self.examples,
            supervised_tokens: sum.supervised_tokens,
            validation_loss_nats: sum.mean_nats(),
            perplexity: sum.perplexity(),
            token_accuracy: sum.token_accuracy(),
        }))
    }
}

impl Evaluation {
    /// The line of metrics.jsonl.
    pub fn line(&self) -> EvaluationLine {
        EvaluationLine {
            step: self.step,
            validation_loss_nats: self.validation_loss_nats,
            perplexity: self.perplexity,
            token_accuracy: self.token_accuracy,
        }
    }
}
