//! A decoder of which one block is in memory at a time: for what is done to a base block by block.

use rtune_adapters::{Linear, Weight};
use rtune_kernels::arena::Arena;

use super::block::{Block, Context};
use super::ropes::Ropes;
use super::{Decoder, Readers, RowView};
use crate::{DecoderSpec, ModelConfig, ModelError, WeightSource};

/// A checkpoint that rows go through block by block. Numbers are `f32`, as the weights are read.
pub struct Staged<'a> {
    spec: DecoderSpec,
    weights: &'a dyn WeightSource,
    ropes: Ropes<f32>,
    arena: Arena<f32>,
}

/// One block of it.
#[derive(Clone, Debug)]
pub struct StagedBlock {
    block: Block,
}

impl<'a> Staged<'a> {
    /// Reads nothing yet. No document of the rows is longer than `longest` tokens.
    #[must_use]
    pub fn new(config: &ModelConfig, weights: &'a dyn WeightSource, longest: usize) -> Self {
        let spec = DecoderSpec::new(config);
        let ropes = Ropes::new(&spec, longest);
        Self { spec, weights, ropes, arena: Arena::new() }
    }

    /// What the decoder is made of.
    #[must_use]
    pub fn spec(&self) -> &DecoderSpec {
        &self.spec
    }

    /// What the first block reads of each row, `[T, D]`. The embedding is in memory while this runs.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    ///
    /// # Panics
    /// If a token is not below the vocabulary's size.
    pub fn embed(&self, rows: &[RowView<'_>]) -> Result<Vec<Vec<f32>>, ModelError> {
        let frame = self.frame()?;
        Ok(rows.iter().map(|row| frame.embed(&[], row.tokens, &self.arena).to_vec()).collect())
    }

    /// The decoder without its blocks: for the final norm and the head.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    pub fn frame(&self) -> Result<Decoder, ModelError> {
        Decoder::load_frame(&self.spec, self.weights)
    }

    /// Reads a block.
    ///
    /// # Errors
    /// As [`Decoder::load`].
    ///
    /// # Panics
    /// If there is no such block.
    pub fn block(&self, index: usize) -> Result<StagedBlock, ModelError> {
        Ok(StagedBlock { block: Decoder::load_block(&self.spec, self.weights, index)? })
    }

    /// What a row comes to behind a block, `[T, D]`, from what it was before it.
    ///
    /// # Panics
    /// If the row's parts do not fit each other, or a document is longer than was said.
    #[must_use]
    pub fn forward(&self, block: &StagedBlock, row: &RowView<'_>, x_td: &[f32]) -> Vec<f32> {
        block.block.forward(&self.context(row), x_td).0.to_vec()
    }

    /// [`Self::forward`], while `watch` is given what the linears read, `[T, I]`.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn watch(
        &self,
        block: &StagedBlock,
        row: &RowView<'_>,
        x_td: &[f32],
        watch: &mut dyn FnMut(Readers, &[f32]),
    ) -> Vec<f32> {
        block.block.forward_watched(&self.context(row), x_td, watch).to_vec()
    }

    /// What attention adds to the residual, or the MLP, whichever `readers` belong to: `[T, D]`, from what its first linears
    /// read, `n_td`.
    ///
    /// # Panics
    /// As [`Self::forward`].
    #[must_use]
    pub fn half(&self, block: &StagedBlock, row: &RowView<'_>, readers: Readers, n_td: &[f32]) -> Vec<f32> {
        block.block.half(&self.context(row), readers, n_td).to_vec()
    }

    fn context<'b>(&'b self, row: &RowView<'b>) -> Context<'b, f32> {
        let longest = row.positions.iter().max().map_or(0, |&last| last as usize + 1);
        assert!(longest <= self.ropes.positions(), "staged: a document of {longest} tokens");
        let turns = self.ropes.turns(row.positions, row.bounds);
        Context { parameters: &[], row: *row, turns, arena: &self.arena }
    }
}

impl StagedBlock {
    /// Its linears in order: attention, then the MLP.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.block.linears()
    }

    /// Which of [`Self::linears`] read the same; none where there are experts.
    #[must_use]
    pub fn readers(&self, readers: Readers) -> std::ops::Range<usize> {
        self.block.readers(readers)
    }

    /// Replaces the weight of one of [`Self::linears`] by numbers, `[O, I]` row-major.
    ///
    /// # Panics
    /// If there is no such linear, or it has another shape.
    pub fn set_weight(&mut self, index: usize, values: Vec<f32>) {
        let linear = self.block.linear_mut(index).unwrap_or_else(|| panic!("staged: linear {index}"));
        linear.set_weight(Weight::from_f32(linear.out_features(), linear.in_features(), values));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::RandomWeights;

    /// Norms behind the halves, factors on what is added, and halves that read the same among them.
    #[test]
    fn what_the_halves_add_is_what_a_block_adds() {
        for name in ["llama", "gemma2", "olmo2", "granite", "gpt_neox"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference").join(name);
            let config = ModelConfig::from_file(&folder.join("config.json")).expect("a configuration");
            let weights = RandomWeights::new(name, &DecoderSpec::new(&config));
            let staged = Staged::new(&config, &weights, 5);
            let row = RowView {
                tokens: &[1, 2, 3, 4, 5, 6, 7],
                positions: &[0, 1, 2, 3, 4, 0, 1],
                bounds: &[0, 5, 7],
                parents: &[],
                noise: None,
            };
            let x_td = staged.embed(&[row]).expect("an embedding").remove(0);
            let block = staged.block(0).expect("a block");
            let mut sums = x_td.clone();
            let y_td = staged.watch(&block, &row, &x_td, &mut |readers, n_td| {
                if matches!(readers, Readers::Projections | Readers::MlpInputs) {
                    let added = staged.half(&block, &row, readers, n_td);
                    sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
                }
            });
            for ((y, sum), x) in y_td.iter().zip(&sums).zip(&x_td) {
                assert!((y - sum).abs() <= 1e-5 * (1.0 + y.abs()), "{name}: {y} and {sum}");
                assert!(y.is_finite() && y != x, "{name}: nothing is added to {x}");
            }
        }
    }
}
