//! AdamW with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101) as `torch.optim.AdamW` computes it, and the
//! global norm that clipping needs.

use rayon::prelude::*;

use crate::real::Real;

/// Elements that one parallel task takes; also the grain of the norm's partial sums, so it must not follow the threads.
const CHUNK: usize = 16_384;

/// The numbers of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled: parameters shrink by `learning_rate * weight_decay`.
    pub weight_decay: f64,
    /// How many updates there have been, this one included; from 1.
    pub step: u64,
    /// Factor on the gradients, from clipping.
    pub gradient_factor: f64,
}

/// Updates parameters and both moments in place; the four slices are parallel.
///
/// # Panics
/// If the lengths differ.
pub fn update<R: Real>(
    parameters: &mut [R],
    gradients: &[R],
    first: &mut [R],
    second: &mut [R],
    with: &Update,
) {
    R::update(parameters, gradients, first, second, with);
}

pub(crate) fn update_all<R: Real>(
    parameters: &mut [R],
    gradients: &[R],
    first: &mut [R],
    second: &mut [R],
    with: &Update,
) {
    let n = parameters.len();
    assert!(gradients.len() == n && first.len() == n && second.len() == n, "adamw: lengths");
    let exponent = i32::try_from(with.step).unwrap_or(i32::MAX);
    let (correction1, correction2) = (1.0 - with.beta1.powi(exponent), 1.0 - with.beta2.powi(exponent));
    let keep = R::of(1.0 - with.learning_rate * with.weight_decay);
    let step_size = R::of(with.learning_rate / correction1);
    let root2 = R::of(correction2.sqrt());
    let (blend1, beta2, blend2) = (R::of(1.0 - with.beta1), R::of(with.beta2), R::of(1.0 - with.beta2));
    let (epsilon, factor) = (R::of(with.epsilon), R::of(with.gradient_factor));
    (
        parameters.par_chunks_mut(CHUNK),
        gradients.par_chunks(CHUNK),
        first.par_chunks_mut(CHUNK),
        second.par_chunks_mut(CHUNK),
    )
        .into_par_iter()
        .for_each(|(parameters, gradients, first, second)| {
            for (((p, &g), m), v) in parameters.iter_mut().zip(gradients).zip(first).zip(second) {
                let g = g * factor;
                *p *= keep;
                *m += (g - *m) * blend1;
                *v = *v * beta2 + g * g * blend2;
                *p -= step_size * *m / (v.sqrt() / root2 + epsilon);
            }
        });
}

/// The Euclidean norm of all gradients, summed in `f64` by chunks of a fixed size.
#[must_use]
pub fn norm<R: Real>(gradients: &[R]) -> f64 {
    R::norm(gradients)
}

pub(crate) fn norm_of<R: Real>(gradients: &[R]) -> f64 {
    let partial: Vec<f64> =
        gradients.par_chunks(CHUNK).map(|chunk| chunk.iter().map(|g| g.wide() * g.wide()).sum()).collect();
    partial.iter().sum::<f64>().sqrt()
}

/// The factor of `torch.nn.utils.clip_grad_norm_`: `max_norm / (norm + 1e-6)`, at most one.
#[must_use]
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_by_hand() {
        // torch.optim.AdamW([1.0], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01), gradients 0.5 and -0.25.
        let (mut p, mut m, mut v) = ([1.0_f64], [0.0], [0.0]);
        let with = |step| Update {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            step,
            gradient_factor: 1.0,
        };
        update(&mut p, &[0.5], &mut m, &mut v, &with(1));
        assert!((p[0] - (0.999 - 0.1 * 0.5 / (0.5 + 1e-8))).abs() < 1e-12);
        let after_one = p[0];
        update(&mut p, &[-0.25], &mut m, &mut v, &with(2));
        let (m2, v2) = (0.05 * 0.9 - 0.025, 0.00025 * 0.999 + 0.0000625);
        let want =
            after_one * 0.999 - 0.1 / (1.0 - 0.81) * m2 / ((v2 / (1.0 - 0.999_f64.powi(2))).sqrt() + 1e-8);
        assert!((p[0] - want).abs() < 1e-9, "{} {want}", p[0]);
    }

    #[test]
    fn the_norm_is_that_of_all_and_clipping_never_enlarges() {
        let g = vec![2.0_f32; 40_000];
        assert!((norm(&g) - 400.0).abs() < 1e-9);
        assert!((clip_factor(400.0, 1.0) - 1.0 / 400.000_001).abs() < 1e-15);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
    }
}
