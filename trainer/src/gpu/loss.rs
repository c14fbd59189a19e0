//! The loss of packed rows on a GPU, and its gradient: the twin of [`crate::loss`].
//!
//! Legend: T tokens of a packed row, N supervised tokens, D width, V vocabulary.

use std::ops::Range;

use rtune_data::PackedRow;
use rtune_kernels::cross_entropy::RowLoss;
use rtune_kernels::cuda::cross_entropy::{self, Head, Losses};
use rtune_kernels::cuda::{CudaError, SpanMut};
use rtune_models::decoder::gpu::{GpuDecoder, GpuHeadRows, GpuPass, Logits};
use rtune_models::{RowNoise, RowView, SavePolicy};

use crate::loss::{LossSum, bounds, targets};

/// What a pass reads beside the model: a packed row, and what its tokens are to predict.
pub(super) struct Supervised<'a> {
    row: &'a PackedRow,
    bounds: Vec<usize>,
    rows: Vec<u32>,
    targets: Vec<u32>,
    noise: Option<RowNoise<'a>>,
}

impl<'a> Supervised<'a> {
    pub(super) fn new(row: &'a PackedRow, noise: Option<RowNoise<'a>>) -> Self {
        assert!(row.parents().is_empty(), "row: what documents share is computed once on the processor only");
        let (rows, targets) = targets(row);
        let rows = rows.into_iter().map(|row| row as u32).collect();
        Self { row, bounds: bounds(row), rows, targets, noise }
    }

    fn view(&self) -> RowView<'_> {
        let PackedRow { tokens, positions, .. } = self.row;
        RowView { tokens, positions, bounds: &self.bounds, parents: &[], noise: self.noise }
    }

    /// Whether there is nothing to predict.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The losses of all supervised tokens, for evaluation.
    pub(super) fn evaluate(
        &self,
        decoder: &GpuDecoder,
        pass: &GpuPass<'_>,
    ) -> Result<Vec<RowLoss>, CudaError> {
        let forward = decoder.forward(pass, &self.view(), SavePolicy::Nothing)?;
        let head = decoder.head_rows(pass, &forward, &self.rows)?;
        drop(forward);
        self.losses(decoder, pass, &head, None, |_, _| Ok(()))
    }

    /// The loss; adds the gradient of `scale` times its sum to `gradients`.
    pub(super) fn accumulate(
        &self,
        decoder: &GpuDecoder,
        pass: &GpuPass<'_>,
        scale: f64,
        policy: SavePolicy,
        gradients: SpanMut<'_, f32>,
    ) -> Result<LossSum, CudaError> {
        let forward = decoder.forward(pass, &self.view(), policy)?;
        let head = decoder.head_rows(pass, &forward, &self.rows)?;
        let mut d_normed = decoder.normed_gradient(pass, &head)?;
        let back = |range: Range<usize>, d_logits: &Logits| {
            decoder.logits_backward(pass, d_logits, range, &mut d_normed)
        };
        let losses = self.losses(decoder, pass, &head, Some(scale as f32), back)?;
        let d_output = decoder.head_backward(pass, &forward, &head, &d_normed)?;
        drop((head, d_normed));
        decoder.backward(pass, forward, d_output, gradients)?;
        Ok(LossSum::of(&losses))
    }

    /// Losses chunk by chunk; with `scale` the logits become their gradient, which `each` is shown.
    fn losses(
        &self,
        decoder: &GpuDecoder,
        pass: &GpuPass<'_>,
        head: &GpuHeadRows,
        scale: Option<f32>,
        mut each: impl FnMut(Range<usize>, &Logits) -> Result<(), CudaError>,
    ) -> Result<Vec<RowLoss>, CudaError> {
        let (device, count) = (pass.device, self.targets.len());
        let spec = decoder.spec();
        let with = Head {
            multiplier: (1.0 / spec.logit_divisor) as f32,
            softcap: spec.logit_cap.map(|cap| cap as f32),
            scale,
        };
        let targets = pass.arena.upload(device, &self.targets)?;
        let (mut nats, mut correct) = (pass.arena.take(count)?, pass.arena.take(count)?);
        let chunk = decoder.head_chunk_rows();
        for start in (0..count).step_by(chunk) {
            let range = start..count.min(start + chunk);
            let mut logits = decoder.logits(pass, head, range.clone())?;
            let losses = Losses {
                nats: nats.all_mut().slice(range.clone()),
                correct: correct.all_mut().slice(range.clone()),
            };
            let targets = targets.all().slice(range.clone());
            cross_entropy::evaluate(device, with, logits.matrix_mut(), targets, losses)?;
            each(range, &logits)?;
        }
        let (nats, correct) = (nats.all().to_vec(device)?, correct.all().to_vec(device)?);
        let of = |(&nats, &correct): (&f32, &u32)| RowLoss { nats: f64::from(nats), correct: correct == 1 };
        Ok(nats.iter().zip(&correct).map(of).collect())
    }
}
