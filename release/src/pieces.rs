//! A tensor of a checkpoint as whole rows, some at a time: a table of a gigabyte is never whole in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rtune_kernels::numbers;
use rtune_models::{ModelError, Piece, TensorSpec, WeightSource};

use crate::error::ReleaseError;

/// Numbers of a piece, or those of a row where it has more: 4 MiB of `f32`, which every thread has a few of.
pub(crate) const PIECE_ELEMENTS: usize = 1 << 20;

/// What is done with a piece: its number, which counts from 0 in the order of the tensor, and its rows.
pub(crate) type Take<'a> = dyn Fn(usize, Vec<f32>) -> Result<(), ReleaseError> + Sync + 'a;

/// Numbers of a piece of a tensor whose rows have `columns`.
pub(crate) fn piece_length(tensor: &TensorSpec) -> usize {
    let columns = tensor.shape.last().copied().unwrap_or(1).max(1);
    (PIECE_ELEMENTS / columns).max(1) * columns
}

/// Reads a tensor whose shape was checked; `take` gets each piece of `length` numbers once, from several threads at a time
/// and in no certain order.
///
/// # Errors
/// Those of reading, of a number that is not finite, and what `take` returns.
pub(crate) fn of_source(
    weights: &dyn WeightSource,
    tensor: &TensorSpec,
    length: usize,
    take: &Take<'_>,
) -> Result<(), ReleaseError> {
    let rows = Mutex::new(Rows { length, next: 0, waiting: BTreeMap::new(), begun: Vec::new(), number: 0 });
    let problem: Mutex<Option<ReleaseError>> = Mutex::new(None);
    let fault = |problem: String| ModelError::Tensor {
        path: weights.path().to_owned(),
        tensor: tensor.name.clone(),
        problem,
    };
    let read = weights.read_pieces(&tensor.name, &|first, piece| {
        // What cannot be read in pieces comes as one, which is widened bit by bit.
        for start in (0..count_of(piece)).step_by(length) {
            let values = widened(piece, start..count_of(piece).min(start + length));
            if let Some(place) = numbers::first_beyond(&values, f32::MAX) {
                return Err(fault(format!("element {} is not a finite number", first + start + place)));
            }
            // The lock is not held while a piece is worked on.
            let whole = lock(&rows).add(first + start, values);
            for (number, rows) in whole {
                if let Err(error) = take(number, rows) {
                    lock(&problem).get_or_insert(error);
                    return Err(fault("was not taken".to_owned()));
                }
            }
        }
        Ok(())
    });
    if let Some(problem) = problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(problem);
    }
    read?;
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    if rows.begun.is_empty() { Ok(()) } else { take(rows.number, rows.begun) }
}

/// Hands out numbers that are in memory in the same pieces.
pub(crate) fn of_values(values: &[f32], length: usize, take: &Take<'_>) -> Result<(), ReleaseError> {
    values.chunks(length).enumerate().try_for_each(|(number, rows)| take(number, rows.to_vec()))
}

/// Puts together in their order what comes in another, and cuts it anew.
struct Rows {
    length: usize,
    /// The number of the element that is next.
    next: usize,
    /// What came too early, by the number of its first element.
    waiting: BTreeMap<usize, Vec<f32>>,
    /// A piece that is not whole yet, and its number.
    begun: Vec<f32>,
    number: usize,
}

impl Rows {
    /// Takes at most a piece's length of numbers; gives the pieces that are whole by that.
    fn add(&mut self, first: usize, values: Vec<f32>) -> Vec<(usize, Vec<f32>)> {
        let mut whole = Vec::new();
        self.waiting.insert(first, values);
        while let Some(values) = self.waiting.remove(&self.next) {
            self.next += values.len();
            self.begun.extend(values);
            if self.begun.len() >= self.length {
                let rest = self.begun.split_off(self.length);
                whole.push((self.number, std::mem::replace(&mut self.begun, rest)));
                self.number += 1;
            }
        }
        whole
    }
}

/// Puts what was made of pieces in their order.
pub(crate) struct InOrder<'a> {
    state: Mutex<Waiting<'a>>,
}

struct Waiting<'a> {
    next: usize,
    waiting: BTreeMap<usize, Vec<u8>>,
    put: &'a mut (dyn FnMut(&[u8]) -> Result<(), ReleaseError> + Send),
}

