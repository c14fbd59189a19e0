//! What two models can be compared by.

use std::ops::AddAssign;

use rtune_metrics::classify::{Confusion, LabelSet};
use rtune_metrics::compare::{
    Better, Cases, CompareError, Comparison, Labels, Means, Ratio, Settings, Summed, compare,
    compare_by_slice, compare_outcomes, compare_outcomes_by_slice, slices,
};
use rtune_metrics::text::rouge::RougeScores;
use rtune_metrics::text::{bleu, chrf, rouge, ter};

use super::report::{ReportCase, ReportSide};
use super::{Pairs, not_comparable};
use crate::error::TrainerError;
use crate::evaluate::by_name::TEXT_BITS_PER_BYTE;
use crate::evaluate::labels::likeliest;

/// Metrics that are compared only where they are asked for.
const ON_DEMAND: [&str; 17] = [
    "chrf++",
    "ter",
    "rouge-1",
    "rouge-2",
    "rouge-l",
    "rouge-lsum",
    "token-accuracy",
    "bits-per-byte",
    "field-f1",
    "grounded",
    "bert-score",
    "relevancy",
    "judge",
    "greedy-macro-f1",
    "greedy-mcc",
    "likeliest-macro-f1",
    "likeliest-mcc",
];

/// Metrics that are compared wherever the cases have them.
const ALWAYS: [&str; 10] = [
    "checks",
    "tool-calls",
    "greedy-label",
    "likeliest-label",
    "chrf",
    "bleu",
    "exact-match",
    "normalised-match",
    "answer-nats",
    TEXT_BITS_PER_BYTE,
];

/// Whether two models can be compared by a metric of this name, if their cases have it.
#[must_use]
pub fn is_metric(name: &str) -> bool {
    let is_of_a_label = name.strip_prefix("f1-").is_some_and(|label| !label.is_empty());
    is_of_a_label || ALWAYS.contains(&name) || ON_DEMAND.contains(&name)
}

/// One metric of both models.
pub(super) struct Measure {
    pub(super) name: String,
    better: Better,
    pub(super) scores: Scores,
    /// The cases that have it, in their clusters.
    pub(super) cases: Cases,
}

/// What of a confusion matrix is a score.
#[derive(Clone, Copy)]
pub(super) enum OfLabels {
    F1(usize),
    MacroF1,
    Mcc,
}

impl OfLabels {
    fn of(self, confusion: &Confusion) -> f64 {
        match self {
            Self::F1(class) => confusion.f_beta(class, 1.0),
            Self::MacroF1 => confusion.macro_f_beta(1.0),
            Self::Mcc => confusion.mcc(),
        }
    }
}

/// How an answer is read as a label.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Greedy,
    Likeliest,
}

pub(super) enum Scores {
    /// Right or wrong.
    Outcomes([Vec<bool>; 2]),
    /// The same, where cases do not weigh the same.
    Weighted([Vec<bool>; 2]),
    Chrf(chrf::Kind),
    Bleu,
    Ter,
    /// A quotient of sums over cases.
    Ratios([Vec<Ratio>; 2]),
    /// Of labels.
    Labels(Reading, OfLabels),
}

impl Pairs {
    pub(super) fn outcomes(&self, name: &str, right: impl Fn(&ReportCase, &ReportSide) -> bool) -> Measure {
        self.outcomes_among(name, |_| true, right)
    }

    /// Right or wrong, of those cases that `has` names, each by its weight.
    fn outcomes_among(
        &self,
        name: &str,
        has: impl Fn(&ReportCase) -> bool,
        right: impl Fn(&ReportCase, &ReportSide) -> bool,
    ) -> Measure {
        let members: Vec<usize> = (0..self.cases.len()).filter(|&index| has(&self.cases[index])).collect();
        let mut weights = members.iter().map(|&index| self.cases[index].weight);
        let first = weights.next();
        let equal = weights.all(|weight| Some(weight) == first);
        let outcomes = self.per_case(right);
        let scores = if equal { Scores::Outcomes(outcomes) } else { Scores::Weighted(outcomes) };
        let cases = self.clusters.among(&members);
        Measure { name: name.to_owned(), better: Better::Higher, scores, cases }
    }

