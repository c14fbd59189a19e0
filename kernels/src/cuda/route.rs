//! Routing to experts: the launchers of `cuda/route.cu`; the twin is [`crate::route`].

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Span, SpanMut};
use crate::route::Choice;

/// Threads of a block: `THREADS` of the source.
const THREADS: usize = 128;

fn tokens(choice: Choice, logits: usize, chosen: usize, weights: usize) -> usize {
    assert!((1..=choice.experts).contains(&choice.per_token), "route: experts a token");
    let tokens = logits / choice.experts;
    assert!(
        logits == tokens * choice.experts && chosen == tokens * choice.per_token && weights == chosen,
        "route: lengths"
    );
    tokens
}

/// Softmax of `logits`, `[T, X]`, in place, and its `P` largest elements in every row: `chosen`, `weights`, `[T, P]`,
/// written.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the lengths do not fit, or `P` is 0 or above `X`.
pub fn forward(
    device: &Device,
    choice: Choice,
    logits: SpanMut<'_, f32>,
    chosen: SpanMut<'_, u32>,
    weights: SpanMut<'_, f32>,
) -> Result<()> {
    let tokens = tokens(choice, logits.len(), chosen.len(), weights.len());
    let launch = Launch::new(device, "route", "route_forward")
        .write(&logits)
        .write(&chosen)
        .write(&weights)
        .int(tokens)
        .int(choice.experts)
        .int(choice.per_token)
        .int(usize::from(choice.normalized));
    // SAFETY: lengths checked above; all three are borrowed alone.
    unsafe { launch.run(tokens.div_ceil(THREADS), THREADS as u32, 0) }
}

/// What [`forward`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Routed<'a> {
    /// The probabilities, `[T, X]`.
    pub p: Span<'a, f32>,
    /// `[T, P]`.
    pub chosen: Span<'a, u32>,
    /// `[T, P]`.
    pub weights: Span<'a, f32>,
}

/// The gradient of the logits, `[T, X]`, written, from that of the weights, `[T, P]`.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the lengths do not fit.
pub fn backward(
    device: &Device,
    choice: Choice,
    routed: Routed<'_>,
    d_weights: Span<'_, f32>,
    d_logits: SpanMut<'_, f32>,
) -> Result<()> {
    let tokens = tokens(choice, routed.p.len(), routed.chosen.len(), routed.weights.len());
    assert!(d_weights.len() == routed.weights.len() && d_logits.len() == routed.p.len(), "route: lengths");
    let launch = Launch::new(device, "route", "route_backward")
        .read(routed.p)
        .read(routed.chosen)
        .read(routed.weights)
        .read(d_weights)
        .write(&d_logits)
        .int(tokens)
        .int(choice.experts)
        .int(choice.per_token)
        .int(usize::from(choice.normalized));
    // SAFETY: lengths checked above; `chosen` holds expert numbers, for `forward` wrote it; `d_logits` is borrowed alone.
    unsafe { launch.run(tokens.div_ceil(THREADS), THREADS as u32, 0) }
}

/// For each expert the tokens that chose it, ascending.
#[derive(Debug)]
pub struct Lists<'a> {
    /// `[X, T]`: token numbers, `counts[x]` of them in row `x`.
    pub rows: SpanMut<'a, u32>,
    /// `[X, T]`: where in `chosen` each stands, and in the weights with it.
    pub places: SpanMut<'a, u32>,
    /// `[X]`.
    pub counts: SpanMut<'a, u32>,
}

/// Fills `lists` from `chosen`, `[T, P]`. The host reads `counts` to know the sizes of the experts' products.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the lengths do not fit.
pub fn lists(device: &Device, choice: Choice, chosen: Span<'_, u32>, lists: Lists<'_>) -> Result<()> {
    let tokens = chosen.len() / choice.per_token;
    assert!(
        lists.counts.len() == choice.experts
            && lists.rows.len() == choice.experts * tokens
            && lists.places.len() == lists.rows.len(),
        "route: lists"
    );
    let launch = Launch::new(device, "route", "route_lists")
        .read(chosen)
        .write(&lists.rows)
        .write(&lists.places)
        .write(&lists.counts)
        .int(tokens)
        .int(choice.per_token);
    // SAFETY: lengths checked above; a token chooses an expert once, so no list grows beyond T; all are borrowed alone.
    unsafe { launch.run(choice.experts, 32, 0) }
}