impl<'a> InOrder<'a> {
    pub(crate) fn new(put: &'a mut (dyn FnMut(&[u8]) -> Result<(), ReleaseError> + Send)) -> Self {
        Self { state: Mutex::new(Waiting { next: 0, waiting: BTreeMap::new(), put }) }
    }

    /// Takes what was made of piece `number`, and puts what is next by now.
    pub(crate) fn add(&self, number: usize, bytes: Vec<u8>) -> Result<(), ReleaseError> {
        let mut state = lock(&self.state);
        state.waiting.insert(number, bytes);
        loop {
            let next = state.next;
            let Some(bytes) = state.waiting.remove(&next) else { return Ok(()) };
            (state.put)(&bytes)?;
            state.next += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_of(piece: Piece<'_>) -> usize {
    match piece {
        Piece::F32(values) => values.len(),
        Piece::F16(values) => values.len(),
        Piece::Bf16(values) => values.len(),
    }
}

fn widened(piece: Piece<'_>, range: Range<usize>) -> Vec<f32> {
    match piece {
        Piece::F32(values) => values[range].to_vec(),
        Piece::F16(values) => numbers::of_f16(&values[range]),
        Piece::Bf16(values) => numbers::of_bf16(&values[range]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_models::{HostTensor, Precision, TensorRole};

    use super::*;

    /// Numbers that count up, in pieces of a few, the last first.
    struct Backwards {
        count: usize,
        step: usize,
    }

    impl WeightSource for Backwards {
        fn path(&self) -> &Path {
            Path::new("backwards")
        }
        fn names(&self) -> Vec<String> {
            vec!["t".to_owned()]
        }
        fn shape(&self, _: &str) -> Option<Vec<usize>> {
            None
        }
        fn precision(&self, _: &str) -> Option<Precision> {
            None
        }
        fn read(&self, _: &str) -> Result<HostTensor, ModelError> {
            panic!("read whole")
        }
        fn read_pieces(&self, _: &str, take: &rtune_models::Take<'_>) -> Result<(), ModelError> {
            let values: Vec<f32> = (0..self.count).map(|value| value as f32).collect();
            let pieces: Vec<_> = values.chunks(self.step).enumerate().collect();
            pieces
                .into_iter()
                .rev()
                .try_for_each(|(number, piece)| take(number * self.step, Piece::F32(piece)))
        }
    }

    fn tensor(rows: usize, columns: usize) -> TensorSpec {
        let (name, shape) = ("t".to_owned(), vec![rows, columns]);
        TensorSpec { in_files: name.clone(), name, shape, role: TensorRole::Embedding }
    }

    #[test]
    fn pieces_are_whole_rows_in_whatever_order_they_come() {
        for (rows, columns, step, length) in
            [(7, 3, 4, 6), (7, 3, 21, 6), (7, 3, 1, 3), (1, 5, 2, 5), (6, 2, 5, 100)]
        {
            let source = Backwards { count: rows * columns, step };
            let mut all = Vec::new();
            let mut put = |bytes: &[u8]| {
                all.extend_from_slice(bytes);
                Ok(())
            };
            let in_order = InOrder::new(&mut put);
            of_source(&source, &tensor(rows, columns), length, &|number, piece| {
                assert!(piece.len() <= length && piece.len().is_multiple_of(columns), "{}", piece.len());
                assert_eq!(piece[0], (number * length) as f32);
                in_order.add(number, piece.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .expect("taken");
            drop(in_order);
            let expected: Vec<u8> =
                (0..rows * columns).flat_map(|value| (value as f32).to_le_bytes()).collect();
            assert!(all == expected, "{rows} {columns} {step} {length}");
        }
    }

    #[test]
    fn what_the_taker_says_is_told() {
        let source = Backwards { count: 8, step: 2 };
        let problem = "no room".to_owned();
        let refuse = |_: usize, _: Vec<f32>| {
            Err(ReleaseError::Element { tensor: "u".to_owned(), problem: problem.clone() })
        };
        let error = of_source(&source, &tensor(4, 2), 2, &refuse).expect_err("refused");
        assert_eq!(error.to_string(), "tensor `u` cannot be written: no room");
    }
}
