//! A golden set whose answers are labels: what the greedy answers are as labels, and which label is the likeliest.

use rtune_data::{Source, read_golden};
use rtune_metrics::classify::{
    Calibration, ChoiceBy, ClassificationReport, Confusion, Judgement, LabelSet, Limits, NearestRow, brier,
    calibration, choose, judge, precision_recall_curve, probabilities,
};
use rtune_models::generate::Sampling;
use serde::Serialize;

use super::asking::{Asking, Question};
use super::golden::{Asked, scored_as};
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// Bins of a reliability table.
const BINS: usize = 10;

/// What is asked of a classification.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelOptions {
    /// The labels; none where the rows say them, or the answers are none.
    pub labels: Vec<String>,
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
    let problem = |place: String, problem: String| TrainerError::Labels { place, problem };
    if named.is_empty() {
        return match options.key_classes.first() {
            Some(key) => Err(problem(format!("the key class `{key}`"), "the set has no labels".to_owned())),
            None => Ok(None),
        };
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
        let own = &one.wanted.labels;
        if options.labels.is_empty() && own != set.names() {
            return Err(problem(place(), "`labels` are others than those of the first row".to_owned()));
        }
        let answer = one.record.answer().unwrap_or_default();
        gold.push(set.parse(answer).ok_or_else(|| {
            problem(place(), format!("expected one of {}, found `{answer}`", set.names().join(", ")))
        })?);
    }
    Ok(Some(Labelled { set, gold }))
}

/// Nats of each label as the answer of each case, `[cases][labels]`; the token that ends an answer does not count.
/// `progress` is called with (answers done, answers in all).
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
    let mut scored = Vec::with_capacity(asked.len() * labels.len());
    for one in asked {
        for label in labels.names() {
            scored.push(scored_as(speaker, &one.record, label)?);
        }
    }
    let settings = Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens: 1, batch: 1 };
    let prompts = asked.iter().flat_map(|one| std::iter::repeat_n(&one.prompt, labels.len()));
    let questions = prompts.zip(&scored).map(|(prompt, scored)| Question { prompt, scored });
    let mut asking = Asking::new(speaker, questions.collect(), &settings, tuned);
    let mut done = 0;
    while asking.next().is_some() {
        done += 1;
        progress(done, scored.len());
    }
    let nats: Vec<f64> = asking.losses().iter().map(|loss| loss.nats).collect();
    Ok(nats.chunks(labels.len()).map(<[f64]>::to_vec).collect())
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
    let average = |key: &String| {
        let class = set.names().iter().position(|name| name == key)?;
        let scored: Vec<(f64, bool)> =
            probabilities.iter().zip(gold).map(|(all, gold)| (all[class], *gold == class)).collect();
        Some((key.clone(), precision_recall_curve(&scored)?.average_precision))
    };
    let greedy = gold.iter().copied().zip(answers.map(|answer| set.parse(answer)));
    let scored = gold.iter().copied().zip(likeliest.iter().map(|label| Some(*label)));
    Classification {
        greedy: Judged::new(set, greedy, key_classes),
        scored: Judged::new(set, scored, key_classes),
        calibration: calibration(&confident, BINS),
        average_precision: key_classes.iter().filter_map(average).collect(),
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
