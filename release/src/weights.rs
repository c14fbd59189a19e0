//! The tensors of a written model: the base's, or the base's with an adapter in them.

use rtune_adapters::dora;
use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_adapters::merge::dense;
use rtune_adapters::peft::{PeftAdapter, TOKENS_SUFFIX};
use rtune_kernels::numbers;
use rtune_models::{BaseModel, ModelError, Quantization, TensorRole, TensorSpec, held};
use serde::Serialize;

use crate::change::{Added, Combined, added, subtract, trained};
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::pieces::{self, Take};

/// Which weights an adapter is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Those it was trained beside: NF4 or 8 bits, dequantised. Where the run kept the base as it is, that.
    Dequantized,
    /// Those of the base's files.
    Original,
}

impl Onto {
    /// The name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dequantized => "dequantized",
            Self::Original => "original",
        }
    }
}

/// What is written in the places of the base's tensors.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The tensors of the base's files.
    Base,
    /// The linears of the blocks with an adapter in them, the others as in the base's files. Linears without an adapter
    /// are those of `onto` all the same, since the adapter was trained beside them.
    Merged {
        /// The adapter.
        adapter: &'a PeftAdapter,
        /// The adapter as it began, where that is something of the base, as its `start` says.
        initial: Option<&'a PeftAdapter>,
        /// How the base was held while it was trained.
        trained_on: Quantization,
        /// What it is added to.
        onto: Onto,
    },
    /// The same with several adapters, made one.
    Combined {
        /// The adapters.
        combined: Combined<'a>,
        /// How the base was held while they were trained.
        trained_on: Quantization,
        /// What their sum is added to.
        onto: Onto,
    },
}

/// How an adapter compares with the error of the quantisation it was trained to live with. Norms are Frobenius.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinearFigures {
    /// The linear.
    pub name: String,
    /// Of `scale · B A`; of several adapters, of what they were made.
    pub delta_norm: f64,
    /// Of each of several adapters, in their order and before their factors; 0 for one that leaves this linear as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<f64>,
    /// Of the dequantised weight less the original; null where the base was not quantised, or came so.
    pub quantization_error_norm: Option<f64>,
    /// The second over the first: far above 1, the choice between the bases matters.
    pub ratio: Option<f64>,
}

/// What rounding to the element type of the files did to the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rounding {
    /// Numbers written.
    pub numbers: u64,
    /// Those that are not what was computed or read.
    pub changed: u64,
    /// The largest change of one, over its size.
    pub largest_relative: f64,
}

/// Computes the tensors in the order in which they are asked for, one in memory at a time, or a few MB of one.
pub(crate) struct Computer<'a> {
    base: &'a BaseModel,
    content: Content<'a>,
    dtype: Dtype,
    pub(crate) linears: Vec<LinearFigures>,
    pub(crate) rounding: Rounding,
}

impl<'a> Computer<'a> {
    pub(crate) fn new(base: &'a BaseModel, content: Content<'a>, dtype: Dtype) -> Self {
        Self { base, content, dtype, linears: Vec::new(), rounding: Rounding::default() }
    }

    /// The elements of a tensor as they are to be rounded, which is counted.
    ///
    /// # Errors
    /// As [`Self::computed`].
    pub(crate) fn values(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
        let values = self.computed(tensor)?;
        self.count(&values);
        Ok(values)
    }

    /// The elements of a tensor as they are to be rounded.
    ///
    /// # Errors
    /// Those of reading; [`ModelError::Tensor`] for a shape that is not the configuration's.
    pub(crate) fn computed(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
        let original = read(self.base, tensor)?;
        let mut values = match self.content {
            Content::Merged { adapter, initial, trained_on, onto }
                if tensor.role == TensorRole::BlockLinear && !adapter.tensors.contains_key(&tensor.name) =>
            {
                let mut original = original;
                let (name, [rows, columns]) = (linear_name(tensor), [tensor.shape[0], tensor.shape[1]]);
                if let Some(initial) = initial.filter(|initial| initial.config.start.changes_base()) {
                    let taken = added(name, rows, columns, initial)?;
                    subtract(&mut original, taken.as_deref());
                }
                let change = match onto {
                    Onto::Dequantized => added(name, rows, columns, adapter)?,
                    Onto::Original => trained(name, rows, columns, adapter, initial)?,
                };
                let change = change.map(|values| Added { values, parts: Vec::new() });
                let mut values = self.merged(tensor, original, change, trained_on, onto);
                if let Some(lengths) = adapter.tensors.get(&format!("{name}{MAGNITUDE_SUFFIX}")) {
                    dora::rescale(&mut values, &lengths.values);
                }
                values
            }
            Content::Combined { combined, trained_on, onto } if tensor.role == TensorRole::BlockLinear => {
                let change = combined.added(linear_name(tensor), tensor.shape[0], tensor.shape[1])?;
                self.merged(tensor, original, change, trained_on, onto)
            }
            _ => original,
        };
        if let Content::Merged { adapter, .. } = self.content {
            replace(tensor, adapter, &mut values);
        }
        Ok(values)
    }

    /// The same in pieces of whole rows, as [`pieces::of_source`] gives them, for what is not rounded. What an adapter is
    /// added to, or was trained beside, is computed whole: that is a linear of a block, which is no table.
    ///
    /// # Errors
    /// As [`Self::values`], and what `take` returns.
    pub(crate) fn pieces(&mut self, tensor: &TensorSpec, take: &Take<'_>) -> Result<(), ReleaseError> {
        let length = pieces::piece_length(tensor);
        let adapter = match self.content {
            Content::Merged { adapter, .. } => Some(adapter),
            _ => None,
        };
        if let Some(trained) = adapter.and_then(|adapter| adapter.tensors.get(&tensor.name)) {
            return pieces::of_values(&trained.values, length, take);
        }
        if tensor.role == TensorRole::BlockLinear && !matches!(self.content, Content::Base) {
            return pieces::of_values(&self.values(tensor)?, length, take);
        }
        check_shape(self.base, tensor)?;
        let rows = adapter.and_then(|adapter| TrainedRows::of(tensor, adapter));
        pieces::of_source(self.base.weights.as_ref(), tensor, length, &|number, mut values| {
            rows.iter().for_each(|rows| rows.put(&mut values, number * length));
            take(number, values)
        })
    }

