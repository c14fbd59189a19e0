//! Two models on the same golden cases: metric by metric, from the reports of their evaluations.

use std::collections::HashMap;
use std::path::Path;

use rtune_metrics::classify::{Confusion, LabelSet};
use rtune_metrics::compare::{
    Better, Cases, CompareError, Comparison, Labels, Means, Ratio, Settings, Summed, compare,
    compare_by_slice, compare_outcomes, compare_outcomes_by_slice, judge_together, slices,
};
use rtune_metrics::text::{bleu, chrf};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::labels::likeliest;
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;

/// Larger reports are none.
const MOST_BYTES: u64 = 1 << 32;

/// What of a golden report is compared.
#[derive(Clone, Debug, Deserialize)]
struct Report {
    format: u64,
    labels: Option<Vec<String>>,
    cases: Vec<ReportCase>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportCase {
    id: String,
    prompt: Vec<Value>,
    expected: Vec<String>,
    slice: Option<String>,
    cluster: Option<String>,
    weight: f64,
    checks: usize,
    base: ReportSide,
    tuned: Option<ReportSide>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportSide {
    answer: String,
    exact_match: bool,
    normalised_match: bool,
    failed_checks: Vec<String>,
    nats: f64,
    tokens: u64,
    label_nats: Option<Vec<f64>>,
}

/// Which model of a report is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The base.
    Base,
    /// The tuned model.
    Tuned,
    /// The tuned model, or the base where there is none.
    Best,
}

/// A case that only one of the two has right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The case.
    pub id: String,
    /// Whether the second model has it right.
    pub gained: bool,
    /// What was asked last.
    pub asked: String,
    /// What was expected.
    pub expected: Vec<String>,
    /// The first model's answer.
    pub first: String,
    /// The second model's answer.
    pub second: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// [`FORMAT`].
    pub format: u64,
    /// Metric by metric over all cases, corrected for their number together; the first is the one that decides.
    pub metrics: Vec<Comparison>,
    /// The deciding metric by slice, where cases are in slices, corrected for their number.
    pub slices: Vec<Comparison>,
    /// Cases that changed, by the deciding metric where that is right or wrong, else by exact match.
    pub flips: Vec<Flip>,
    /// What was asked of the comparison.
    pub settings: Settings,
}

/// Compares `second` with `first`. `decides` names the metric that decides; `None` takes checks where there are any, else labels,
/// else chrF. `key_classes` are labels whose F1 is compared, too.
///
/// # Errors
/// [`TrainerError::Unreadable`] for a file that is no golden report, [`TrainerError::NotComparable`] for two that have not the same
/// cases.
pub fn compare_reports(
    first: (&Path, Which),
    second: (&Path, Which),
    decides: Option<&str>,
    key_classes: &[String],
    settings: &Settings,
) -> Result<Compared, TrainerError> {
    let pairs = Pairs::new(read(first.0)?, first.1, read(second.0)?, second.1)?;
    let mut measures = pairs.measures(key_classes)?;
    if let Some(name) = decides {
        let at = measures.iter().position(|measure| measure.name == name).ok_or_else(|| {
            let known: Vec<&str> = measures.iter().map(|measure| measure.name.as_str()).collect();
            not_comparable(format!("no metric `{name}`; these cases have {}", known.join(", ")))
        })?;
        let chosen = measures.remove(at);
        measures.insert(0, chosen);
    }
    let failed = |error: CompareError| not_comparable(error.to_string());
    let mut metrics = Vec::with_capacity(measures.len());
    for measure in &measures {
        metrics.push(measure.compared(&pairs, settings).map_err(failed)?);
    }
    judge_together(&mut metrics, settings);
    let slices = match measures.first() {
        Some(measure) => measure.by_slice(&pairs, settings).map_err(failed)?,
        None => Vec::new(),
    };
    let flips = pairs.flips(measures.first());
    Ok(Compared { format: FORMAT, metrics, slices, flips, settings: *settings })
}

