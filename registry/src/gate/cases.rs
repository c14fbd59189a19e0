//! Which cases speak against a candidate.

use std::collections::HashMap;

use rtune_trainer::evaluate::by_name::TEXT_BITS_PER_BYTE;
use rtune_trainer::evaluate::golden::{Case, Side};
use rtune_trainer::evaluate::plain::PlainText;

use super::{Asked, Model};

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
        // Of texts that ask nothing, and of no case.
        TEXT_BITS_PER_BYTE => None,
        _ if is_of_labels(metric) => right(side.normalised_match),
        _ => Some(side.chrf),
    }
}

fn is_of_labels(metric: &str) -> bool {
    ["greedy-", "likeliest-", "f1-", "precision-", "recall-"].iter().any(|begin| metric.starts_with(begin))
}

/// Every case that the metric says something of, with its slice and how good it is; of a metric of texts, every text.
fn good<'a>(model: &Model<'a>, metric: &str) -> Vec<(&'a str, Option<&'a str>, f64)> {
    let report = model.report;
    if metric == TEXT_BITS_PER_BYTE {
        let texts = report.texts.iter().flat_map(|texts| &texts.rows);
        let of_text = |text: &'a PlainText| {
            let nats_per_byte = model.side_of_text(text).nats / text.bytes.max(1) as f64;
            (text.id.as_str(), text.slice.as_deref(), -nats_per_byte)
        };
        return texts.map(of_text).collect();
    }
    let of_case = |case: &'a Case| {
        let goodness = goodness(metric, case, model.side(case))?;
        Some((case.id.as_str(), case.slice.as_deref(), goodness))
    };
    report.cases.iter().filter_map(of_case).collect()
}

impl Asked<'_> {
    /// The cases that the candidate answers worse than what is in use, by how much; those of one slice, if one is named.
    pub(super) fn lost(&self, metric: &str, slice: Option<&str>) -> Vec<String> {
        let before: HashMap<&str, f64> =
            good(&self.current, metric).into_iter().map(|(id, _, goodness)| (id, goodness)).collect();
        let now = good(&self.candidate, metric).into_iter();
        let lost = now.filter(|(_, of, _)| slice.is_none() || *of == slice).filter_map(|(id, _, now)| {
            let drop = before.get(id)? - now;
            (drop > 0.0).then(|| (drop, id.to_owned()))
        });
        worst_first(lost)
    }

    /// The cases that keep the candidate from a better value.
    pub(super) fn poor(&self, metric: &str) -> Vec<String> {
        let values = good(&self.candidate, metric).into_iter();
        let values: Vec<(f64, String)> = values.map(|(id, _, goodness)| (-goodness, id.to_owned())).collect();
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
