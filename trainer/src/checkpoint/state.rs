//! `state.json`: where a run stands.

use serde::{Deserialize, Serialize};

use super::{FORMAT, Remembered};
use crate::evaluate::by_name::VALIDATION_LOSS;

/// Where a run stands: enough, with the adapter and the moments, to go on bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`FORMAT`].
    pub format: u64,
    /// Steps done.
    pub step: u64,
    /// The epoch of the next step, from 0.
    pub epoch: u64,
    /// Steps of that epoch that are done.
    pub position: u64,
    /// Tokens seen, over all steps.
    pub tokens: u64,
    /// Supervised tokens seen, over all steps.
    pub supervised_tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Steps done at the last evaluation that this state knows of. States of an earlier version do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<u64>,
    /// What early stopping waits for, once something was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What the run remembers of its steps. States of an earlier version do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// Why the adapter is of no use, where the run is at its end and that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub useless: Option<String>,
}

/// The best evaluation by the metric `eval.best`; of equal ones the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Steps done at that evaluation.
    pub step: u64,
    /// The metric; an earlier version knew only one.
    #[serde(default = "validation_loss")]
    pub metric: String,
    /// Its value, for the validation loss in nats a supervised token.
    #[serde(alias = "validation_loss_nats")]
    pub value: f64,
}

/// How long there was no improvement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The value of the metric `eval.best` that must be improved on.
    pub value: f64,
    /// Evaluations since then, none of which did.
    pub evaluations: u64,
}

fn validation_loss() -> String {
    VALIDATION_LOSS.to_owned()
}

impl State {
    /// Before the first step.
    pub fn start() -> Self {
        Self {
            format: FORMAT,
            step: 0,
            epoch: 0,
            position: 0,
            tokens: 0,
            supervised_tokens: 0,
            best: None,
            evaluated: None,
            waiting: None,
            remembered: None,
            useless: None,
        }
    }

    /// Whether `step`, from 1, is one that `[watchdog]` left out: its rows trained nothing.
    #[must_use]
    pub fn was_left_out(&self, step: u64) -> bool {
        self.remembered.as_ref().is_some_and(|remembered| remembered.left_out.contains(&step))
    }

    /// Steps that changed the trained numbers.
    pub(crate) fn updates(&self) -> u64 {
        self.step - self.remembered.as_ref().map_or(0, |remembered| remembered.left_out_to(self.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_before_is_read() {
        let text = r#"{"format":1,"step":4,"epoch":0,"position":4,"tokens":9,"supervised_tokens":3,
            "best":{"step":2,"validation_loss_nats":0.30000000000000004}}"#;
        let state: State = serde_json::from_str(text).expect("a state");
        let best = Best { step: 2, metric: "validation-loss".to_owned(), value: 0.1 + 0.2 };
        assert_eq!((&state.best, state.evaluated, &state.waiting), (&Some(best), None, &None));
        assert_eq!((&state.remembered, state.was_left_out(2), &state.useless), (&None, false, &None));
    }
}