fn not_comparable(problem: String) -> TrainerError {
    TrainerError::NotComparable { problem }
}

fn read(path: &Path) -> Result<Report, TrainerError> {
    let problem = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let file = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
    if file.len() > MOST_BYTES {
        return Err(problem(format!("expected a golden report, found {} GiB", file.len() >> 30)));
    }
    let text = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let report: Report = serde_json::from_slice(&text)
        .map_err(|error| problem(format!("not a report of `rtune eval`: {error}")))?;
    match report.format {
        FORMAT => Ok(report),
        format => Err(problem(format!("expected format {FORMAT}, found {format}"))),
    }
}

/// The same cases under two models.
struct Pairs {
    cases: Vec<ReportCase>,
    sides: [Vec<ReportSide>; 2],
    labels: Option<LabelSet>,
    clusters: Cases,
}

/// One metric of both models.
struct Measure {
    name: String,
    better: Better,
    scores: Scores,
}

enum Scores {
    /// Right or wrong.
    Outcomes([Vec<bool>; 2]),
    /// The same, where cases do not weigh the same.
    Weighted([Vec<bool>; 2]),
    Chrf,
    Bleu,
    /// Nats a token of the expected answers.
    Nats,
    /// The F1 of a class, of the greedy answers.
    F1(usize),
}

impl Pairs {
    fn new(first: Report, which: Which, second: Report, other: Which) -> Result<Self, TrainerError> {
        if first.labels != second.labels {
            return Err(not_comparable("one was evaluated with other labels than the other".to_owned()));
        }
        for (report, which) in [(&first, which), (&second, other)] {
            if which == Which::Tuned && report.cases.iter().any(|case| case.tuned.is_none()) {
                return Err(not_comparable("there is no tuned model beside the base".to_owned()));
            }
        }
        let mut others: HashMap<&str, &ReportCase> =
            second.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let (mut sides, mut missing) = ([Vec::new(), Vec::new()], 0_usize);
        for case in &first.cases {
            match others.remove(case.id.as_str()) {
                Some(found) if found.expected == case.expected && found.prompt == case.prompt => {
                    sides[0].push(case.side(which));
                    sides[1].push(found.side(other));
                }
                _ => missing += 1,
            }
        }
        if missing + others.len() > 0 {
            let problem = format!(
                "{missing} of the {} cases of the first are not in the second, and {} of the {} the other way round",
                first.cases.len(),
                others.len(),
                second.cases.len()
            );
            return Err(not_comparable(problem));
        }
        let labels = first.labels.map(LabelSet::new).transpose();
        let labels = labels.map_err(|error| not_comparable(error.to_string()))?;
        let keys: Vec<Option<&str>> = first.cases.iter().map(|case| case.cluster.as_deref()).collect();
        Ok(Self { clusters: Cases::clustered(&keys), cases: first.cases, sides, labels })
    }

    fn outcomes(&self, name: &str, right: impl Fn(&ReportCase, &ReportSide) -> bool) -> Measure {
        let of = |sides: &[ReportSide]| -> Vec<bool> {
            self.cases.iter().zip(sides).map(|(case, side)| right(case, side)).collect()
        };
        let outcomes = [of(&self.sides[0]), of(&self.sides[1])];
        let equal = self.cases.iter().all(|case| case.weight == self.cases[0].weight);
        let scores = if equal { Scores::Outcomes(outcomes) } else { Scores::Weighted(outcomes) };
        Measure { name: name.to_owned(), better: Better::Higher, scores }
    }

    /// What these cases can be compared by, what decides first.
    fn measures(&self, key_classes: &[String]) -> Result<Vec<Measure>, TrainerError> {
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
        measures.push(plain("chrf", Better::Higher, Scores::Chrf));
        measures.push(plain("bleu", Better::Higher, Scores::Bleu));
        measures.push(self.outcomes("exact-match", |_, side| side.exact_match));
        measures.push(self.outcomes("normalised-match", |_, side| side.normalised_match));
        measures.push(plain("answer-nats", Better::Lower, Scores::Nats));
        Ok(measures)
    }

