//! A difference of two models where one of them was trained several times: what another seed would have changed stands beside what other
//! cases would have.

use serde::Serialize;

use super::comparison::{Better, Comparison};

/// Parts in which the density of Student's distribution is added up, by Simpson's rule.
const PARTS: u32 = 2000;
/// Steps of the bisection: beyond them a double has no digit more.
const QUANTILE_STEPS: usize = 80;

/// The difference of a recipe from a model, over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverSeeds {
    /// The metric.
    pub metric: String,
    /// Trainings.
    pub seeds: usize,
    /// The mean difference, second less first.
    pub mean: f64,
    /// The deviation of the differences from seed to seed.
    pub deviation: f64,
    /// The interval of the mean: the variances of cases and of seeds together.
    pub interval: [f64; 2],
}

impl OverSeeds {
    /// `comparisons` are of one metric on the same cases, each of another training with the same first model. The interval of the cases is
    /// the mean of theirs; that of the seeds is Student's. `None` for fewer than two.
    #[must_use]
    pub fn new(comparisons: &[Comparison], alpha: f64) -> Option<Self> {
        let count = comparisons.len();
        if count < 2 {
            return None;
        }
        let n = count as f64;
        let mean_of = |of: &dyn Fn(&Comparison) -> f64| comparisons.iter().map(of).sum::<f64>() / n;
        let mean = mean_of(&|one| one.difference);
        let variance = comparisons.iter().map(|one| (one.difference - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let of_seeds = student_quantile(1.0 - alpha / 2.0, count - 1) * (variance / n).sqrt();
        let [below, above] = [
            mean_of(&|one| one.difference - one.interval[0]),
            mean_of(&|one| one.interval[1] - one.difference),
        ];
        let interval = [mean - below.hypot(of_seeds), mean + above.hypot(of_seeds)];
        let metric = comparisons[0].metric.clone();
        Some(Self { metric, seeds: count, mean, deviation: variance.sqrt(), interval })
    }

    /// Whether the whole interval is on the good side of nothing.
    #[must_use]
    pub fn is_better(&self, better: Better) -> bool {
        match better {
            Better::Higher => self.interval[0] > 0.0,
            Better::Lower => self.interval[1] < 0.0,
        }
    }
}

/// The number that Student's distribution with so many degrees of freedom is below with this probability, from one half to below 1.
fn student_quantile(probability: f64, freedom: usize) -> f64 {
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
    use super::super::{Cases, Settings, compare_outcomes};
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, expected) in [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (100, 1.9840)] {
            let found = student_quantile(0.975, freedom);
            assert!((found - expected).abs() < 1e-4, "{freedom}: {found}");
        }
    }

    fn compared(right: usize) -> Comparison {
        let (first, second): (Vec<bool>, Vec<bool>) =
            ((0..100).map(|_| false).collect(), (0..100).map(|case| case < right).collect());
        let settings = Settings { draws: 500, trials: 500, ..Settings::default() };
        compare_outcomes("checks", &first, &second, &Cases::clustered(&[None::<&str>; 100]), &settings)
            .expect("comparable")
    }

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let alike = OverSeeds::new(&[compared(40), compared(40), compared(40)], 0.05).expect("three");
        assert!(alike.seeds == 3 && alike.deviation < 1e-12, "{alike:?}");
        let of_cases = compared(40).interval;
        assert!(
            (alike.interval[0] - of_cases[0]).abs() < 1e-9 && (alike.interval[1] - of_cases[1]).abs() < 1e-9
        );
        let apart = OverSeeds::new(&[compared(20), compared(40), compared(60)], 0.05).expect("three");
        assert!((apart.mean - 0.4).abs() < 1e-12 && (apart.deviation - 0.2).abs() < 1e-12);
        // Student's quantile with two degrees of freedom, 4.3, times 0.2 over the root of three.
        assert!(apart.interval[0] < 0.4 - 0.49 && apart.interval[1] > 0.4 + 0.49, "{:?}", apart.interval);
        assert!(alike.is_better(Better::Higher) && !apart.is_better(Better::Higher));
        assert!(!alike.is_better(Better::Lower));
        assert_eq!(OverSeeds::new(&[compared(40)], 0.05), None);
    }
}
