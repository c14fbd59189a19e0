//! The base, the adapters beside it, and the memory they work in.

use rtune_data::{Example, PackedRow, pack, pack_shared};
use rtune_kernels::adamw;
use rtune_kernels::arena::{Arena, Usage};
use rtune_kernels::cuda::Device;
use rtune_kernels::phase::PhaseTimes;
use rtune_models::decoder::gpu::{Embeddings, GpuError};
use rtune_models::{Decoder, SavePolicy};

use crate::checkpoint::NamedSlice;
use crate::dist::Collective;
use crate::error::TrainerError;
use crate::gpu::{GpuEngine, OnGpu, Voice};
use crate::loss::{self, LossSum};
use crate::noise::{Noise, StepNoise};
use crate::optimizer::Optimizer;
use rtune_adapters::Parameters;

/// Computes losses and gradients, and updates what is trained. It knows no file and no order of rows.
#[derive(Debug)]
pub struct Engine {
    decoder: Decoder,
    /// On a GPU as they were when the engine was settled last.
    parameters: Parameters<f32>,
    gradients: Vec<f32>,
    arena: Arena<f32>,
    /// Where it computes, if that is not here.
    gpu: Option<GpuEngine>,
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

/// How an engine goes about its work.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// What is kept for the backward pass.
    pub policy: SavePolicy,
    /// What is in memory at once.
    pub micro_batch: MicroBatch,
    /// What passes are disturbed with in training.
    pub noise: Option<Noise>,
}

impl Engine {
    /// An engine on this machine's processor. `parameters` are those of the adapters attached to `decoder`.
    pub fn new(decoder: Decoder, parameters: Parameters<f32>, options: EngineOptions) -> Self {
        let gradients = vec![0.0; parameters.flat().len()];
        let EngineOptions { policy, micro_batch, noise } = options;
        Self { decoder, parameters, gradients, arena: Arena::new(), gpu: None, policy, micro_batch, noise }
    }

    /// The same on a GPU; `longest_tokens` are those of the longest example, `embeddings` say where the embedding's rows
    /// are kept.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`] for what only the processor computes, and if there is not as much memory.
    pub fn on_gpu(
        self,
        device: &Device,
        longest_tokens: usize,
        embeddings: Embeddings,
    ) -> Result<Self, TrainerError> {
        let row_tokens = self.micro_batch.tokens.max(longest_tokens);
        let on = OnGpu { policy: self.policy, row_tokens, embeddings };
        let gpu = GpuEngine::new(device, &self.decoder, &self.parameters, on)?;
        // What documents have in common is shared by the processor's attention alone.
        let micro_batch = MicroBatch { shares_prefixes: false, ..self.micro_batch };
        Ok(Self { gpu: Some(gpu), micro_batch, ..self })
    }

    /// The frozen base, with linears beside it that are no longer needed; `None` where it lies in a GPU's memory.
    #[must_use]
    pub fn into_decoder(self) -> Option<Decoder> {
        self.gpu.is_none().then_some(self.decoder)
    }

    /// The frozen base.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The trained numbers; on a GPU as they were when the engine was settled last.
    pub fn parameters(&self) -> &Parameters<f32> {
        &self.parameters
    }

    /// Takes over other numbers of the same layout, here and not on a GPU.
    pub(crate) fn replace(&mut self, parameters: Parameters<f32>) {
        self.parameters = parameters;
    }

