//! Whether probabilities mean what they say.

use serde::Serialize;

/// How far confidence is from accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The mean over cases of the distance of confidence and accuracy in their bin.
    pub expected_error: f64,
    /// The largest such distance.
    pub largest_error: f64,
    /// Bins of equal width, from 0 to 1; those without a case too.
    pub bins: Vec<ReliabilityBin>,
}

/// Cases of similar confidence: above `low`, up to and with `high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The confidence that is too low for it.
    pub low: f64,
    /// Its highest confidence.
    pub high: f64,
    /// Its cases.
    pub cases: u64,
    /// Their mean confidence; 0 without a case.
    pub confidence: f64,
    /// The part of them that is right; 0 without a case.
    pub accuracy: f64,
}

/// The calibration of pairs of the confidence in an answer, from 0 to 1, and whether it is right (Guo et al. 2017).
/// 10 or 15 bins are customary. `None` without a case, without a bin, or with a confidence that is none.
#[must_use]
pub fn calibration(confident: &[(f64, bool)], bins: usize) -> Option<Calibration> {
    if confident.is_empty()
        || bins == 0
        || confident.iter().any(|(confidence, _)| !(0.0..=1.0).contains(confidence))
    {
        return None;
    }
    let edge = |index: usize| index as f64 / bins as f64;
    let mut sums = vec![(0u64, 0.0, 0u64); bins];
    for &(confidence, right) in confident {
        // The first bin whose upper edge is not below: edges compared as they are shown, not multiplied out.
        let guess = ((confidence * bins as f64) as usize).min(bins - 1);
        let bin = if guess > 0 && confidence <= edge(guess) { guess - 1 } else { guess };
        sums[bin].0 += 1;
        sums[bin].1 += confidence;
        sums[bin].2 += u64::from(right);
    }
    let shown = |(index, &(cases, confidence, right)): (usize, &(u64, f64, u64))| {
        let of = cases.max(1) as f64;
        let (low, high) = (edge(index), edge(index + 1));
        ReliabilityBin { low, high, cases, confidence: confidence / of, accuracy: right as f64 / of }
    };
    let bins: Vec<ReliabilityBin> = sums.iter().enumerate().map(shown).collect();
    let error = |bin: &ReliabilityBin| (bin.confidence - bin.accuracy).abs();
    let expected_error =
        bins.iter().map(|bin| error(bin) * bin.cases as f64).sum::<f64>() / confident.len() as f64;
    let largest_error = bins.iter().filter(|bin| bin.cases > 0).map(error).fold(0.0, f64::max);
    Some(Calibration { expected_error, largest_error, bins })
}

/// Brier's score: the squared distance of the probabilities of all classes from 1 for the right one and 0 for the others,
/// summed over classes, the mean over cases; from 0 to 2. Each case is (probabilities, right class); `None` without a case
/// or where a right class has no probability.
#[must_use]
pub fn brier(cases: &[(Vec<f64>, usize)]) -> Option<f64> {
    if cases.is_empty() || cases.iter().any(|(probabilities, gold)| *gold >= probabilities.len()) {
        return None;
    }
    let squared = |(probabilities, gold): &(Vec<f64>, usize)| -> f64 {
        let wanted = |class: usize| if class == *gold { 1.0 } else { 0.0 };
        probabilities.iter().enumerate().map(|(class, p)| (p - wanted(class)).powi(2)).sum()
    };
    Some(cases.iter().map(squared).sum::<f64>() / cases.len() as f64)
}
