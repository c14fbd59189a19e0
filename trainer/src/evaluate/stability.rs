//! Whether what says the same is answered the same: agreement inside clusters of paraphrases.

use rtune_metrics::compare::{Cases, agreement};
use rtune_metrics::text::{chrf, normalised};
use serde::Serialize;

/// Cases of a cluster whose texts are compared pair by pair: pairs grow with the square.
const MOST_COMPARED: usize = 32;

/// How alike the answers inside clusters are. Cases belong together where they have the same `cluster` and expect the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// Clusters of two cases or more.
    pub clusters: usize,
    /// Their cases.
    pub cases: usize,
    /// Part of the pairs that have the same label, or the same answer but for case, punctuation and spaces; the mean over clusters.
    pub same_answer: f64,
    /// Part of the pairs that both pass their checks or both fail them (without checks: are both right or both wrong).
    pub same_outcome: f64,
    /// chrF2 of the answers of pairs, each against the other, from 0 to 100; the mean over clusters.
    pub similarity: f64,
}

/// One answer in a cluster.
pub(super) struct Member<'a> {
    pub(super) cluster: Option<&'a str>,
    pub(super) expected: &'a str,
    pub(super) answer: &'a str,
    /// Which label the answer is, where the set has labels; `Some(None)` is none of them.
    pub(super) label: Option<Option<usize>>,
    pub(super) right: bool,
}

/// The figures; `None` where no two cases belong together.
pub(super) fn stability(members: &[Member<'_>]) -> Option<Stability> {
    let keys: Vec<Option<(&str, String)>> = members
        .iter()
        .map(|member| member.cluster.map(|cluster| (cluster, normalised(member.expected))))
        .collect();
    let cases = Cases::clustered(&keys);
    let several: Vec<&Vec<usize>> = cases.clusters().iter().filter(|cluster| cluster.len() > 1).collect();
    // An answer that is no label is the same as no other.
    let said: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(index, member)| match member.label {
            Some(Some(label)) => format!("label {label}"),
            Some(None) => format!("none {index}"),
            None => normalised(member.answer),
        })
        .collect();
    let outcomes: Vec<bool> = members.iter().map(|member| member.right).collect();
    let similarity = several.iter().map(|cluster| similarity(cluster, members)).sum::<f64>();
    Some(Stability {
        clusters: several.len(),
        cases: several.iter().map(|cluster| cluster.len()).sum(),
        same_answer: agreement(&said, &cases)?,
        same_outcome: agreement(&outcomes, &cases)?,
        similarity: similarity / several.len().max(1) as f64,
    })
}

fn similarity(cluster: &[usize], members: &[Member<'_>]) -> f64 {
    let compared = &cluster[..cluster.len().min(MOST_COMPARED)];
    let (mut sum, mut pairs) = (0.0, 0_usize);
    for &one in compared {
        for &other in compared.iter().filter(|&&other| other != one) {
            sum += chrf::statistics(members[one].answer, members[other].answer).score();
            pairs += 1;
        }
    }
    sum / pairs.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member<'a>(cluster: Option<&'a str>, expected: &'a str, answer: &'a str, right: bool) -> Member<'a> {
        Member { cluster, expected, answer, label: None, right }
    }

    #[test]
    fn pairs_that_expect_the_same_are_compared() {
        let members = [
            member(Some("a"), "Yes.", "yes", true),
            member(Some("a"), "yes", "Yes!", false),
            member(Some("a"), "yes", "no", false),
            // The same source, another question.
            member(Some("a"), "Ulm", "Ulm", true),
            member(Some("b"), "x", "x", true),
            member(Some("b"), "x", "x", true),
            member(None, "x", "y", true),
        ];
        let found = stability(&members).expect("clusters");
        assert_eq!((found.clusters, found.cases), (2, 5));
        assert!((found.same_answer - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12, "{found:?}");
        assert!((found.same_outcome - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12, "{found:?}");
        assert!(found.similarity > 50.0 && found.similarity < 100.0, "{found:?}");
        assert_eq!(stability(&members[3..5]), None);
    }

    #[test]
    fn answers_that_are_no_label_are_not_the_same() {
        let of = |label| Member { label: Some(label), ..member(Some("a"), "ham", "?", false) };
        let found = stability(&[of(None), of(None)]).expect("a cluster");
        assert_eq!((found.same_answer, found.same_outcome), (0.0, 1.0));
        assert_eq!(stability(&[of(Some(1)), of(Some(1))]).map(|found| found.same_answer), Some(1.0));
    }
}
