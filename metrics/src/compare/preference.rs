//! Which of two answers people prefer.

use serde::Serialize;

use super::cases::Cases;
use super::outcomes::{exact_mcnemar, wilson_of_share};

/// What people prefer, over all that they were shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Preference {
    /// How often somebody chose.
    pub reviews: usize,
    /// Cases of which somebody chose.
    pub cases: usize,
    /// Clusters that those are in.
    pub clusters: usize,
    /// Choices of the first model.
    pub first: usize,
    /// Choices of the second.
    pub second: usize,
    /// Choices of neither.
    pub ties: usize,
    /// Part of the choices that are of the second model, ties as half: the mean over a case's reviewers, then over the cases of a cluster,
    /// then over clusters, so that neither many reviewers of one case nor many paraphrases of one question count as more evidence.
    pub share: f64,
    /// Wilson's interval of that share, of as many draws as there are clusters. Of values from 0 to 1 none scatter more than choices
    /// without ties do, so that ties and reviewers who disagree make it too wide and never too narrow.
    pub interval: [f64; 2],
    /// Clusters that prefer the first model, and the second.
    pub clusters_for: [usize; 2],
    /// The two-sided probability of those, if neither model were preferred (the sign test; undecided clusters say nothing).
    pub sign_p: f64,
}

/// Sums choices: each is a case and 0 for the first model, 1 for the second, 0.5 for neither. `alpha` is the part of intervals that miss.
/// `None` without a choice of a case that `cases` has.
#[must_use]
pub fn preference(choices: &[(usize, f64)], cases: &Cases, alpha: f64) -> Option<Preference> {
    let mut of_case: std::collections::HashMap<usize, (f64, usize)> = std::collections::HashMap::new();
    for (case, value) in choices {
        let entry = of_case.entry(*case).or_default();
        *entry = (entry.0 + value, entry.1 + 1);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let in_cluster = |cluster: &Vec<usize>| -> Vec<f64> {
        cluster.iter().filter_map(|case| of_case.get(case)).map(|(sum, count)| sum / *count as f64).collect()
    };
    let clusters: Vec<Vec<f64>> =
        cases.clusters().iter().map(in_cluster).filter(|cluster| !cluster.is_empty()).collect();
    if clusters.is_empty() {
        return None;
    }
    let shares: Vec<f64> = clusters.iter().map(|cluster| mean(cluster)).collect();
    let (share, count) =
        (mean(&shares), |wanted: fn(f64) -> bool| shares.iter().filter(|share| wanted(**share)).count());
    let clusters_for = [count(|share| share < 0.5), count(|share| share > 0.5)];
    let known: std::collections::HashSet<usize> = cases.iter().collect();
    let chosen = |wanted: fn(f64) -> bool| {
        choices.iter().filter(|(case, value)| known.contains(case) && wanted(*value)).count()
    };
    let (first, second) = (chosen(|value| value < 0.5), chosen(|value| value > 0.5));
    let reviews = chosen(|_| true);
    Some(Preference {
        reviews,
        cases: clusters.iter().map(Vec::len).sum(),
        clusters: clusters.len(),
        first,
        second,
        ties: reviews - first - second,
        share,
        interval: wilson_of_share(share, clusters.len() as u64, alpha),
        clusters_for,
        sign_p: exact_mcnemar(clusters_for[1] as u64, clusters_for[0] as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::super::wilson_interval;
    use super::*;

    #[test]
    fn ties_are_half_and_the_interval_is_wilsons() {
        let choices: Vec<(usize, f64)> =
            (0..20).map(|case| (case, if case < 12 { 1.0 } else { 0.0 })).collect();
        let found = preference(&choices, &Cases::independent(20), 0.05).expect("choices");
        assert_eq!((found.first, found.second, found.ties, found.clusters_for), (8, 12, 0, [8, 12]));
        assert!((found.share - 0.6).abs() < 1e-12);
        let wilson = wilson_interval(12, 20, 0.05);
        assert!(
            (found.interval[0] - wilson[0]).abs() < 1e-12 && (found.interval[1] - wilson[1]).abs() < 1e-12
        );
        // Binomial(20, 1/2): twice the chance of at most 8 of 20.
        assert!((found.sign_p - 0.503_445).abs() < 1e-5, "{}", found.sign_p);
        let ties: Vec<(usize, f64)> = (0..20).map(|case| (case, 0.5)).collect();
        let found = preference(&ties, &Cases::independent(20), 0.05).expect("choices");
        assert_eq!((found.share, found.ties, found.sign_p), (0.5, 20, 1.0));
    }

    #[test]
    fn many_reviewers_of_a_case_and_paraphrases_are_one_piece_of_evidence() {
        let once = preference(&[(0, 1.0), (1, 0.0)], &Cases::independent(2), 0.05).expect("choices");
        let often = [(0, 1.0), (0, 1.0), (0, 1.0), (1, 0.0)];
        let often = preference(&often, &Cases::independent(2), 0.05).expect("choices");
        assert_eq!((once.share, once.interval), (often.share, often.interval));
        assert_eq!((often.reviews, often.cases), (4, 2));
        let keys = [Some("a"), Some("a"), Some("a"), None];
        let clustered = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0)];
        let found = preference(&clustered, &Cases::clustered(&keys), 0.05).expect("choices");
        assert_eq!((found.cases, found.clusters, found.share), (4, 2, 0.5));
    }

    #[test]
    fn cases_that_nobody_reviewed_do_not_count() {
        let found = preference(&[(3, 1.0)], &Cases::independent(10), 0.05).expect("a choice");
        assert_eq!((found.cases, found.share), (1, 1.0));
        assert!(found.interval[0] < 0.5, "one choice proves nothing: {:?}", found.interval);
        assert_eq!(preference(&[], &Cases::independent(10), 0.05), None);
        assert_eq!(preference(&[(12, 1.0)], &Cases::independent(10), 0.05), None);
    }
}
