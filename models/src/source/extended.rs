//! Weights of a base whose vocabulary was extended: embedding and head have rows for the new tokens.

use std::path::Path;
use std::sync::Arc;

use rtune_adapters::Weight;

use super::{HostTensor, Precision, Take, WeightSource};
use crate::ModelError;

/// Another source, of which some matrices have rows for new tokens. Such a row is the mean of those before them, as transformers begins
/// what it adds, but for the noise it draws.
pub(crate) struct Extended {
    pub(crate) source: Arc<dyn WeightSource>,
    /// Names of the matrices.
    pub(crate) tensors: Vec<String>,
    /// Rows that they have.
    pub(crate) rows: usize,
    /// The new tokens, some of which may have stood for nothing before.
    pub(crate) fresh: Vec<u32>,
}

impl Extended {
    fn is_extended(&self, name: &str) -> bool {
        self.tensors.iter().any(|tensor| tensor == name)
    }
}

impl WeightSource for Extended {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn names(&self) -> Vec<String> {
        self.source.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let mut shape = self.source.shape(name)?;
        if let (true, Some(rows)) = (self.is_extended(name), shape.first_mut()) {
            *rows = self.rows;
        }
        Some(shape)
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.source.precision(name)
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        let tensor = self.source.read(name)?;
        match self.source.shape(name).filter(|_| self.is_extended(name)).as_deref() {
            Some(&[known, columns]) => Ok(extended(tensor, known, columns, self.rows, &self.fresh)),
            _ => Ok(tensor),
        }
    }

    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        if self.is_extended(name) {
            return take(0, self.read(name)?.view());
        }
        self.source.read_pieces(name, take)
    }

    fn is_nf4(&self, name: &str) -> bool {
        self.source.is_nf4(name)
    }

    fn read_nf4(&self, name: &str) -> Result<Option<Weight>, ModelError> {
        self.source.read_nf4(name)
    }
}

/// A matrix of `known` rows as one of `rows`, in which the rows `fresh`, and those behind the known ones, are the mean of the rows before
/// the first of them.
fn extended(tensor: HostTensor, known: usize, columns: usize, rows: usize, fresh: &[u32]) -> HostTensor {
    fn grow<T: Copy>(
        mut values: Vec<T>,
        columns: usize,
        (rows, fresh): (usize, &[usize]),
        (widen, narrow): (impl Fn(T) -> f64, impl Fn(f64) -> T),
    ) -> Vec<T> {
        let known = values.len() / columns;
        let before = fresh.iter().copied().min().unwrap_or(known).min(known);
        let mut sums = vec![0.0; columns];
        for row in values[..before * columns].chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += widen(value));
        }
        let mean: Vec<T> = sums.into_iter().map(|sum| narrow(sum / before.max(1) as f64)).collect();
        fresh
            .iter()
            .filter(|row| **row < known)
            .for_each(|row| values[row * columns..][..columns].copy_from_slice(&mean));
        (known..rows).for_each(|_| values.extend_from_slice(&mean));
        values
    }
    debug_assert!(known > 0 && columns > 0, "a matrix");
    let fresh: Vec<usize> = fresh.iter().map(|row| *row as usize).collect();
    let places = (rows, fresh.as_slice());
    match tensor {
        HostTensor::F32(values) => {
            HostTensor::F32(grow(values, columns, places, (f64::from, |value| value as f32)))
        }
        HostTensor::F16(values) => {
            HostTensor::F16(grow(values, columns, places, (half::f16::to_f64, half::f16::from_f64)))
        }
        HostTensor::Bf16(values) => {
            HostTensor::Bf16(grow(values, columns, places, (half::bf16::to_f64, half::bf16::from_f64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_rows_are_the_mean_of_the_others() {
        let tensor = HostTensor::F32(vec![1.0, 2.0, 3.0, 6.0]);
        let HostTensor::F32(values) = extended(tensor, 2, 2, 4, &[2, 3]) else { panic!("another type") };
        assert_eq!(values, [1.0, 2.0, 3.0, 6.0, 2.0, 4.0, 2.0, 4.0]);
        let half = HostTensor::Bf16(vec![half::bf16::ONE; 3]);
        let HostTensor::Bf16(values) = extended(half, 3, 1, 4, &[3]) else { panic!("another type") };
        assert_eq!(values, [half::bf16::ONE; 4]);
    }

    #[test]
    fn spare_rows_of_new_tokens_are_the_mean_too() {
        let tensor = HostTensor::F32(vec![1.0, 3.0, 90.0, 91.0]);
        let HostTensor::F32(values) = extended(tensor, 4, 1, 5, &[2, 4]) else { panic!("another type") };
        assert_eq!(values, [1.0, 3.0, 2.0, 91.0, 2.0]);
    }
}
