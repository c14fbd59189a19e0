//! What is asked of a comparison, and what it says.

use serde::Serialize;

use super::outcomes::Outcomes;

/// How sure a verdict must be, and how it is come by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// How often two equal models may be called different.
    pub alpha: f64,
    /// How often a difference shall be found, in numbers of cases it would take.
    pub power: f64,
    /// Differences up to this, in the unit of the metric that decides, do not matter; 0 if all do.
    pub margin: f64,
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Trials of the permutation test.
    pub trials: usize,
    /// What both are drawn from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpha: 0.05, power: 0.8, margin: 0.0, draws: 10_000, trials: 10_000, seed: 0 }
    }
}

/// Which scores are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// High ones.
    #[default]
    Higher,
    /// Low ones, as of TER and perplexity.
    Lower,
}

/// The second model beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is better.
    Better,
    /// It is worse.
    Worse,
    /// The interval of the difference lies within the margin.
    Equivalent,
    /// The cases cannot tell.
    Inconclusive,
}

/// Why two models cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Scores of other numbers of cases, or fewer than the cases that are named.
    #[error("{metric}: expected both models to have scores of the same cases; found {first} and {second}")]
    Cases {
        /// The metric.
        metric: String,
        /// Cases of the first model.
        first: usize,
        /// Cases of the second.
        second: usize,
    },
    /// Nothing to compare.
    #[error("{metric}: expected at least one case; found none")]
    NoCase {
        /// The metric.
        metric: String,
    },
    /// A score is no number.
    #[error("{metric}: the score of the {model} model is not a finite number")]
    NotANumber {
        /// The metric.
        metric: String,
        /// Which of the two.
        model: &'static str,
    },
}

/// One metric of two models on the same cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The metric.
    pub metric: String,
    /// The slice; `None` for all cases.
    pub slice: Option<String>,
    /// Which scores are good.
    pub better: Better,
    /// Cases.
    pub cases: usize,
    /// Clusters of cases; as many as cases where none belong together.
    pub clusters: usize,
    /// The first model's score.
    pub first: f64,
    /// The second model's score.
    pub second: f64,
    /// Second less first.
    pub difference: f64,
    /// The bootstrap's interval of the first model's score.
    pub first_interval: [f64; 2],
    /// The same of the second.
    pub second_interval: [f64; 2],
    /// The interval of the difference that equivalence goes by: the wider bounds of the bootstrap's and, for right and
    /// wrong cases that are independent, of Bonett and Price's.
    pub interval: [f64; 2],
    /// The standard error of the difference, of the bootstrap.
    pub standard_error: f64,
    /// The permutation test.
    pub permutation_p: f64,
    /// Flips, for cases that are right or wrong.
    pub outcomes: Option<Outcomes>,
    /// The probability that the verdict goes by: exact McNemar's where cases are right or wrong and independent, or else
    /// the permutation test's.
    pub p: f64,
    /// The same after Holm's correction for everything that was judged with it ([`judge_together`]); of the metric that decides its own
    /// ([`judge_after_first`]).
    pub adjusted_p: f64,
    /// What it comes to.
    pub verdict: Verdict,
    /// For an inconclusive verdict: cases like these with which the difference seen would be found with the wanted power,
    /// if it is real; `None` where there is none to find.
    pub needed_cases: Option<u64>,
    /// The least difference that this many cases show with the wanted power.
    pub smallest_visible: Option<f64>,
    /// What a reader should know.
    pub warnings: Vec<String>,
}
