//! Metrics and judges beside people's scores of the same answers.

use std::collections::BTreeMap;

use rtune_data::{Source, read_golden};
use rtune_metrics::rank::{FEW_PAIRS, RankCorrelation, Settings, rank_correlation};
use serde::Serialize;

use super::figures::{Case, GoldenReport, Side};
use crate::error::TrainerError;

/// A person's score of an answer, from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonsScore {
    /// The case.
    pub id: String,
    /// The higher the better.
    pub score: f64,
    /// Whether it is the tuned model's answer; `None` takes the tuned model's, or the base's where there is no other.
    pub tuned: Option<bool>,
    /// The answer that was scored, where it is known: another answer now has not the score.
    pub answer: Option<String>,
}

/// What a golden row says of how people like the answers to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Human {
    /// The base's answer.
    pub base: Option<f64>,
    /// The tuned model's.
    pub tuned: Option<f64>,
}

/// All metrics beside people's scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct People {
    /// Answers that people scored.
    pub answers: usize,
    /// Scores that belong to answers that are not there, or are others now.
    pub unused: usize,
    /// Metric by metric; the judge stands last.
    pub metrics: Vec<Believed>,
}

/// A metric, and whether it orders answers as people do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Believed {
    /// Its name.
    pub metric: String,
    /// Rank correlations; `None` where the metric or the people have one score for all.
    pub correlation: Option<RankCorrelation>,
    /// Why it is not to be believed; `None` where it is.
    pub doubt: Option<String>,
}

