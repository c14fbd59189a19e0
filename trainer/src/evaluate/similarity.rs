//! Answers beside references and questions by the vectors of an encoder: BERTScore, and relevancy.

use rtune_metrics::text::bert_score::{self, BertScore, Encoded, Weights};
use rtune_models::tagger::{TextEncoder, TokenVectors};
use serde::Serialize;

use super::figures::{Case, GoldenReport, Side, Summary};
use crate::error::TrainerError;

/// What an encoder says of answers. The means are over answers, those of all turns, each by the weight of its case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Similarity {
    /// BERTScore against the nearest expected answer; not rescaled.
    pub bert_score: BertScore,
    /// The cosine of question and answer, each the mean of its tokens' vectors: from -1 to 1, and high for all texts with many encoders.
    pub relevancy: f64,
}

/// BERTScore of each answer against its references, of several the best; `idf` weighs tokens by how rare they are in the references.
///
/// # Errors
/// Those of the encoder.
pub fn bert_scores(
    encoder: &TextEncoder,
    pairs: &[(&str, Vec<&str>)],
    idf: bool,
) -> Result<Vec<BertScore>, TrainerError> {
    let answers: Vec<&str> = pairs.iter().map(|(answer, _)| *answer).collect();
    let wanted: Vec<&str> = pairs.iter().flat_map(|(_, all)| all.iter().copied()).collect();
    let (answers, wanted) = (encoder.encode(&answers)?, encoder.encode(&wanted)?);
    Ok(scores(encoder, &answers, &wanted, pairs.iter().map(|(_, all)| all.len()), idf))
}

fn scores(
    encoder: &TextEncoder,
    answers: &[TokenVectors],
    mut wanted: &[TokenVectors],
    references: impl Iterator<Item = usize>,
    idf: bool,
) -> Vec<BertScore> {
    let weights = match idf {
        true => Weights::inverse_frequency(&wanted.iter().map(|one| one.ids.as_slice()).collect::<Vec<_>>()),
        false => Weights::even(encoder.frame()),
    };
    let of = |answer: &TokenVectors, wanted: &TokenVectors| {
        bert_score::score(seen(answer), seen(wanted), encoder.width(), &weights)
    };
    let each = answers.iter().zip(references).map(|(answer, count)| {
        let (own, rest) = wanted.split_at(count.min(wanted.len()));
        wanted = rest;
        bert_score::best(own.iter().map(|wanted| of(answer, wanted)))
    });
    each.collect()
}

/// How such scores were computed, but for what makes of it a signature.
#[must_use]
pub fn signature(encoder: &TextEncoder, references: usize, idf: bool) -> String {
    let (layers, identity) = (encoder.layers(), encoder.identity());
    let idf = if idf { "yes" } else { "no" };
    format!("BERTScore|nrefs:{references}|layer:{layers}|idf:{idf}|rescaled:no|encoder:{identity}")
}

/// Adds what the encoder says to every case and to both summaries.
///
/// # Errors
/// Those of the encoder.
pub fn measure(report: &mut GoldenReport, encoder: &TextEncoder, idf: bool) -> Result<(), TrainerError> {
    let references = report.cases.iter().map(|case| case.expected.len()).max().unwrap_or(1);
    report.signatures.bert_score_signature =
        Some(rtune_metrics::text::signed(&signature(encoder, references, idf)));
    let base = of_model(&report.cases, encoder, idf, |case| Some(&case.base))?;
    let tuned = of_model(&report.cases, encoder, idf, |case| case.tuned.as_ref())?;
    let mut tuned_of_cases = tuned.0.into_iter();
    for (case, base) in report.cases.iter_mut().zip(base.0) {
        case.base.similarity = base;
        if let (Some(tuned), Some(found)) = (&mut case.tuned, tuned_of_cases.next()) {
            tuned.similarity = found;
        }
    }
    let put = |summary: Option<&mut Summary>, found| {
        if let Some(summary) = summary {
            summary.similarity = found;
        }
    };
    put(Some(&mut report.base), base.1);
    put(report.tuned.as_mut(), tuned.1);
    Ok(())
}

type OfModel = (Vec<Option<Similarity>>, Option<Similarity>);

