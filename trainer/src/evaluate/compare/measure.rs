//! What two models can be compared by.

use std::ops::AddAssign;

use rtune_metrics::classify::{Confusion, LabelSet};
use rtune_metrics::compare::{
    Better, CompareError, Comparison, Labels, Means, Ratio, Settings, Summed, compare, compare_by_slice,
    compare_outcomes, compare_outcomes_by_slice, slices,
};
use rtune_metrics::text::rouge::RougeScores;
use rtune_metrics::text::{bleu, chrf, rouge, ter};

use super::report::{ReportCase, ReportSide};
use super::{Pairs, not_comparable};
use crate::error::TrainerError;
use crate::evaluate::labels::likeliest;

/// Metrics that are compared only where they are asked for.
const ON_DEMAND: [&str; 10] = [
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
];

/// One metric of both models.
pub(super) struct Measure {
    pub(super) name: String,
    better: Better,
    pub(super) scores: Scores,
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
    /// The F1 of a class, of the greedy answers.
    F1(usize),
}

impl Pairs {
    pub(super) fn outcomes(&self, name: &str, right: impl Fn(&ReportCase, &ReportSide) -> bool) -> Measure {
        let of = |sides: &[ReportSide]| -> Vec<bool> {
            self.cases.iter().zip(sides).map(|(case, side)| right(case, side)).collect()
        };
        let outcomes = [of(&self.sides[0]), of(&self.sides[1])];
        let equal = self.cases.iter().all(|case| case.weight == self.cases[0].weight);
        let scores = if equal { Scores::Outcomes(outcomes) } else { Scores::Weighted(outcomes) };
        Measure { name: name.to_owned(), better: Better::Higher, scores }
    }

    /// What these cases can be compared by, what decides first.
    pub(super) fn measures(&self, key_classes: &[String]) -> Result<Vec<Measure>, TrainerError> {
        let mut measures = Vec::new();
        if self.cases.iter().any(|case| case.checks > 0) {
            measures.push(self.outcomes("checks", |_, side| side.failed_checks.is_empty()));
        }
        if let Some(labels) = &self.labels {
            let gold = |case: &ReportCase| case.expected.first().and_then(|answer| labels.parse(answer));
            measures.push(self.outcomes("greedy-label", |case, side| {
                gold(case).is_some() && labels.parse(&side.answer) == gold(case)
            }));
            if self.sides.iter().flatten().all(|side| side.label_nats.is_some()) {
                measures.push(self.outcomes("likeliest-label", |case, side| {
                    side.label_nats.as_ref().map(|nats| likeliest(nats)) == gold(case)
                }));
            }
            for key in key_classes {
                let class = labels.names().iter().position(|name| name == key);
                let class = class.ok_or_else(|| {
                    not_comparable(format!("no label `{key}`; expected one of {}", labels.names().join(", ")))
                })?;
                measures.push(Measure {
                    name: format!("f1-{key}"),
                    better: Better::Higher,
                    scores: Scores::F1(class),
                });
            }
        } else if let Some(key) = key_classes.first() {
            return Err(not_comparable(format!(
                "`{key}` is a label, and the cases were evaluated without labels"
            )));
        }
        let plain = |name: &str, better, scores| Measure { name: name.to_owned(), better, scores };
        measures.push(plain("chrf", Better::Higher, Scores::Chrf(chrf::Kind::Plain)));
        measures.push(plain("bleu", Better::Higher, Scores::Bleu));
        measures.push(self.outcomes("exact-match", |_, side| side.exact_match));
        measures.push(self.outcomes("normalised-match", |_, side| side.normalised_match));
        let nats =
            |_: &ReportCase, side: &ReportSide| Some(Ratio { over: side.nats, under: side.tokens as f64 });
        measures.extend(self.ratios("answer-nats", Better::Lower, nats));
        Ok(measures)
    }

    /// The metric `name`, where it is one that is compared only if it is asked for and these cases have what it takes.
    pub(super) fn on_demand(&self, name: &str) -> Option<Measure> {
        let plain = |better, scores| Some(Measure { name: name.to_owned(), better, scores });
        let rouge = |of: fn(&RougeScores) -> f64| {
            self.ratios(name, Better::Higher, |case, side| {
                let turns = case.turns(side);
                let f1 = |(answer, references): &(&str, Vec<&str>)| {
                    of(&rouge::scores_of_best(answer, references, false))
                };
                Some(Ratio { over: turns.iter().map(f1).sum(), under: turns.len() as f64 })
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
            "field-f1" => self.of_some(name, |side| {
                let fields = side.extracted.as_ref()?.fields.as_ref()?.all;
                Some(Ratio {
                    over: 2.0 * fields.right as f64,
                    under: (fields.found + fields.expected) as f64,
                })
            }),
            "grounded" => self.of_some(name, |side| {
                Some(Ratio { over: f64::from(u8::from(side.is_grounded()?)), under: 1.0 })
            }),
            _ => None,
        }
    }

    /// A quotient over those cases that have it; `None` where none has.
    fn of_some(&self, name: &str, of: impl Fn(&ReportSide) -> Option<Ratio>) -> Option<Measure> {
        let any = self.sides[0].iter().any(|side| of(side).is_some());
        any.then(|| self.ratios(name, Better::Higher, |_, side| Some(of(side).unwrap_or_default())))?
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

    fn per_case<S>(&self, of: impl Fn(&ReportCase, &ReportSide) -> S) -> [Vec<S>; 2] {
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
        let scores = Scores::Ratios([whole(first)?, whole(second)?]);
        Some(Measure { name: name.to_owned(), better, scores })
    }

    /// Expected and greedy labels of both models.
    fn labelled(&self) -> [Vec<(usize, Option<usize>)>; 2] {
        let parse = |text: &str| self.labels.as_ref().and_then(|labels| labels.parse(text));
        self.sides.each_ref().map(|sides| {
            let pairs = self.cases.iter().zip(sides);
            pairs
                .map(|(case, side)| {
                    let gold = case.expected.first().and_then(|answer| parse(answer));
                    (gold.unwrap_or_default(), parse(&side.answer))
                })
                .collect()
        })
    }
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
            Scores::F1(class) => {
                let (classes, class) = (pairs.labels.as_ref().map_or(0, LabelSet::len), *class);
                let f1 = move |confusion: &Confusion| confusion.f_beta(class, 1.0);
                $with(&pairs.labelled().map(|all| Labels::new(classes, all, f1)))
            }
        }
    }};
}

impl Measure {
    pub(super) fn compared(&self, pairs: &Pairs, settings: &Settings) -> Result<Comparison, CompareError> {
        if let Scores::Outcomes([first, second]) = &self.scores {
            return compare_outcomes(&self.name, first, second, &pairs.clusters, settings);
        }
        with_metrics!(&self.scores, pairs, |[first, second]: &[_; 2]| {
            compare(&self.name, self.better, first, second, &pairs.clusters, settings)
        })
    }

    pub(super) fn by_slice(
        &self,
        pairs: &Pairs,
        settings: &Settings,
    ) -> Result<Vec<Comparison>, CompareError> {
        let names: Vec<Option<&str>> = pairs.cases.iter().map(|case| case.slice.as_deref()).collect();
        let slices = slices(&names);
        if let Scores::Outcomes([first, second]) = &self.scores {
            return compare_outcomes_by_slice(
                &self.name,
                (first, second),
                &pairs.clusters,
                &slices,
                settings,
            );
        }
        with_metrics!(&self.scores, pairs, |[first, second]: &[_; 2]| {
            compare_by_slice(&self.name, self.better, (first, second), &pairs.clusters, &slices, settings)
        })
    }
}