    fn merged(
        &mut self,
        tensor: &TensorSpec,
        original: Vec<f32>,
        change: Option<Added>,
        trained_on: Quantization,
        onto: Onto,
    ) -> Vec<f32> {
        let quantized = match trained_on {
            // A base that came in NF4 was read as what the adapter was trained beside.
            _ if self.base.weights.is_nf4(&tensor.name) => None,
            Quantization::None => None,
            quantization => {
                Some(dense(&held(tensor.shape[0], tensor.shape[1], original.clone(), quantization)))
            }
        };
        let error = quantized.as_ref().map(|values| norm_of_difference(values, &original));
        let mut values = match onto {
            Onto::Dequantized => quantized.unwrap_or(original),
            Onto::Original => original,
        };
        let Some(Added { values: added, parts }) = change else { return values };
        values.iter_mut().zip(&added).for_each(|(value, added)| *value += added);
        let delta_norm = norm(&added);
        self.linears.push(LinearFigures {
            name: linear_name(tensor).to_owned(),
            delta_norm,
            parts,
            quantization_error_norm: error,
            ratio: error.map(|error| error / delta_norm),
        });
        values
    }

    /// Counts what rounding does to numbers that are written.
    pub(crate) fn count(&mut self, values: &[f32]) {
        self.rounding.numbers += values.len() as u64;
        if self.dtype == Dtype::Float32 {
            return;
        }
        for &value in values {
            let rounded = self.dtype.round(value);
            if rounded != value {
                let relative = f64::from((rounded - value) / value).abs();
                self.rounding.changed += 1;
                self.rounding.largest_relative = self.rounding.largest_relative.max(relative);
            }
        }
    }
}

/// Puts what was trained whole, or by rows, in the place of what the base has.
fn replace(tensor: &TensorSpec, adapter: &PeftAdapter, values: &mut Vec<f32>) {
    if let Some(trained) = adapter.tensors.get(&tensor.name) {
        values.clone_from(&trained.values);
    }
    if let Some(rows) = TrainedRows::of(tensor, adapter) {
        rows.put(values, 0);
    }
}

/// Rows of a table that were trained.
struct TrainedRows<'a> {
    tokens: &'a [u32],
    values: &'a [f32],
    width: usize,
}

impl<'a> TrainedRows<'a> {
    fn of(tensor: &TensorSpec, adapter: &'a PeftAdapter) -> Option<Self> {
        let rows = adapter.tensors.get(&format!("{}{TOKENS_SUFFIX}", linear_name(tensor)))?;
        Some(Self { tokens: &adapter.config.alongside.tokens, values: &rows.values, width: rows.shape[1] })
    }

    /// Puts those among them that `values` has, rows of the table from element `first` on.
    fn put(&self, values: &mut [f32], first: usize) {
        for (&token, row) in self.tokens.iter().zip(self.values.chunks_exact(self.width)) {
            let place = (token as usize * self.width).checked_sub(first);
            if let Some(place) = place.and_then(|start| values.get_mut(start..start + self.width)) {
                place.copy_from_slice(row);
            }
        }
    }
}

/// The linear that a tensor is the weight of.
pub(crate) fn linear_name(tensor: &TensorSpec) -> &str {
    tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name)
}

fn fault(base: &BaseModel, tensor: &TensorSpec, problem: String) -> ReleaseError {
    let path = base.weights.path().to_owned();
    ModelError::Tensor { path, tensor: tensor.name.clone(), problem }.into()
}

fn check_shape(base: &BaseModel, tensor: &TensorSpec) -> Result<(), ReleaseError> {
    let found = base.weights.shape(&tensor.name);
    let Some(found) = found.filter(|found| *found != tensor.shape) else { return Ok(()) };
    let expected = &tensor.shape;
    let problem = format!("expected shape {expected:?} as the configuration says, found {found:?}");
    Err(fault(base, tensor, problem))
}

fn read(base: &BaseModel, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
    check_shape(base, tensor)?;
    let values = base.weights.read(&tensor.name)?.into_f32();
    match numbers::first_beyond(&values, f32::MAX) {
        Some(place) => Err(fault(base, tensor, format!("element {place} is not a finite number"))),
        None => Ok(values),
    }
}

pub(crate) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

fn norm_of_difference(values: &[f32], others: &[f32]) -> f64 {
    let squares = values.iter().zip(others).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trained_rows_are_put_into_the_pieces_that_have_them() {
        let rows = TrainedRows { tokens: &[1, 2, 5], values: &[1.0, 1.5, 2.0, 2.5, 5.0, 5.5], width: 2 };
        let mut whole = [0.0; 12];
        rows.put(&mut whole, 0);
        assert_eq!(whole, [0.0, 0.0, 1.0, 1.5, 2.0, 2.5, 0.0, 0.0, 0.0, 0.0, 5.0, 5.5]);
        for length in [2, 4, 6] {
            let mut pieces = [0.0; 12];
            for (number, piece) in pieces.chunks_mut(length).enumerate() {
                rows.put(piece, number * length);
            }
            assert_eq!(pieces, whole, "{length}");
        }
    }
}
