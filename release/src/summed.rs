//! The tensors of a model as they are written, before they are packed, for whoever reads a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rtune_models::{
    BaseModel, DecoderSpec, HostTensor, ModelConfig, ModelError, Precision, TensorRole, TensorSpec,
    WeightSource,
};

use crate::calibrated::Calibrated;
use crate::change::beginning;
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::weights::{Computer, Content, LinearFigures, Onto, Rounding};

/// A base, or a base with what was trained in it, as a checkpoint.
pub(crate) struct Summed<'a> {
    base: &'a BaseModel,
    tensors: BTreeMap<String, TensorSpec>,
    computer: Mutex<Computer<'a>>,
    /// Linears of the blocks are read rounded to the nearest so.
    nearest: Option<Calibrated>,
}

impl<'a> Summed<'a> {
    /// # Errors
    /// As [`beginning`], before a weight is read.
    pub(crate) fn new(base: &'a BaseModel, content: Content<'a>, dtype: Dtype) -> Result<Self, ReleaseError> {
        if let Content::Merged { adapter, initial, onto: Onto::Original, .. } = content {
            beginning(adapter, initial)?;
        }
        let tensors = DecoderSpec::new(&base.config).tensors();
        let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let computer = Mutex::new(Computer::new(base, content, dtype));
        Ok(Self { base, tensors, computer, nearest: None })
    }

    /// The same with the linears of the blocks rounded to the nearest.
    pub(crate) fn rounded(self, settings: Calibrated) -> Self {
        Self { nearest: Some(settings), ..self }
    }

    pub(crate) fn config(&self) -> &'a ModelConfig {
        &self.base.config
    }

    /// The elements of a tensor, not counted.
    ///
    /// # Errors
    /// As [`Computer::computed`].
    pub(crate) fn values(&self, tensor: &TensorSpec) -> Result<Vec<f32>, ReleaseError> {
        let values = self.computer().computed(tensor)?;
        match self.nearest.filter(|_| tensor.role == TensorRole::BlockLinear) {
            Some(settings) => Ok(settings.nearest(&values, tensor.shape[1])),
            None => Ok(values),
        }
    }

    /// Counts what rounding does to numbers that are written.
    pub(crate) fn count(&self, values: &[f32]) {
        self.computer().count(values);
    }

    /// What was found out on the way.
    pub(crate) fn found(&self) -> (Vec<LinearFigures>, Rounding) {
        let mut computer = self.computer();
        (std::mem::take(&mut computer.linears), computer.rounding)
    }

    fn computer(&self) -> MutexGuard<'_, Computer<'a>> {
        self.computer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WeightSource for Summed<'_> {
    fn path(&self) -> &Path {
        self.base.weights.path()
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.tensors.get(name).map(|_| Precision::F32)
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(ModelError::MissingTensor { path: self.path().to_owned(), tensor: name.to_owned() });
        };
        match self.values(tensor) {
            Ok(values) => Ok(HostTensor::F32(values)),
            Err(ReleaseError::Model(error)) => Err(error),
            Err(ReleaseError::Adapter(error)) => Err(error.into()),
            Err(error) => {
                let (path, tensor) = (self.path().to_owned(), name.to_owned());
                Err(ModelError::Tensor { path, tensor, problem: error.to_string() })
            }
        }
    }
}
