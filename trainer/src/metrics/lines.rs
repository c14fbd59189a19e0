//! The lines of metrics.jsonl.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Measured;
use super::tensorboard::EventFile;
use crate::files::FileError;

/// One line for every step, in the order in which the keys are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLine {
    /// Steps done, this one included.
    pub step: u64,
    /// Epochs done, as a fraction.
    pub epoch: f64,
    /// Nats a supervised token, over the whole step.
    pub train_loss_nats: f64,
    /// Length of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens of the step.
    pub tokens: u64,
    /// Those with loss.
    pub supervised_tokens: u64,
    /// Tokens of the step over its seconds.
    pub tokens_per_second: f64,
    /// Most memory the process has held, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Time of the step.
    pub seconds: f64,
    /// Whether the loss jumped; see [`crate::spikes`]. The key is there only if it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss_spike: bool,
}

/// One line for every evaluation; the base's is the first, with step 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationLine {
    /// Steps done.
    pub step: u64,
    /// Nats a supervised token.
    pub validation_loss_nats: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// Part of the supervised tokens that are the likeliest.
    pub token_accuracy: f64,
}

/// One line for every evaluation on golden rows, behind the line of the held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenLine {
    /// Steps done.
    pub step: u64,
    /// Rows that were asked.
    pub golden_rows: usize,
    /// Every metric that they have, by name; see [`crate::evaluate::by_name`].
    pub golden: BTreeMap<String, f64>,
}

/// One line for every look at general skills, behind the lines before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralLine {
    /// Steps done.
    pub step: u64,
    /// Rows that were asked.
    pub general_rows: usize,
    /// Nats a token of the expected answers.
    pub general_loss_nats: f64,
    /// Part of the answers that are right.
    pub general_right: f64,
}

/// One line for every sample answer, behind the line of its evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleLine {
    /// Steps done.
    pub step: u64,
    /// The id of the held-out row.
    pub sample_id: String,
    /// What was asked, as the template writes it, without special tokens.
    pub prompt: String,
    /// The row's own answer.
    pub expected: String,
    /// The greedy answer of this moment.
    pub answer: String,
}

/// One line for every step that was not taken; see `[watchdog]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddLine {
    /// The step.
    pub step: u64,
    /// What is odd about it.
    pub odd: String,
    /// The first tensor with a number that is none, where there is one.
    pub tensor: Option<String>,
    /// What became of it.
    pub action: String,
    /// The ids of its rows, for whoever tries them again.
    pub rows: Vec<String>,
}

/// A line of metrics.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// Of a step.
    Step(StepLine),
    /// Of an evaluation.
    Evaluation(EvaluationLine),
    /// Of golden rows.
    Golden(GoldenLine),
    /// Of general skills.
    General(GeneralLine),
    /// Of a sample answer.
    Sample(SampleLine),
    /// Of a step that was not taken.
    Odd(OddLine),
}

impl Line {
    pub(crate) fn step(&self) -> u64 {
        match self {
            Line::Step(line) => line.step,
            Line::Evaluation(line) => line.step,
            Line::Golden(line) => line.step,
            Line::General(line) => line.step,
            Line::Sample(line) => line.step,
            Line::Odd(line) => line.step,
        }
    }

    /// Whether it is counted by `kept`, the steps and the evaluations that are.
    pub(super) fn is_kept(&self, kept: Measured) -> bool {
        let last = if matches!(self, Line::Step(_) | Line::Odd(_)) { kept.steps } else { kept.evaluations };
        last.is_some_and(|last| self.step() <= last)
    }

    /// The loss of a step.
    pub(crate) fn train_loss_nats(&self) -> Option<f64> {
        match self {
            Line::Step(line) => Some(line.train_loss_nats),
            _ => None,
        }
    }

    /// The length of a step's gradient.
    pub(crate) fn grad_norm(&self) -> Option<f64> {
        match self {
            Line::Step(line) => Some(line.grad_norm),
            _ => None,
        }
    }

    /// The loss of an evaluation.
    pub(crate) fn validation_loss_nats(&self) -> Option<f64> {
        match self {
            Line::Evaluation(line) => Some(line.validation_loss_nats),
            _ => None,
        }
    }

    /// The line as JSON, without its end.
    pub fn to_json(&self) -> String {
        // Numbers and names only: there is nothing here that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        fn of<T: serde::de::DeserializeOwned>(text: &str, line: fn(T) -> Line) -> Option<Line> {
            serde_json::from_str(text).map(line).ok()
        }
        of(text, Line::Step)
            .or_else(|| of(text, Line::Evaluation))
            .or_else(|| of(text, Line::Golden))
            .or_else(|| of(text, Line::General))
            .or_else(|| of(text, Line::Sample))
            .or_else(|| of(text, Line::Odd))
    }

    pub(super) fn write_into(&self, events: &mut EventFile) -> Result<(), FileError> {
        match self {
            Line::Sample(line) => {
                events.add_text(line.step, &format!("sample/{}", line.sample_id), &line.text())
            }
            _ => events.add(self.step(), &self.scalars()),
        }
    }

    pub(super) fn scalars(&self) -> Vec<(Cow<'static, str>, f64)> {
        let named = match self {
            Line::Step(line) => vec![
                ("train/loss_nats", line.train_loss_nats),
                ("train/grad_norm", line.grad_norm),
                ("train/lr", line.lr),
                ("train/epoch", line.epoch),
                ("train/tokens_per_second", line.tokens_per_second),
                ("train/loss_spike", f64::from(u8::from(line.loss_spike))),
            ],
            Line::Evaluation(line) => vec![
                ("validation/loss_nats", line.validation_loss_nats),
                ("validation/perplexity", line.perplexity),
                ("validation/token_accuracy", line.token_accuracy),
            ],
            Line::General(line) => {
                vec![("general/loss_nats", line.general_loss_nats), ("general/right", line.general_right)]
            }
            Line::Golden(line) => {
                let named = line.golden.iter();
                return named.map(|(name, value)| (format!("golden/{name}").into(), *value)).collect();
            }
            Line::Odd(_) => vec![("train/left_out", 1.0)],
            Line::Sample(_) => Vec::new(),
        };
        named.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}

impl SampleLine {
    /// For TensorBoard, which reads Markdown: four spaces before a line keep it as it stands.
    fn text(&self) -> String {
        let block = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let Self { prompt, expected, answer, .. } = self;
        format!(
            "**prompt**\n\n{}\n**expected**\n\n{}\n**answer**\n\n{}",
            block(prompt),
            block(expected),
            block(answer)
        )
    }
}
