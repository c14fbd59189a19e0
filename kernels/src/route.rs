//! Which experts a token goes to, and with which weight (as in Mixtral, arXiv 2401.04088): a softmax over all experts,
//! of which the largest few are kept.
//!
//! Legend: T tokens, X experts, P experts a token.

use crate::real::Real;

/// How experts are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// X.
    pub experts: usize,
    /// P.
    pub per_token: usize,
    /// Whether the kept weights are divided by their sum.
    pub normalized: bool,
}

/// Softmax of `logits_tx` in place, and its `P` largest elements in every row, the first of equal ones first.
///
/// `logits_tx`: `[T, X]`, becomes the probabilities; `chosen_tp`: `[T, P]`, written: expert numbers; `weights_tp`:
/// `[T, P]`, written.
///
/// # Panics
/// If the lengths do not fit, or `P` is 0 or above `X`.
pub fn forward<R: Real>(choice: Choice, logits_tx: &mut [R], chosen_tp: &mut [u32], weights_tp: &mut [R]) {
    choice.check(logits_tx.len(), chosen_tp.len(), weights_tp.len());
    let rows = logits_tx.chunks_exact_mut(choice.experts);
    let outputs =
        chosen_tp.chunks_exact_mut(choice.per_token).zip(weights_tp.chunks_exact_mut(choice.per_token));
    for (p_x, (chosen_p, weights_p)) in rows.zip(outputs) {
        let max = p_x.iter().fold(R::neg_infinity(), |m, &z| if z > m { z } else { m });
        let mut sum = R::zero();
        for p in p_x.iter_mut() {
            *p = (*p - max).exp();
            sum += *p;
        }
        p_x.iter_mut().for_each(|p| *p /= sum);
        for place in 0..choice.per_token {
            let earlier = &chosen_p[..place];
            let free = (0..choice.experts).filter(|&expert| !earlier.contains(&(expert as u32)));
            let best = free.reduce(|best, expert| if p_x[expert] > p_x[best] { expert } else { best });
            let best = best.unwrap_or_default();
            chosen_p[place] = best as u32;
            weights_p[place] = p_x[best];
        }
        if choice.normalized {
            let kept: R = weights_p.iter().copied().sum();
            weights_p.iter_mut().for_each(|w| *w /= kept);
        }
    }
}

/// The gradient of the logits from that of the weights. Which experts are chosen is taken as given.
///
/// `p_tx`, `chosen_tp`, `weights_tp` as [`forward`] wrote them; `d_weights_tp`: `[T, P]`; `d_logits_tx`: `[T, X]`,
/// written.
///
/// # Panics
/// If the lengths do not fit.
pub fn backward<R: Real>(
    choice: Choice,
    p_tx: &[R],
    chosen_tp: &[u32],
    weights_tp: &[R],
    d_weights_tp: &[R],
    d_logits_tx: &mut [R],
) {
    choice.check(p_tx.len(), chosen_tp.len(), weights_tp.len());
    assert!(d_weights_tp.len() == weights_tp.len() && d_logits_tx.len() == p_tx.len(), "route: lengths");
    let per_token = choice.per_token;
    for (row, (p_x, d_x)) in
        p_tx.chunks_exact(choice.experts).zip(d_logits_tx.chunks_exact_mut(choice.experts)).enumerate()
    {
        let places = row * per_token..(row + 1) * per_token;
        let (chosen_p, weights_p) = (&chosen_tp[places.clone()], &weights_tp[places.clone()]);
        let dw_p = &d_weights_tp[places];
        let (mut kept, mut mean) = (R::one(), R::zero());
        if choice.normalized {
            kept = chosen_p.iter().map(|&expert| p_x[expert as usize]).sum();
            mean = weights_p.iter().zip(dw_p).map(|(&w, &dw)| w * dw).sum();
        }
        d_x.fill(R::zero());
        for (&expert, &dw) in chosen_p.iter().zip(dw_p) {
            d_x[expert as usize] = (dw - mean) / kept;
        }
        let dot: R = p_x.iter().zip(&*d_x).map(|(&p, &d)| p * d).sum();
        for (d, &p) in d_x.iter_mut().zip(p_x) {
            *d = p * (*d - dot);
        }
    }
}

impl Choice {
    fn check(&self, logits: usize, chosen: usize, weights: usize) {
        assert!((1..=self.experts).contains(&self.per_token), "route: experts a token");
        assert!(chosen == weights && logits * self.per_token == chosen * self.experts, "route: lengths");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (tokens, experts, per_token) = (4, 5, 2);
        let logits: Vec<f64> = (0..tokens * experts).map(|i| ((i * 37 % 23) as f64 - 11.0) / 7.0).collect();
        let dw: Vec<f64> = (0..tokens * per_token).map(|i| 0.3 + i as f64 * 0.21).collect();
        for normalized in [false, true] {
            let choice = Choice { experts, per_token, normalized };
            let run = |logits: &[f64]| {
                let (mut p, mut chosen, mut weights) =
                    (logits.to_vec(), vec![0; tokens * per_token], vec![0.0; tokens * per_token]);
                forward(choice, &mut p, &mut chosen, &mut weights);
                (p, chosen, weights)
            };
            let (p, chosen, weights) = run(&logits);
            for (chosen, logits) in chosen.chunks(per_token).zip(logits.chunks(experts)) {
                assert!(logits[chosen[0] as usize] >= logits[chosen[1] as usize]);
                let others = (0..experts).filter(|&x| !chosen.contains(&(x as u32)));
                assert!(others.into_iter().all(|x| logits[x] <= logits[chosen[1] as usize]));
            }
            assert!(
                !normalized || weights.chunks(per_token).all(|w| (w.iter().sum::<f64>() - 1.0).abs() < 1e-12)
            );
            let mut d = vec![0.0; logits.len()];
            backward(choice, &p, &chosen, &weights, &dw, &mut d);
            let loss = |logits: &[f64]| run(logits).2.iter().zip(&dw).map(|(w, d)| w * d).sum::<f64>();
            for i in 0..logits.len() {
                let mut moved = logits.clone();
                moved[i] += 1e-6;
                let up = loss(&moved);
                moved[i] -= 2e-6;
                assert!(((up - loss(&moved)) / 2e-6 - d[i]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn the_first_of_equal_experts_is_chosen() {
        let choice = Choice { experts: 3, per_token: 2, normalized: true };
        let (mut chosen, mut weights) = ([9; 2], [0.0; 2]);
        forward(choice, &mut [1.0_f32, 1.0, 1.0], &mut chosen, &mut weights);
        assert_eq!((chosen, weights), ([0, 1], [0.5, 0.5]));
    }
}
