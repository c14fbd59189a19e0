//! The loss of packed rows: cross-entropy over supervised tokens only, and its gradient.
//!
//! Legend: T tokens of a packed row, N supervised tokens, D width, V vocabulary.

use rtune_data::PackedRow;
use rtune_kernels::arena::Arena;
use rtune_kernels::cross_entropy::{self, RowLoss};
use rtune_kernels::phase::Phase;
use rtune_metrics::likelihood::perplexity;

use rtune_models::{Compiled, Decoder, RowNoise, RowView, SavePolicy};

/// A sum over supervised tokens. Sums of several rows add up; a mean is taken once, over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSum {
    /// Cross-entropy, in nats.
    pub nats: f64,
    /// Supervised tokens.
    pub supervised_tokens: u64,
    /// Supervised tokens that have the largest logit.
    pub correct_tokens: u64,
}

impl LossSum {
    /// Nats a supervised token; NaN if there is none.
    #[must_use]
    pub fn mean_nats(&self) -> f64 {
        self.nats / self.supervised_tokens as f64
    }

    /// `e` to the mean loss, as [`perplexity`] has it.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        perplexity(self.mean_nats())
    }

    /// Share of supervised tokens that have the largest logit.
    #[must_use]
    pub fn token_accuracy(&self) -> f64 {
        self.correct_tokens as f64 / self.supervised_tokens as f64
    }
}

impl LossSum {
    pub(crate) fn of(losses: &[RowLoss]) -> Self {
        Self {
            nats: losses.iter().map(|l| l.nats).sum(),
            supervised_tokens: losses.len() as u64,
            correct_tokens: losses.iter().filter(|l| l.correct).count() as u64,
        }
    }
}

impl std::ops::AddAssign for LossSum {
    fn add_assign(&mut self, other: Self) {
        self.nats += other.nats;
        self.supervised_tokens += other.supervised_tokens;
        self.correct_tokens += other.correct_tokens;
    }
}

/// The rows that predict a supervised token, and those tokens: token `t` is predicted from row `t - 1`.
pub(crate) fn targets(row: &PackedRow) -> (Vec<usize>, Vec<u32>) {
    let supervised = (1..row.tokens.len()).filter(|&t| row.supervised[t]);
    supervised.map(|t| (t - 1, row.tokens[t])).unzip()
}

/// The bounds of the documents of a packed row: first 0, last T.
#[must_use]
pub fn bounds(row: &PackedRow) -> Vec<usize> {
    std::iter::once(0).chain(row.segments.iter().map(|s| s.end)).collect()
}

fn view<'a>(
    row: &'a PackedRow,
    bounds: &'a [usize],
    parents: &'a [Option<usize>],
    noise: Option<RowNoise<'a>>,
) -> RowView<'a> {
    RowView { tokens: &row.tokens, positions: &row.positions, bounds, parents, noise }
}

/// The loss of a packed row, for evaluation.
#[must_use]
pub fn evaluate<R: Compiled>(
    decoder: &Decoder,
    parameters: &[R],
    row: &PackedRow,
    arena: &Arena<R>,
) -> LossSum {
    let mut total = LossSum::default();
    for chunk in evaluate_chunks(decoder, parameters, row, arena) {
        total += LossSum::of(&chunk);
    }
    total
}

/// The losses of a row's supervised tokens, in the chunks in which their logits were computed.
fn evaluate_chunks<R: Compiled>(
    decoder: &Decoder,
    parameters: &[R],
    row: &PackedRow,
    arena: &Arena<R>,
) -> Vec<Vec<RowLoss>> {
    let (bounds, parents) = (bounds(row), row.parents());
    let view = view(row, &bounds, &parents, None);
    let (rows, targets) = targets(row);
    let forward = decoder.forward(parameters, &view, SavePolicy::Nothing, arena);
    let head = decoder.head_rows(parameters, &forward.output, rows, arena);
    let (width, vocabulary) = (decoder.spec().width, decoder.spec().vocabulary);
    let chunk = decoder.head_chunk_rows();
    let chunks = head.normed_nd.chunks(chunk * width).zip(targets.chunks(chunk));
    let losses = chunks.map(|(normed_cd, targets)| {
        let mut logits_cv = arena.take(targets.len() * vocabulary);
        decoder.logits(parameters, normed_cd, &mut logits_cv, arena);
        let mut losses = vec![RowLoss::default(); targets.len()];
        cross_entropy::evaluate(&logits_cv, targets, &mut losses);
        losses
    });
    losses.collect()
}

/// The loss of a packed row; adds the gradient of `scale` times its sum to `gradients`.
///
/// `scale` is one over the supervised tokens of the whole step, so that a token counts the same in whatever
/// micro-batch it stands. `noise` is what training disturbs the pass with.
#[expect(clippy::too_many_arguments, reason = "what a pass reads, and where the gradients go")]
pub fn accumulate<R: Compiled>(
    decoder: &Decoder,
    parameters: &[R],
    row: &PackedRow,
    noise: Option<RowNoise<'_>>,
    scale: f64,
    policy: SavePolicy,
    gradients: &mut [R],
    arena: &Arena<R>,
) -> LossSum {
    let (bounds, parents) = (bounds(row), row.parents());
    let view = view(row, &bounds, &parents, noise);
    let (rows, targets) = targets(row);
    let forward = decoder.forward(parameters, &view, policy, arena);
    let head = decoder.head_rows(parameters, &forward.output, rows, arena);
    let (width, vocabulary) = (decoder.spec().width, decoder.spec().vocabulary);
    let mut d_normed_nd = arena.take(head.normed_nd.len());
    let mut total = LossSum::default();
    let chunk = decoder.head_chunk_rows();
    let chunks = head.normed_nd.chunks(chunk * width).zip(d_normed_nd.chunks_mut(chunk * width));
    for ((normed_cd, d_normed_cd), targets) in chunks.zip(targets.chunks(chunk)) {
        let mut logits_cv = arena.take(targets.len() * vocabulary);
        decoder.logits(parameters, normed_cd, &mut logits_cv, arena);
        let mut losses = vec![RowLoss::default(); targets.len()];
        let slopes_cv = decoder.logit_slopes(&logits_cv, arena);
        arena.timed(Phase::Loss, || {
            cross_entropy::evaluate_and_differentiate(&mut logits_cv, targets, scale, &mut losses);
        });
        total += LossSum::of(&losses);
        let slopes_cv = slopes_cv.as_deref();
        decoder.logits_backward(
            parameters,
            normed_cd,
            &mut logits_cv,
            slopes_cv,
            gradients,
            d_normed_cd,
            arena,
        );
    }
    let d_output_td =
        decoder.head_backward(parameters, &head, &d_normed_nd, row.tokens.len(), gradients, arena);
    drop((head, d_normed_nd));
    decoder.backward(parameters, &view, forward, d_output_td, gradients, arena);
    total
}
