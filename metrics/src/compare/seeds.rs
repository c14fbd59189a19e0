//! A difference of two models where one of them was trained several times: what another seed would have changed stands beside what other
//! cases would have.

use serde::Serialize;

use super::comparison::{Better, Comparison};
use super::student::student_quantile;

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

#[cfg(test)]
mod tests {
    use super::super::{Cases, Settings, compare_outcomes};
    use super::*;

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
