//! Cross-entropy of logits against targets, and its gradient in place (Liger and llm.c do the same).
//!
//! Legend: N rows, V vocabulary.

use rayon::prelude::*;

use crate::real::Real;
use crate::simd;

/// What one row gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowLoss {
    /// `-ln softmax(logits)[target]`, in nats.
    pub nats: f64,
    /// Whether the target has the largest logit (the first of equal ones counts).
    pub correct: bool,
}

/// Loss of every row without touching the logits.
///
/// `logits_nv`: `[N, V]`; `targets_n`, `losses_n`: `[N]`.
///
/// # Panics
/// If the lengths do not fit, or a target is not below `V`.
pub fn evaluate<R: Real>(logits_nv: &[R], targets_n: &[u32], losses_n: &mut [RowLoss]) {
    R::losses(logits_nv, targets_n, losses_n);
}

pub(crate) fn losses<R: Real>(logits_nv: &[R], targets_n: &[u32], losses_n: &mut [RowLoss]) {
    let vocabulary = width(logits_nv.len(), targets_n, losses_n);
    (logits_nv.par_chunks_exact(vocabulary), targets_n, losses_n).into_par_iter().for_each(
        |(z_v, &target, loss)| {
            *loss = simd::dispatch(
                #[inline(always)]
                || row_loss(z_v, target as usize).0,
            );
        },
    );
}

/// Loss of every row; the logits become `(softmax(logits) - onehot(target)) * scale`.
///
/// `logits_nv`: `[N, V]`; `targets_n`, `losses_n`: `[N]`; `scale` is one over the supervised tokens of the whole step.
///
/// # Panics
/// If the lengths do not fit, or a target is not below `V`.
pub fn evaluate_and_differentiate<R: Real>(
    logits_nv: &mut [R],
    targets_n: &[u32],
    scale: f64,
    losses_n: &mut [RowLoss],
) {
    R::losses_and_gradients(logits_nv, targets_n, scale, losses_n);
}

pub(crate) fn losses_and_gradients<R: Real>(
    logits_nv: &mut [R],
    targets_n: &[u32],
    scale: f64,
    losses_n: &mut [RowLoss],
) {
    let vocabulary = width(logits_nv.len(), targets_n, losses_n);
    (logits_nv.par_chunks_exact_mut(vocabulary), targets_n, losses_n).into_par_iter().for_each(
        |(z_v, &target, loss)| {
            *loss = simd::dispatch(
                #[inline(always)]
                || {
                    let target = target as usize;
                    let (row, max, sum) = row_loss(z_v, target);
                    let (factor, scale) = (R::of(scale) / sum, R::of(scale));
                    // Formed before the row is overwritten: here the one is taken away from an unscaled share.
                    let at_target = ((z_v[target] - max).exp_vector() / sum - R::one()) * scale;
                    for z in z_v.iter_mut() {
                        *z = (*z - max).exp_vector() * factor;
                    }
                    z_v[target] = at_target;
                    row
                },
            );
        },
    );
}

fn width(logits: usize, targets_n: &[u32], losses_n: &[RowLoss]) -> usize {
    assert_eq!(targets_n.len(), losses_n.len(), "cross-entropy: one target a row");
    let vocabulary = logits.checked_div(targets_n.len()).unwrap_or(1).max(1);
    assert_eq!(vocabulary * targets_n.len(), logits, "cross-entropy: lengths");
    assert!(
        targets_n.iter().all(|&t| (t as usize) < vocabulary),
        "cross-entropy: target beyond the vocabulary"
    );
    vocabulary
}

/// The loss of a row, its largest logit, and the sum of `e^(z - largest)`.
#[inline(always)]
fn row_loss<R: Real>(z_v: &[R], target: usize) -> (RowLoss, R, R) {
    let max = simd::max(z_v);
    let sum = simd::sum(z_v, |z| (z - max).exp_vector());
    let nats = sum.ln().wide() - (z_v[target] - max).wide();
    let correct = z_v[target] == max && !z_v[..target].contains(&max);
    (RowLoss { nats, correct }, max, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_gradient_agree_with_the_definition() {
        let (rows, vocabulary) = (3, 37);
        let mut z: Vec<f64> = (0..rows * vocabulary).map(|i| ((i * 31 % 59) as f64 - 29.0) / 9.0).collect();
        let targets = [4_u32, 36, 0];
        let total = |z: &[f64]| {
            let mut losses = [RowLoss::default(); 3];
            evaluate(z, &targets, &mut losses);
            losses.iter().map(|l| l.nats).sum::<f64>()
        };
        let by_hand: f64 = (0..rows)
            .map(|r| {
                let row = &z[r * vocabulary..(r + 1) * vocabulary];
                row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[targets[r] as usize]
            })
            .sum();
        assert!((total(&z) - by_hand).abs() < 1e-12);
        let (mut gradient, mut losses) = (z.clone(), [RowLoss::default(); 3]);
        evaluate_and_differentiate(&mut gradient, &targets, 0.5, &mut losses);
        assert!((losses.iter().map(|l| l.nats).sum::<f64>() - by_hand).abs() < 1e-12);
        for i in 0..z.len() {
            let old = z[i];
            z[i] = old + 1e-6;
            let up = total(&z);
            z[i] = old - 1e-6;
            let slope = (up - total(&z)) / 2e-6;
            z[i] = old;
            assert!((0.5 * slope - gradient[i]).abs() < 1e-8);
        }
    }

    #[test]
    fn the_first_of_equal_logits_is_the_prediction() {
        let mut losses = [RowLoss::default(); 2];
        evaluate(&[1.0_f32, 2.0, 2.0, 1.0, 2.0, 2.0], &[1, 2], &mut losses);
        assert_eq!([losses[0].correct, losses[1].correct], [true, false]);
    }

    #[test]
    fn a_logit_that_is_no_number_gives_a_loss_that_is_none() {
        let mut losses = [RowLoss::default()];
        evaluate(&[1.0_f32, f32::NAN, 0.0], &[0], &mut losses);
        assert!(losses[0].nats.is_nan());
    }
}