    /// Right or wrong as a label: counted, as a confusion matrix counts, whatever a case weighs.
    fn label_outcomes(&self, name: &str, reading: Reading, labels: &LabelSet) -> Measure {
        let outcomes = self.per_case(|case, side| {
            let gold = gold(labels, case);
            gold.is_some() && reading.label(labels, side) == gold
        });
        self.plain(name, Better::Higher, Scores::Outcomes(outcomes))
    }

    /// Of all cases.
    fn plain(&self, name: &str, better: Better, scores: Scores) -> Measure {
        Measure { name: name.to_owned(), better, scores, cases: self.clusters.clone() }
    }

    /// What these cases can be compared by, what decides first.
    pub(super) fn measures(&self, key_classes: &[String]) -> Result<Vec<Measure>, TrainerError> {
        let mut measures = Vec::new();
        if self.cases.iter().any(|case| case.checks > 0) {
            let passes = |_: &ReportCase, side: &ReportSide| side.failed_checks.is_empty();
            measures.push(self.outcomes_among("checks", |case| case.checks > 0, passes));
        }
        // An older report says nothing of calls.
        let read =
            self.cases.iter().zip(&self.sides[0]).zip(&self.sides[1]).all(|((case, one), other)| {
                !case.calls() || (one.called.is_some() && other.called.is_some())
            });
        if read && self.cases.iter().any(ReportCase::calls) {
            let right =
                |_: &ReportCase, side: &ReportSide| side.called.as_ref().is_some_and(|called| called.right);
            measures.push(self.outcomes_among("tool-calls", ReportCase::calls, right));
        }
        if let Some(labels) = &self.labels {
            measures.push(self.label_outcomes("greedy-label", Reading::Greedy, labels));
            if self.has_likeliest() {
                measures.push(self.label_outcomes("likeliest-label", Reading::Likeliest, labels));
            }
            for key in key_classes {
                let class = labels.names().iter().position(|name| name == key);
                let class = class.ok_or_else(|| {
                    not_comparable(format!("no label `{key}`; expected one of {}", labels.names().join(", ")))
                })?;
                let scores = Scores::Labels(Reading::Greedy, OfLabels::F1(class));
                measures.push(self.plain(&format!("f1-{key}"), Better::Higher, scores));
            }
        } else if let Some(key) = key_classes.first() {
            return Err(not_comparable(format!(
                "`{key}` is a label, and the cases were evaluated without labels"
            )));
        }
        measures.push(self.plain("chrf", Better::Higher, Scores::Chrf(chrf::Kind::Plain)));
        measures.push(self.plain("bleu", Better::Higher, Scores::Bleu));
        measures.push(self.outcomes("exact-match", |_, side| side.exact_match));
        measures.push(self.outcomes("normalised-match", |_, side| side.normalised_match));
        let nats =
            |_: &ReportCase, side: &ReportSide| Some(Ratio { over: side.nats, under: side.tokens as f64 });
        measures.extend(self.ratios("answer-nats", Better::Lower, nats));
        Ok(measures)
    }

