//! Scores over many cases, computed from sums over cases so that any draw of cases can be scored.

use std::ops::AddAssign;

use crate::classify::Confusion;

/// One model's score over any cases.
pub trait CorpusMetric: Sync {
    /// What the score of cases is computed from.
    type Sum: Send;

    /// How many cases there are; they are numbered from 0.
    fn cases(&self) -> usize;

    /// The sum of no case.
    fn zero(&self) -> Self::Sum;

    /// Adds a case to a sum.
    fn add(&self, sum: &mut Self::Sum, case: usize);

    /// The score of the cases of a sum: a number, for at least one case.
    fn score(&self, sum: &Self::Sum) -> f64;
}

/// The mean of the scores of cases, each by its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Means {
    scores: Vec<f64>,
    /// Empty where all weigh the same.
    weights: Vec<f64>,
}

impl Means {
    /// All cases weigh the same.
    #[must_use]
    pub fn new(scores: Vec<f64>) -> Self {
        Self { scores, weights: Vec::new() }
    }

    /// 1 for a case that is right, 0 for one that is not.
    #[must_use]
    pub fn of_outcomes(right: &[bool]) -> Self {
        Self::new(right.iter().map(|&right| if right { 1.0 } else { 0.0 }).collect())
    }

    /// With one weight a case.
    ///
    /// # Panics
    /// If there are not as many weights as scores.
    #[must_use]
    pub fn weighted(scores: Vec<f64>, weights: Vec<f64>) -> Self {
        assert_eq!(scores.len(), weights.len(), "means: weights");
        Self { scores, weights }
    }
}

impl CorpusMetric for Means {
    type Sum = (f64, f64);

    fn cases(&self) -> usize {
        self.scores.len()
    }

    fn zero(&self) -> Self::Sum {
        (0.0, 0.0)
    }

    fn add(&self, sum: &mut Self::Sum, case: usize) {
        let weight = if self.weights.is_empty() { 1.0 } else { self.weights[case] };
        sum.0 += weight * self.scores[case];
        sum.1 += weight;
    }

    fn score(&self, sum: &Self::Sum) -> f64 {
        if sum.1 > 0.0 { sum.0 / sum.1 } else { 0.0 }
    }
}

/// Statistics of cases that are added, such as those of BLEU, chrF and TER.
pub struct Summed<S, F> {
    statistics: Vec<S>,
    score: F,
}

impl<S, F> Summed<S, F> {
    /// `score` makes a score of a sum.
    pub fn new(statistics: Vec<S>, score: F) -> Self {
        Self { statistics, score }
    }
}

impl<S, F> CorpusMetric for Summed<S, F>
where
    S: Copy + Default + AddAssign + Send + Sync,
    F: Fn(&S) -> f64 + Sync,
{
    type Sum = S;

    fn cases(&self) -> usize {
        self.statistics.len()
    }

    fn zero(&self) -> S {
        S::default()
    }

    fn add(&self, sum: &mut S, case: usize) {
        *sum += self.statistics[case];
    }

    fn score(&self, sum: &S) -> f64 {
        (self.score)(sum)
    }
}

/// Two quantities whose sums are divided: nats over tokens, hits over findings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// What is divided.
    pub over: f64,
    /// What it is divided by.
    pub under: f64,
}

impl Ratio {
    /// The quotient; 0 where there is nothing to divide by.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.under > 0.0 { self.over / self.under } else { 0.0 }
    }
}

impl AddAssign for Ratio {
    fn add_assign(&mut self, other: Self) {
        self.over += other.over;
        self.under += other.under;
    }
}

/// Labels of cases, scored by their confusion matrix.
pub struct Labels<F> {
    classes: usize,
    /// A gold class and the predicted one, `None` where the answer was no label.
    pairs: Vec<(usize, Option<usize>)>,
    score: F,
}

impl<F: Fn(&Confusion) -> f64 + Sync> Labels<F> {
    /// `score` makes a score of a confusion matrix, such as [`Confusion::mcc`].
    pub fn new(classes: usize, pairs: Vec<(usize, Option<usize>)>, score: F) -> Self {
        Self { classes, pairs, score }
    }
}

impl<F: Fn(&Confusion) -> f64 + Sync> CorpusMetric for Labels<F> {
    type Sum = Confusion;

    fn cases(&self) -> usize {
        self.pairs.len()
    }

    fn zero(&self) -> Confusion {
        Confusion::new(self.classes)
    }

    fn add(&self, sum: &mut Confusion, case: usize) {
        let (gold, predicted) = self.pairs[case];
        sum.add(gold, predicted);
    }

    fn score(&self, sum: &Confusion) -> f64 {
        (self.score)(sum)
    }
}
