//! What the figures of two models mean.

use super::cases::Cases;
use super::comparison::{Better, CompareError, Comparison, Settings, Verdict};
use super::corpus::{CorpusMetric, Means};
use super::outcomes::Outcomes;
use super::power::{
    cases_for_difference, cases_for_outcomes, smallest_visible_difference, smallest_visible_outcome,
};
use super::resample::{Resamples, permutation_p, resamples};
use super::student::{widened, widening};

/// Under so many cases only great differences can be seen.
pub const FEW_CASES: usize = 100;
/// Under so many clusters an interval rests more on the shape that clusters are taken to have than on what was seen.
pub const FEW_CLUSTERS: usize = 20;

/// Compares scores.
///
/// # Errors
/// Other numbers of cases, none, or a score that is no number.
pub fn compare<M: CorpusMetric>(
    metric: &str,
    better: Better,
    first: &M,
    second: &M,
    cases: &Cases,
    settings: &Settings,
) -> Result<Comparison, CompareError> {
    let scores = checked(metric, first, second, cases)?;
    let drawn = resamples(first, second, cases, settings.draws, settings.seed);
    let permutation_p = permutation_p(first, second, cases, settings.trials, settings.seed);
    let mut comparison = compared(metric, better, scores, cases, settings, &drawn);
    (comparison.permutation_p, comparison.p, comparison.adjusted_p) =
        (permutation_p, permutation_p, permutation_p);
    comparison.smallest_visible = visible(&comparison, settings);
    decide(&mut comparison, settings);
    Ok(comparison)
}

/// Compares cases that are right or wrong: `true` is right, and higher is better.
///
/// # Errors
/// Those of [`compare`].
pub fn compare_outcomes(
    metric: &str,
    first: &[bool],
    second: &[bool],
    cases: &Cases,
    settings: &Settings,
) -> Result<Comparison, CompareError> {
    let (one, other) = (Means::of_outcomes(first), Means::of_outcomes(second));
    let mut comparison = compare(metric, Better::Higher, &one, &other, cases, settings)?;
    let outcomes = Outcomes::new(first, second, cases, settings.alpha);
    if !cases.are_clustered() {
        comparison.p = outcomes.mcnemar_p;
        comparison.adjusted_p = comparison.p;
    }
    // Of clusters that are all alike every draw is the same: no interval is narrower than that of as many cases on their own.
    let ([low, high], [exact_low, exact_high]) = (comparison.interval, outcomes.difference_interval);
    comparison.interval = [low.min(exact_low).max(-1.0), high.max(exact_high).min(1.0)];
    comparison.outcomes = Some(outcomes);
    comparison.smallest_visible = visible(&comparison, settings);
    decide(&mut comparison, settings);
    Ok(comparison)
}

/// Widens the interval of a score of at most 1 to `reach` at least, below its difference and above it, and judges it anew. Of cases that
/// both models have right every draw is the same, and such a point would prove whatever is asked: what is right or wrong
/// behind the score says how far it may be from it ([`Outcomes::reach`]).
pub fn widen(comparison: &mut Comparison, [below, above]: [f64; 2], settings: &Settings) {
    let (difference, [low, high]) = (comparison.difference, comparison.interval);
    comparison.interval = [low.min(difference + below).max(-1.0), high.max(difference + above).min(1.0)];
    decide(comparison, settings);
}

/// Compares each slice of the cases, as `names` has them, corrected for their number.
///
/// # Errors
/// Those of [`compare`].
pub fn compare_by_slice<M: CorpusMetric>(
    metric: &str,
    better: Better,
    (first, second): (&M, &M),
    cases: &Cases,
    slices: &[(String, Vec<usize>)],
    settings: &Settings,
) -> Result<Vec<Comparison>, CompareError> {
    sliced(cases, slices, settings, |cases| compare(metric, better, first, second, cases, settings))
}

