//! A golden set whose answers are labels: what the greedy answers are as labels, and which label is the likeliest.

use std::collections::{BTreeSet, HashSet};

use rtune_data::{Example, Source};
use rtune_kernels::cross_entropy::RowLoss;
use rtune_metrics::classify::{
    Calibration, ChoiceBy, ClassificationReport, Confusion, CurvePoint, Judgement, LabelSet, Limits, brier,
    calibration, choose, judge, precision_recall_curve, probabilities,
};
use serde::Serialize;

use super::asked::{Asked, scored_as};
use super::choosing;
use crate::error::TrainerError;
use crate::talk::Speaker;

/// Bins of a reliability table.
const BINS: usize = 10;
/// Points of a curve that a report keeps: more are not seen.
const MOST_POINTS: usize = 200;
/// Classes whose curves a report keeps where none is named.
const MOST_CURVES: usize = 12;
/// More different answers than this are no labels; intents of a bank are 77, those of an assistant some hundreds.
const MOST_LABELS: usize = 512;
/// Recalls that a report says the precision at.
pub const RECALLS: [f64; 7] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0];

/// What is asked of a classification.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelOptions {
    /// The labels; none where the rows say them, or the answers are none.
    pub labels: Vec<String>,
    /// Whether the expected answers are the labels, where neither this nor the rows say them.
    pub preset: bool,
    /// Labels that matter most.
    pub key_classes: Vec<String>,
    /// Rows that the model was trained on, for the baseline of the nearest of them.
    pub train: Vec<Source>,
}

/// One model's labels over all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// The greedy answers, read as labels.
    pub greedy: Judged,
    /// The likeliest label of each case.
    pub scored: Judged,
    /// Whether the likeliest labels are as likely as they are right, over 10 bins.
    pub calibration: Option<Calibration>,
    /// Brier's score of the labels' probabilities, from 0 to 2.
    pub brier: Option<f64>,
    /// Average precision of each key class, by its probability.
    pub average_precision: Vec<(String, f64)>,
    /// What precision each recall costs, by the probability of the class: of key classes, or of all where none is named.
    pub curves: Vec<LabelCurve>,
}

/// A class as it is told from the others by its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelCurve {
    /// The class.
    pub label: String,
    /// The mean of the precisions, each by the recall that it adds.
    pub average_precision: f64,
    /// The threshold with the highest F1. It was chosen on these cases: on others it does no better, and mostly worse.
    pub best_f1: Option<CurvePoint>,
    /// The highest precision that is left at each of [`RECALLS`] or more; `None` where none is reached.
    pub precisions: Vec<Option<f64>>,
    /// From the highest threshold to the lowest, at most 200.
    pub points: Vec<CurvePoint>,
}

impl LabelCurve {
    /// `scored` are the probability of the class and whether the case is of it; `None` where no case is.
    fn new(label: &str, scored: &[(f64, bool)]) -> Option<Self> {
        let curve = precision_recall_curve(scored)?;
        let (count, best_f1) = (curve.points.len(), curve.best_f1());
        let kept = count.min(MOST_POINTS);
        let points = (0..kept).map(|index| curve.points[index * (count - 1) / (kept - 1).max(1)]);
        Some(Self {
            label: label.to_owned(),
            average_precision: curve.average_precision,
            best_f1,
            precisions: RECALLS.iter().map(|recall| curve.precision_at(*recall)).collect(),
            points: points.collect(),
        })
    }
}

/// Figures, and what known limits make of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The figures.
    pub report: ClassificationReport,
    /// What they come to.
    pub judgement: Judgement,
}

impl Judged {
    pub(super) fn new(
        labels: &LabelSet,
        pairs: impl Iterator<Item = (usize, Option<usize>)>,
        keys: &[String],
    ) -> Self {
        let report = ClassificationReport::new(labels, &Confusion::of(labels.len(), pairs));
        let judgement = judge(&report, keys, &Limits::CLASSIFICATION);
        Self { report, judgement }
    }
}

/// The labels of a set, and which one each case has.
pub(super) struct Labelled {
    pub(super) set: LabelSet,
    pub(super) gold: Vec<usize>,
}

impl Labelled {
    /// Whether two texts are the same label.
    pub(super) fn is_right(&self, answer: &str, expected: &str) -> bool {
        let gold = self.set.parse(expected);
        gold.is_some() && self.set.parse(answer) == gold
    }
}

