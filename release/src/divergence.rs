//! How far one model's next-token distributions are from another's.

use rayon::prelude::*;
use rtune_kernels::arena::Arena;
use rtune_models::decoder::HeadRows;
use rtune_models::{Decoder, RowView, SavePolicy};
use serde::Serialize;

use crate::passed::Passed;

/// A conversation to compare two models on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Token ids, `[T]`.
    pub tokens: Vec<u32>,
    /// Whether each token is part of an answer, `[T]`: what the model is meant to say itself.
    pub answers: Vec<bool>,
}

/// A decoder with the numbers of its adapter, or none.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The decoder.
    pub decoder: &'a Decoder,
    /// Laid out as [`Decoder::attach_lora`] does; empty without an adapter.
    pub parameters: &'a [f32],
}

/// A model to compare.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// In memory.
    Loaded(Model<'a>),
    /// What one made of the very conversations that are compared.
    Passed(&'a Passed),
}

impl<'a> Side<'a> {
    /// What has the final norm and the head.
    fn model(self) -> Model<'a> {
        match self {
            Self::Loaded(model) => model,
            Self::Passed(passed) => Model { decoder: &passed.frame, parameters: &[] },
        }
    }
}

/// How well two models agree, over the tokens of answers and over those of prompts, each predicted from all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Divergence {
    /// Conversations.
    pub rows: usize,
    /// Over the tokens of answers: what counts.
    pub answers: Agreement,
    /// Over the other tokens.
    pub prompts: Agreement,
}

/// Agreement over some tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Tokens.
    pub tokens: usize,
    /// Mean of KL(first‖second) over them, in nats; 0 over none. Not a number, as is the largest, where a logit is none.
    pub kl_mean_nats: f64,
    /// The largest, in nats.
    pub kl_max_nats: f64,
    /// The part of them for which both models hold the same token the likeliest; 0 over none. Logits that are no numbers agree
    /// with nothing.
    pub top1_agreement: f64,
}

#[derive(Default)]
struct Sums {
    tokens: usize,
    kl_nats: f64,
    kl_max_nats: f64,
    agreed: usize,
}

impl Sums {
    fn add(&mut self, kl_nats: f64, agreed: bool) {
        self.tokens += 1;
        self.kl_nats += kl_nats;
        // `f64::max` would forget what is not a number.
        if kl_nats > self.kl_max_nats || kl_nats.is_nan() {
            self.kl_max_nats = kl_nats;
        }
        self.agreed += usize::from(agreed && !kl_nats.is_nan());
    }

    fn agreement(&self) -> Agreement {
        let count = self.tokens.max(1) as f64;
        Agreement {
            tokens: self.tokens,
            kl_mean_nats: self.kl_nats / count,
            kl_max_nats: self.kl_max_nats,
            top1_agreement: self.agreed as f64 / count,
        }
    }
}

/// KL(`first`‖`second`) and agreement of the likeliest token over `probes`. Both decoders have one vocabulary;
/// `progress` is called with (probes done, probes in all).
///
/// # Panics
/// If a probe has a token that the models have not, or its parts differ in length, or other probes went through a model.
#[must_use]
pub fn divergence(
    first: Side<'_>,
    second: Side<'_>,
    probes: &[Probe],
    progress: &mut dyn FnMut(usize, usize),
) -> Divergence {
    let arena = Arena::new();
    let (mut answers, mut prompts) = (Sums::default(), Sums::default());
    for (index, probe) in probes.iter().enumerate() {
        progress(index, probes.len());
        assert_eq!(probe.tokens.len(), probe.answers.len(), "probe: lengths");
        let normed = [first, second].map(|side| hidden(side, index, probe, &arena));
        compare([first.model(), second.model()], normed, probe, &arena, [&mut prompts, &mut answers]);
    }
    progress(probes.len(), probes.len());
    Divergence { rows: probes.len(), answers: answers.agreement(), prompts: prompts.agreement() }
}

