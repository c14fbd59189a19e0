//! Which tokens are drawn from: transformers' top-k, then its top-p (`TopKLogitsWarper`, `TopPLogitsWarper`).

/// The tokens that top-k and then top-p leave of `logits_v`, `[V]`, in their order; `None` where a largest logit is no number.
///
/// The k likeliest, with all that are as likely as the last of them; of these the fewest that together have the probability `top_p`
/// among them, at `temperature`, at least one. As transformers does, top-p counts after top-k.
pub(super) fn likely(
    logits_v: &[f32],
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
) -> Option<Vec<u32>> {
    let most = logits_v.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() {
        return None;
    }
    let least = match top_k {
        Some(k) if k < logits_v.len() => {
            let mut sorted = logits_v.to_vec();
            *sorted.select_nth_unstable_by(k.max(1) - 1, |a, b| b.total_cmp(a)).1
        }
        _ => f32::NEG_INFINITY,
    };
    let kept = logits_v.iter().zip(0_u32..).filter(|(logit, _)| **logit >= least);
    let Some(top_p) = top_p.filter(|p| *p < 1.0) else {
        return Some(kept.map(|(_, token)| token).collect());
    };
    let weigh = |logit: f32| (f64::from(logit - most) / temperature).exp();
    let weighed: Vec<(f64, u32)> = kept.map(|(logit, token)| (weigh(*logit), token)).collect();
    let total: f64 = weighed.iter().map(|(weight, _)| weight).sum();
    // All tokens below this together are no more than what may be left out, so that the fewest are among the others: a few hundred
    // are sorted, not the vocabulary.
    let floor = (1.0 - top_p) * total / weighed.len() as f64;
    let mut best: Vec<(f64, u32)> = weighed.into_iter().filter(|(weight, _)| *weight >= floor).collect();
    best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut sum = 0.0;
    let enough = best.iter().position(|(weight, _)| {
        sum += weight;
        sum >= top_p * total
    });
    best.truncate(enough.map_or(best.len(), |last| last + 1));
    let mut tokens: Vec<u32> = best.into_iter().map(|(_, token)| token).collect();
    tokens.sort_unstable();
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// The definition: everything is sorted, and taken until there is enough.
    fn by_sorting(logits_v: &[f32], temperature: f64, k: usize, p: f64) -> Vec<u32> {
        let mut order: Vec<usize> = (0..logits_v.len()).collect();
        order.sort_by(|&a, &b| logits_v[b].total_cmp(&logits_v[a]));
        let last = logits_v[order[k.min(order.len()) - 1]];
        order.retain(|&token| logits_v[token] >= last);
        let weights: Vec<f64> =
            order.iter().map(|&token| (f64::from(logits_v[token]) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut tokens = Vec::new();
        for (token, weight) in order.into_iter().zip(weights) {
            if sum >= p * total && !tokens.is_empty() {
                break;
            }
            sum += weight;
            tokens.push(token as u32);
        }
        tokens.sort_unstable();
        tokens
    }

    #[test]
    fn the_fewest_likely_tokens_are_those_of_a_sorted_list() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut narrowed = 0;
        for round in 0..300 {
            let spread = [0.5, 4.0, 20.0][round % 3];
            let mut draw = || random.next_u32() as f32 / u32::MAX as f32;
            let logits: Vec<f32> = (0..1 + round * 7 % 900).map(|_| (draw() - 0.5) * spread).collect();
            let (k, p) = ([1, 5, 50, 10_000][round % 4], [0.01, 0.5, 0.9, 0.999][round / 4 % 4]);
            let found = likely(&logits, 0.7, Some(k), Some(p)).expect("numbers");
            assert_eq!(found, by_sorting(&logits, 0.7, k, p), "round {round}");
            narrowed += usize::from(found.len() < logits.len());
        }
        assert!(narrowed > 200, "{narrowed}");
    }

    #[test]
    fn tokens_that_are_as_likely_as_the_last_one_stay() {
        assert_eq!(likely(&[1.0, 2.0, 1.0, 0.0], 1.0, Some(2), None), Some(vec![0, 1, 2]));
        assert_eq!(likely(&[1.0, 2.0, 1.0, 0.0], 1.0, Some(9), Some(1.0)), Some(vec![0, 1, 2, 3]));
    }

    /// Top-p counts what top-k has left: 0.6 and 0.4 of it here, where 0.49 and 0.33 of everything.
    #[test]
    fn top_p_counts_what_top_k_has_left() {
        let logits = [3.0, 2.6, 1.5, 1.0];
        assert_eq!(likely(&logits, 1.0, Some(2), Some(0.55)), Some(vec![0]));
        assert_eq!(likely(&logits, 1.0, None, Some(0.55)), Some(vec![0, 1]));
    }

    #[test]
    fn what_is_masked_is_left_out_and_no_number_is_told() {
        let masked = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY];
        assert_eq!(likely(&masked, 1.0, None, Some(0.9)), Some(vec![1]));
        assert_eq!(likely(&[f32::INFINITY, 1.0], 1.0, None, Some(0.9)), None);
    }
}
