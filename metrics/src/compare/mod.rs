//! Two models on the same cases: which is better, and whether the cases can tell.
//!
//! Everything is paired: a resample draws cases, or clusters of cases, of both models together, and a permutation
//! exchanges the two models' answers case by case, or cluster by cluster. Corpus scores are computed again from the
//! statistics of the drawn cases.

mod cases;
mod comparison;
mod corpus;
mod outcomes;
mod power;
mod preference;
mod resample;
mod seeds;
mod selection;
mod student;
#[cfg(test)]
mod tests;
mod verdict;

pub use cases::{Cases, agreement, slices};
pub use comparison::{Better, CompareError, Comparison, Settings, Verdict};
pub use corpus::{CorpusMetric, Labels, Means, Ratio, Summed};
pub use outcomes::{Flips, Outcomes, exact_mcnemar, normal_quantile, wilson_interval};
pub use power::{
    cases_for_difference, cases_for_outcomes, smallest_visible_difference, smallest_visible_outcome,
};
pub use preference::{Preference, preference};
pub use resample::{Resamples, permutation_p, resamples};
pub use seeds::OverSeeds;
pub use selection::expected_maximum;
pub use verdict::{
    FEW_CASES, FEW_CLUSTERS, compare, compare_by_slice, compare_outcomes, compare_outcomes_by_slice, holm,
    judge_after_first, judge_together, widen,
};