/// A metric by its name, and what it says of an answer: the higher the better.
type Metric = (&'static str, fn(&Case, &Side) -> Option<f64>);

const METRICS: [Metric; 16] = [
    ("chrf", |_, side| Some(side.chrf)),
    ("chrf++", |_, side| Some(side.chrf_plus_plus)),
    ("bleu", |_, side| Some(side.bleu)),
    // The fewer edits the better.
    ("ter", |_, side| Some(-side.ter)),
    ("rouge-1", |_, side| Some(side.rouge.rouge1)),
    ("rouge-2", |_, side| Some(side.rouge.rouge2)),
    ("rouge-l", |_, side| Some(side.rouge.rouge_l)),
    ("rouge-lsum", |_, side| Some(side.rouge.rouge_lsum)),
    ("exact-match", |_, side| Some(truth(side.exact_match))),
    ("normalised-match", |_, side| Some(truth(side.normalised_match))),
    ("checks", |case, side| (case.checks > 0).then(|| truth(side.failed_checks.is_empty()))),
    ("answer-nats", |_, side| Some(-side.nats / side.tokens as f64)),
    ("bert-score", |_, side| side.similarity.map(|one| one.bert_score.f1)),
    ("relevancy", |_, side| side.similarity.map(|one| one.relevancy)),
    ("grounded", |_, side| side.grounded.as_ref().map(|one| truth(one.unsupported.is_empty()))),
    ("field-f1", |_, side| Some(side.extracted.as_ref()?.fields.as_ref()?.all.f1())),
];

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Every metric of the report, and `judges` (a name, and scores of base and tuned answer case by case), beside people's scores: those of the
/// rows and those of `scores`. `None` where there are none.
#[must_use]
pub fn beside_people(
    report: &GoldenReport,
    scores: &[PersonsScore],
    judges: &[(String, Vec<[Option<f64>; 2]>)],
) -> Option<People> {
    let (liked, unused) = liked(report, scores);
    if liked.is_empty() && unused == 0 {
        return None;
    }
    let of_metrics = METRICS.iter().map(|(name, score)| {
        let pairs = liked.iter().filter_map(|&Liked { case, tuned, score: person }| {
            let case = report.cases.get(case)?;
            Some((score(case, side(case, tuned)?)?, person))
        });
        ((*name).to_owned(), pairs.collect::<Vec<_>>())
    });
    let of_judges = judges.iter().map(|(name, of_cases)| {
        let pairs = liked
            .iter()
            .filter_map(|liked| Some((of_cases.get(liked.case)?[usize::from(liked.tuned)]?, liked.score)));
        (name.clone(), pairs.collect::<Vec<_>>())
    });
    let metrics = of_metrics.chain(of_judges).filter(|(_, pairs)| !pairs.is_empty()).map(believed);
    Some(People { answers: liked.len(), unused, metrics: metrics.collect() })
}

/// Refuses scores of which none is of a row of `golden`: they belong to another set. A row that is kept back is one of the set; `sealed` is
/// `gate.sealed`.
///
/// # Errors
/// [`TrainerError::People`], and those of the files.
pub fn refuse_scores_of_others(
    scores: &[PersonsScore],
    golden: &[Source],
    sealed: bool,
) -> Result<(), TrainerError> {
    let Some(first) = scores.first() else { return Ok(()) };
    let files = read_golden(golden, sealed)?;
    let mut ids = files.iter().flat_map(|file| &file.rows).map(|row| row.record.id.as_str());
    match ids.any(|id| scores.iter().any(|score| score.id == id)) {
        true => Ok(()),
        false => Err(TrainerError::People { id: first.id.clone() }),
    }
}

fn believed((metric, pairs): (String, Vec<(f64, f64)>)) -> Believed {
    let correlation = rank_correlation(&pairs, &Settings::default());
    let doubt = match &correlation {
        _ if pairs.len() < FEW_PAIRS => {
            Some(format!("{} answers; it takes {FEW_PAIRS} at least", pairs.len()))
        }
        None => Some("one score for all answers".to_owned()),
        Some(found) if found.trusted => None,
        Some(_) => Some("the interval is not above 0: it does not order answers as people do".to_owned()),
    };
    Believed { metric, correlation, doubt }
}

/// An answer that people scored.
struct Liked {
    case: usize,
    tuned: bool,
    score: f64,
}

fn side(case: &Case, tuned: bool) -> Option<&Side> {
    if tuned { case.tuned.as_ref() } else { Some(&case.base) }
}

/// The scores of answers that are there, and how many are of others: of another answer, of a row that was taken out since, of one that is
/// kept back.
fn liked(report: &GoldenReport, scores: &[PersonsScore]) -> (Vec<Liked>, usize) {
    let (mut all, mut unused) = (Vec::new(), 0);
    for (number, case) in report.cases.iter().enumerate() {
        let of_row = [(false, case.human.base), (true, case.human.tuned)];
        for (tuned, score) in of_row.into_iter().filter_map(|(tuned, score)| Some((tuned, score?))) {
            match side(case, tuned) {
                Some(_) => all.push(Liked { case: number, tuned, score }),
                None => unused += 1,
            }
        }
    }
    for person in scores {
        let of_case = report.cases.iter().enumerate().find(|(_, case)| case.id == person.id);
        let Some((number, case)) = of_case else {
            unused += 1;
            continue;
        };
        let tuned = person.tuned.unwrap_or(case.tuned.is_some());
        let is_this =
            |side: &&Side| person.answer.as_ref().is_none_or(|answer| answer.trim() == side.answer.trim());
        match side(case, tuned).filter(is_this) {
            Some(_) => all.push(Liked { case: number, tuned, score: person.score }),
            None => unused += 1,
        }
    }
    (averaged(all), unused)
}

/// One score an answer, the mean of all people's: an answer that several scored is no more evidence of a metric than another.
fn averaged(all: Vec<Liked>) -> Vec<Liked> {
    let mut by_answer: BTreeMap<(usize, bool), (f64, f64)> = BTreeMap::new();
    for Liked { case, tuned, score } in all {
        let (sum, count) = by_answer.entry((case, tuned)).or_default();
        (*sum, *count) = (*sum + score, *count + 1.0);
    }
    let mean = |((case, tuned), (sum, count)): ((usize, bool), (f64, f64))| Liked {
        case,
        tuned,
        score: sum / count,
    };
    by_answer.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_several_people_scored_counts_once() {
        let of = |case, tuned, score| Liked { case, tuned, score };
        let found = averaged(vec![of(1, false, 2.0), of(0, true, 5.0), of(1, false, 4.0), of(1, true, 1.0)]);
        let found: Vec<_> = found.iter().map(|one| (one.case, one.tuned, one.score)).collect();
        assert_eq!(found, [(0, true, 5.0), (1, false, 3.0), (1, true, 1.0)]);
    }

    #[test]
    fn a_metric_is_believed_only_where_people_are_in_it() {
        let pairs = |metric: fn(u32) -> f64, count: u32| -> Vec<(f64, f64)> {
            (0..count).map(|answer| (metric(answer), f64::from(answer % 5))).collect()
        };
        let of = |pairs| believed(("m".to_owned(), pairs));
        let good = of(pairs(|answer| f64::from(answer % 5) + f64::from(answer % 3), 60));
        assert!(good.doubt.is_none() && good.correlation.expect("one").spearman > 0.5);
        assert!(of(pairs(|answer| f64::from(answer % 5), 10)).doubt.expect("few").contains("10 answers"));
        assert!(of(pairs(|answer| f64::from(answer % 7), 70)).doubt.expect("noise").contains("not above 0"));
        assert!(of(pairs(|answer| -f64::from(answer % 5), 60)).doubt.is_some(), "the other way round");
        let same = of(pairs(|_| 1.0, 60));
        assert!(same.correlation.is_none() && same.doubt.expect("none").contains("one score"));
    }
}
