//! What precision each recall costs, as the threshold on a score falls.

use serde::Serialize;

/// A recall is a quotient of two counts.
const ROUNDING: f64 = 1e-9;

/// A curve and its area.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecallCurve {
    /// From the highest threshold to the lowest.
    pub points: Vec<CurvePoint>,
    /// The mean of the precisions, each by the recall that it adds (no interpolation).
    pub average_precision: f64,
}

/// All cases whose score is at least a threshold are taken as positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The least score that counts.
    pub threshold: f64,
    /// Of the cases taken, the part that is positive.
    pub precision: f64,
    /// Of the positive cases, the part that is taken.
    pub recall: f64,
}

impl PrecisionRecallCurve {
    /// The point with the highest F1, the highest threshold of equals.
    #[must_use]
    pub fn best_f1(&self) -> Option<CurvePoint> {
        let f1 = |point: &CurvePoint| {
            let sum = point.precision + point.recall;
            if sum > 0.0 { 2.0 * point.precision * point.recall / sum } else { 0.0 }
        };
        self.points.iter().copied().reduce(|best, point| if f1(&point) > f1(&best) { point } else { best })
    }
}

impl PrecisionRecallCurve {
    /// The highest precision that is left at a recall of `recall` or more; `None` where none is reached.
    #[must_use]
    pub fn precision_at(&self, recall: f64) -> Option<f64> {
        let reached = self.points.iter().filter(|point| point.recall >= recall - ROUNDING);
        reached.map(|point| point.precision).reduce(f64::max)
    }
}

/// The curve of pairs of a score and whether the case is positive; `None` without a positive case or with a score that is
/// not a number.
#[must_use]
pub fn precision_recall_curve(scored: &[(f64, bool)]) -> Option<PrecisionRecallCurve> {
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    if positives == 0 || scored.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = scored.to_vec();
    sorted.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (mut points, mut average_precision) = (Vec::new(), 0.0);
    let (mut taken, mut hits, mut recall_before) = (0usize, 0usize, 0.0);
    for equal in sorted.chunk_by(|one, other| one.0 == other.0) {
        taken += equal.len();
        hits += equal.iter().filter(|(_, positive)| *positive).count();
        let (precision, recall) = (hits as f64 / taken as f64, hits as f64 / positives as f64);
        average_precision += (recall - recall_before) * precision;
        recall_before = recall;
        points.push(CurvePoint { threshold: equal[0].0, precision, recall });
    }
    Some(PrecisionRecallCurve { points, average_precision })
}
