//! The base, the adapters beside it, and the memory they work in.

use rtune_data::{Example, PackedRow, pack, pack_shared};
use rtune_kernels::arena::{Arena, Usage};
use rtune_kernels::phase::PhaseTimes;
use rtune_models::{Decoder, SavePolicy};

use crate::checkpoint::NamedSlice;
use crate::dist::Collective;
use crate::loss::{self, LossSum};
use crate::noise::{Noise, StepNoise};
use rtune_adapters::Parameters;

/// Computes losses and gradients. It knows no file, no optimizer and no order of rows.
#[derive(Debug)]
pub struct Engine {
    decoder: Decoder,
    parameters: Parameters<f32>,
    gradients: Vec<f32>,
    arena: Arena<f32>,
    policy: SavePolicy,
    micro_batch: MicroBatch,
    noise: Option<Noise>,
}

/// What is in memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroBatch {
    /// Most tokens of a packed row.
    pub tokens: usize,
    /// Whether examples that begin alike have that in common; not where each token has a draw of its own.
    pub shares_prefixes: bool,
}

impl MicroBatch {
    /// The packed rows of a step.
    #[must_use]
    pub fn pack(self, examples: &[&Example]) -> Vec<PackedRow> {
        match self.shares_prefixes {
            true => pack_shared(examples, self.tokens),
            false => pack(examples, self.tokens),
        }
    }
}

impl Engine {
    /// `parameters` are those of the adapters attached to `decoder`. `noise` is what its passes are
    /// disturbed with in training.
    pub fn new(
        decoder: Decoder,
        parameters: Parameters<f32>,
        policy: SavePolicy,
        micro_batch: MicroBatch,
        noise: Option<Noise>,
    ) -> Self {
        let gradients = vec![0.0; parameters.flat().len()];
        Self { decoder, parameters, gradients, arena: Arena::new(), policy, micro_batch, noise }
    }

    /// The frozen base.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The trained numbers.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// The trained numbers and their gradients, for the optimizer.
    pub fn parameters_and_gradients(&mut self) -> (&mut [f32], &[f32]) {
        (self.parameters.flat_mut(), &self.gradients)
    }

    /// Names, shapes and places of the trained tensors.
    pub fn slices(&self) -> Vec<NamedSlice> {
        let slice = |entry: &rtune_adapters::ParameterEntry| NamedSlice {
            name: entry.name.clone(),
            shape: entry.shape.clone(),
            range: entry.range.clone(),
        };
        self.parameters.entries().iter().map(slice).collect()
    }

    /// Sets the gradients to those of the mean loss over all supervised tokens of `rows`, over all ranks, for
    /// the update `step` (from 1).
    ///
    /// The rows are packed into micro-batches here: what fits into memory at once does not change the mean.
    pub fn differentiate(
        &mut self,
        rows: &[&Example],
        step: u64,
        collective: &mut dyn Collective,
    ) -> LossSum {
        let supervised = rows.iter().map(|row| row.supervised_count() as u64).sum();
        let mut counts = [supervised];
        collective.sum_counts(&mut counts);
        // A step with nothing to learn has a gradient of zero, not of 0 / 0.
        let scale = 1.0 / counts[0].max(1) as f64;
        self.gradients.fill(0.0);
        let mut sum = LossSum::default();
        let mut noise = self.noise.map(|noise| StepNoise::new(noise, step));
        for row in self.micro_batch.pack(rows) {
            let keys_t = noise.as_mut().map(|noise| noise.keys(&row));
            sum += loss::accumulate(
                &self.decoder,
                self.parameters.flat(),
                &row,
                noise.as_ref().zip(keys_t.as_deref()).map(|(noise, keys_t)| noise.of(keys_t)),
                scale,
                self.policy,
                &mut self.gradients,
                &self.arena,
            );
            self.arena.give_back();
        }
        collective.sum(&mut self.gradients);
        let mut nats = [sum.nats];
        collective.sum_wide(&mut nats);
        let mut correct = [sum.correct_tokens];
        collective.sum_counts(&mut correct);
        LossSum { nats: nats[0], correct_tokens: correct[0], supervised_tokens: counts[0] }
    }

    /// The time of all steps so far, by phase.
    pub fn times(&self) -> PhaseTimes {
        self.arena.times()
    }

    /// The memory of its buffers.
    pub fn usage(&self) -> Usage {
        self.arena.usage()
    }

    /// The loss of one packed row.
    pub fn score(&self, row: &PackedRow) -> LossSum {
        let sum = loss::evaluate(&self.decoder, self.parameters.flat(), row, &self.arena);
        self.arena.give_back();
        sum
    }

    /// The first tensor with a number that is none: among the trained ones, then among their gradients.
    pub fn first_not_finite(&self) -> Option<String> {
        let name = |index| self.parameters.name_at(index).unwrap_or_default().to_owned();
        let bad = |numbers: &[f32]| numbers.iter().position(|number| !number.is_finite());
        if let Some(index) = bad(self.parameters.flat()) {
            return Some(name(index));
        }
        bad(&self.gradients).map(|index| format!("{} (gradient)", name(index)))
    }
}