/// [`compare_by_slice`] for cases that are right or wrong.
///
/// # Errors
/// Those of [`compare`].
pub fn compare_outcomes_by_slice(
    metric: &str,
    (first, second): (&[bool], &[bool]),
    cases: &Cases,
    slices: &[(String, Vec<usize>)],
    settings: &Settings,
) -> Result<Vec<Comparison>, CompareError> {
    sliced(cases, slices, settings, |cases| compare_outcomes(metric, first, second, cases, settings))
}

fn sliced(
    cases: &Cases,
    slices: &[(String, Vec<usize>)],
    settings: &Settings,
    compare: impl Fn(&Cases) -> Result<Comparison, CompareError>,
) -> Result<Vec<Comparison>, CompareError> {
    let mut comparisons = Vec::new();
    for (name, members) in slices {
        let members = cases.among(members);
        if members.count() > 0 {
            comparisons.push(Comparison { slice: Some(name.clone()), ..compare(&members)? });
        }
    }
    judge_together(&mut comparisons, settings);
    Ok(comparisons)
}

/// Corrects comparisons for their number, after Holm, and judges them anew. Metrics that a verdict may be picked from
/// belong together, and so do slices.
pub fn judge_together(comparisons: &mut [Comparison], settings: &Settings) {
    let adjusted = holm(&comparisons.iter().map(|comparison| comparison.p).collect::<Vec<f64>>());
    for (comparison, adjusted_p) in comparisons.iter_mut().zip(adjusted) {
        comparison.adjusted_p = adjusted_p;
        decide(comparison, settings);
    }
}

/// Judges the first comparison, that of the metric which was fixed beforehand to decide, by its own probability and within the margin, which is
/// in its unit. The others, which a verdict might be picked from, are corrected for their number after Holm; no margin is one of theirs.
pub fn judge_after_first(comparisons: &mut [Comparison], settings: &Settings) {
    let Some((decides, others)) = comparisons.split_first_mut() else { return };
    decides.adjusted_p = decides.p;
    decide(decides, settings);
    judge_together(others, &Settings { margin: 0.0, ..*settings });
}

/// Probabilities corrected for their number, in the same order (Holm 1979).
#[must_use]
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&one, &other| probabilities[one].total_cmp(&probabilities[other]));
    let mut adjusted = vec![0.0; probabilities.len()];
    let mut highest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        highest = highest.max((probabilities[index] * (probabilities.len() - rank) as f64).min(1.0));
        adjusted[index] = highest;
    }
    adjusted
}

/// Scores of both models on all cases.
fn checked<M: CorpusMetric>(
    metric: &str,
    first: &M,
    second: &M,
    cases: &Cases,
) -> Result<(f64, f64), CompareError> {
    let metric = metric.to_owned();
    let Some(last) = cases.last() else { return Err(CompareError::NoCase { metric }) };
    let (of_first, of_second) = (first.cases(), second.cases());
    if of_first != of_second || last >= of_first {
        return Err(CompareError::Cases { metric, first: of_first, second: of_second });
    }
    let score = |model: &M| {
        let mut sum = model.zero();
        cases.iter().for_each(|case| model.add(&mut sum, case));
        model.score(&sum)
    };
    let scores = (score(first), score(second));
    match (scores.0.is_finite(), scores.1.is_finite()) {
        (true, true) => Ok(scores),
        (false, _) => Err(CompareError::NotANumber { metric, model: "first" }),
        (true, false) => Err(CompareError::NotANumber { metric, model: "second" }),
    }
}

