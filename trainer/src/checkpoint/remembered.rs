//! What a run remembers of its steps beside the trained numbers: what later steps are compared with, and which were left out.
//!
//! It stands in `state.json`, under the checkpoint's hashes: metrics.jsonl is for people, and what happens to it changes no bit of a run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::metrics::Line;
use crate::spikes::{Norms, Spikes};

/// What a run remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// The losses of the last steps that were taken.
    pub spikes: Spikes,
    /// The lengths of their gradients.
    pub norms: Norms,
    /// The validation loss before the first step, in nats a supervised token.
    pub base_nats: Option<f64>,
    /// The lowest validation loss so far, in the same unit.
    pub lowest_nats: Option<f64>,
    /// Steps that are left out, as `[watchdog]` has it. Those that are not done yet are to be left out when the run comes there again.
    pub left_out: BTreeSet<u64>,
    /// The last steps that were odd, one after the other.
    pub streak: Option<Streak>,
    /// How often the run went back.
    pub rolled_back: u64,
    /// What the trained numbers were before the first step, by their fingerprint; runs of earlier versions do not know.
    pub began: Option<String>,
}

/// Odd steps with none between them that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streak {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// How many there are.
    pub steps: u64,
    /// How many steps before the first were asked to be undone, when the run last went back for it.
    pub span: u64,
}

/// What a run that goes back leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    /// The first step to be left out; the run goes back to a checkpoint before it.
    pub(crate) first: u64,
    /// The last.
    pub(crate) last: u64,
}

impl Remembered {
    /// After these lines: what a run remembers whose checkpoints do not say.
    pub fn after(lines: &[Line]) -> Self {
        let mut remembered = Self {
            spikes: Spikes::after(lines.iter().filter_map(Line::train_loss_nats)),
            norms: Norms::after(lines.iter().filter_map(Line::grad_norm)),
            ..Self::default()
        };
        for line in lines {
            match line {
                Line::Odd(line) => {
                    remembered.add_odd(line.step);
                }
                Line::Evaluation(line) => remembered.add_evaluation(line.step, line.validation_loss_nats),
                _ => {}
            }
        }
        remembered
    }

    /// Takes the validation loss after `step` steps.
    pub(crate) fn add_evaluation(&mut self, step: u64, nats: f64) {
        if step == 0 {
            self.base_nats = Some(nats);
        }
        self.lowest_nats = Some(self.lowest_nats.map_or(nats, |lowest| lowest.min(nats)));
    }

    /// Takes a step that is odd and left out; the odd steps that it is the last of.
    pub(crate) fn add_odd(&mut self, step: u64) -> Streak {
        let alone = Streak { first: step, last: step, steps: 1, span: 0 };
        let streak = self.streak.filter(|streak| streak.last + 1 == step);
        let streak = streak.map_or(alone, |streak| Streak { last: step, steps: streak.steps + 1, ..streak });
        self.left_out.insert(step);
        self.streak = Some(streak);
        streak
    }

    /// How many of the first `step` steps were left out.
    pub(crate) fn left_out_to(&self, step: u64) -> u64 {
        self.left_out.range(..=step).count() as u64
    }

    /// Takes a step that has no row: what is odd after it follows on what was odd before it.
    pub(crate) fn pass(&mut self, step: u64) {
        if let Some(streak) = self.streak.as_mut().filter(|streak| streak.last + 1 == step) {
            streak.last = step;
        }
    }

    /// What a run undoes that goes back, right after [`Self::add_odd`] took a step that is not the first of its streak: the streak, and
    /// before it one step, then two, four and so on, each time that the next step is odd as well. Where the run saves at multiples of
    /// `every`, that reaches as far as the last of them before the streak. `None` where there is no more to undo.
    pub(crate) fn go_back(&mut self, every: u64) -> Option<Undone> {
        let streak = self.streak.filter(|streak| streak.steps > 1)?;
        let span = (2 * streak.span).max(1);
        let first = streak.first.saturating_sub(span).max(last_saved_before(streak.first, every) + 1);
        if (first..streak.first).all(|step| self.left_out.contains(&step)) {
            return None;
        }
        self.left_out.extend(first..=streak.last);
        self.streak = Some(Streak { span, ..streak });
        self.rolled_back += 1;
        Some(Undone { first, last: streak.last })
    }

