//! A golden set whose answers are labels: what the greedy answers are as labels, and which label is the likeliest.

use rtune_data::{Source, read_golden};
use rtune_kernels::cross_entropy::RowLoss;
use rtune_metrics::classify::{
    Calibration, ChoiceBy, ClassificationReport, Confusion, CurvePoint, Judgement, LabelSet, Limits,
    NearestRow, brier, calibration, choose, judge, precision_recall_curve, probabilities,
};
use serde::Serialize;

use super::choosing;
use super::golden::{Asked, scored_as};
use crate::error::TrainerError;
use crate::talk::Speaker;

/// Bins of a reliability table.
const BINS: usize = 10;
/// Points of a curve that a report keeps: more are not seen.
const MOST_POINTS: usize = 200;
/// Classes whose curves a report keeps where none is named.
const MOST_CURVES: usize = 12;
/// More different answers than this are no labels.
const MOST_LABELS: usize = 64;

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
    fn new(labels: &LabelSet, pairs: impl Iterator<Item = (usize, Option<usize>)>, keys: &[String]) -> Self {
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

/// The labels of `asked`: those of the options, or those that its rows say.
///
/// # Errors
/// [`TrainerError::Labels`] for labels that are none, rows that differ in them, and an expected answer that is no label.
pub(super) fn labelled(asked: &[Asked], options: &LabelOptions) -> Result<Option<Labelled>, TrainerError> {
    let named = if options.labels.is_empty() {
        asked.first().map(|first| first.wanted.labels.clone()).unwrap_or_default()
    } else {
        options.labels.clone()
    };
    let own = named.is_empty() && options.preset;
    let named = if own { distinct(asked) } else { named };
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
        let said = &one.wanted.labels;
        if options.labels.is_empty() && !own && said != set.names() {
            return Err(problem(place(), "`labels` are others than those of the first row".to_owned()));
        }
        let answer = one.record.answer().unwrap_or_default();
        gold.push(set.parse(answer).ok_or_else(|| {
            problem(place(), format!("expected one of {}, found `{answer}`", set.names().join(", ")))
        })?);
    }
    Ok(Some(Labelled { set, gold }))
}

/// The expected answers, each once, in order.
fn distinct(asked: &[Asked]) -> Vec<String> {
    let mut labels: Vec<String> = asked
        .iter()
        .filter_map(|one| one.record.answer())
        .map(|answer| answer.trim().to_owned())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    // Two ways to write one label are not two labels.
    labels.dedup_by_key(|label| label.to_lowercase());
    labels
}

/// Nats of each label as the answer of each case, `[cases][labels]`; the token that ends an answer does not count.
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
        groups.push(of.collect::<Result<Vec<_>, _>>()?);
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

/// What copying the label of the nearest training row would come to, by character 5-grams of what the user says; `None` where no
/// training row has a label.
///
/// # Errors
/// Those of the training files.
pub(super) fn nearest_row(
    asked: &[Asked],
    labelled: &Labelled,
    options: &LabelOptions,
) -> Result<Option<Judged>, TrainerError> {
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for file in options.train.iter().map(read_golden).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        for row in file.rows {
            if let Some(label) = row.record.answer().and_then(|answer| labelled.set.parse(answer)) {
                texts.push(row.record.users_text());
                labels.push(label);
            }
        }
    }
    if texts.is_empty() {
        return Ok(None);
    }
    let rows = NearestRow::new(texts.iter().map(String::as_str));
    let found = asked.iter().map(|one| rows.nearest(&one.record.users_text()).map(|(row, _)| labels[row]));
    let pairs = labelled.gold.iter().copied().zip(found);
    Ok(Some(Judged::new(&labelled.set, pairs, &options.key_classes)))
}
