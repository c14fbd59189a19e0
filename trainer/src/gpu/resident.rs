//! A decoder that is in a GPU's memory, and room to compute in.

use std::cell::RefCell;

use rtune_adapters::{PaddedLayout, ParameterEntry};
use rtune_kernels::cuda::{Arena, CudaError, Device};
use rtune_models::decoder::gpu::{Embeddings, GpuDecoder, GpuError};
use rtune_models::{BlockSpec, Decoder};

/// The size of the arena of a dry run: more than any machine has.
const WITHOUT_END_BYTES: usize = 1 << 50;

/// Beside what a dry run takes: experts are visited in parts whose sizes only the tokens tell, each rounded up, so that
/// what is free lies in other places.
const SLACK: f64 = 1.02;
/// The same of each expert of a block, which counts where rows are short.
const SLACK_OF_EXPERT_BYTES: usize = 1 << 10;

/// A decoder on a GPU, and the one arena in which it trains and answers: the larger of both is held, not their sum.
pub(crate) struct Resident {
    pub(super) device: Device,
    pub(super) decoder: GpuDecoder,
    arena: RefCell<Option<Arena>>,
}

impl Resident {
    /// Uploads a decoder, with the adapters beside its linears; `entries` are those of what is trained.
    ///
    /// # Errors
    /// [`GpuError::Refused`] for what only the processor computes, and if there is not as much memory.
    pub(super) fn new(
        device: &Device,
        decoder: &Decoder,
        entries: &[ParameterEntry],
        embeddings: Embeddings,
    ) -> Result<(Self, PaddedLayout), GpuError> {
        let layout = PaddedLayout::new(entries);
        let decoder = GpuDecoder::upload(device, decoder, &layout, embeddings)?;
        Ok((Self { device: device.clone(), decoder, arena: RefCell::new(None) }, layout))
    }

    /// An arena in which `work` finds its place, which is done without computing anything to see what it takes. Nothing of
    /// the arena may be lent: a larger one takes its place where it is too small.
    ///
    /// # Errors
    /// If there is not as much memory.
    pub(super) fn room(
        &self,
        work: impl FnOnce(&Device, &Arena) -> Result<(), CudaError>,
    ) -> Result<Arena, CudaError> {
        let dry = Device::dry(self.device.facts().clone());
        let without_end = Arena::new(&dry, WITHOUT_END_BYTES)?;
        work(&dry, &without_end)?;
        let experts = |block: &BlockSpec| block.mlp.experts.map_or(0, |experts| experts.choice.experts);
        let experts: usize = self.decoder.spec().blocks.iter().map(experts).sum();
        let needed_bytes =
            (without_end.needed_bytes() as f64 * SLACK) as usize + experts * SLACK_OF_EXPERT_BYTES;
        let mut arena = self.arena.borrow_mut();
        if let Some(arena) = arena.as_ref().filter(|arena| arena.size_bytes() >= needed_bytes) {
            return Ok(arena.clone());
        }
        // The old one first: both may not fit.
        *arena = None;
        let larger = Arena::new(&self.device, needed_bytes)?;
        Ok(arena.insert(larger).clone())
    }
}
