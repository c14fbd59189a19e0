//! Where a planned run would be, and what it may take there.

use rtune_models::BaseOutline;
use rtune_trainer::config::{Config, SaveActivations};
use rtune_trainer::error::TrainerError;
use rtune_trainer::gpu::Device;
use rtune_trainer::memory::{RowSizes, TrainingMemory};
use rtune_trainer::plan::{self, GpuMemory};

/// The memory of the processor, or of a GPU.
pub(super) struct Room {
    /// The GPU's name, where the run would be on one.
    pub(super) gpu: Option<String>,
    /// What the run may take; `None` where the system does not tell.
    pub(super) allowed_bytes: Option<u64>,
    /// What it could take here.
    pub(super) here_bytes: Option<u64>,
}

impl Room {
    /// On `gpu` or on this machine's processor; `memory_gib` is what is allowed in place of what is free.
    pub(super) fn new(gpu: Option<&Device>, memory_gib: Option<f64>) -> Self {
        let gibibyte = f64::from(1 << 30);
        let here_bytes = match gpu {
            None => plan::free_bytes(),
            Some(device) => Some(plan::gpu_room_bytes(device.facts().room_bytes()) as u64),
        };
        let allowed_bytes = memory_gib.map_or(here_bytes, |gib| Some((gib * gibibyte) as u64));
        Self { gpu: gpu.map(|device| device.facts().name.clone()), allowed_bytes, here_bytes }
    }

    /// What blocks keep there.
    pub(super) fn choose(
        &self,
        outline: &BaseOutline,
        config: &Config,
        rows: &RowSizes,
    ) -> Result<SaveActivations, TrainerError> {
        match (&self.gpu, self.allowed_bytes) {
            (None, allowed) => plan::choose(outline, config, rows, allowed),
            (Some(_), None) => Ok(SaveActivations::All),
            (Some(_), Some(allowed)) => {
                let memory_bytes = (allowed as f64 / plan::FREE_SHARE).ceil() as usize;
                plan::choose_on_gpu(outline, config, rows, memory_bytes)
            }
        }
    }

    /// The most that a run takes there.
    pub(super) fn taken_bytes(&self, memory: &TrainingMemory, config: &Config) -> usize {
        match self.gpu {
            None => memory.peak_bytes(),
            Some(_) => GpuMemory::of(memory, config).bytes(),
        }
    }

    /// Whether that may be.
    pub(super) fn fits(&self, taken_bytes: usize) -> bool {
        self.allowed_bytes.is_none_or(|allowed| taken_bytes as u64 <= allowed)
    }

    /// Whether a step could be tried here, whatever is allowed elsewhere.
    pub(super) fn is_here(&self, taken_bytes: usize) -> bool {
        self.here_bytes.is_none_or(|here| taken_bytes as u64 <= here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_may_have_more() {
        let room = Room { gpu: None, allowed_bytes: Some(1000), here_bytes: Some(100) };
        assert!(room.fits(1000) && !room.fits(1001));
        assert!(room.is_here(100) && !room.is_here(101));
        let unknown = Room { gpu: None, allowed_bytes: None, here_bytes: None };
        assert!(unknown.fits(usize::MAX) && unknown.is_here(usize::MAX));
        let named = Room::new(None, Some(2.0));
        assert_eq!(
            (named.allowed_bytes, named.here_bytes.is_some()),
            (Some(2 << 30), cfg!(target_os = "linux"))
        );
    }
}
