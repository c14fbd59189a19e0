//! Whether a metric orders answers as people do.

use rayon::prelude::*;
use serde::Serialize;

use crate::stream::{stream, uniform_below};

/// A correlation of fewer pairs says little.
pub const FEW_PAIRS: usize = 20;

/// Rank correlations of a metric with people's scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankCorrelation {
    /// Answers that have both.
    pub pairs: usize,
    /// Spearman's rho.
    pub spearman: f64,
    /// The percentile interval of a bootstrap over the pairs.
    pub spearman_interval: [f64; 2],
    /// Kendall's tau-b, which knows ties.
    pub kendall: f64,
    /// Its interval.
    pub kendall_interval: [f64; 2],
    /// Whether the metric may be believed: there are [`FEW_PAIRS`] at least and both intervals are above 0.
    pub trusted: bool,
}

/// How a bootstrap is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The part that intervals miss.
    pub alpha: f64,
    /// Draws.
    pub draws: usize,
    /// What they are drawn from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpha: 0.05, draws: 1000, seed: 0 }
    }
}

/// The correlations of pairs of a metric's score and people's; `None` where one of the two is the same for all, there are
/// under two pairs, or a score is no number. The same for any number of threads.
#[must_use]
pub fn rank_correlation(pairs: &[(f64, f64)], settings: &Settings) -> Option<RankCorrelation> {
    let (spearman, kendall) = (spearman(pairs)?, kendall_tau_b(pairs)?);
    let count = u32::try_from(pairs.len()).ok()?;
    let drawn: Vec<(f64, f64)> = (0..settings.draws as u64)
        .into_par_iter()
        .filter_map(|draw| {
            let mut random = stream(settings.seed, "rank", "", draw);
            let sample: Vec<(f64, f64)> =
                (0..count).map(|_| pairs[uniform_below(&mut random, count) as usize]).collect();
            // A sample of one value over and over has no order.
            Some((self::spearman(&sample)?, kendall_tau_b(&sample)?))
        })
        .collect();
    let interval = |of: fn(&(f64, f64)) -> f64, point: f64| {
        let mut values: Vec<f64> = drawn.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            values
                .get((share * values.len().saturating_sub(1) as f64).round() as usize)
                .copied()
                .unwrap_or(point)
        };
        [at(settings.alpha / 2.0), at(1.0 - settings.alpha / 2.0)]
    };
    let spearman_interval = interval(|drawn| drawn.0, spearman);
    let kendall_interval = interval(|drawn| drawn.1, kendall);
    let above = spearman_interval[0] > 0.0 && kendall_interval[0] > 0.0;
    let trusted = pairs.len() >= FEW_PAIRS && above;
    Some(RankCorrelation {
        pairs: pairs.len(),
        spearman,
        spearman_interval,
        kendall,
        kendall_interval,
        trusted,
    })
}

/// Spearman's rho: Pearson's correlation of ranks, where ties share the mean of theirs.
#[must_use]
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (one, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (one, other) = (ranks(&one)?, ranks(&other)?);
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - mean) * (other - mean)).sum()
    };
    let spread = (product(&one, &one) * product(&other, &other)).sqrt();
    (spread > 0.0).then(|| product(&one, &other) / spread)
}

/// Kendall's tau-b: pairs of pairs in the same order less those in the opposite one, over what there would be without ties.
/// Takes time with the square of the number of pairs.
#[must_use]
pub fn kendall_tau_b(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.iter().any(|(one, other)| one.is_nan() || other.is_nan()) {
        return None;
    }
    let (mut score, mut untied_one, mut untied_other) = (0_i64, 0_u64, 0_u64);
    let sign = |from: f64, to: f64| i64::from(to > from) - i64::from(to < from);
    for (index, first) in pairs.iter().enumerate() {
        for second in &pairs[index + 1..] {
            let (one, other) = (sign(first.0, second.0), sign(first.1, second.1));
            score += one * other;
            untied_one += one.unsigned_abs();
            untied_other += other.unsigned_abs();
        }
    }
    let spread = (untied_one as f64 * untied_other as f64).sqrt();
    (spread > 0.0).then(|| score as f64 / spread)
}

/// From 1; ties have the mean of the ranks that they take. `None` with a value that is no number.
fn ranks(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&one, &other| values[one] == values[other]) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&index| ranks[index] = rank);
        before += tied.len();
    }
    Some(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::tests::{close, numbers, peers, sets};

    #[test]
    fn correlations_are_those_of_scipy() {
        for case in sets(&peers(), "ranks") {
            let pairs: Vec<(f64, f64)> =
                numbers(&case["one"]).into_iter().zip(numbers(&case["other"])).collect();
            if case["spearman"].is_null() {
                assert!(spearman(&pairs).is_none() || kendall_tau_b(&pairs).is_none());
                continue;
            }
            close("spearman", &numbers(&case["spearman"]), &[spearman(&pairs).expect("a rho")]);
            close("kendall", &numbers(&case["kendall"]), &[kendall_tau_b(&pairs).expect("a tau")]);
        }
    }

    #[test]
    fn a_metric_is_trusted_where_its_interval_is_above_nothing() {
        let noise = |index: usize| ((index * 7919) % 31) as f64;
        let like: Vec<(f64, f64)> =
            (0..60).map(|index| (index as f64 + noise(index), index as f64)).collect();
        let found = rank_correlation(&like, &Settings::default()).expect("correlations");
        assert!(found.trusted && found.spearman_interval[0] < found.spearman, "{found:?}");
        assert!(found.spearman < found.spearman_interval[1] && found.kendall < found.spearman, "{found:?}");
        assert_eq!(rank_correlation(&like, &Settings::default()), Some(found));
        let mut random = stream(1, "test", "rank", 0);
        let mut draw = || f64::from(uniform_below(&mut random, 100));
        let unlike: Vec<(f64, f64)> = (0..60).map(|_| (draw(), draw())).collect();
        assert!(!rank_correlation(&unlike, &Settings::default()).expect("correlations").trusted);
        let few: Vec<(f64, f64)> = (0..10).map(|index| (f64::from(index), f64::from(index))).collect();
        assert!(!rank_correlation(&few, &Settings::default()).expect("correlations").trusted);
        assert_eq!(rank_correlation(&[(1.0, 2.0), (1.0, 3.0)], &Settings::default()), None);
        assert_eq!(rank_correlation(&[(1.0, f64::NAN), (2.0, 3.0)], &Settings::default()), None);
        assert_eq!(rank_correlation(&[], &Settings::default()), None);
    }
}