/// The labels of `asked`: those of the options, or those that its rows say.
///
/// # Errors
/// [`TrainerError::Labels`] for labels that are none, rows that differ in them, and an expected answer that is no label.
pub(super) fn labelled(asked: &[Asked], options: &LabelOptions) -> Result<Option<Labelled>, TrainerError> {
    let says = asked.iter().find(|one| !one.wanted.labels.is_empty());
    let named = match says {
        Some(says) if options.labels.is_empty() => says.wanted.labels.clone(),
        _ => options.labels.clone(),
    };
    let own = named.is_empty() && options.preset;
    let named = if own { distinct(asked.iter().map(Asked::answer)) } else { named };
    let problem = |place: String, problem: String| TrainerError::Labels { place, problem };
    if named.is_empty() {
        return match options.key_classes.first() {
            Some(key) => Err(problem(format!("the key class `{key}`"), "the set has no labels".to_owned())),
            None => Ok(None),
        };
    }
    if own && !(2..=MOST_LABELS).contains(&named.len()) {
        let words = format!("expected 2 to {MOST_LABELS} different answers, found {}", named.len());
        return Err(problem("the labels".to_owned(), words));
    }
    let set = LabelSet::new(named).map_err(|error| problem("the labels".to_owned(), error.to_string()))?;
    for key in &options.key_classes {
        if !set.names().contains(key) {
            let words = format!("expected one of {}", set.names().join(", "));
            return Err(problem(format!("the key class `{key}`"), words));
        }
    }
    let mut gold = Vec::with_capacity(asked.len());
    for one in asked {
        let place = || one.record.origin.to_string();
        if let Some(says) = says.filter(|_| options.labels.is_empty()) {
            one_set(one, says).map_err(|words| problem(place(), words))?;
        }
        let answer = one.answer();
        gold.push(set.parse(answer).ok_or_else(|| {
            problem(place(), format!("expected one of {}, found `{answer}`", set.names().join(", ")))
        })?);
    }
    Ok(Some(Labelled { set, gold }))
}

/// Whether a row has the labels of the first that has any, in any order.
fn one_set(one: &Asked, says: &Asked) -> Result<(), String> {
    let names = |asked: &Asked| -> BTreeSet<String> { asked.wanted.labels.iter().cloned().collect() };
    if names(one) == names(says) {
        return Ok(());
    }
    let found = match one.wanted.labels.as_slice() {
        [] => "none".to_owned(),
        own => own.join(", "),
    };
    Err(format!(
        "expected `labels` to be those of {}: {}; found {found}",
        says.record.origin,
        says.wanted.labels.join(", ")
    ))
}

/// The expected answers, each once, in order.
fn distinct<'t>(answers: impl Iterator<Item = &'t str>) -> Vec<String> {
    let labels: BTreeSet<&str> = answers.map(str::trim).collect();
    // Two ways to write one label are not two labels.
    let mut folded = HashSet::new();
    labels.into_iter().filter(|label| folded.insert(label.to_lowercase())).map(str::to_owned).collect()
}

