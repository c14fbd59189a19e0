//! Steps that are not like the others: what is found of them before they change anything, and what becomes of them.

use rtune_data::Example;

use super::session::{BROKEN, Session};
use super::{Back, Event};
use crate::checkpoint::{Remembered, Undone};
use crate::config::{OnNotFinite, OnSpike};
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::metrics::{Line, OddLine};

/// Steps in a row that may be left out: a loss that stays where it jumped to is no accident, and nothing is learnt meanwhile.
const MOST_IN_A_ROW: u64 = 8;

/// How often a run may go back: with more of it something else is wrong.
const MOST_ROLL_BACKS: u64 = 16;

/// What becomes of a step that is not taken.
const LEFT_OUT: &str = "left out";

fn ids(rows: &[&Example]) -> Vec<String> {
    rows.iter().map(|row| row.id.clone()).collect()
}

/// What is odd about a step.
struct Odd {
    said: String,
    tensor: Option<String>,
    reaction: Reaction,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Warn,
    Stop,
    Skip,
    RollBack,
}

/// What is to be done with a step whose gradients are there.
pub(super) enum Verdict {
    /// It is taken; whether its loss jumped.
    Take(bool),
    /// It is left out, and that is written down.
    LeaveOut,
    /// The run goes back.
    Back(Box<Back>),
}

impl Session<'_> {
    /// Looks at the loss and the gradient's length of step `number`, before it changes anything.
    pub(super) fn look(
        &mut self,
        number: u64,
        rows: &[&Example],
        sum: &LossSum,
        norm: f64,
    ) -> Result<Verdict, TrainerError> {
        let Some(odd) = self.odd(sum.mean_nats(), norm)? else {
            self.remembered.spikes.add(sum.mean_nats());
            self.remembered.norms.add(norm);
            return Ok(Verdict::Take(false));
        };
        if odd.reaction == Reaction::Warn {
            let jumped = self.remembered.spikes.add(sum.mean_nats()).is_some();
            // A loss that stays up, or a gradient that stays long, is told of once.
            if self.remembered.norms.add(norm) || jumped {
                self.observer.on(Event::Warning(&format!("step {number}: {}", odd.said)));
            }
            return Ok(Verdict::Take(jumped));
        }
        let line = OddLine {
            step: number,
            odd: odd.said,
            tensor: odd.tensor,
            action: LEFT_OUT.to_owned(),
            rows: ids(rows),
        };
        if odd.reaction == Reaction::Stop {
            return Err(self.stop_at(OddLine { action: "stopped".to_owned(), ..line })?);
        }
        self.odd.insert(number, line.clone());
        let before = self.remembered.clone();
        let streak = self.remembered.add_odd(number);
        if streak.steps <= MOST_IN_A_ROW
            && odd.reaction == Reaction::RollBack
            && let Some(undone) = self.remembered.go_back(self.config.checkpoint.every)
        {
            if before.rolled_back >= MOST_ROLL_BACKS {
                return Err(self.stop_at(OddLine { action: "stopped".to_owned(), ..line })?);
            }
            if self.checkpoints.steps()?.iter().any(|step| *step < undone.first) {
                return Ok(Verdict::Back(self.go_back(line, undone)));
            }
            // There is nothing to go back to: it is left out as any other.
            self.remembered = before;
            self.remembered.add_odd(number);
        }
        self.observer.on(Event::Warning(&format!("step {number}: {}; {}", line.odd, line.action)));
        let is_too_much = streak.steps > MOST_IN_A_ROW;
        let error = is_too_much.then(|| TrainerError::OddStep { line: Box::new(line.clone()) });
        self.metrics.add(&Line::Odd(line))?;
        error.map_or(Ok(Verdict::LeaveOut), Err)
    }

    /// Writes down the step that a run ends at; the error that it ends with. The line stays behind for whoever looks for the rows; the
    /// run's own measurements go on without it.
    fn stop_at(&mut self, line: OddLine) -> Result<TrainerError, TrainerError> {
        let error = TrainerError::OddStep { line: Box::new(line.clone()) };
        self.metrics.add(&Line::Odd(line))?;
        self.metrics.sync()?;
        Ok(error)
    }

    /// What this try ends with, for a step that is odd right after one that was.
    fn go_back(&mut self, line: OddLine, undone: Undone) -> Box<Back> {
        let Undone { first, last } = undone;
        self.observer.on(Event::Warning(&format!(
            "step {last}: {}; the one before was odd, too: going back to the last checkpoint before step {first}, and leaving out steps {first} \
            to {last}",
            line.odd
        )));
        let (remembered, odd) = (self.remembered.clone(), std::mem::take(&mut self.odd));
        Box::new(Back { line, undone, remembered, odd })
    }

    /// Writes down that a step is left out for which a run went back.
    pub(super) fn leave_out_again(&mut self, number: u64, rows: &[&Example]) -> Result<(), TrainerError> {
        let found = self.odd.get(&number);
        let odd = found.map_or("a step soon after it was odd", |line| &line.odd).to_owned();
        let tensor = found.and_then(|line| line.tensor.clone());
        let action = format!("rolled back, and {LEFT_OUT}");
        Ok(self.metrics.add(&Line::Odd(OddLine { step: number, odd, tensor, action, rows: ids(rows) }))?)
    }

    /// What is odd about a step with this loss and this length of its gradient.
    fn odd(&mut self, loss_nats: f64, norm: f64) -> Result<Option<Odd>, TrainerError> {
        let not_finite = [("the loss", loss_nats), ("the length of the gradient", norm)]
            .into_iter()
            .find(|one| !one.1.is_finite());
        if let Some((what, value)) = not_finite {
            // Then it was the update before that did it, with rows that nobody suspects, and no step that is left out mends it.
            if let Some((tensor, value)) = self.engine.first_broken()? {
                let step = self.state.step;
                return Err(TrainerError::NotFinite { step, what: BROKEN, value: value.into(), tensor });
            }
            let tensor =
                self.engine.first_not_finite()?.unwrap_or_else(|| "none of the adapter's".to_owned());
            let said = format!("{what} is {value}; the first tensor with such a value is `{tensor}`");
            let reaction = match self.config.watchdog.not_finite {
                OnNotFinite::Stop => Reaction::Stop,
                OnNotFinite::Skip => Reaction::Skip,
                OnNotFinite::RollBack => Reaction::RollBack,
            };
            return Ok(Some(Odd { said, tensor: Some(tensor), reaction }));
        }
        let Remembered { spikes, norms, .. } = &self.remembered;
        let spike = spikes.look(loss_nats).map(|spike| spike.to_string());
        let said = spike.or_else(|| norms.look(norm).map(|outlier| outlier.to_string()));
        let reaction = match self.config.watchdog.spike {
            OnSpike::Warn => Reaction::Warn,
            OnSpike::Stop => Reaction::Stop,
            OnSpike::Skip => Reaction::Skip,
            OnSpike::RollBack => Reaction::RollBack,
        };
        Ok(said.map(|said| Odd { said, tensor: None, reaction }))
    }
}
