//! Rows that are learnt by heart: what is held out gets worse while what is trained on gets better.

use crate::metrics::Line;

/// Evaluations in a row that must lie above the lowest: one alone may be chance.
const RISES: usize = 2;
/// By what part of the lowest loss they must. Less is what another order of the rows gives.
const LEAST_RISE: f64 = 0.01;

/// A run that learns its rows by heart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overfit {
    /// The step of the lowest validation loss.
    pub lowest_step: u64,
    /// That loss.
    pub lowest_nats: f64,
    /// The validation loss now.
    pub validation_nats: f64,
    /// The mean training loss up to the lowest, and now: of the steps between two evaluations.
    pub train_nats: [f64; 2],
}

/// The two losses of a run, as far as they are needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    /// Sum and number of the training losses since the last evaluation.
    train: (f64, u64),
    /// The mean training loss before the first evaluation after the base's.
    first_nats: Option<f64>,
    /// Step and loss of the lowest evaluation, and the mean training loss before it.
    lowest: Option<(u64, f64, Option<f64>)>,
    rises: usize,
    told: bool,
}

impl Fit {
    /// After these lines, as a run that goes on has them.
    pub fn after(lines: &[Line]) -> Self {
        let mut fit = Self::default();
        for line in lines {
            match line {
                Line::Step(line) => fit.add_step(line.train_loss_nats),
                Line::Evaluation(line) => {
                    fit.add_evaluation(line.step, line.validation_loss_nats);
                }
                _ => {}
            }
        }
        fit
    }

    /// Takes the training loss of a step.
    pub fn add_step(&mut self, nats: f64) {
        self.train.0 += nats;
        self.train.1 += 1;
    }

    /// Takes a validation loss; something if the rows are now learnt by heart, once until there is a new lowest.
    pub fn add_evaluation(&mut self, step: u64, nats: f64) -> Option<Overfit> {
        let (sum, steps) = std::mem::take(&mut self.train);
        let train = (steps > 0).then(|| sum / steps as f64);
        self.first_nats = self.first_nats.or(train);
        let Some((lowest_step, lowest_nats, before)) = self.lowest.filter(|lowest| nats >= lowest.1) else {
            self.lowest = Some((step, nats, train));
            (self.rises, self.told) = (0, false);
            return None;
        };
        self.rises = if nats > lowest_nats * (1.0 + LEAST_RISE) { self.rises + 1 } else { 0 };
        let (before, now) = (before.or(self.first_nats)?, train?);
        if self.told || self.rises < RISES || now >= before {
            return None;
        }
        self.told = true;
        Some(Overfit { lowest_step, lowest_nats, validation_nats: nats, train_nats: [before, now] })
    }
}

impl std::fmt::Display for Overfit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lowest_step, lowest_nats, validation_nats, train_nats: [before, now] } = self;
        write!(
            out,
            "the rows are being learnt by heart: since step {lowest_step} the validation loss rose from \
            {lowest_nats:.4} to {validation_nats:.4} while the training loss fell from {before:.4} to {now:.4}; train \
            fewer epochs, let `eval.patience` end the run, or raise `lora.dropout`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds (training loss, validation loss) and counts what is told of.
    fn told(pairs: &[(f64, f64)]) -> Vec<Overfit> {
        let mut fit = Fit::default();
        assert_eq!(fit.add_evaluation(0, 3.0), None);
        let step = |(index, (train, validation)): (usize, &(f64, f64))| {
            fit.add_step(*train);
            fit.add_evaluation(index as u64 + 1, *validation)
        };
        pairs.iter().enumerate().filter_map(step).collect()
    }

    #[test]
    fn a_rise_of_what_is_held_out_is_told_of_once() {
        let found = told(&[(2.0, 2.0), (1.5, 1.8), (1.0, 1.9), (0.8, 2.0), (0.5, 2.2)]);
        assert_eq!(found.len(), 1);
        let Overfit { lowest_step, lowest_nats, validation_nats, train_nats } = found[0];
        assert_eq!((lowest_step, lowest_nats, validation_nats, train_nats), (2, 1.8, 2.0, [1.5, 0.8]));
        assert!(found[0].to_string().contains("since step 2 the validation loss rose from 1.8000 to 2.0000"));
    }

    #[test]
    fn it_takes_two_rises_and_a_falling_training_loss() {
        assert!(
            told(&[(2.0, 2.0), (1.5, 2.1), (1.0, 1.9), (0.8, 2.0), (0.7, 1.91)]).is_empty(),
            "one rise each"
        );
        assert!(told(&[(2.0, 2.0), (2.1, 2.2), (2.2, 2.4), (2.5, 2.6)]).is_empty(), "it diverges");
        assert!(told(&[(2.0, 2.0), (1.9, 2.01), (1.8, 2.005), (1.7, 2.01)]).is_empty(), "within a hundredth");
        assert_eq!(told(&[(2.0, 3.2), (1.0, 3.4), (0.5, 3.6)]).len(), 1, "from the first step on");
    }
}
