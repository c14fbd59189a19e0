//! Which rows each step takes, and how many steps there are.

use std::collections::BTreeSet;

use rtune_data::{DataError, Examples, steps_of_epoch};

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
    ///
    /// # Errors
    /// Those of reading rows, whose names are asked for where `train.without` has some.
    pub(crate) fn new(rows: &Examples, train: &TrainSection, shuffle: bool) -> Result<Self, DataError> {
        let lengths_tokens: Vec<usize> = (0..rows.len()).map(|row| rows.tokens(row)).collect();
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
        let takes_part = match train.without.is_empty() {
            true => vec![true; rows.len()],
            false => {
                let takes_part = rows.iter().map(|row| Ok(!train.without.contains(&row?.id)));
                takes_part.collect::<Result<_, DataError>>()?
            }
        };
        let current = (0, without(first, &takes_part));
        let (seed, size) = (train.seed, train.step_size);
        Ok(Self { seed, size, shuffle, takes_part, total, current, lengths_tokens })
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

    /// How many of the first `done` steps have a row and are not among those.
    pub(crate) fn updates(&mut self, done: u64, left_out: &BTreeSet<u64>) -> u64 {
        if self.takes_part.iter().all(|takes_part| *takes_part) {
            return done - left_out.range(..=done).count() as u64;
        }
        let (mut epoch, mut position, mut updates) = (0, 0, 0);
        for step in 1..=done {
            let (rows, in_epoch) = self.step(epoch, position);
            updates += u64::from(!rows.is_empty() && !left_out.contains(&step));
            position += 1;
            if position >= in_epoch {
                (epoch, position) = (epoch + 1, 0);
            }
        }
        updates
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
/// [`TrainerError::NoSuchRow`]; those of reading rows.
pub(crate) fn refuse_unknown_rows(rows: &Examples, train: &TrainSection) -> Result<(), TrainerError> {
    let mut unseen: Vec<&String> = train.without.iter().collect();
    for row in rows.iter() {
        if unseen.is_empty() {
            return Ok(());
        }
        let row = row?;
        unseen.retain(|id| **id != row.id);
    }
    match unseen.first() {
        Some(id) => Err(TrainerError::NoSuchRow { id: (*id).clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::{Example, Origin};

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
        Order::new(&rows.into(), &config.train, config.data.shuffle).expect("rows in memory")
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
    fn steps_that_change_something_are_counted() {
        let left_out = BTreeSet::from([2, 9]);
        let mut all = order("epochs = 2\nrows-per-step = 1");
        assert_eq!([0, 1, 2, 14].map(|done| all.updates(done, &left_out)), [0, 1, 1, 12]);
        let mut some = order("epochs = 2\nrows-per-step = 1\nwithout = ['3', '7']");
        assert_eq!([7, 14].map(|done| some.updates(done, &BTreeSet::new())), [5, 10]);
        let empty = (1..=7).find(|step| some.updates(*step, &BTreeSet::new()) == step - 1).expect("a step");
        assert_eq!(some.updates(14, &BTreeSet::from([empty])), 10, "it had no row anyway");
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
