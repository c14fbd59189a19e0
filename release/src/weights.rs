//! The tensors of a written model: the base's, or the base's with an adapter in them.

use std::path::Path;

use rtune_adapters::merge::{delta, dense};
use rtune_adapters::peft::{self, PeftAdapter};
use rtune_adapters::{AdapterError, Linear, LoraConfig, Targets, Weight, lora};
use rtune_models::{BaseModel, DecoderSpec, ModelError, Quantization, TensorRole, TensorSpec};
use serde::Serialize;

use crate::dtype::Dtype;
use crate::error::ReleaseError;

/// Which weights an adapter is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Those it was trained beside: NF4, dequantised. Where the run kept the base as it is, that.
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
        /// How the base was held while it was trained.
        trained_on: Quantization,
        /// What it is added to.
        onto: Onto,
    },
}

/// How an adapter compares with the error of the quantisation it was trained to live with. Norms are Frobenius.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinearFigures {
    /// The linear.
    pub name: String,
    /// Of `scale · B A`.
    pub delta_norm: f64,
    /// Of the dequantised weight less the original; null where the base was not quantised.
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

/// Computes the tensors in the order in which they are asked for, one in memory at a time.
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

    /// The elements of a tensor as they are to be rounded.
    ///
    /// # Errors
    /// Those of reading; [`ModelError::Tensor`] for a shape that is not the configuration's.
    pub(crate) fn values(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
        let original = read(self.base, tensor)?;
        let values = match self.content {
            Content::Merged { adapter, trained_on, onto } if tensor.role == TensorRole::BlockLinear => {
                self.merged(tensor, original, adapter, trained_on, onto)?
            }
            _ => original,
        };
        self.count(&values);
        Ok(values)
    }

    fn merged(
        &mut self,
        tensor: &TensorSpec,
        original: Vec<f32>,
        adapter: &PeftAdapter,
        trained_on: Quantization,
        onto: Onto,
    ) -> Result<Vec<f32>, ReleaseError> {
        let name = linear_name(tensor);
        let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
        let quantized = match trained_on {
            Quantization::None => None,
            Quantization::Nf4 { double } => Some(dense(&Weight::quantized(rows, columns, &original, double))),
        };
        let added = added(name, rows, columns, adapter)?;
        if let Some(added) = &added {
            let error = quantized.as_ref().map(|values| norm_of_difference(values, &original));
            let delta_norm = norm(added);
            let ratio = error.map(|error| error / delta_norm);
            let figures =
                LinearFigures { name: name.to_owned(), delta_norm, quantization_error_norm: error, ratio };
            self.linears.push(figures);
        }
        let mut values = match onto {
            Onto::Dequantized => quantized.unwrap_or(original),
            Onto::Original => original,
        };
        for (value, added) in values.iter_mut().zip(added.iter().flatten()) {
            *value += added;
        }
        Ok(values)
    }

    fn count(&mut self, values: &[f32]) {
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

/// The linear that a tensor is the weight of.
fn linear_name(tensor: &TensorSpec) -> &str {
    tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name)
}

fn read(base: &BaseModel, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
    let fault = |problem: String| ModelError::Tensor {
        path: base.weights.path().to_owned(),
        tensor: tensor.name.clone(),
        problem,
    };
    let found = base.weights.shape(&tensor.name);
    if let Some(found) = found.filter(|found| *found != tensor.shape) {
        let expected = &tensor.shape;
        return Err(
            fault(format!("expected shape {expected:?} as the configuration says, found {found:?}")).into()
        );
    }
    let values = base.weights.read(&tensor.name)?.into_f32();
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(fault(format!("element {place} is not a finite number")).into()),
        None => Ok(values),
    }
}

/// What the adapter adds to the weight of the linear `name`, `[rows, columns]`.
fn added(
    name: &str,
    rows: usize,
    columns: usize,
    adapter: &PeftAdapter,
) -> Result<Option<Vec<f32>>, ReleaseError> {
    let halves = ["lora_A", "lora_B"].map(|half| adapter.tensors.get(&format!("{name}.{half}.weight")));
    let [Some(a), Some(b)] = halves else { return Ok(None) };
    let placeholder = Weight::from_f32(rows, columns, vec![0.0; rows * columns]);
    let mut linear = Linear::new(name.to_owned(), placeholder, None);
    let config = LoraConfig { targets: Targets::Names(vec![name.to_owned()]), ..adapter.config.clone() };
    let mut parameters = lora::attach::<f32>([&mut linear], &config)?;
    let places: Vec<_> = parameters.entries().iter().map(|entry| entry.range.clone()).collect();
    for (place, half) in places.into_iter().zip([a, b]) {
        parameters.flat_mut()[place].copy_from_slice(&half.values);
    }
    Ok(delta(&linear, parameters.flat()))
}

/// Looks, before anything is written, that every pair of the adapter has a linear of its shape in the model and was
/// trained.
///
/// # Errors
/// [`ReleaseError::Adapter`] for a pair of another model, [`ReleaseError::Untrained`].
pub(crate) fn check_adapter(
    adapter: &PeftAdapter,
    spec: &DecoderSpec,
    folder: &Path,
) -> Result<(), ReleaseError> {
    let path = folder.join(peft::WEIGHTS_FILE);
    let tensors = spec.tensors();
    for (name, tensor) in &adapter.tensors {
        let wrong = |problem: String| {
            let tensor = format!("base_model.model.{name}");
            ReleaseError::from(AdapterError::Tensor { path: path.clone(), tensor, problem })
        };
        let Some((linear, is_a)) = name
            .strip_suffix(".lora_A.weight")
            .map(|linear| (linear, true))
            .or_else(|| name.strip_suffix(".lora_B.weight").map(|linear| (linear, false)))
        else {
            return Err(wrong("expected `lora_A` or `lora_B`".to_owned()));
        };
        let place = tensors.iter().find(|t| t.role == TensorRole::BlockLinear && linear_name(t) == linear);
        let Some(place) = place else {
            return Err(wrong("in the file, but the model has no place for it".to_owned()));
        };
        let (rank, _) = adapter.config.of(linear)?;
        let expected = if is_a { vec![rank, place.shape[1]] } else { vec![place.shape[0], rank] };
        if tensor.shape != expected {
            return Err(wrong(format!("expected shape {expected:?}, found {:?}", tensor.shape)));
        }
        if !is_a && tensor.values.iter().all(|value| *value == 0.0) {
            return Err(ReleaseError::Untrained { path, tensor: name.clone() });
        }
    }
    Ok(())
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

fn norm_of_difference(values: &[f32], others: &[f32]) -> f64 {
    let squares = values.iter().zip(others).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt()
}