/// Case by case the mean over its turns, then the mean over all answers.
fn of_model(
    cases: &[Case],
    encoder: &TextEncoder,
    idf: bool,
    side: impl Fn(&Case) -> Option<&Side>,
) -> Result<OfModel, TrainerError> {
    let turns: Vec<Vec<Turn<'_>>> =
        cases.iter().map(|case| side(case).map_or_else(Vec::new, |side| turns(case, side))).collect();
    let all: Vec<&Turn<'_>> = turns.iter().flatten().collect();
    let answers = encoder.encode(&all.iter().map(|turn| turn.answer).collect::<Vec<_>>())?;
    let questions = encoder.encode(&all.iter().map(|turn| turn.question).collect::<Vec<_>>())?;
    let wanted: Vec<&str> = all.iter().flat_map(|turn| turn.references.iter().copied()).collect();
    let wanted = encoder.encode(&wanted)?;
    let counts = all.iter().map(|turn| turn.references.len());
    let bert_scores = scores(encoder, &answers, &wanted, counts, idf);
    let relevancies = questions.iter().zip(&answers).map(|(question, answer)| {
        cosine(&pooled(question, encoder.width()), &pooled(answer, encoder.width()))
    });
    let each: Vec<Similarity> = bert_scores
        .into_iter()
        .zip(relevancies)
        .map(|(bert_score, relevancy)| Similarity { bert_score, relevancy })
        .collect();
    let mut rest = each.as_slice();
    let of_cases = turns.iter().map(|turns| {
        let (own, others) = rest.split_at(turns.len().min(rest.len()));
        rest = others;
        mean(own.iter().map(|one| (one, 1.0)))
    });
    let of_cases = of_cases.collect();
    Ok((of_cases, mean(each.iter().zip(all.iter().map(|turn| turn.weight)))))
}

/// An answer, what it answers, and what was expected.
struct Turn<'a> {
    weight: f64,
    question: &'a str,
    answer: &'a str,
    references: Vec<&'a str>,
}

fn turns<'a>(case: &'a Case, side: &'a Side) -> Vec<Turn<'a>> {
    let asked_before = |place: usize| {
        let before = &case.prompt[..place.min(case.prompt.len())];
        before.iter().rfind(|message| message.role == "user").map_or("", |message| message.content.as_str())
    };
    let mut all = Vec::new();
    let earlier = side.turns.len().saturating_sub(1);
    for ((turn, expected), &place) in side.turns.iter().zip(&case.turns).zip(&case.places).take(earlier) {
        let (question, references) = (asked_before(place), vec![expected.as_str()]);
        all.push(Turn { weight: case.weight, question, answer: &turn.answer, references });
    }
    let references = case.expected.iter().map(String::as_str).collect();
    let question = asked_before(case.prompt.len());
    all.push(Turn { weight: case.weight, question, answer: &side.answer, references });
    all
}

fn seen(text: &TokenVectors) -> Encoded<'_> {
    Encoded { ids: &text.ids, vectors_td: &text.vectors_td }
}

/// The mean over all tokens, those of the frame too, as sentence encoders take it.
fn pooled(text: &TokenVectors, width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in text.vectors_td.chunks_exact(width) {
        for (sum, &value) in mean.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let count = text.ids.len().max(1) as f64;
    mean.iter_mut().for_each(|value| *value /= count);
    mean
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let product = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    let length = (product(one, one) * product(other, other)).sqrt();
    if length > 0.0 { product(one, other) / length } else { 0.0 }
}

/// Each by its weight; `None` of none.
fn mean<'s>(all: impl Iterator<Item = (&'s Similarity, f64)>) -> Option<Similarity> {
    let all: Vec<(&Similarity, f64)> = all.collect();
    let weight: f64 = all.iter().map(|(_, weight)| weight).sum();
    let of = |figure: fn(&Similarity) -> f64| {
        all.iter().map(|(one, weight)| weight * figure(one)).sum::<f64>() / weight
    };
    (!all.is_empty()).then(|| Similarity {
        bert_score: BertScore {
            precision: of(|one| one.bert_score.precision),
            recall: of(|one| one.bert_score.recall),
            f1: of(|one| one.bert_score.f1),
        },
        relevancy: of(|one| one.relevancy),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_pooled_and_compared() {
        let text = TokenVectors { ids: vec![1, 2], vectors_td: vec![1.0, 0.0, 3.0, 4.0] };
        assert_eq!(pooled(&text, 2), [2.0, 2.0]);
        assert!((cosine(&[2.0, 2.0], &[1.0, 0.0]) - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(mean(std::iter::empty()), None);
        let of = |relevancy| Similarity {
            bert_score: BertScore { precision: 0.0, recall: 0.0, f1: 0.0 },
            relevancy,
        };
        let weighed = mean([(&of(1.0), 3.0), (&of(0.0), 1.0)].into_iter());
        assert_eq!(weighed.map(|one| one.relevancy), Some(0.75));
    }
}
