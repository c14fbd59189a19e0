//! Steps that are not like the others: what is found of them before they change anything, and what becomes of them.

use rtune_data::Example;

use super::session::Session;
use super::{Ended, Event};
use crate::config::{OnNotFinite, OnSpike};
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::metrics::{Line, OddLine};

/// Steps in a row that may be left out: a loss that stays where it jumped to is no accident, and nothing is learnt meanwhile.
const MOST_IN_A_ROW: u64 = 8;

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
    Back(Ended),
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
            self.left_out_in_a_row = 0;
            self.spikes.add(sum.mean_nats());
            self.norms.add(norm);
            return Ok(Verdict::Take(false));
        };
        if odd.reaction == Reaction::Warn {
            let jumped = self.spikes.add(sum.mean_nats()).is_some();
            // A loss that stays up, or a gradient that stays long, is told of once.
            if self.norms.add(norm) || jumped {
                self.observer.on(Event::Warning(&format!("step {number}: {}", odd.said)));
            }
            return Ok(Verdict::Take(jumped));
        }
        let rows: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        let action = match odd.reaction {
            Reaction::Skip => "left out",
            Reaction::RollBack => "rolled back, and left out",
            Reaction::Warn | Reaction::Stop => "stopped",
        };
        let line =
            OddLine { step: number, odd: odd.said, tensor: odd.tensor, action: action.to_owned(), rows };
        match odd.reaction {
            Reaction::RollBack => Ok(Verdict::Back(Ended::Back(line))),
            Reaction::Skip => {
                self.leave_out(line)?;
                Ok(Verdict::LeaveOut)
            }
            Reaction::Warn | Reaction::Stop => {
                // It stays behind for whoever looks for the rows; the run's own measurements go on without it.
                let error = TrainerError::OddStep { line: Box::new(line.clone()) };
                self.metrics.add(&Line::Odd(line))?;
                self.metrics.sync()?;
                Err(error)
            }
        }
    }

    /// Writes down that a step is left out.
    ///
    /// # Errors
    /// [`TrainerError::OddStep`] after too many in a row.
    pub(super) fn leave_out(&mut self, line: OddLine) -> Result<(), TrainerError> {
        self.left_out_in_a_row += 1;
        self.observer.on(Event::Warning(&format!("step {}: {}; {}", line.step, line.odd, line.action)));
        let is_too_much = self.left_out_in_a_row > MOST_IN_A_ROW;
        let error = is_too_much.then(|| TrainerError::OddStep { line: Box::new(line.clone()) });
        self.metrics.add(&Line::Odd(line))?;
        error.map_or(Ok(()), Err)
    }

    /// What is odd about a step with this loss and this length of its gradient.
    fn odd(&mut self, loss_nats: f64, norm: f64) -> Result<Option<Odd>, TrainerError> {
        let not_finite = [("the loss", loss_nats), ("the length of the gradient", norm)]
            .into_iter()
            .find(|one| !one.1.is_finite());
        if let Some((what, value)) = not_finite {
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
        let spike = self.spikes.look(loss_nats).map(|spike| spike.to_string());
        let said = spike.or_else(|| self.norms.look(norm).map(|outlier| outlier.to_string()));
        let reaction = match self.config.watchdog.spike {
            OnSpike::Warn => Reaction::Warn,
            OnSpike::Stop => Reaction::Stop,
            OnSpike::Skip => Reaction::Skip,
            OnSpike::RollBack => Reaction::RollBack,
        };
        Ok(said.map(|said| Odd { said, tensor: None, reaction }))
    }
}
