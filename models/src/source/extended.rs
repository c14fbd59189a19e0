//! Weights of a base whose vocabulary was extended: embedding and head have rows for the new tokens.

use std::path::Path;
use std::sync::Arc;

use rtune_adapters::Weight;

use super::{HostTensor, Precision, Take, WeightSource};
use crate::ModelError;

/// Another source, of which some matrices have more rows. A new row is the mean of those before, as transformers begins
/// them, but for the noise it draws.
pub(crate) struct Extended {
    pub(crate) source: Arc<dyn WeightSource>,
    /// Names of the matrices.
    pub(crate) tensors: Vec<String>,
    /// Rows that they have.
    pub(crate) rows: usize,
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
            Some(&[known, columns]) => Ok(extended(tensor, known, columns, self.rows)),
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

/// A matrix of `known` rows with rows of their mean behind them, `rows` in all.
fn extended(tensor: HostTensor, known: usize, columns: usize, rows: usize) -> HostTensor {
    fn grow<T: Copy>(mut values: Vec<T>, mean: impl Iterator<Item = T>, count: usize) -> Vec<T> {
        let row: Vec<T> = mean.collect();
        (0..count).for_each(|_| values.extend_from_slice(&row));
        values
    }
    fn mean<T: Copy>(values: &[T], columns: usize, widen: impl Fn(T) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; columns];
        for row in values.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += widen(value));
        }
        let count = (values.len() / columns).max(1) as f64;
        sums.into_iter().map(|sum| sum / count).collect()
    }
    let new = rows.saturating_sub(known);
    match tensor {
        HostTensor::F32(values) => {
            let mean = mean(&values, columns, f64::from);
            HostTensor::F32(grow(values, mean.into_iter().map(|value| value as f32), new))
        }
        HostTensor::F16(values) => {
            let mean = mean(&values, columns, half::f16::to_f64);
            HostTensor::F16(grow(values, mean.into_iter().map(half::f16::from_f64), new))
        }
        HostTensor::Bf16(values) => {
            let mean = mean(&values, columns, half::bf16::to_f64);
            HostTensor::Bf16(grow(values, mean.into_iter().map(half::bf16::from_f64), new))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_rows_are_the_mean_of_the_others() {
        let tensor = HostTensor::F32(vec![1.0, 2.0, 3.0, 6.0]);
        let HostTensor::F32(values) = extended(tensor, 2, 2, 4) else { panic!("another type") };
        assert_eq!(values, [1.0, 2.0, 3.0, 6.0, 2.0, 4.0, 2.0, 4.0]);
        let half = HostTensor::Bf16(vec![half::bf16::ONE; 3]);
        let HostTensor::Bf16(values) = extended(half, 3, 1, 4) else { panic!("another type") };
        assert_eq!(values, [half::bf16::ONE; 4]);
    }
}
