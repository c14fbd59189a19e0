//! The figures of a model over a golden set by name, as a run is watched and its best checkpoint chosen by them.

use std::collections::BTreeMap;

use rtune_metrics::classify::ClassificationReport;
use rtune_metrics::compare::Better;

use super::golden::Summary;

/// The loss on the validation rows: what chooses where nothing else is named.
pub const VALIDATION_LOSS: &str = "validation-loss";

/// Every metric that has a name of its own.
pub const METRICS: &[(&str, Better)] = &[
    (VALIDATION_LOSS, Better::Lower),
    ("answer-nats", Better::Lower),
    ("checks", Better::Higher),
    ("exact-match", Better::Higher),
    ("normalised-match", Better::Higher),
    ("chrf", Better::Higher),
    ("bleu", Better::Higher),
    ("greedy-label", Better::Higher),
    ("greedy-macro-f1", Better::Higher),
    ("greedy-mcc", Better::Higher),
    ("likeliest-label", Better::Higher),
    ("likeliest-macro-f1", Better::Higher),
    ("likeliest-mcc", Better::Higher),
];

/// What stands before a label in the name of that label's metric.
const OF_A_LABEL: [&str; 6] =
    ["f1-", "precision-", "recall-", "likeliest-f1-", "likeliest-precision-", "likeliest-recall-"];

/// Whether more or less of the metric `name` is better; `None` where there is no such metric.
pub fn better(name: &str) -> Option<Better> {
    let of_a_label = || OF_A_LABEL.iter().any(|begin| name.len() > begin.len() && name.starts_with(begin));
    let named = METRICS.iter().find(|(known, _)| *known == name).map(|(_, better)| *better);
    named.or_else(|| of_a_label().then_some(Better::Higher))
}

/// The names of all metrics, for people.
pub fn names() -> String {
    let own = METRICS.iter().map(|(name, _)| (*name).to_owned());
    own.chain(OF_A_LABEL.map(|begin| format!("{begin}LABEL"))).collect::<Vec<_>>().join(", ")
}

/// The metrics of golden rows, some of them with checks, and with these labels.
pub fn available(has_checks: bool, labels: Option<&[String]>) -> Vec<String> {
    let is_of_labels = |name: &str| name.starts_with("greedy-") || name.starts_with("likeliest-");
    let named = METRICS.iter().map(|(name, _)| *name).filter(|name| {
        *name != VALIDATION_LOSS
            && (has_checks || *name != "checks")
            && (labels.is_some() || !is_of_labels(name))
    });
    let of_labels =
        labels.unwrap_or_default().iter().flat_map(|label| OF_A_LABEL.map(|begin| format!("{begin}{label}")));
    named.map(str::to_owned).chain(of_labels).collect()
}

/// The figures of a model over all cases, by name.
pub fn figures(summary: &Summary) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    add("answer-nats", summary.answer_perplexity.ln());
    add("exact-match", summary.exact_match);
    add("normalised-match", summary.normalised_match);
    add("chrf", summary.chrf);
    add("bleu", summary.bleu);
    if let Some(share) = summary.checks_passed {
        add("checks", share);
    }
    if let Some(of) = &summary.classification {
        of_labels(&mut figures, "greedy-", "", &of.greedy.report);
        of_labels(&mut figures, "likeliest-", "likeliest-", &of.scored.report);
    }
    figures
}

fn of_labels(
    figures: &mut BTreeMap<String, f64>,
    begin: &str,
    begin_label: &str,
    report: &ClassificationReport,
) {
    figures.insert(format!("{begin}label"), report.accuracy);
    figures.insert(format!("{begin}macro-f1"), report.macro_averages.f1);
    figures.insert(format!("{begin}mcc"), report.mcc);
    for class in &report.classes {
        for (name, value) in [("f1", class.f1), ("precision", class.precision), ("recall", class.recall)] {
            figures.insert(format!("{begin_label}{name}-{}", class.label), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_know_what_is_better() {
        assert_eq!(better("validation-loss"), Some(Better::Lower));
        assert_eq!(better("chrf"), Some(Better::Higher));
        assert_eq!(better("f1-spam"), Some(Better::Higher));
        assert_eq!(better("likeliest-recall-a b"), Some(Better::Higher));
        let labels = ["x".to_owned()];
        assert!(available(true, Some(&labels)).iter().all(|name| better(name).is_some()));
        let plain = ["answer-nats", "exact-match", "normalised-match", "chrf", "bleu"];
        assert_eq!(available(false, None), plain);
        assert_eq!((better("f1-"), better("rouge"), better("")), (None, None, None));
        assert!(names().ends_with(
            "chrf, bleu, greedy-label, greedy-macro-f1, greedy-mcc, likeliest-label, \
            likeliest-macro-f1, likeliest-mcc, f1-LABEL, precision-LABEL, recall-LABEL, likeliest-f1-LABEL, \
            likeliest-precision-LABEL, likeliest-recall-LABEL"
        ));
    }
}