    /// The metric `name`, where it is one that is compared only if it is asked for and these cases have what it takes.
    pub(super) fn on_demand(&self, name: &str) -> Option<Measure> {
        let plain = |better, scores| Some(self.plain(name, better, scores));
        let labels = |reading, of| {
            let has = self.labels.is_some() && (reading == Reading::Greedy || self.has_likeliest());
            has.then(|| self.plain(name, Better::Higher, Scores::Labels(reading, of)))
        };
        // A mean over answers, each by the weight of its case.
        let mean = |value: fn(&ReportSide) -> Option<f64>| {
            self.of_some(name, |case, side| {
                let weight = case.weight * side.answers() as f64;
                Some(Ratio { over: weight * value(side)?, under: weight })
            })
        };
        let rouge = |of: fn(&RougeScores) -> f64| {
            self.ratios(name, Better::Higher, |case, side| {
                let turns = case.turns(side);
                let f1 = |(answer, references): &(&str, Vec<&str>)| {
                    of(&rouge::scores_of_best(answer, references, false))
                };
                let sum: f64 = turns.iter().map(f1).sum();
                Some(Ratio { over: case.weight * sum, under: case.weight * turns.len() as f64 })
            })
        };
        match name {
            "chrf++" => plain(Better::Higher, Scores::Chrf(chrf::Kind::PlusPlus)),
            "ter" => plain(Better::Lower, Scores::Ter),
            "rouge-1" => rouge(|scores| scores.rouge1.f1),
            "rouge-2" => rouge(|scores| scores.rouge2.f1),
            "rouge-l" => rouge(|scores| scores.rouge_l.f1),
            "rouge-lsum" => rouge(|scores| scores.rouge_lsum.f1),
            "token-accuracy" => self.ratios(name, Better::Higher, |_, side| {
                Some(Ratio { over: side.correct_tokens? as f64, under: side.tokens as f64 })
            }),
            "bits-per-byte" => self.ratios(name, Better::Lower, |_, side| {
                Some(Ratio { over: side.text_nats? / std::f64::consts::LN_2, under: side.text_bytes? as f64 })
            }),
            "field-f1" => self.of_some(name, |_, side| {
                let fields = side.extracted.as_ref()?.fields.as_ref()?.all;
                Some(Ratio {
                    over: 2.0 * fields.right as f64,
                    under: (fields.found + fields.expected) as f64,
                })
            }),
            "grounded" => self.of_some(name, |case, side| {
                let [supported, held] = side.grounded_answers()?.map(|count| case.weight * count as f64);
                Some(Ratio { over: supported, under: held })
            }),
            "bert-score" => mean(|side| Some(side.similarity.as_ref()?.bert_score.f1)),
            "relevancy" => mean(|side| Some(side.similarity.as_ref()?.relevancy)),
            "judge" => self.of_some(name, |case, side| {
                Some(Ratio { over: case.weight * side.judged?, under: case.weight })
            }),
            "greedy-macro-f1" => labels(Reading::Greedy, OfLabels::MacroF1),
            "greedy-mcc" => labels(Reading::Greedy, OfLabels::Mcc),
            "likeliest-macro-f1" => labels(Reading::Likeliest, OfLabels::MacroF1),
            "likeliest-mcc" => labels(Reading::Likeliest, OfLabels::Mcc),
            _ => None,
        }
    }

    /// A quotient over those cases that have it with both models; `None` where none has.
    fn of_some(&self, name: &str, of: impl Fn(&ReportCase, &ReportSide) -> Option<Ratio>) -> Option<Measure> {
        let has =
            |&index: &usize| self.sides.iter().all(|sides| of(&self.cases[index], &sides[index]).is_some());
        let members: Vec<usize> = (0..self.cases.len()).filter(has).collect();
        let cases = self.clusters.among(&members);
        let scores = self.per_case(|case, side| of(case, side).unwrap_or_default());
        let of_these = self.plain(name, Better::Higher, Scores::Ratios(scores));
        (!members.is_empty()).then_some(Measure { cases, ..of_these })
    }

    fn has_likeliest(&self) -> bool {
        self.sides.iter().flatten().all(|side| side.label_nats.is_some())
    }

    /// Those of [`Pairs::on_demand`] that these cases have.
    pub(super) fn named_on_demand(&self) -> Vec<&'static str> {
        ON_DEMAND.into_iter().filter(|name| self.on_demand(name).is_some()).collect()
    }

    fn weighted(&self, right: &[bool]) -> Means {
        let scores = right.iter().map(|&right| f64::from(u8::from(right))).collect();
        Means::weighted(scores, self.cases.iter().map(|case| case.weight).collect())
    }

    /// What `of` makes of each case's answers and references, summed over turns, for both models.
    fn both<S: Default + AddAssign>(&self, of: impl Fn(&str, &[&str]) -> S) -> [Vec<S>; 2] {
        self.per_case(|case, side| {
            let mut sum = S::default();
            for (answer, references) in case.turns(side) {
                sum += of(answer, &references);
            }
            sum
        })
    }

    pub(super) fn per_case<S>(&self, of: impl Fn(&ReportCase, &ReportSide) -> S) -> [Vec<S>; 2] {
        self.sides
            .each_ref()
            .map(|sides| self.cases.iter().zip(sides).map(|(case, side)| of(case, side)).collect())
    }

    /// A quotient of sums over cases; `None` where a case has not what it takes.
    fn ratios(
        &self,
        name: &str,
        better: Better,
        of: impl Fn(&ReportCase, &ReportSide) -> Option<Ratio>,
    ) -> Option<Measure> {
        let [first, second] = self.per_case(of);
        let whole = |all: Vec<Option<Ratio>>| all.into_iter().collect::<Option<Vec<Ratio>>>();
        Some(self.plain(name, better, Scores::Ratios([whole(first)?, whole(second)?])))
    }

    /// Expected and answered labels of both models.
    pub(super) fn labelled(&self, reading: Reading) -> [Vec<(usize, Option<usize>)>; 2] {
        let Some(labels) = &self.labels else { return [Vec::new(), Vec::new()] };
        self.per_case(|case, side| (gold(labels, case).unwrap_or_default(), reading.label(labels, side)))
    }
}