/// Texts without what ends them; with it where one's tokens begin another's: the longer could never be as likely as the part of itself.
fn compared(mut texts: Vec<(Example, bool)>) -> Vec<Example> {
    let own = |(text, ended): &(Example, bool)| -> Vec<u32> {
        let tokens = text.tokens.iter().zip(&text.supervised).filter(|(_, supervised)| **supervised);
        let mut own: Vec<u32> = tokens.map(|(token, _)| *token).collect();
        own.truncate(own.len() - usize::from(*ended && !own.is_empty()));
        own
    };
    let mut all: Vec<Vec<u32>> = texts.iter().map(own).collect();
    // Sorted, what begins another stands just before one that it begins.
    all.sort_unstable();
    if !all.windows(2).any(|pair| pair[1].starts_with(&pair[0])) {
        for (text, _) in texts.iter_mut().filter(|(_, ended)| *ended) {
            if let Some(last) = text.supervised.last_mut() {
                *last = false;
            }
        }
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

/// Nats of each label as the answer of each case, `[cases][labels]`; the token that ends an answer counts only where a label begins another.
/// `progress` is called with (cases done, cases in all).
///
/// # Errors
/// Those of the template.
pub(super) fn score(
    speaker: &Speaker<'_>,
    asked: &[Asked],
    labels: &LabelSet,
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<f64>>, TrainerError> {
    let mut groups = Vec::with_capacity(asked.len());
    for one in asked {
        let of = labels.names().iter().map(|label| scored_as(speaker, &one.record, label));
        groups.push(compared(of.collect::<Result<Vec<_>, _>>()?));
    }
    let losses = choosing::losses(speaker, &groups, tuned, progress)?;
    let nats = |rows: &Vec<RowLoss>| rows.iter().map(|row| row.nats).sum::<f64>();
    Ok(losses.iter().map(|labels| labels.iter().map(nats).collect()).collect())
}

/// The figures of one model. `nats` are those of [`score`], `answers` the greedy ones.
pub(super) fn classify<'t>(
    labelled: &Labelled,
    answers: impl Iterator<Item = &'t str>,
    nats: &[Vec<f64>],
    key_classes: &[String],
) -> Classification {
    let Labelled { set, gold } = labelled;
    let negated = |nats: &Vec<f64>| nats.iter().map(|nats| -nats).collect::<Vec<f64>>();
    let probabilities: Vec<Vec<f64>> = nats.iter().map(|nats| probabilities(&negated(nats))).collect();
    let likeliest: Vec<usize> = nats.iter().map(|nats| likeliest(nats)).collect();
    let confident: Vec<(f64, bool)> = likeliest
        .iter()
        .zip(&probabilities)
        .zip(gold)
        .map(|((label, probabilities), gold)| (probabilities[*label], label == gold))
        .collect();
    let curve = |(class, label): (usize, &String)| {
        let scored: Vec<(f64, bool)> =
            probabilities.iter().zip(gold).map(|(all, gold)| (all[class], *gold == class)).collect();
        LabelCurve::new(label, &scored)
    };
    let classes = set.names().iter().enumerate();
    let is_key = |label: &String| key_classes.contains(label);
    let wanted = classes.filter(|(_, label)| key_classes.is_empty() || is_key(label)).take(MOST_CURVES);
    let curves: Vec<LabelCurve> = wanted.filter_map(curve).collect();
    let of_keys = curves.iter().filter(|curve| is_key(&curve.label));
    let greedy = gold.iter().copied().zip(answers.map(|answer| set.parse(answer)));
    let scored = gold.iter().copied().zip(likeliest.iter().map(|label| Some(*label)));
    Classification {
        greedy: Judged::new(set, greedy, key_classes),
        scored: Judged::new(set, scored, key_classes),
        calibration: calibration(&confident, BINS),
        average_precision: of_keys.map(|curve| (curve.label.clone(), curve.average_precision)).collect(),
        curves,
        brier: brier(&probabilities.into_iter().zip(gold.iter().copied()).collect::<Vec<_>>()),
    }
}

/// Which label is the likeliest: of equal ones the first.
pub(super) fn likeliest(nats: &[f64]) -> usize {
    let choices: Vec<(f64, usize)> = nats.iter().map(|nats| (-nats, 1)).collect();
    choose(&choices, ChoiceBy::Sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    fn text(tokens: &[u32]) -> (Example, bool) {
        let origin = Origin { file: Path::new("a").into(), line: 1 };
        let supervised = (0..tokens.len()).map(|t| t >= 2).collect();
        (Example { id: "a".into(), origin, tokens: tokens.to_vec(), supervised }, true)
    }

    #[test]
    fn the_end_counts_where_one_label_begins_another() {
        let counted = |texts: &[&[u32]]| -> Vec<usize> {
            let texts = texts.iter().map(|tokens| text(tokens)).collect();
            compared(texts).iter().map(Example::supervised_count).collect()
        };
        // The prompt is 1, 2, and 9 ends an answer.
        assert_eq!(counted(&[&[1, 2, 5, 9], &[1, 2, 6, 7, 9]]), [1, 2]);
        assert_eq!(counted(&[&[1, 2, 5, 9], &[1, 2, 7, 9], &[1, 2, 5, 7, 9]]), [2, 2, 3]);
    }

    #[test]
    fn a_label_written_in_two_ways_is_one() {
        // In the order of bytes another label stands between the two.
        assert_eq!(distinct(["Spam", "ham", "spam ", "Ham", "eggs"].into_iter()), ["Ham", "Spam", "eggs"]);
    }

    #[test]
    fn precisions_are_those_of_all_points() {
        // Every second case is positive up to the middle: of 600 points 200 are kept.
        let scored: Vec<(f64, bool)> =
            (0..600).map(|case| (f64::from(600 - case), case == 0 || case % 7 == 1)).collect();
        let curve = LabelCurve::new("a", &scored).expect("a curve");
        let whole = precision_recall_curve(&scored).expect("a curve");
        assert_eq!(curve.points.len(), MOST_POINTS);
        for (recall, found) in RECALLS.iter().zip(&curve.precisions) {
            let best = whole.points.iter().filter(|point| point.recall >= recall - 1e-9);
            assert_eq!(*found, best.map(|point| point.precision).reduce(f64::max));
        }
    }
}
