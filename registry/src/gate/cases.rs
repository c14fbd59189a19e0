//! Which cases speak against a candidate.

use rtune_trainer::evaluate::golden::{Case, Side};

use super::Asked;

/// How good an answer is by a metric, as far as one case can say; higher is better. A metric of labels is seen in whether the answer is
/// the expected one, every other metric of texts in chrF2.
fn goodness(metric: &str, case: &Case, side: &Side) -> Option<f64> {
    let right = |right: bool| Some(f64::from(u8::from(right)));
    match metric {
        "checks" if case.checks == 0 => None,
        "checks" => right(side.failed_checks.is_empty()),
        "tool-calls" => side.called.as_ref().and_then(|called| right(called.right)),
        "exact-match" => right(side.exact_match),
        "normalised-match" => right(side.normalised_match),
        "answer-nats" | "bits-per-byte" | "token-accuracy" => Some(-side.nats / side.tokens.max(1) as f64),
        "ended" => right(side.ended),
        "hallucination-rate" | "grounded" => {
            side.grounded.as_ref().map(|grounded| -(grounded.unsupported.len() as f64))
        }
        _ if is_of_labels(metric) => right(side.normalised_match),
        _ => Some(side.chrf),
    }
}

fn is_of_labels(metric: &str) -> bool {
    ["greedy-", "likeliest-", "f1-", "precision-", "recall-"].iter().any(|begin| metric.starts_with(begin))
}

impl Asked<'_> {
    /// The cases that the candidate answers worse than what is in use, by how much; those of one slice, if one is named.
    pub(super) fn lost(&self, metric: &str, slice: Option<&str>) -> Vec<String> {
        let before: std::collections::HashMap<&str, f64> = self
            .current
            .report
            .cases
            .iter()
            .filter_map(|case| Some((case.id.as_str(), goodness(metric, case, self.current.side(case))?)))
            .collect();
        let cases = self
            .candidate
            .report
            .cases
            .iter()
            .filter(|case| slice.is_none() || case.slice.as_deref() == slice);
        let lost = cases.filter_map(|case| {
            let now = goodness(metric, case, self.candidate.side(case))?;
            let drop = before.get(case.id.as_str())? - now;
            (drop > 0.0).then_some((drop, case.id.clone()))
        });
        worst_first(lost)
    }

    /// The cases that keep the candidate from a better value.
    pub(super) fn poor(&self, metric: &str) -> Vec<String> {
        let cases = self.candidate.report.cases.iter();
        let values: Vec<(f64, String)> = cases
            .filter_map(|case| Some((-goodness(metric, case, self.candidate.side(case))?, case.id.clone())))
            .collect();
        let best = values.iter().map(|(badness, _)| *badness).fold(f64::INFINITY, f64::min);
        let all_alike = values.iter().all(|(badness, _)| *badness == best);
        worst_first(values.into_iter().filter(|(badness, _)| all_alike || *badness > best))
    }
}

/// In the order of the cases where they are equally bad.
fn worst_first(cases: impl Iterator<Item = (f64, String)>) -> Vec<String> {
    let mut cases: Vec<(f64, String)> = cases.collect();
    cases.sort_by(|one, other| other.0.total_cmp(&one.0));
    cases.into_iter().map(|(_, id)| id).collect()
}