impl Reading {
    fn label(self, labels: &LabelSet, side: &ReportSide) -> Option<usize> {
        match self {
            Self::Greedy => labels.parse(&side.answer),
            Self::Likeliest => side.label_nats.as_ref().map(|nats| likeliest(nats)),
        }
    }
}

fn gold(labels: &LabelSet, case: &ReportCase) -> Option<usize> {
    case.expected.first().and_then(|answer| labels.parse(answer))
}

/// Calls `$with` with both models' metrics of the scores, whatever their type.
macro_rules! with_metrics {
    ($scores:expr, $pairs:expr, $with:expr) => {{
        let pairs = $pairs;
        match $scores {
            Scores::Outcomes(both) | Scores::Weighted(both) => {
                $with(&both.each_ref().map(|right| pairs.weighted(right)))
            }
            Scores::Chrf(kind) => {
                let kind = *kind;
                let best =
                    |answer: &str, references: &[&str]| chrf::statistics_of_best(answer, references, kind);
                let score = move |sum: &chrf::ChrfStatistics| sum.score_of(kind);
                $with(&pairs.both(best).map(|all| Summed::new(all, score)))
            }
            Scores::Bleu => {
                let of = pairs.both(bleu::statistics_of_all);
                $with(&of.map(|all| Summed::new(all, bleu::BleuStatistics::score)))
            }
            Scores::Ter => {
                let of = pairs.both(ter::statistics_of_all);
                $with(&of.map(|all| Summed::new(all, ter::TerStatistics::score)))
            }
            Scores::Ratios(both) => $with(&both.each_ref().map(|all| Summed::new(all.clone(), Ratio::value))),
            Scores::Labels(reading, of) => {
                let (classes, of) = (pairs.labels.as_ref().map_or(0, LabelSet::len), *of);
                let score = move |confusion: &Confusion| of.of(confusion);
                $with(&pairs.labelled(*reading).map(|all| Labels::new(classes, all, score)))
            }
        }
    }};
}

impl Measure {
    pub(super) fn compared(&self, pairs: &Pairs, settings: &Settings) -> Result<Comparison, CompareError> {
        if let Scores::Outcomes([first, second]) = &self.scores {
            return compare_outcomes(&self.name, first, second, &self.cases, settings);
        }
        let mut comparison = with_metrics!(&self.scores, pairs, |[first, second]: &[_; 2]| {
            compare(&self.name, self.better, first, second, &self.cases, settings)
        })?;
        self.widen(&mut comparison, pairs, &self.cases, settings);
        Ok(comparison)
    }

    pub(super) fn by_slice(
        &self,
        pairs: &Pairs,
        settings: &Settings,
    ) -> Result<Vec<Comparison>, CompareError> {
        let names: Vec<Option<&str>> = pairs.cases.iter().map(|case| case.slice.as_deref()).collect();
        let slices = slices(&names);
        if let Scores::Outcomes([first, second]) = &self.scores {
            return compare_outcomes_by_slice(&self.name, (first, second), &self.cases, &slices, settings);
        }
        let mut compared = with_metrics!(&self.scores, pairs, |[first, second]: &[_; 2]| {
            compare_by_slice(&self.name, self.better, (first, second), &self.cases, &slices, settings)
        })?;
        for one in &mut compared {
            let members = slices.iter().find(|(name, _)| one.slice.as_ref() == Some(name));
            if let Some((_, members)) = members {
                self.widen(one, pairs, &self.cases.among(members), settings);
            }
        }
        Ok(compared)
    }
}