    /// Brings the trained numbers and the moments of `optimizer` to where they are read.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn settle(&mut self, optimizer: &mut Optimizer) -> Result<(), TrainerError> {
        match &self.gpu {
            None => Ok(()),
            Some(gpu) => Ok(gpu.settle(self.parameters.flat_mut(), optimizer).map_err(GpuError::from)?),
        }
    }

    /// Takes over the moments of `optimizer`, which were read from a checkpoint.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn restore(&mut self, optimizer: &Optimizer) -> Result<(), TrainerError> {
        match &mut self.gpu {
            None => Ok(()),
            Some(gpu) => Ok(gpu.restore(optimizer).map_err(GpuError::from)?),
        }
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
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn differentiate(
        &mut self,
        rows: &[&Example],
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<LossSum, TrainerError> {
        let supervised = rows.iter().map(|row| row.supervised_count() as u64).sum();
        let mut counts = [supervised];
        collective.sum_counts(&mut counts);
        // A step with nothing to learn has a gradient of zero, not of 0 / 0.
        let scale = 1.0 / counts[0].max(1) as f64;
        match &mut self.gpu {
            None => self.gradients.fill(0.0),
            Some(gpu) => gpu.clear_gradients().map_err(GpuError::from)?,
        }
        let mut sum = LossSum::default();
        let mut noise = self.noise.map(|noise| StepNoise::new(noise, step));
        for row in self.micro_batch.pack(rows) {
            let keys_t = noise.as_mut().map(|noise| noise.keys(&row));
            let noise = noise.as_ref().zip(keys_t.as_deref()).map(|(noise, keys_t)| noise.of(keys_t));
            if let Some(gpu) = &mut self.gpu {
                sum += gpu.accumulate(&row, noise, scale).map_err(GpuError::from)?;
                continue;
            }
            let (flat, gradients) = (self.parameters.flat(), &mut self.gradients);
            let (decoder, policy) = (&self.decoder, self.policy);
            sum += loss::accumulate(decoder, flat, &row, noise, scale, policy, gradients, &self.arena);
            self.arena.give_back();
        }
        self.add_up_gradients(collective)?;
        let mut nats = [sum.nats];
        collective.sum_wide(&mut nats);
        let mut correct = [sum.correct_tokens];
        collective.sum_counts(&mut correct);
        Ok(LossSum { nats: nats[0], correct_tokens: correct[0], supervised_tokens: counts[0] })
    }

    /// Over all ranks.
    fn add_up_gradients(&mut self, collective: &mut dyn Collective) -> Result<(), TrainerError> {
        let Some(gpu) = self.gpu.as_mut().filter(|_| collective.ranks() > 1) else {
            collective.sum(&mut self.gradients);
            return Ok(());
        };
        gpu.gradients(&mut self.gradients).map_err(GpuError::from)?;
        collective.sum(&mut self.gradients);
        Ok(gpu.set_gradients(&self.gradients).map_err(GpuError::from)?)
    }

    /// The gradients of the last step, laid out as the parameters.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn gradients(&mut self) -> Result<&[f32], TrainerError> {
        if let Some(gpu) = &self.gpu {
            gpu.gradients(&mut self.gradients).map_err(GpuError::from)?;
        }
        Ok(&self.gradients)
    }

    /// The length of the gradient, which the next update may clip as `optimizer` says.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn gradient_norm(&mut self, optimizer: &Optimizer) -> Result<f64, TrainerError> {
        match &mut self.gpu {
            None => Ok(adamw::norm(&self.gradients)),
            Some(gpu) => Ok(gpu.gradient_norm(optimizer.max_grad_norm()).map_err(GpuError::from)?),
        }
    }

    /// Update `step` (from 1) by the gradients, whose length is `norm`.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn update(
        &mut self,
        optimizer: &mut Optimizer,
        norm: f64,
        learning_rate: f64,
        step: u64,
    ) -> Result<(), TrainerError> {
        match &mut self.gpu {
            None => {
                optimizer.update(self.parameters.flat_mut(), &self.gradients, norm, learning_rate, step);
                Ok(())
            }
            Some(gpu) => Ok(gpu.update(optimizer, norm, learning_rate, step).map_err(GpuError::from)?),
        }
    }

    /// The time of all steps so far, by phase.
    pub fn times(&self) -> PhaseTimes {
        self.arena.times()
    }

    /// The memory of its buffers on this machine.
    pub fn usage(&self) -> Usage {
        self.arena.usage()
    }

    /// The memory that it holds on a GPU; `None` where it works here.
    pub fn gpu_bytes(&self) -> Option<usize> {
        self.gpu.as_ref().map(GpuEngine::held_bytes)
    }

    /// The loss of one packed row.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn score(&mut self, row: &PackedRow) -> Result<LossSum, TrainerError> {
        if let Some(gpu) = &mut self.gpu {
            return Ok(gpu.score(row).map_err(GpuError::from)?);
        }
        let sum = loss::evaluate(&self.decoder, self.parameters.flat(), row, &self.arena);
        self.arena.give_back();
        Ok(sum)
    }

    /// What answers on the GPU with the trained numbers as they are now; `None` where the engine works here.
    pub(crate) fn voice(&self) -> Option<Voice<'_>> {
        self.gpu.as_ref().map(GpuEngine::voice)
    }

    /// Gives the memory of the passes back until the next one: what comes between takes as much.
    pub fn rest(&self) {
        self.arena.trim();
    }

    /// The first tensor with a number that is none: among the trained ones, then among their gradients.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub fn first_not_finite(&mut self) -> Result<Option<String>, TrainerError> {
        if let Some((tensor, _)) = self.first_broken()? {
            return Ok(Some(tensor));
        }
        let index = self.gradients()?.iter().position(|number| !number.is_finite());
        Ok(index.map(|index| format!("{} (gradient)", self.parameters.name_at(index).unwrap_or_default())))
    }

    /// The first trained number that is none, and the tensor that holds it.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`].
    pub(crate) fn first_broken(&mut self) -> Result<Option<(String, f32)>, TrainerError> {
        if let Some(gpu) = &self.gpu {
            gpu.values(self.parameters.flat_mut()).map_err(GpuError::from)?;
        }
        let flat = self.parameters.flat();
        let index = flat.iter().position(|number| !number.is_finite());
        Ok(index.map(|index| (self.parameters.name_at(index).unwrap_or_default().to_owned(), flat[index])))
    }
}
