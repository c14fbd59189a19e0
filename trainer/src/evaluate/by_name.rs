//! The figures of a model over a golden set by name, as a run is watched and its best checkpoint chosen by them.

use std::collections::BTreeMap;

use rtune_metrics::classify::ClassificationReport;
use rtune_metrics::compare::Better;

use super::golden::{Likely, Summary};

/// The loss on the validation rows: what chooses where nothing else is named.
pub const VALIDATION_LOSS: &str = "validation-loss";

/// Of texts that ask nothing.
pub const TEXT_BITS_PER_BYTE: &str = "text-bits-per-byte";

/// Every metric that has a name of its own.
pub const METRICS: &[(&str, Better)] = &[
    (VALIDATION_LOSS, Better::Lower),
    ("answer-nats", Better::Lower),
    ("bits-per-byte", Better::Lower),
    ("token-accuracy", Better::Higher),
    ("checks", Better::Higher),
    ("field-f1", Better::Higher),
    ("hallucination-rate", Better::Lower),
    ("tool-calls", Better::Higher),
    (TEXT_BITS_PER_BYTE, Better::Lower),
    ("exact-match", Better::Higher),
    ("normalised-match", Better::Higher),
    ("chrf", Better::Higher),
    ("chrf++", Better::Higher),
    ("bleu", Better::Higher),
    ("ter", Better::Lower),
    ("rouge-1", Better::Higher),
    ("rouge-2", Better::Higher),
    ("rouge-l", Better::Higher),
    ("ended", Better::Higher),
    ("greedy-label", Better::Higher),
    ("greedy-balanced-accuracy", Better::Higher),
    ("greedy-macro-f1", Better::Higher),
    ("greedy-mcc", Better::Higher),
    ("greedy-kappa", Better::Higher),
    ("likeliest-label", Better::Higher),
    ("likeliest-balanced-accuracy", Better::Higher),
    ("likeliest-macro-f1", Better::Higher),
    ("likeliest-mcc", Better::Higher),
    ("likeliest-kappa", Better::Higher),
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

/// What some golden rows have that others may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Has {
    /// Checks.
    pub checks: bool,
    /// Fields that an answer in JSON is to have.
    pub fields: bool,
    /// A context that answers are held against.
    pub contexts: bool,
    /// Calls of tools.
    pub calls: bool,
    /// Texts that ask nothing.
    pub texts: bool,
    /// Nothing but such texts.
    pub only_texts: bool,
}

/// The metrics of golden rows of which some have this, and with these labels.
pub fn available(has: Has, labels: Option<&[String]>) -> Vec<String> {
    let named = METRICS.iter().map(|(name, _)| *name).filter(|name| match *name {
        VALIDATION_LOSS => false,
        TEXT_BITS_PER_BYTE => has.texts,
        _ if has.only_texts => false,
        "checks" => has.checks,
        "tool-calls" => has.calls,
        "field-f1" => has.fields,
        "hallucination-rate" => has.contexts,
        name => labels.is_some() || !(name.starts_with("greedy-") || name.starts_with("likeliest-")),
    });
    let of_labels =
        labels.unwrap_or_default().iter().flat_map(|label| OF_A_LABEL.map(|begin| format!("{begin}{label}")));
    named.map(str::to_owned).chain(of_labels).collect()
}

/// The figures of a model by name: over all cases, where `summary` is of some, and over the texts that ask nothing, where there are any.
pub fn figures(summary: Option<&Summary>, texts: Option<&Likely>) -> BTreeMap<String, f64> {
    let mut figures = summary.map(of_cases).unwrap_or_default();
    if let Some(texts) = texts {
        figures.insert(TEXT_BITS_PER_BYTE.to_owned(), texts.bits_per_byte);
    }
    figures
}

fn of_cases(summary: &Summary) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    // Not by the perplexity, which has an end.
    add("answer-nats", summary.answers.nats / summary.answers.tokens as f64);
    add("bits-per-byte", summary.answers.bits_per_byte);
    add("token-accuracy", summary.answers.token_accuracy);
    add("exact-match", summary.exact_match);
    add("normalised-match", summary.normalised_match);
    add("chrf", summary.chrf);
    add("chrf++", summary.chrf_plus_plus);
    add("bleu", summary.bleu);
    add("ter", summary.ter);
    add("rouge-1", summary.rouge.rouge1);
    add("rouge-2", summary.rouge.rouge2);
    add("rouge-l", summary.rouge.rouge_l);
    add("ended", summary.ended);
    if let Some(share) = summary.checks_passed {
        add("checks", share);
    }
    if let Some(fields) = summary.extraction.as_ref().and_then(|extraction| extraction.fields.as_ref()) {
        add("field-f1", fields.f1);
    }
    if let Some(grounding) = &summary.groundedness {
        add("hallucination-rate", grounding.hallucination_rate);
    }
    if let Some(calls) = summary.tool_calls.as_ref().filter(|calls| calls.cases > 0) {
        add("tool-calls", calls.right);
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
    figures.insert(format!("{begin}balanced-accuracy"), report.balanced_accuracy);
    figures.insert(format!("{begin}macro-f1"), report.macro_averages.f1);
    figures.insert(format!("{begin}mcc"), report.mcc);
    figures.insert(format!("{begin}kappa"), report.kappa);
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
        assert_eq!((better("ter"), better("hallucination-rate")), (Some(Better::Lower), Some(Better::Lower)));
        let has =
            Has { checks: true, fields: true, contexts: true, calls: true, texts: true, only_texts: false };
        let all = available(has, Some(&labels));
        assert!(all.iter().all(|name| better(name).is_some()));
        assert_eq!(all.len(), METRICS.len() - 1 + OF_A_LABEL.len());
        let plain = [
            "answer-nats",
            "bits-per-byte",
            "token-accuracy",
            "exact-match",
            "normalised-match",
            "chrf",
            "chrf++",
            "bleu",
            "ter",
            "rouge-1",
            "rouge-2",
            "rouge-l",
            "ended",
        ];
        assert_eq!(available(Has::default(), None), plain);
        let texts = Has { texts: true, only_texts: true, ..Has::default() };
        assert_eq!(available(texts, None), ["text-bits-per-byte"]);
        assert_eq!((better("f1-"), better("rouge"), better("")), (None, None, None));
        assert!(names().ends_with(
            "likeliest-mcc, likeliest-kappa, f1-LABEL, precision-LABEL, recall-LABEL, likeliest-f1-LABEL, \
            likeliest-precision-LABEL, likeliest-recall-LABEL"
        ));
    }
}
