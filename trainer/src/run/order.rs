//! Which rows each step takes, and how many steps there are.

use rtune_data::{Example, steps_of_epoch};

use crate::config::StepSize;
use crate::config::{Length, TrainSection};
use crate::error::TrainerError;

/// The order of a run's rows: fixed by the seed, the epoch and the size of a step, never by memory.
#[derive(Debug)]
pub(crate) struct Order {
    lengths_tokens: Vec<usize>,
    seed: u64,
    size: StepSize,
    shuffle: bool,
    /// Whether a row takes part, by its place.
    takes_part: Vec<bool>,
    /// Steps of the whole run.
    pub(crate) total: u64,
    /// The epoch whose steps are held, and those steps.
    current: (u64, Vec<Vec<usize>>),
}

impl Order {
    /// The order of `rows` as `train` says. Rows of `train.without` have their places in it: what others do is as it was with them.
    pub(crate) fn new(rows: &[Example], train: &TrainSection, shuffle: bool) -> Self {
        let lengths_tokens: Vec<usize> = rows.iter().map(|row| row.tokens.len()).collect();
        let of_epoch = |epoch| steps_of_epoch(&lengths_tokens, train.seed, epoch, train.step_size, shuffle);
        let first = of_epoch(0);
        let total = match (train.length, train.step_size) {
            (Length::Steps(steps), _) => steps,
            // Every epoch has the same number of rows, so it has the same number of steps.
            (Length::Epochs(epochs), StepSize::Rows(_)) => epochs * first.len() as u64,
            (Length::Epochs(epochs), StepSize::Tokens(_)) => {
                (0..epochs).map(|epoch| of_epoch(epoch).len() as u64).sum()
            }
        };
        let takes_part: Vec<bool> = rows.iter().map(|row| !train.without.contains(&row.id)).collect();
        let current = (0, without(first, &takes_part));
        Self { seed: train.seed, size: train.step_size, shuffle, takes_part, total, current, lengths_tokens }
    }

    /// The rows of step `position` of `epoch`, and how many steps that epoch has.
    pub(crate) fn step(&mut self, epoch: u64, position: u64) -> (&[usize], u64) {
        if self.current.0 != epoch {
            let steps = steps_of_epoch(&self.lengths_tokens, self.seed, epoch, self.size, self.shuffle);
            self.current = (epoch, without(steps, &self.takes_part));
        }
        let steps = &self.current.1;
        let rows = usize::try_from(position).ok().and_then(|position| steps.get(position));
        (rows.map_or(&[], Vec::as_slice), steps.len() as u64)
    }
}

/// Steps without the rows that take no part; one that none is left of has no row.
fn without(mut steps: Vec<Vec<usize>>, takes_part: &[bool]) -> Vec<Vec<usize>> {
    steps.iter_mut().for_each(|rows| rows.retain(|row| takes_part[*row]));
    steps
}

/// What `train.without` names must be there: a slip of the pen would train what was to be left out.
///
/// # Errors
/// [`TrainerError::NoSuchRow`].
pub(crate) fn refuse_unknown_rows(rows: &[Example], train: &TrainSection) -> Result<(), TrainerError> {
    match train.without.iter().find(|id| rows.iter().all(|row| row.id != **id)) {
        Some(id) => Err(TrainerError::NoSuchRow { id: id.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;
    use crate::config::Config;

    fn order(extra: &str) -> Order {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[train]\n{extra}\n");
        let config = Config::parse("c.toml", &text, &[]).expect("valid");
        let row = |length: usize| Example {
            id: length.to_string(),
            origin: Origin { file: Path::new("a").into(), line: 1 },
            tokens: vec![0; length],
            supervised: vec![true; length],
        };
        let rows: Vec<Example> = (1..=7).map(row).collect();
        Order::new(&rows, &config.train, config.data.shuffle)
    }

    #[test]
    fn steps_are_counted_over_all_epochs() {
        assert_eq!(order("epochs = 3\nrows-per-step = 2").total, 12);
        assert_eq!(order("steps = 5").total, 5);
        let mut by_tokens = order("epochs = 4\ntokens-per-step = 9");
        let counted: u64 = (0..4).map(|epoch| by_tokens.step(epoch, 0).1).sum();
        assert_eq!(by_tokens.total, counted);
    }

    #[test]
    fn rows_that_take_no_part_leave_the_others_where_they_were() {
        let (mut all, mut some) = (
            order("epochs = 2\nrows-per-step = 2"),
            order("epochs = 2\nrows-per-step = 2\nwithout = ['3', '7']"),
        );
        assert_eq!(all.total, some.total);
        let mut left_out = 0;
        for (epoch, position) in (0..2).flat_map(|epoch| (0..4).map(move |position| (epoch, position))) {
            let (before, now) = (all.step(epoch, position).0, some.step(epoch, position).0);
            // The row of so many tokens has that number as its id, and stands at the place before it.
            let rest: Vec<usize> = before.iter().copied().filter(|place| ![2, 6].contains(place)).collect();
            assert_eq!(now, rest);
            left_out += before.len() - now.len();
        }
        assert_eq!(left_out, 4, "each of two rows in each of two epochs");
    }

    #[test]
    fn a_step_is_the_same_whatever_was_asked_before() {
        let mut forward = order("epochs = 3\nrows-per-step = 3");
        forward.step(0, 0);
        forward.step(1, 0);
        let later = forward.step(2, 1).0.to_vec();
        assert_eq!(order("epochs = 3\nrows-per-step = 3").step(2, 1).0, later);
        assert_eq!(forward.step(2, 2).1, 3);
    }
}
