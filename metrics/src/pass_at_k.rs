//! pass@k: how likely one of k samples passes, from more samples than k (Chen et al. 2021).

/// The unbiased estimate from `samples` of a task, of which `passed` did; `None` for no `k`, or more than there are samples.
///
/// `1 - C(n-c, k) / C(n, k)`, as a product so that nothing grows large.
///
/// # Panics
/// If more passed than there are samples.
#[must_use]
pub fn pass_at_k(samples: u64, passed: u64, k: u64) -> Option<f64> {
    assert!(passed <= samples, "pass@k: passed");
    if k == 0 || k > samples {
        return None;
    }
    let failed = samples - passed;
    if failed < k {
        return Some(1.0);
    }
    let none_passes: f64 = (failed + 1..=samples).map(|index| 1.0 - k as f64 / index as f64).product();
    Some(1.0 - none_passes)
}

/// The mean over tasks of (samples, passed); `None` without a task, or where one has fewer samples than `k`.
#[must_use]
pub fn mean_pass_at_k(tasks: &[(u64, u64)], k: u64) -> Option<f64> {
    let each: Vec<f64> =
        tasks.iter().map(|&(samples, passed)| pass_at_k(samples, passed, k)).collect::<Option<_>>()?;
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_those_of_counting() {
        let near = |found: Option<f64>, expected: f64| {
            assert!((found.expect("one") - expected).abs() < 1e-12, "{found:?}")
        };
        near(pass_at_k(5, 2, 1), 0.4);
        // Of the ten pairs of five samples three have none of the two that passed.
        near(pass_at_k(5, 2, 2), 0.7);
        near(pass_at_k(5, 0, 3), 0.0);
        near(pass_at_k(5, 5, 5), 1.0);
        near(pass_at_k(5, 1, 5), 1.0);
        near(pass_at_k(200, 3, 100), 1.0 - (100.0 * 99.0 * 98.0) / (200.0 * 199.0 * 198.0));
        assert_eq!(pass_at_k(5, 2, 6), None);
        assert_eq!(pass_at_k(5, 2, 0), None);
        near(mean_pass_at_k(&[(5, 2), (5, 0)], 1), 0.2);
        assert_eq!(mean_pass_at_k(&[(5, 2), (1, 0)], 2), None);
        assert_eq!(mean_pass_at_k(&[], 1), None);
    }
}
