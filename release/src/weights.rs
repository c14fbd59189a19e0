//! The tensors of a written model: the base's, or the base's with an adapter in them.

use std::path::Path;

use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_adapters::merge::{delta, dense};
use rtune_adapters::peft::{self, PeftAdapter, TOKENS_SUFFIX};
use rtune_adapters::{AdapterError, Linear, LoraConfig, Targets, Weight, dora, lora};
use rtune_models::{BaseModel, DecoderSpec, ModelError, Quantization, TensorRole, TensorSpec, held};
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
        /// What was taken off the base before it was quantised: the adapter as it began.
        initial: Option<&'a PeftAdapter>,
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
        let mut values = match self.content {
            Content::Merged { adapter, initial, trained_on, onto }
                if tensor.role == TensorRole::BlockLinear && !adapter.tensors.contains_key(&tensor.name) =>
            {
                let mut original = original;
                if let Some(initial) = initial {
                    let taken = added(linear_name(tensor), tensor.shape[0], tensor.shape[1], initial)?;
                    original
                        .iter_mut()
                        .zip(taken.iter().flatten())
                        .for_each(|(value, taken)| *value -= taken);
                }
                self.merged(tensor, original, adapter, trained_on, onto)?
            }
            _ => original,
        };
        if let Content::Merged { adapter, .. } = self.content {
            replace(tensor, adapter, &mut values);
        }
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
            // A base that came in NF4 was read as what the adapter was trained beside.
            _ if self.base.weights.is_nf4(&tensor.name) => None,
            Quantization::None => None,
            quantization => Some(dense(&held(rows, columns, original.clone(), quantization))),
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
        if let Some(lengths) = adapter.tensors.get(&format!("{name}{MAGNITUDE_SUFFIX}")) {
            dora::rescale(&mut values, &lengths.values);
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

/// Puts what was trained whole, or by rows, in the place of what the base has.
fn replace(tensor: &TensorSpec, adapter: &PeftAdapter, values: &mut Vec<f32>) {
    if let Some(trained) = adapter.tensors.get(&tensor.name) {
        values.clone_from(&trained.values);
    }
    let Some(rows) = adapter.tensors.get(&format!("{}{TOKENS_SUFFIX}", linear_name(tensor))) else { return };
    let width = rows.shape[1];
    for (&token, row) in adapter.config.alongside.tokens.iter().zip(rows.values.chunks_exact(width)) {
        values[token as usize * width..(token as usize + 1) * width].copy_from_slice(row);
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
    // Lengths of rows are put on afterwards, when the sum is there.
    let targets = Targets::Names(vec![name.to_owned()]);
    let config = LoraConfig { targets, layers: None, dora: false, ..adapter.config.clone() };
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
        if let Some(expected) = alongside(name, adapter, &tensors) {
            if tensor.shape != expected {
                return Err(wrong(format!("expected shape {expected:?}, found {:?}", tensor.shape)));
            }
            continue;
        }
        let kinds = [".lora_A.weight", ".lora_B.weight", MAGNITUDE_SUFFIX].into_iter();
        let found = kinds.enumerate().find_map(|(kind, end)| Some((name.strip_suffix(end)?, kind)));
        let Some((linear, kind)) = found else {
            return Err(wrong("expected `lora_A` or `lora_B`".to_owned()));
        };
        let place = tensors.iter().find(|t| t.role == TensorRole::BlockLinear && linear_name(t) == linear);
        let Some(place) = place else {
            return Err(wrong("in the file, but the model has no place for it".to_owned()));
        };
        let (rank, _) = adapter.config.of(linear)?;
        let expected = match kind {
            0 => vec![rank, place.shape[1]],
            1 => vec![place.shape[0], rank],
            _ => vec![place.shape[0]],
        };
        if tensor.shape != expected {
            return Err(wrong(format!("expected shape {expected:?}, found {:?}", tensor.shape)));
        }
        if kind == 1 && tensor.values.iter().all(|value| *value == 0.0) {
            return Err(ReleaseError::Untrained { path, tensor: name.clone() });
        }
    }
    Ok(())
}

/// The shape of a tensor that is trained beside the adapters, if it is one that the model has.
fn alongside(name: &str, adapter: &PeftAdapter, tensors: &[TensorSpec]) -> Option<Vec<usize>> {
    if let Some(table) = name.strip_suffix(TOKENS_SUFFIX) {
        let tokens = &adapter.config.alongside.tokens;
        let place = tensors.iter().find(|tensor| linear_name(tensor) == table)?;
        let fits = tokens.last().is_some_and(|&last| (last as usize) < place.shape[0]);
        return fits.then(|| vec![tokens.len(), place.shape[1]]);
    }
    tensors.iter().find(|tensor| tensor.name == *name).map(|tensor| tensor.shape.clone())
}

/// Looks that every linear that `target_modules` names has its pair: PEFT only warns, and serves the base there.
///
/// # Errors
/// [`ReleaseError::Adapter`] for the first that has none.
pub(crate) fn refuse_missing(
    settings: &[u8],
    adapter: &PeftAdapter,
    spec: &DecoderSpec,
    folder: &Path,
) -> Result<(), ReleaseError> {
    // The file was read as JSON before; names that are no list are a regular expression, of which only the tensors say
    // what it selected.
    let settings: serde_json::Value = serde_json::from_slice(settings).unwrap_or_default();
    let (Some(targets), true) =
        (settings["target_modules"].as_array(), settings["exclude_modules"].is_null())
    else {
        return Ok(());
    };
    if adapter.config.layers.is_none() && settings["layers_to_transform"].is_array() {
        return Ok(());
    }
    let is_target = |linear: &str| {
        let names = targets.iter().filter_map(serde_json::Value::as_str);
        adapter.config.is_in_layers(linear)
            && names
                .filter_map(|name| linear.strip_suffix(name))
                .any(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let tensors = spec.tensors();
    let linears = tensors.iter().filter(|t| t.role == TensorRole::BlockLinear).map(linear_name);
    for linear in linears.filter(|linear| is_target(linear)) {
        let name = format!("{linear}.lora_B.weight");
        if !adapter.tensors.contains_key(&name) {
            let (path, tensor) = (folder.join(peft::WEIGHTS_FILE), format!("base_model.model.{name}"));
            let problem = "asked for by `target_modules`, not in the file".to_owned();
            return Err(AdapterError::Tensor { path, tensor, problem }.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An adapter of the fixture `llama`, in memory.
    fn fixture() -> (PeftAdapter, DecoderSpec, Vec<u8>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        let config = rtune_models::ModelConfig::from_file(&folder.join("config.json")).expect("read");
        let settings = std::fs::read(folder.join("adapter").join(peft::CONFIG_FILE)).expect("read");
        (peft::read(&folder.join("adapter")).expect("read"), DecoderSpec::new(&config), settings)
    }

    fn refused(adapter: &PeftAdapter, spec: &DecoderSpec, settings: &[u8]) -> String {
        let folder = Path::new("c");
        let checked = check_adapter(adapter, spec, folder)
            .and_then(|()| refuse_missing(settings, adapter, spec, folder));
        checked.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    }

    #[test]
    fn adapters_that_would_do_less_than_they_say_are_refused() {
        let (whole, spec, settings) = fixture();
        assert_eq!(refused(&whole, &spec, &settings), "nothing");
        let name = "model.layers.1.mlp.up_proj.lora_B.weight";
        let mut zero = whole.clone();
        zero.tensors.get_mut(name).expect("there").values.fill(0.0);
        assert!(
            refused(&zero, &spec, &settings).contains("all zeros"),
            "{}",
            refused(&zero, &spec, &settings)
        );
        let mut missing = whole.clone();
        missing.tensors.retain(|tensor, _| !tensor.contains("layers.1.mlp.up_proj"));
        assert!(refused(&missing, &spec, &settings).contains("asked for by `target_modules`"));
        let mut other = whole.clone();
        let moved = other.tensors.remove(name).expect("there");
        other.tensors.insert(name.replace("layers.1", "layers.7"), moved);
        assert!(refused(&other, &spec, &settings).contains("the model has no place for it"));
        let mut wide = whole;
        wide.tensors.get_mut(name).expect("there").shape[0] += 1;
        assert!(refused(&wide, &spec, &settings).contains("expected shape [160, 4], found [161, 4]"));
    }
}
