//! Skills that a base had and a run takes from it: said while there is still a checkpoint that has them.

use crate::metrics::{GeneralLine, Line};

/// By what part of the base's loss on general skills a run's may lie above it. Any narrow task
/// moves it somewhat; from where on answers suffer was not measured, so the warning gives both losses.
const LEAST_RISE: f64 = 0.1;

/// A run that forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forgotten {
    /// Nats a token of the expected answers: of the base, and now.
    pub loss_nats: [f64; 2],
    /// Parts of the answers that are right: of the base, and now.
    pub right: [f64; 2],
}

/// What the base could do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Skills {
    base: Option<(f64, f64)>,
    told: bool,
}

impl Skills {
    /// After these lines, as a run that goes on has them.
    pub fn after(lines: &[Line]) -> Self {
        let mut skills = Self::default();
        for line in lines {
            if let Line::General(line) = line {
                skills.add(line);
            }
        }
        skills
    }

    /// Takes a look at the skills, the base's first; something if much is lost, once until it is back.
    pub fn add(&mut self, line: &GeneralLine) -> Option<Forgotten> {
        let now = (line.general_loss_nats, line.general_right);
        if line.step == 0 {
            self.base = Some(now);
            return None;
        }
        let (loss, right) = self.base?;
        let is_lost = now.0 > loss * (1.0 + LEAST_RISE);
        let is_news = is_lost && !self.told;
        self.told = is_lost;
        is_news.then_some(Forgotten { loss_nats: [loss, now.0], right: [right, now.1] })
    }
}

impl std::fmt::Display for Forgotten {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [base, now] = self.loss_nats;
        let [right, right_now] = self.right.map(|part| 100.0 * part);
        write!(
            out,
            "the model forgets: on general skills the loss rose from {base:.4} to {now:.4} nats, and {right_now:.0}% of \
            the answers are right, {right:.0}% before the first step; mix general rows into the data, lower \
            `train.learning-rate`, or train fewer steps"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_by_a_tenth_is_told_of_once_until_it_is_back() {
        let mut skills = Skills::default();
        let mut told = |step, loss| {
            let line = GeneralLine { step, general_rows: 50, general_loss_nats: loss, general_right: 0.5 };
            skills.add(&line).is_some()
        };
        let found: Vec<bool> = [1.0, 1.05, 1.2, 1.3, 1.0, 1.11]
            .into_iter()
            .zip(0..)
            .map(|(loss, step)| told(step, loss))
            .collect();
        assert_eq!(found, [false, false, true, false, false, true]);
    }

    #[test]
    fn without_a_base_there_is_nothing_to_lose() {
        let line = GeneralLine { step: 5, general_rows: 1, general_loss_nats: 9.0, general_right: 0.0 };
        assert_eq!(Skills::default().add(&line), None);
        let base = GeneralLine { step: 0, general_loss_nats: 1.0, ..line.clone() };
        let lines = [Line::General(base)];
        let said = Skills::after(&lines).add(&line).expect("lost").to_string();
        assert!(said.contains("rose from 1.0000 to 9.0000 nats, and 0% of the answers"), "{said}");
    }
}
