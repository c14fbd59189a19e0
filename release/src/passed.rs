//! Conversations that went through a model of which one block was in memory at a time.

use rtune_models::{Decoder, ModelConfig, RowView, Staged, WeightSource};

use crate::calibrated::Calibrated;
use crate::divergence::Probe;
use crate::dtype::Dtype;
use crate::error::ReleaseError;
use crate::summed::Summed;
use crate::weights::Content;

/// What the last block of a model gave for some conversations, and what makes logits of it.
pub struct Passed {
    pub(crate) frame: Decoder,
    /// Of each conversation, `[T, D]`.
    pub(crate) outputs: Vec<Vec<f32>>,
}

impl Passed {
    /// Takes `probes` through a checkpoint. `progress` is called with (blocks done, blocks in all).
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn through(
        config: &ModelConfig,
        weights: &dyn WeightSource,
        probes: &[Probe],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ReleaseError> {
        let longest = probes.iter().map(|probe| probe.tokens.len()).max().unwrap_or(0);
        let positions: Vec<u32> = (0..longest as u32).collect();
        let bounds: Vec<[usize; 2]> = probes.iter().map(|probe| [0, probe.tokens.len()]).collect();
        let rows: Vec<RowView<'_>> = probes
            .iter()
            .zip(&bounds)
            .map(|(probe, bounds)| RowView {
                tokens: &probe.tokens,
                positions: &positions[..probe.tokens.len()],
                bounds,
                parents: &[],
                noise: None,
            })
            .collect();
        let staged = Staged::new(config, weights, longest);
        let mut outputs = staged.embed(&rows)?;
        let blocks = staged.spec().blocks.len();
        for index in 0..blocks {
            progress(index, blocks);
            let block = staged.block(index)?;
            for (row, x_td) in rows.iter().zip(&mut outputs) {
                *x_td = staged.forward(&block, row, x_td);
            }
        }
        progress(blocks, blocks);
        Ok(Self { frame: staged.frame()?, outputs })
    }

    /// Takes `probes` through what [`crate::write_model`] would write, were each number of the linears rounded to the
    /// nearest.
    ///
    /// # Errors
    /// As [`Self::through`].
    pub fn rounded_to_nearest(
        base: &rtune_models::BaseModel,
        content: Content<'_>,
        settings: Calibrated,
        probes: &[Probe],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ReleaseError> {
        let summed = Summed::new(base, content, Dtype::Float32)?.rounded(settings);
        Self::through(&base.config, &summed, probes, progress)
    }
}