    /// The step of the checkpoint that a run may go back to that did `done` steps and saves at multiples of `every`.
    pub(crate) fn reach(&self, done: u64, every: u64) -> u64 {
        let streak = self.streak.filter(|streak| streak.last >= done);
        last_saved_before(streak.map_or(done + 1, |streak| streak.first), every)
    }

    /// Takes over what was found out by a try that went back, `other`.
    pub(crate) fn learn(&mut self, other: &Self) {
        self.left_out.extend(&other.left_out);
        (self.streak, self.rolled_back) = (other.streak, other.rolled_back);
    }
}

/// The last multiple of `every` below `step`.
fn last_saved_before(step: u64, every: u64) -> u64 {
    let every = every.max(1);
    step.saturating_sub(1) / every * every
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{EvaluationLine, OddLine};

    fn odd(steps: impl IntoIterator<Item = u64>) -> Remembered {
        let mut remembered = Remembered::default();
        for step in steps {
            remembered.add_odd(step);
        }
        remembered
    }

    #[test]
    fn a_streak_has_no_step_between_that_was_taken() {
        assert_eq!(odd([4, 5]).streak, Some(Streak { first: 4, last: 5, steps: 2, span: 0 }));
        assert_eq!(odd([4, 6]).streak, Some(Streak { first: 6, last: 6, steps: 1, span: 0 }));
        let mut passed = odd([4]);
        passed.pass(5);
        assert_eq!(passed.add_odd(6).steps, 2, "the fifth has no row");
    }

    #[test]
    fn a_run_undoes_twice_as_much_each_time_it_goes_back() {
        let mut remembered = odd([18]);
        assert_eq!(remembered.go_back(10), None, "a step alone is left out where it stands");
        for (step, first) in [(19, 17), (20, 16), (21, 14), (22, 11)] {
            remembered.add_odd(step);
            assert_eq!(remembered.go_back(10), Some(Undone { first, last: step }));
        }
        assert!(remembered.left_out.iter().copied().eq(11..=22));
        remembered.add_odd(23);
        assert_eq!(remembered.go_back(10), None, "all that came after the checkpoint is undone");
        assert_eq!((remembered.rolled_back, remembered.reach(23, 10)), (4, 10));
        assert_eq!(remembered.reach(24, 10), 20, "a step was taken since");
        assert_eq!(remembered.reach(20, 10), 10, "the run went back and is not yet there again");
    }

    #[test]
    fn nothing_is_undone_right_after_a_checkpoint() {
        assert_eq!(odd([11, 12]).go_back(10), None);
        assert_eq!(
            odd([10, 11]).go_back(10),
            Some(Undone { first: 9, last: 11 }),
            "the one at 10 has it, too"
        );
    }

    #[test]
    fn a_state_without_it_has_it_from_the_lines() {
        let left_out = |step| {
            let rows = vec!["a".to_owned()];
            Line::Odd(OddLine {
                step,
                odd: "odd".to_owned(),
                tensor: None,
                action: "left out".to_owned(),
                rows,
            })
        };
        let evaluation = |step, validation_loss_nats| {
            Line::Evaluation(EvaluationLine {
                step,
                validation_loss_nats,
                perplexity: 1.0,
                token_accuracy: 0.5,
            })
        };
        let lines = [evaluation(0, 3.0), left_out(2), evaluation(2, 1.0), evaluation(4, 2.0), left_out(5)];
        let remembered = Remembered::after(&lines);
        assert_eq!((remembered.base_nats, remembered.lowest_nats), (Some(3.0), Some(1.0)));
        assert_eq!(remembered.left_out, BTreeSet::from([2, 5]));
        let text = serde_json::to_string(&remembered).expect("JSON");
        assert_eq!(serde_json::from_str::<Remembered>(&text).expect("read"), remembered);
    }
}
