//! Trained numbers on a GPU, their gradients, and AdamW over them.

use std::ops::Range;

use half::bf16;
use rtune_adapters::PaddedLayout;
use rtune_kernels::adamw::Update;
use rtune_kernels::cuda::adamw::{self, Flat, Norm};
use rtune_kernels::cuda::{Buffer, CudaError, Device, Span, SpanMut};

/// Trained numbers on a GPU, in f32, and their shadow in bf16, which products read.
pub(crate) struct GpuParameters {
    device: Device,
    layout: PaddedLayout,
    master: Buffer<f32>,
    shadow: Buffer<bf16>,
    training: Option<Training>,
}

/// What training needs beside them.
struct Training {
    gradients: Buffer<f32>,
    first: Buffer<f32>,
    second: Buffer<f32>,
    norm: Norm,
}

/// Both moments of AdamW.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    /// Of the gradients.
    pub(crate) first: Vec<f32>,
    /// Of their squares.
    pub(crate) second: Vec<f32>,
}

impl GpuParameters {
    /// Uploads `values`, the host's flat vector.
    ///
    /// # Errors
    /// If there is not as much memory.
    ///
    /// # Panics
    /// If there are other than as many values as the tensors have.
    pub(crate) fn new(device: &Device, layout: PaddedLayout, values: &[f32]) -> Result<Self, CudaError> {
        let (master, shadow) = (device.zeros(layout.device_len())?, device.zeros(layout.device_len())?);
        let mut parameters = Self { device: device.clone(), layout, master, shadow, training: None };
        parameters.set(values)?;
        Ok(parameters)
    }

    /// Makes room for gradients and moments, all zero.
    ///
    /// # Errors
    /// If there is not as much memory.
    pub(crate) fn train(&mut self) -> Result<(), CudaError> {
        let (device, len) = (&self.device, self.layout.device_len());
        let [gradients, first, second] = [device.zeros(len)?, device.zeros(len)?, device.zeros(len)?];
        self.training = Some(Training { gradients, first, second, norm: Norm::new(device, len)? });
        Ok(())
    }

    /// Replaces all numbers.
    ///
    /// # Errors
    /// If the copy fails.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub(crate) fn set(&mut self, values: &[f32]) -> Result<(), CudaError> {
        let padded = self.layout.padded(values);
        let narrow: Vec<bf16> = padded.iter().map(|&value| bf16::from_f32(value)).collect();
        self.master.all_mut().upload(&self.device, &padded)?;
        self.shadow.all_mut().upload(&self.device, &narrow)
    }

    /// Copies all numbers to the host's flat vector.
    ///
    /// # Errors
    /// If something launched before failed.
    ///
    /// # Panics
    /// If `values` has another length.
    pub(crate) fn get(&self, values: &mut [f32]) -> Result<(), CudaError> {
        self.layout.unpad(&self.master.to_vec()?, values);
        Ok(())
    }

    pub(crate) fn shadow(&self) -> Span<'_, bf16> {
        self.shadow.all()
    }

    /// The shadow to be read, and the gradients to be added to.
    pub(crate) fn shadow_and_gradients(&mut self) -> (Span<'_, bf16>, SpanMut<'_, f32>) {
        let training = self.training.as_mut().expect("parameters that are trained");
        (self.shadow.all(), training.gradients.all_mut())
    }

    fn training(&self) -> &Training {
        self.training.as_ref().expect("parameters that are trained")
    }

    /// Sets all gradients to zero.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// If the parameters are not trained; so do the functions below.
    pub(crate) fn clear_gradients(&mut self) -> Result<(), CudaError> {
        let training = self.training.as_mut().expect("parameters that are trained");
        training.gradients.all_mut().fill(&self.device, 0)
    }

    /// Copies the gradients to a vector of the host's layout.
    ///
    /// # Errors
    /// If something launched before failed.
    pub(crate) fn gradients(&self, values: &mut [f32]) -> Result<(), CudaError> {
        self.layout.unpad(&self.training().gradients.to_vec()?, values);
        Ok(())
    }

    /// Replaces the gradients: by the sum over all ranks.
    ///
    /// # Errors
    /// If the copy fails.
    pub(crate) fn set_gradients(&mut self, values: &[f32]) -> Result<(), CudaError> {
        let padded = self.layout.padded(values);
        let training = self.training.as_mut().expect("parameters that are trained");
        training.gradients.all_mut().upload(&self.device, &padded)
    }

    /// The length of the gradient; waits for the device. With `most` the next [`Self::update`] clips it to that.
    ///
    /// # Errors
    /// If something launched before failed.
    pub(crate) fn gradient_norm(&mut self, most: Option<f64>) -> Result<f64, CudaError> {
        let training = self.training.as_mut().expect("parameters that are trained");
        let most = most.map(|most| most as f32);
        training.norm.take(&self.device, training.gradients.all(), 1.0, most)?;
        Ok(training.norm.read()?.0)
    }

    /// One update of the tensors in `host`, a run of the host's flat vector, by the gradients whose length
    /// [`Self::gradient_norm`] took.
    ///
    /// # Errors
    /// If the launch fails.
    pub(crate) fn update(&mut self, host: &Range<usize>, with: &Update) -> Result<(), CudaError> {
        let range = self.layout.run(host);
        let Training { gradients, first, second, norm } =
            self.training.as_mut().expect("parameters that are trained");
        let flat = Flat {
            parameters: self.master.all_mut().slice(range.clone()),
            gradients: gradients.all().slice(range.clone()),
            first: first.all_mut().slice(range.clone()),
            second: second.all_mut().slice(range.clone()),
            shadow: Some(self.shadow.all_mut().slice(range)),
        };
        adamw::update(&self.device, flat, norm, with)
    }

    /// Copies both moments to the host.
    ///
    /// # Errors
    /// If something launched before failed.
    pub(crate) fn moments(&self) -> Result<Moments, CudaError> {
        let training = self.training();
        let of = |padded: &Buffer<f32>| {
            let mut values = vec![0.0; self.layout.host_len()];
            self.layout.unpad(&padded.to_vec()?, &mut values);
            Ok::<_, CudaError>(values)
        };
        Ok(Moments { first: of(&training.first)?, second: of(&training.second)? })
    }

    /// Replaces both moments.
    ///
    /// # Errors
    /// If the copy fails.
    pub(crate) fn set_moments(&mut self, first: &[f32], second: &[f32]) -> Result<(), CudaError> {
        let [first, second] = [first, second].map(|values| self.layout.padded(values));
        let training = self.training.as_mut().expect("parameters that are trained");
        training.first.all_mut().upload(&self.device, &first)?;
        training.second.all_mut().upload(&self.device, &second)
    }
}