fn compare(
    [first, second]: [Model<'_>; 2],
    [one, other]: [HeadRows<f32>; 2],
    probe: &Probe,
    arena: &Arena<f32>,
    sums: [&mut Sums; 2],
) {
    let (width, vocabulary) = (first.decoder.spec().width, first.decoder.spec().vocabulary);
    let chunk = first.decoder.head_chunk_rows();
    let mut target = 1;
    for (one, other) in one.normed_nd.chunks(chunk * width).zip(other.normed_nd.chunks(chunk * width)) {
        let count = one.len() / width * vocabulary;
        let (mut p, mut q) = (arena.take(count), arena.take(count));
        first.decoder.logits(first.parameters, one, &mut p, arena);
        second.decoder.logits(second.parameters, other, &mut q, arena);
        // Each row by itself and the sums in order: the figures are the same for any number of threads.
        let rows: Vec<(f64, bool)> = p
            .par_chunks_exact(vocabulary)
            .zip(q.par_chunks_exact(vocabulary))
            .map(|(p, q)| (kl_nats(p, q), likeliest(p) == likeliest(q)))
            .collect();
        for (kl_nats, agreed) in rows {
            sums[usize::from(probe.answers[target])].add(kl_nats, agreed);
            target += 1;
        }
    }
}

/// The input of the head for every token but the last, which predicts nothing.
fn hidden(side: Side<'_>, index: usize, probe: &Probe, arena: &Arena<f32>) -> HeadRows<f32> {
    let rows = (0..probe.tokens.len().saturating_sub(1)).collect();
    let Model { decoder, parameters } = side.model();
    if let Side::Passed(passed) = side {
        let output = &passed.outputs[index];
        assert_eq!(output.len(), probe.tokens.len() * decoder.spec().width, "probe: another went through");
        return decoder.head_rows(parameters, output, rows, arena);
    }
    let positions: Vec<u32> = (0..probe.tokens.len() as u32).collect();
    let bounds = [0, probe.tokens.len()];
    let row =
        RowView { tokens: &probe.tokens, positions: &positions, bounds: &bounds, parents: &[], noise: None };
    let forward = decoder.forward(parameters, &row, SavePolicy::Nothing, arena);
    decoder.head_rows(parameters, &forward.output, rows, arena)
}

/// KL(softmax(p)‖softmax(q)) of two rows of logits, in `f64`; rounding may take it below 0, where it cannot be.
fn kl_nats(p: &[f32], q: &[f32]) -> f64 {
    let (p_norm, q_norm) = (log_sum_exp(p), log_sum_exp(q));
    let terms = p.iter().zip(q).map(|(&p, &q)| {
        let (log_p, log_q) = (f64::from(p) - p_norm, f64::from(q) - q_norm);
        log_p.exp() * (log_p - log_q)
    });
    let nats = terms.sum::<f64>();
    // Not by `f64::max`, which gives 0, the best there is, for what is not a number.
    if nats < 0.0 { 0.0 } else { nats }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln()
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kl_is_that_of_the_definition() {
        let (p, q) = ([0.5_f64, 0.3, 0.2], [0.1_f64, 0.6, 0.3]);
        let logits = |d: [f64; 3], shift: f64| d.map(|x| (x.ln() + shift) as f32);
        let expected: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((kl_nats(&logits(p, 3.0), &logits(q, -80.0)) - expected).abs() < 1e-5);
        assert_eq!(kl_nats(&logits(p, 3.0), &logits(p, 3.0)), 0.0);
        assert_eq!([likeliest(&logits(p, 0.0)), likeliest(&logits(q, 0.0))], [0, 1]);
    }

    #[test]
    fn logits_that_are_no_numbers_are_not_the_best() {
        let whole = [0.5_f32, 1.0, 2.0];
        for broken in [[f32::NAN, 1.0, 2.0], [0.5, f32::INFINITY, 2.0], [f32::NAN; 3]] {
            assert!(kl_nats(&whole, &broken).is_nan() && kl_nats(&broken, &whole).is_nan(), "{broken:?}");
        }
        let mut sums = Sums::default();
        for kl_nats in [0.25, f64::NAN, 0.5] {
            sums.add(kl_nats, true);
        }
        let agreement = sums.agreement();
        assert!(agreement.kl_mean_nats.is_nan() && agreement.kl_max_nats.is_nan(), "{agreement:?}");
        assert_eq!((agreement.tokens, agreement.top1_agreement), (3, 2.0 / 3.0));
    }
}
