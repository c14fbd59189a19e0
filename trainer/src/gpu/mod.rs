//! The engine on a GPU: the decoder, the trained numbers and an arena in its memory.

mod loss;
mod parameters;

use rtune_adapters::{PaddedLayout, Parameters};
use rtune_data::{PackedRow, Segment};
use rtune_kernels::cuda::Arena;
pub use rtune_kernels::cuda::{CudaError, Device, Facts};
use rtune_models::decoder::gpu::{GpuDecoder, GpuError, GpuPass};
use rtune_models::{Decoder, RowNoise, SavePolicy};

use crate::loss::LossSum;
use crate::optimizer::Optimizer;
use loss::Supervised;
use parameters::GpuParameters;

/// The size of the arena of a dry run: more than any machine has.
const WITHOUT_END_BYTES: usize = 1 << 50;

/// Beside what a dry run takes: experts are visited in parts whose sizes only the tokens tell, each rounded up.
const SLACK: f64 = 1.02;

/// What is done with a row.
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Both,
}

/// Computes losses and gradients on a GPU, and updates what is trained there.
pub(crate) struct GpuEngine {
    device: Device,
    decoder: GpuDecoder,
    parameters: GpuParameters,
    arena: Option<Arena>,
    policy: SavePolicy,
}

impl GpuEngine {
    /// Uploads decoder and trained numbers, and makes an arena in which a row of `row_tokens` tokens, all of them
    /// supervised, has room: what does not fit is said now.
    pub(crate) fn new(
        device: &Device,
        decoder: &Decoder,
        parameters: &Parameters<f32>,
        policy: SavePolicy,
        row_tokens: usize,
    ) -> Result<Self, GpuError> {
        let layout = PaddedLayout::new(parameters.entries());
        let gpu = GpuDecoder::upload(device, decoder, &layout)?;
        let mut on_device = GpuParameters::new(device, layout, parameters.flat())?;
        on_device.train()?;
        let mut engine =
            Self { device: device.clone(), decoder: gpu, parameters: on_device, arena: None, policy };
        engine.make_room(&longest(row_tokens), Pass::Both)?;
        Ok(engine)
    }

    /// What a step on `row` needs of an arena, or its loss alone.
    fn needed_bytes(&mut self, row: &PackedRow, pass: Pass) -> Result<usize, CudaError> {
        let device = Device::dry(self.device.facts().clone());
        let arena = Arena::new(&device, WITHOUT_END_BYTES)?;
        let (shadow, gradients) = self.parameters.shadow_and_gradients();
        let on = GpuPass { device: &device, arena: &arena, adapters: Some(shadow) };
        match pass {
            Pass::Both => {
                // Dropout takes memory of its own, whatever is drawn.
                let keys_t = vec![0; row.tokens.len()];
                let noise = Some(RowNoise { keys_t: &keys_t, neftune_alpha: 0.0 });
                Supervised::new(row, noise).accumulate(&self.decoder, &on, 1.0, self.policy, gradients)?;
            }
            Pass::Forward => {
                Supervised::new(row, None).evaluate(&self.decoder, &on)?;
            }
        }
        Ok((arena.needed_bytes() as f64 * SLACK) as usize)
    }

    /// Makes a larger arena where this row would not find its place in the one there is.
    fn make_room(&mut self, row: &PackedRow, pass: Pass) -> Result<(), CudaError> {
        let needed_bytes = self.needed_bytes(row, pass)?;
        if self.arena.as_ref().is_none_or(|arena| arena.size_bytes() < needed_bytes) {
            // The old one first: both may not fit.
            self.arena = None;
            self.arena = Some(Arena::new(&self.device, needed_bytes)?);
        }
        Ok(())
    }

    fn arena(&self) -> Arena {
        self.arena.clone().expect("an arena is made before a row is taken")
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
        self.make_room(row, Pass::Both)?;
        let arena = self.arena();
        let (shadow, gradients) = self.parameters.shadow_and_gradients();
        let pass = GpuPass { device: &self.device, arena: &arena, adapters: Some(shadow) };
        Supervised::new(row, noise).accumulate(&self.decoder, &pass, scale, self.policy, gradients)
    }

    /// The loss of a packed row.
    pub(crate) fn score(&mut self, row: &PackedRow) -> Result<LossSum, CudaError> {
        self.make_room(row, Pass::Forward)?;
        let arena = self.arena();
        let adapters = Some(self.parameters.shadow());
        let pass = GpuPass { device: &self.device, arena: &arena, adapters };
        Supervised::new(row, None).evaluate(&self.decoder, &pass)
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
        self.device.held_bytes()
    }
}

impl std::fmt::Debug for GpuEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GpuEngine").field("device", &self.device).finish_non_exhaustive()
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
