//! Student's distribution, and what it says of intervals from few clusters.

use super::outcomes::normal_quantile;

/// Parts in which the density is added up, by Simpson's rule: the error is far under the digits that anybody reads.
const PARTS: u32 = 400;
/// Steps of the bisection: beyond them a double has no digit more.
const QUANTILE_STEPS: usize = 80;

/// By how much an interval of percentiles over so many drawn clusters must be wider to miss `alpha` of the time. Resampled sums vary by the
/// root of (clusters - 1) / clusters too little, and know nothing of the variance being an estimate itself: it is that root and Student's
/// quantile over the normal one (Hesterberg 2015, What teachers should know about the bootstrap, "narrowness bias"; with clusters less
/// one degrees of freedom as Cameron and Miller 2015 have it). Of 100 clusters that is 2%, of 5 clusters 58%. One cluster alone says nothing
/// of any other: its interval stays the point that it is.
pub(super) fn widening(clusters: usize, alpha: f64) -> f64 {
    if clusters < 2 {
        return 1.0;
    }
    let (count, probability) = (clusters as f64, 1.0 - alpha / 2.0);
    let by_student = student_quantile(probability, clusters - 1) / normal_quantile(probability);
    (count / (count - 1.0)).sqrt() * by_student
}

/// An interval whose ends are moved away from `value`, what was seen, by such a factor.
pub(super) fn widened([low, high]: [f64; 2], value: f64, factor: f64) -> [f64; 2] {
    // What was seen may lie outside where resampling is biased: an end never moves inwards.
    let end = |at: f64| value + factor * (at - value);
    [low.min(end(low)), high.max(end(high))]
}

/// The number that Student's distribution with so many degrees of freedom is below with this probability, from one half to below 1.
pub(super) fn student_quantile(probability: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_from_zero(high, freedom) < probability - 0.5 && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..QUANTILE_STEPS {
        let middle = 0.5 * (low + high);
        if student_from_zero(middle, freedom) < probability - 0.5 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability between 0 and `x`. With the angle whose tangent is `x` over the root of the degrees of freedom the density is a power
/// of the cosine, which is smooth up to the end.
fn student_from_zero(x: f64, freedom: usize) -> f64 {
    let v = freedom as f64;
    let scale = (libm::lgamma((v + 1.0) / 2.0) - libm::lgamma(v / 2.0)).exp() / std::f64::consts::PI.sqrt();
    let angle = (x / v.sqrt()).atan();
    let step = angle / f64::from(PARTS);
    let weight = |part: u32| match part {
        0 | PARTS => 1.0,
        odd if odd % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let height = |part: u32| weight(part) * (f64::from(part) * step).cos().powf(v - 1.0);
    scale * (0..=PARTS).map(height).sum::<f64>() * step / 3.0
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::super::{Better, Cases, Means, Settings, compare, resamples};
    use super::*;
    use crate::stream::stream;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, expected) in [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (100, 1.9840)] {
            let found = student_quantile(0.975, freedom);
            assert!((found - expected).abs() < 1e-4, "{freedom}: {found}");
        }
        assert!((student_quantile(0.9995, 4) - 8.6103).abs() < 1e-4);
    }

    #[test]
    fn ends_move_away_from_what_was_seen() {
        let [low, high] = widened([-1.0, 3.0], 0.0, widening(5, 0.05));
        // 2.7764 / 1.9600 times the root of 5/4.
        assert!((low + 1.5838).abs() < 1e-3 && (high - 4.7514).abs() < 1e-3, "{low} {high}");
        let [low, high] = widened([-1.0, 3.0], 0.0, widening(1000, 0.05));
        assert!((low + 1.0).abs() < 3e-3 && (high - 3.0).abs() < 6e-3, "many clusters: {low} {high}");
        assert_eq!(widened([0.5, 3.0], 0.0, widening(5, 0.05))[0], 0.5, "no end moves inwards");
        assert_eq!(widened([1.0, 1.0], 1.0, widening(1, 0.05)), [1.0, 1.0]);
    }

    /// Roughly normal, with variance 1.
    fn normal(random: &mut impl Rng) -> f64 {
        (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }

    /// How often the interval of the difference holds the true one, with the remedy and without: 1,200 sets of clusters of 4 cases, of whose
    /// variance half is the cluster's.
    fn coverage(clusters: usize) -> [f64; 2] {
        const SETS: u64 = 1200;
        const TRUE: f64 = 0.3;
        let settings = Settings { draws: 1000, trials: 1, ..Settings::default() };
        let keys: Vec<Option<usize>> = (0..4 * clusters).map(|case| Some(case / 4)).collect();
        let cases = Cases::clustered(&keys);
        let mut held = [0_u32; 2];
        for set in 0..SETS {
            let mut random = stream(7, "test", "coverage", set);
            let second: Vec<f64> = (0..clusters)
                .flat_map(|_| {
                    let of_cluster = normal(&mut random);
                    [(); 4].map(|()| TRUE + of_cluster + normal(&mut random))
                })
                .collect();
            let (first, second) = (Means::new(vec![0.0; 4 * clusters]), Means::new(second));
            let compared =
                compare("m", Better::Higher, &first, &second, &cases, &settings).expect("comparable");
            let drawn = resamples(&first, &second, &cases, settings.draws, settings.seed);
            let plain = drawn.difference_interval(settings.alpha);
            for (held, [low, high]) in held.iter_mut().zip([compared.interval, plain]) {
                *held += u32::from((low..=high).contains(&TRUE));
            }
        }
        held.map(|held| f64::from(held) / SETS as f64)
    }

    /// Three standard errors of 1,200 sets at 95% are 1.9%.
    #[test]
    fn few_clusters_are_covered_as_many_are() {
        // Of two clusters the percentiles are the two themselves: what is left of 95% there is 93%.
        for (clusters, least, without) in
            [(2, 0.90, 0.60), (3, 0.93, 0.80), (5, 0.93, 0.89), (10, 0.93, 0.93)]
        {
            let [found, plain] = coverage(clusters);
            assert!((least..=0.975).contains(&found), "{clusters} clusters: {found}");
            assert!(plain < without, "{clusters} clusters, percentiles alone: {plain}");
        }
        let [found, plain] = coverage(60);
        assert!((0.93..=0.97).contains(&found) && found - plain < 0.02, "60 clusters: {found}, {plain}");
    }
}
