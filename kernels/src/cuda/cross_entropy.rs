//! Cross-entropy and its gradient in place: the launcher of `cuda/cross_entropy.cu`; the twin is
//! [`crate::cross_entropy`].

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{MatrixMut, Span, SpanMut};

/// Threads of a block: `THREADS` of the source.
const THREADS: u32 = 512;

/// What a head does to its logits before the softmax, and what is wanted of them.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Factor on the logits (Granite, Cohere); 1 otherwise.
    pub multiplier: f32,
    /// Logits `z` become `cap * tanh(z / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// One over the supervised tokens of the whole step, to form the gradient in the logits' place; `None` to leave the
    /// logits as they are.
    pub scale: Option<f32>,
}

/// Losses of rows, one each.
#[derive(Debug)]
pub struct Losses<'a> {
    /// `-ln softmax(logits)[target]`, in nats.
    pub nats: SpanMut<'a, f32>,
    /// 1 where the target has the largest logit (the first of equal ones counts), else 0.
    pub correct: SpanMut<'a, u32>,
}

/// Losses of `logits`, `[N, V]`, against `targets`, `[N]`; with [`Head::scale`] the logits become `(softmax(logits) -
/// onehot(target)) * scale`, times the slope of what the head does to them. Rows may stand further apart than `V`, so
/// that they begin at 16 bytes for any vocabulary.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the lengths do not fit or rows do not begin at 16 bytes. A target of `V` or more gives a loss that is no number.
pub fn evaluate(
    device: &Device,
    head: Head,
    logits: MatrixMut<'_, bf16>,
    targets: Span<'_, u32>,
    losses: Losses<'_>,
) -> Result<()> {
    let rows = logits.rows;
    assert!(
        targets.len() == rows && losses.nats.len() == rows && losses.correct.len() == rows,
        "cross-entropy: one target and one loss a row"
    );
    assert!(logits.columns > 0 || rows == 0, "cross-entropy: no vocabulary");
    assert!(
        (rows < 2 || logits.stride.is_multiple_of(8)) && logits.span.address.is_multiple_of(16),
        "cross-entropy: alignment"
    );
    let launch = Launch::new(device, "cross_entropy", "cross_entropy")
        .write(&logits.span)
        .long(logits.stride)
        .read(targets)
        .write(&losses.nats)
        .write(&losses.correct)
        .int(logits.columns)
        .float(head.multiplier)
        .float(head.softcap.unwrap_or(0.0))
        .float(head.scale.unwrap_or(0.0))
        .int(usize::from(head.scale.is_some()));
    // SAFETY: [N, V] logits and [N] of the others, checked above, all but the targets borrowed alone; the kernel holds
    // targets to V itself.
    unsafe { launch.run(rows, THREADS, 0) }
}