    fn flips(&self, decides: Option<&Measure>) -> Vec<Flip> {
        let exact = self.outcomes("exact-match", |_, side| side.exact_match);
        let is_outcome =
            |measure: &&Measure| matches!(measure.scores, Scores::Outcomes(_) | Scores::Weighted(_));
        let (Scores::Outcomes([first, second]) | Scores::Weighted([first, second])) =
            &decides.filter(is_outcome).unwrap_or(&exact).scores
        else {
            return Vec::new();
        };
        let changed = (0..self.cases.len()).filter(|&index| first[index] != second[index]);
        changed
            .map(|index| {
                let case = &self.cases[index];
                let asked = case.prompt.last().and_then(|message| message["content"].as_str());
                Flip {
                    id: case.id.clone(),
                    gained: second[index],
                    asked: asked.unwrap_or_default().to_owned(),
                    expected: case.expected.clone(),
                    first: self.sides[0][index].answer.clone(),
                    second: self.sides[1][index].answer.clone(),
                }
            })
            .collect()
    }

    fn weighted(&self, right: &[bool]) -> Means {
        let scores = right.iter().map(|&right| f64::from(u8::from(right))).collect();
        Means::weighted(scores, self.cases.iter().map(|case| case.weight).collect())
    }

    /// What `of` makes of each case's answer and references, for both models.
    fn both<S>(&self, of: impl Fn(&str, &[&str]) -> S) -> [Vec<S>; 2] {
        self.sides.each_ref().map(|sides| {
            let pairs = self.cases.iter().zip(sides);
            pairs
                .map(|(case, side)| {
                    let references: Vec<&str> = case.expected.iter().map(String::as_str).collect();
                    of(&side.answer, &references)
                })
                .collect()
        })
    }

    fn nats(&self) -> [Vec<Ratio>; 2] {
        let ratio = |side: &ReportSide| Ratio { over: side.nats, under: side.tokens as f64 };
        self.sides.each_ref().map(|sides| sides.iter().map(ratio).collect())
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

impl ReportCase {
    fn side(&self, which: Which) -> ReportSide {
        match (which, &self.tuned) {
            (Which::Best | Which::Tuned, Some(tuned)) => tuned.clone(),
            _ => self.base.clone(),
        }
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
            Scores::Chrf => {
                let best = |answer: &str, references: &[&str]| {
                    chrf::statistics_of_best(answer, references, chrf::Kind::Plain)
                };
                $with(&pairs.both(best).map(|all| Summed::new(all, chrf::ChrfStatistics::score)))
            }
            Scores::Bleu => {
                let of = pairs.both(bleu::statistics_of_all);
                $with(&of.map(|all| Summed::new(all, bleu::BleuStatistics::score)))
            }
            Scores::Nats => $with(&pairs.nats().map(|all| Summed::new(all, Ratio::value))),
            Scores::F1(class) => {
                let (classes, class) = (pairs.labels.as_ref().map_or(0, LabelSet::len), *class);
                let f1 = move |confusion: &Confusion| confusion.f_beta(class, 1.0);
                $with(&pairs.labelled().map(|all| Labels::new(classes, all, f1)))
            }
        }
    }};
}

impl Measure {
    fn compared(&self, pairs: &Pairs, settings: &Settings) -> Result<Comparison, CompareError> {
        if let Scores::Outcomes([first, second]) = &self.scores {
            return compare_outcomes(&self.name, first, second, &pairs.clusters, settings);
        }
        with_metrics!(&self.scores, pairs, |[first, second]: &[_; 2]| {
            compare(&self.name, self.better, first, second, &pairs.clusters, settings)
        })
    }

    fn by_slice(&self, pairs: &Pairs, settings: &Settings) -> Result<Vec<Comparison>, CompareError> {
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
