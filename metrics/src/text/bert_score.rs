//! BERTScore as the package bert-score 0.3.13 has it (Zhang et al. 2020), of vectors that some encoder made.
//!
//! Each token of the answer is matched with the nearest of the reference, and the other way round; cosines are averaged, each by the
//! weight of its token. Scores are not rescaled.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

/// Tokens that stand around every text: a text of no more is empty.
const FRAME: usize = 2;

/// A text as an encoder sees it, its frame (`[CLS]`, `[SEP]`) included.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    /// Token ids, `[T]`.
    pub ids: &'a [u32],
    /// A row for each of them, `[T, D]`.
    pub vectors_td: &'a [f32],
}

/// Precision, recall and their harmonic mean; cosines, so that the worst is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BertScore {
    /// The mean over tokens of the answer.
    pub precision: f64,
    /// The mean over tokens of the reference.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// What a token weighs.
#[derive(Clone, Debug)]
pub struct Weights {
    weights: HashMap<u32, f64>,
    other: f64,
}

impl Weights {
    /// All the same, but for the frame, which weighs nothing.
    #[must_use]
    pub fn even(frame: (u32, u32)) -> Self {
        Self { weights: HashMap::from([(frame.0, 0.0), (frame.1, 0.0)]), other: 1.0 }
    }

    /// By inverse document frequency over the references: what stands in each of them weighs nothing.
    #[must_use]
    pub fn inverse_frequency(references: &[&[u32]]) -> Self {
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for reference in references {
            for id in reference.iter().collect::<HashSet<_>>() {
                *counts.entry(*id).or_default() += 1;
            }
        }
        let all = references.len() as f64 + 1.0;
        let weights = counts.into_iter().map(|(id, count)| (id, (all / (count as f64 + 1.0)).ln())).collect();
        Self { weights, other: all.ln() }
    }

    fn of(&self, id: u32) -> f64 {
        self.weights.get(&id).copied().unwrap_or(self.other)
    }
}

/// The score of an answer; an empty text scores 0, and so does one whose tokens weigh nothing.
///
/// # Panics
/// If there is not a row of `width` numbers for each token.
#[must_use]
pub fn score(answer: Encoded<'_>, reference: Encoded<'_>, width: usize, weights: &Weights) -> BertScore {
    if answer.ids.len() <= FRAME || reference.ids.len() <= FRAME {
        return BertScore::default();
    }
    let (answer_td, reference_td) = (normalised(answer, width), normalised(reference, width));
    let mut nearest_answer = vec![f64::NEG_INFINITY; answer.ids.len()];
    let mut nearest_reference = vec![f64::NEG_INFINITY; reference.ids.len()];
    for (row, best_row) in answer_td.chunks(width).zip(&mut nearest_answer) {
        for (column, best_column) in reference_td.chunks(width).zip(&mut nearest_reference) {
            let cosine: f64 = row.iter().zip(column).map(|(one, other)| one * other).sum();
            *best_row = best_row.max(cosine);
            *best_column = best_column.max(cosine);
        }
    }
    let precision = mean(&nearest_answer, answer.ids, weights);
    let recall = mean(&nearest_reference, reference.ids, weights);
    let sum = precision + recall;
    BertScore { precision, recall, f1: if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum } }
}

/// Of several references the best of each figure.
#[must_use]
pub fn best(scores: impl IntoIterator<Item = BertScore>) -> BertScore {
    let better = |one: BertScore, other: BertScore| BertScore {
        precision: one.precision.max(other.precision),
        recall: one.recall.max(other.recall),
        f1: one.f1.max(other.f1),
    };
    scores.into_iter().reduce(better).unwrap_or_default()
}

fn normalised(text: Encoded<'_>, width: usize) -> Vec<f64> {
    assert_eq!(text.vectors_td.len(), text.ids.len() * width, "BERTScore: vectors");
    let mut all = Vec::with_capacity(text.vectors_td.len());
    for row in text.vectors_td.chunks(width) {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        all.extend(row.iter().map(|&value| f64::from(value) / length));
    }
    all
}

fn mean(cosines: &[f64], ids: &[u32], weights: &Weights) -> f64 {
    let all: f64 = ids.iter().map(|&id| weights.of(id)).sum();
    let sum: f64 = ids.iter().zip(cosines).map(|(&id, cosine)| weights.of(id) * cosine).sum();
    if all > 0.0 { sum / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_matched_with_the_nearest() {
        let frame = (100, 101);
        let answer =
            Encoded { ids: &[100, 1, 2, 101], vectors_td: &[1.0, 1.0, 2.0, 0.0, 0.0, 3.0, -1.0, -1.0] };
        let reference = Encoded { ids: &[100, 1, 101], vectors_td: &[1.0, 1.0, 1.0, 0.0, -1.0, -1.0] };
        let found = score(answer, reference, 2, &Weights::even(frame));
        // The second token is nearest to the frame's first: the cosine of 45 degrees.
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert!((found.precision - (1.0 + half) / 2.0).abs() < 1e-12, "{found:?}");
        assert!((found.recall - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(
            score(Encoded { ids: &[100, 101], vectors_td: &[1.0; 4] }, reference, 2, &Weights::even(frame)),
            BertScore::default()
        );
        // What is in each reference weighs nothing: only the token 2 counts.
        let weights = Weights::inverse_frequency(&[&[100, 1, 101], &[100, 1, 101]]);
        let found = score(answer, reference, 2, &weights);
        assert!((found.precision - half).abs() < 1e-12 && found.recall == 0.0, "{found:?}");
        assert_eq!(best([found, BertScore { recall: 0.5, ..found }]).recall, 0.5);
    }
}
