//! Which rows trained a checkpoint, by the ids that they keep through packing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtune_data::{DataError, Example, Examples};
use serde::Serialize;

use crate::checkpoint::State;
use crate::config::Config;
use crate::run::Order;

/// A row, and the steps that trained on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainedRow {
    /// Its place among the rows.
    #[serde(skip)]
    pub place: usize,
    /// Its id; segments of packed rows carry it as `row_id`.
    pub id: String,
    /// The file it stands in, as the configuration names it.
    pub file: PathBuf,
    /// Its line, counted from 1.
    pub line: u64,
    /// The steps it was part of, from 1. Once in each epoch.
    pub steps: Vec<u64>,
}

/// The rows of `rows` that a step up to `state` trained on, in order, with those steps. Steps that `[watchdog]` left out trained on nothing.
///
/// The order is computed by the very code that a run takes its steps from.
///
/// # Errors
/// Those of reading rows.
pub fn trained_rows(rows: &Examples, config: &Config, state: &State) -> Result<Vec<TrainedRow>, DataError> {
    let mut order = Order::new(rows, &config.train, config.data.shuffle)?;
    let mut steps: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let (mut epoch, mut position) = (0, 0);
    for step in 1..=state.step {
        let (indices, in_epoch) = order.step(epoch, position);
        if !state.was_left_out(step) {
            indices.iter().for_each(|index| steps.entry(*index).or_default().push(step));
        }
        position += 1;
        if position >= in_epoch {
            (epoch, position) = (epoch + 1, 0);
        }
    }
    let row = |(place, steps)| {
        let Example { id, origin, .. } = rows.get(place)?.into_owned();
        Ok(TrainedRow { place, id, file: origin.file.to_path_buf(), line: origin.line, steps })
    };
    steps.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

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
            let examples = Examples::from(rows.clone());
            let mut order = Order::new(&examples, &config.train, config.data.shuffle).expect("in memory");
            let total = order.total;
            let said = trained_rows(&examples, &config, &State { step: total, ..State::start() })
                .expect("in memory");
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
                    said.iter().filter(|row| row.steps.contains(&step)).map(|row| row.id.as_str()).collect();
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
        let rows = Examples::from(Vec::from([3, 5, 8].map(row)));
        let said_of = |state: &State| trained_rows(&rows, &config, state).expect("in memory");
        let steps = |done| -> Vec<Vec<u64>> {
            said_of(&State { step: done, ..State::start() }).into_iter().map(|row| row.steps).collect()
        };
        assert_eq!(steps(0), Vec::<Vec<u64>>::new());
        assert_eq!(steps(1), [vec![1], vec![1]]);
        assert_eq!(steps(3), [vec![1, 3], vec![1, 3], vec![2]]);
        let remembered = Remembered { left_out: BTreeSet::from([2, 3, 9]), ..Remembered::default() };
        let state = State { step: 4, remembered: Some(remembered), ..State::start() };
        let said: Vec<Vec<u64>> = said_of(&state).into_iter().map(|row| row.steps).collect();
        assert_eq!(said, [vec![1], vec![1], vec![4]], "the second and the third were left out");
        let said = said_of(&State { step: 4, ..State::start() });
        assert_eq!(
            (said[2].line, said[2].file.as_path(), said[2].steps.as_slice()),
            (8, Path::new("a.jsonl"), &[2, 4][..])
        );
    }
}
