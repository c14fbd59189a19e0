//! Which rows trained a checkpoint, by the ids that they keep through packing.

use std::path::Path;

use rtune_data::Example;
use serde::Serialize;

use crate::checkpoint::State;
use crate::config::Config;
use crate::run::Order;

/// A row, and the steps that trained on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainedRow<'a> {
    /// Its id; segments of packed rows carry it as `row_id`.
    pub id: &'a str,
    /// The file it stands in, as the configuration names it.
    pub file: &'a Path,
    /// Its line, counted from 1.
    pub line: u64,
    /// The steps it was part of, from 1. Once in each epoch.
    pub steps: Vec<u64>,
}

/// Every row of `rows`, in order, with the steps up to `state` that trained on it; a row that none did has no steps. Steps that `[watchdog]`
/// left out trained on nothing.
///
/// The order is computed by the very code that a run takes its steps from.
pub fn trained_rows<'a>(rows: &'a [Example], config: &Config, state: &State) -> Vec<TrainedRow<'a>> {
    let mut order = Order::new(rows, &config.train, config.data.shuffle);
    let mut steps = vec![Vec::new(); rows.len()];
    let (mut epoch, mut position) = (0, 0);
    for step in 1..=state.step {
        let (indices, in_epoch) = order.step(epoch, position);
        if !state.was_left_out(step) {
            indices.iter().for_each(|index| steps[*index].push(step));
        }
        position += 1;
        if position >= in_epoch {
            (epoch, position) = (epoch + 1, 0);
        }
    }
    let row = |(row, steps): (&'a Example, Vec<u64>)| TrainedRow {
        id: &row.id,
        file: &row.origin.file,
        line: row.origin.line,
        steps,
    };
    rows.iter().zip(steps).map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rtune_data::{Origin, pack};

    use super::*;
    use crate::checkpoint::Remembered;

    /// The ids in the segments that the engine packs for a step are those that are said to have trained it.
    #[test]
    fn the_ids_are_those_of_the_packed_segments() {
        for extra in ["epochs = 3\nrows-per-step = 4", "steps = 9\ntokens-per-step = 20"] {
            let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[train]\n{extra}\n");
            let config = Config::parse("c.toml", &text, &[]).expect("valid");
            let row = |number: usize| Example {
                id: format!("row-{number}"),
                origin: Origin { file: Path::new("a.jsonl").into(), line: number as u64 + 1 },
                tokens: vec![0; 1 + number % 7],
                supervised: vec![true; 1 + number % 7],
            };
            let rows: Vec<Example> = (0..13).map(row).collect();
            let mut order = Order::new(&rows, &config.train, config.data.shuffle);
            let total = order.total;
            let said = trained_rows(&rows, &config, &State { step: total, ..State::start() });
            assert_eq!(said.len(), rows.len());
            let mut epoch_and_position = (0, 0);
            for step in 1..=total {
                let (epoch, position) = epoch_and_position;
                let (indices, in_epoch) = order.step(epoch, position);
                let taken: Vec<&Example> = indices.iter().map(|index| &rows[*index]).collect();
                epoch_and_position =
                    if position + 1 == in_epoch { (epoch + 1, 0) } else { (epoch, position + 1) };
                let packed = pack(&taken, 16);
                let segments: BTreeSet<&str> = packed
                    .iter()
                    .flat_map(|row| &row.segments)
                    .map(|segment| segment.row_id.as_str())
                    .collect();
                let ids: BTreeSet<&str> =
                    said.iter().filter(|row| row.steps.contains(&step)).map(|row| row.id).collect();
                assert!(!ids.is_empty());
                assert_eq!(segments, ids, "step {step}");
            }
        }
    }

    #[test]
    fn a_row_has_its_line_and_only_steps_that_are_done() {
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\nshuffle=false\n[output]\ndir='r'\n[train]\nrows-per-step=2\nepochs=2";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let row = |line: u64| Example {
            id: format!("{line}"),
            origin: Origin { file: Path::new("a.jsonl").into(), line },
            tokens: vec![0; 3],
            supervised: vec![true; 3],
        };
        let rows: Vec<Example> = [3, 5, 8].map(row).into();
        let steps = |done| -> Vec<Vec<u64>> {
            let said = trained_rows(&rows, &config, &State { step: done, ..State::start() });
            said.into_iter().map(|row| row.steps).collect()
        };
        assert_eq!(steps(0), vec![Vec::<u64>::new(); 3]);
        assert_eq!(steps(3), [vec![1, 3], vec![1, 3], vec![2]]);
        let remembered = Remembered { left_out: BTreeSet::from([2, 3, 9]), ..Remembered::default() };
        let state = State { step: 4, remembered: Some(remembered), ..State::start() };
        let said: Vec<Vec<u64>> =
            trained_rows(&rows, &config, &state).into_iter().map(|row| row.steps).collect();
        assert_eq!(said, [vec![1], vec![1], vec![4]], "the second and the third were left out");
        let said = trained_rows(&rows, &config, &State { step: 4, ..State::start() });
        assert_eq!(
            (said[2].line, said[2].file, said[2].steps.as_slice()),
            (8, Path::new("a.jsonl"), &[2, 4][..])
        );
    }
}