fn compared(
    metric: &str,
    better: Better,
    (first, second): (f64, f64),
    cases: &Cases,
    settings: &Settings,
    drawn: &Resamples,
) -> Comparison {
    let [first_interval, second_interval] = drawn.intervals(settings.alpha);
    let factor = widening(cases.clusters().len(), settings.alpha);
    let widened = |interval, value| widened(interval, value, factor);
    Comparison {
        metric: metric.to_owned(),
        slice: None,
        better,
        cases: cases.count(),
        clusters: cases.clusters().len(),
        first,
        second,
        difference: second - first,
        first_interval: widened(first_interval, first),
        second_interval: widened(second_interval, second),
        interval: widened(drawn.difference_interval(settings.alpha), second - first),
        standard_error: drawn.standard_error(),
        permutation_p: 1.0,
        outcomes: None,
        p: 1.0,
        adjusted_p: 1.0,
        verdict: Verdict::Inconclusive,
        needed_cases: None,
        smallest_visible: None,
        warnings: Vec::new(),
    }
}

/// Sets verdict, needed cases and warnings by what else is known.
fn decide(comparison: &mut Comparison, settings: &Settings) {
    let [low, high] = comparison.interval;
    // Of a single cluster every draw is the same: its interval is a point, and shows nothing.
    let within = settings.margin > 0.0
        && comparison.clusters > 1
        && low >= -settings.margin
        && high <= settings.margin;
    let good = match comparison.better {
        Better::Higher => comparison.difference > 0.0,
        Better::Lower => comparison.difference < 0.0,
    };
    comparison.verdict = match () {
        () if within => Verdict::Equivalent,
        () if comparison.adjusted_p > settings.alpha || comparison.difference == 0.0 => Verdict::Inconclusive,
        () if good => Verdict::Better,
        () => Verdict::Worse,
    };
    let inconclusive = comparison.verdict == Verdict::Inconclusive;
    comparison.needed_cases = if inconclusive { needed(comparison, settings) } else { None };
    comparison.warnings = warnings(comparison);
}

/// How many cases would show the difference seen.
fn needed(comparison: &Comparison, settings: &Settings) -> Option<u64> {
    // Holm asks more of a comparison among several.
    let strictness = if comparison.adjusted_p > 0.0 { comparison.p / comparison.adjusted_p } else { 1.0 };
    let alpha = settings.alpha * strictness.min(1.0);
    let Comparison { difference, standard_error, cases, .. } = *comparison;
    let needed = match independent_outcomes(comparison) {
        Some(outcomes) => cases_for_outcomes(difference, discordant(outcomes, cases), alpha, settings.power),
        None => cases_for_difference(difference, standard_error, cases, alpha, settings.power),
    };
    // What did not suffice is not what suffices.
    needed.map(|needed| needed.max(cases as u64 + 1))
}

fn visible(comparison: &Comparison, settings: &Settings) -> Option<f64> {
    let Comparison { standard_error, cases, .. } = *comparison;
    match independent_outcomes(comparison) {
        Some(outcomes) => {
            smallest_visible_outcome(cases, discordant(outcomes, cases), settings.alpha, settings.power)
        }
        None => smallest_visible_difference(standard_error, settings.alpha, settings.power),
    }
}

fn independent_outcomes(comparison: &Comparison) -> Option<&Outcomes> {
    comparison.outcomes.as_ref().filter(|_| comparison.clusters == comparison.cases)
}

/// The part of cases that only one model has right; of one case at least, for none seen is not none.
fn discordant(outcomes: &Outcomes, cases: usize) -> f64 {
    (outcomes.gained + outcomes.lost).max(1) as f64 / cases as f64
}

fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut warnings = Vec::new();
    let Comparison { cases, clusters, .. } = *comparison;
    if cases < FEW_CASES {
        let seen = match comparison.smallest_visible {
            Some(least) => format!("differences under {least:.3} are seldom seen"),
            None => "hardly a difference can be seen".to_owned(),
        };
        warnings.push(format!("{cases} cases are few (under {FEW_CASES}): {seen}"));
    }
    if clusters < cases && clusters < FEW_CLUSTERS {
        warnings.push(format!(
            "{cases} cases are only {clusters} clusters (under {FEW_CLUSTERS}): intervals are wide for it, and rough"
        ));
    }
    warnings
}
