//! The engine on a GPU: the decoder, the trained numbers and an arena in its memory.

mod loss;
mod parameters;
mod resident;
mod voice;

use rtune_adapters::Parameters;
use rtune_data::{PackedRow, Segment};
use rtune_kernels::cuda::{Arena, Aside};
pub use rtune_kernels::cuda::{CudaError, Device, Facts, Launches, Profile};
use rtune_models::decoder::gpu::{Embeddings, GpuError, GpuPass};
use rtune_models::{Decoder, RowNoise, SavePolicy};

use crate::loss::LossSum;
use crate::optimizer::Optimizer;
use loss::Supervised;
use parameters::GpuParameters;
use resident::Resident;

pub(crate) use voice::{GpuOpened, Voice};

/// How an engine uses its GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnGpu {
    /// What blocks keep.
    pub(crate) policy: SavePolicy,
    /// Tokens of the longest row.
    pub(crate) row_tokens: usize,
    /// Where the embedding's rows are.
    pub(crate) embeddings: Embeddings,
}

/// Computes losses and gradients on a GPU, and updates what is trained there.
pub(crate) struct GpuEngine {
    resident: Resident,
    parameters: GpuParameters,
    policy: SavePolicy,
    /// Where inputs of blocks go that are not kept on the device.
    aside: Aside,
}

impl GpuEngine {
    /// Uploads decoder and trained numbers, and makes an arena in which the longest row, all of it supervised, has room: what
    /// does not fit is said now.
    pub(crate) fn new(
        device: &Device,
        decoder: &Decoder,
        parameters: &Parameters<f32>,
        OnGpu { policy, row_tokens, embeddings }: OnGpu,
    ) -> Result<Self, GpuError> {
        let (resident, layout) = Resident::new(device, decoder, parameters.entries(), embeddings)?;
        let mut parameters = GpuParameters::new(device, layout, parameters.flat())?;
        parameters.train()?;
        let mut engine = Self { resident, parameters, policy, aside: Aside::new(device) };
        engine.room(&longest(row_tokens))?;
        Ok(engine)
    }

    /// An arena in which a step on `row` finds its place.
    fn room(&mut self, row: &PackedRow) -> Result<Arena, CudaError> {
        let Self { resident, parameters, policy, .. } = self;
        let (shadow, gradients) = parameters.shadow_and_gradients();
        resident.room(|device, arena| {
            let aside = Aside::new(device);
            let pass = GpuPass { device, arena, adapters: Some(shadow), aside: Some(&aside) };
            // Dropout takes memory of its own, whatever is drawn.
            let keys_t = vec![0; row.tokens.len()];
            let noise = Some(RowNoise { keys_t: &keys_t, neftune_alpha: 0.0 });
            Supervised::new(row, noise)
                .accumulate(&resident.decoder, &pass, 1.0, *policy, gradients)
                .map(drop)
        })
    }

    /// What answers with the numbers as they are now.
    pub(crate) fn voice(&self) -> Voice<'_> {
        Voice::new(&self.resident, self.parameters.shadow())
    }

    pub(crate) fn clear_gradients(&mut self) -> Result<(), CudaError> {
        self.parameters.clear_gradients()
    }

    /// The loss of a packed row; adds the gradient of `scale` times its sum to the gradients.
    pub(crate) fn accumulate(
        &mut self,
        row: &PackedRow,
        noise: Option<RowNoise<'_>>,
        scale: f64,
    ) -> Result<LossSum, CudaError> {
        let arena = self.room(row)?;
        let Self { resident, parameters, policy, aside } = self;
        let (shadow, gradients) = parameters.shadow_and_gradients();
        let (device, adapters) = (&resident.device, Some(shadow));
        let pass = GpuPass { device, arena: &arena, adapters, aside: Some(aside) };
        Supervised::new(row, noise).accumulate(&resident.decoder, &pass, scale, *policy, gradients)
    }

    /// The loss of a packed row.
    pub(crate) fn score(&mut self, row: &PackedRow) -> Result<LossSum, CudaError> {
        let (supervised, adapters) = (Supervised::new(row, None), Some(self.parameters.shadow()));
        let Resident { device, decoder, .. } = &self.resident;
        let arena = self.resident.room(|device, arena| {
            supervised.evaluate(decoder, &GpuPass { device, arena, adapters, aside: None }).map(drop)
        })?;
        let pass = GpuPass { device, arena: &arena, adapters, aside: None };
        Ok(LossSum::of(&supervised.evaluate(decoder, &pass)?))
    }

    /// Copies the trained numbers to the host's vector.
    pub(crate) fn values(&self, values: &mut [f32]) -> Result<(), CudaError> {
        self.parameters.get(values)
    }

    /// Copies the gradients to the host's vector.
    pub(crate) fn gradients(&self, values: &mut [f32]) -> Result<(), CudaError> {
        self.parameters.gradients(values)
    }

    /// Replaces the gradients.
    pub(crate) fn set_gradients(&mut self, values: &[f32]) -> Result<(), CudaError> {
        self.parameters.set_gradients(values)
    }

    /// The length of the gradient. The next update clips it to `most`, where that is above 0.
    pub(crate) fn gradient_norm(&mut self, most: f64) -> Result<f64, CudaError> {
        self.parameters.gradient_norm((most > 0.0).then_some(most))
    }

    /// One update by the gradients whose length was taken.
    pub(crate) fn update(
        &mut self,
        optimizer: &Optimizer,
        norm: f64,
        learning_rate: f64,
        step: u64,
    ) -> Result<(), CudaError> {
        for (range, update) in optimizer.updates(norm, learning_rate, step) {
            self.parameters.update(&range, &update)?;
        }
        Ok(())
    }

    /// Takes the moments of `optimizer`.
    pub(crate) fn restore(&mut self, optimizer: &Optimizer) -> Result<(), CudaError> {
        let (first, second) = optimizer.moments();
        self.parameters.set_moments(first, second)
    }

    /// Copies what is trained, and its moments, to the host.
    pub(crate) fn settle(&self, values: &mut [f32], optimizer: &mut Optimizer) -> Result<(), CudaError> {
        self.parameters.get(values)?;
        let moments = self.parameters.moments()?;
        optimizer.set_moments(moments.first, moments.second);
        Ok(())
    }

    /// Bytes of the GPU's memory that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.resident.device.held_bytes()
    }
}

impl std::fmt::Debug for GpuEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GpuEngine").field("device", &self.resident.device).finish_non_exhaustive()
    }
}

/// One document of so many tokens, all supervised: what takes the most memory.
fn longest(tokens: usize) -> PackedRow {
    PackedRow {
        tokens: vec![0; tokens],
        positions: (0..tokens as u32).collect(),
        supervised: vec![true; tokens],
        segments: vec![Segment { start: 0, end: tokens, parent: None, row_id: String::new() }],
    }
}
