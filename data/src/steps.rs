//! Which rows a step trains on.

use crate::stream::{shuffle, stream};

/// How large a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepSize {
    /// So many rows (at least one).
    Rows(usize),
    /// As many rows as fit into so many tokens; a row longer than that is a step of its own.
    Tokens(usize),
}

/// The steps of an epoch, each a list of indices into `lengths_tokens`; every row stands in exactly one step.
///
/// The order is that of the rows, or, shuffled, fixed by (seed, epoch) and the number of rows. The last step may be
/// smaller. Packing and micro-batches happen inside a step and have no say here.
pub fn steps_of_epoch(
    lengths_tokens: &[usize],
    seed: u64,
    epoch: u64,
    size: StepSize,
    shuffle_rows: bool,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths_tokens.len()).collect();
    if shuffle_rows {
        shuffle(&mut order, &mut stream(seed, "shuffle", "train", epoch));
    }
    match size {
        StepSize::Rows(rows) => order.chunks(rows.max(1)).map(<[usize]>::to_vec).collect(),
        StepSize::Tokens(budget_tokens) => by_tokens(&order, lengths_tokens, budget_tokens),
    }
}

fn by_tokens(order: &[usize], lengths_tokens: &[usize], budget_tokens: usize) -> Vec<Vec<usize>> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut left_tokens = 0;
    for &row in order {
        match steps.last_mut() {
            Some(step) if lengths_tokens[row] <= left_tokens => {
                step.push(row);
                left_tokens -= lengths_tokens[row];
            }
            _ => {
                steps.push(vec![row]);
                left_tokens = budget_tokens.saturating_sub(lengths_tokens[row]);
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::uniform_below;

    #[test]
    fn unshuffled_rows_stand_in_order() {
        let steps = steps_of_epoch(&[1; 5], 0, 0, StepSize::Rows(2), false);
        assert_eq!(steps, [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(
            steps_of_epoch(&[3, 3, 9, 1, 1], 0, 0, StepSize::Tokens(6), false),
            [vec![0, 1], vec![2], vec![3, 4]]
        );
        assert!(steps_of_epoch(&[], 0, 0, StepSize::Rows(2), true).is_empty());
    }

    #[test]
    fn an_order_is_fixed_by_seed_and_epoch() {
        let order = |seed, epoch| steps_of_epoch(&[1; 50], seed, epoch, StepSize::Rows(4), true);
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
    }

    #[test]
    fn every_row_once_and_no_step_over_its_budget() {
        let mut random = stream(3, "test", "steps", 0);
        for round in 0..200 {
            let rows = uniform_below(&mut random, 60) as usize;
            let lengths: Vec<usize> =
                (0..rows).map(|_| 1 + uniform_below(&mut random, 40) as usize).collect();
            let budget = 1 + uniform_below(&mut random, 90) as usize;
            let size = if round % 2 == 0 { StepSize::Tokens(budget) } else { StepSize::Rows(budget) };
            let steps = steps_of_epoch(&lengths, 3, round, size, true);
            let mut seen: Vec<usize> = steps.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..rows).collect::<Vec<_>>());
            for step in &steps {
                let tokens: usize = step.iter().map(|&row| lengths[row]).sum();
                match size {
                    StepSize::Rows(_) => assert!(!step.is_empty() && step.len() <= budget),
                    StepSize::Tokens(_) => assert!(step.len() == 1 || tokens <= budget),
                }
            }
        }
    }
}
