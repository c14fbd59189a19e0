//! Which class was taken for which.

use std::ops::AddAssign;

/// Counts of cases by gold class and predicted class; answers that are no label have a column of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `classes` rows, one a gold class, of `classes + 1` counts, the last of answers that are no label.
    counts: Vec<u64>,
}

impl Confusion {
    /// No case yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * (classes + 1)] }
    }

    /// The counts of pairs of a gold class and a predicted one, `None` where the answer was no label.
    ///
    /// # Panics
    /// If a class is not below `classes`.
    #[must_use]
    pub fn of(classes: usize, pairs: impl IntoIterator<Item = (usize, Option<usize>)>) -> Self {
        let mut confusion = Self::new(classes);
        for (gold, predicted) in pairs {
            confusion.add(gold, predicted);
        }
        confusion
    }

    /// One more case.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, gold: usize, predicted: Option<usize>) {
        assert!(
            gold < self.classes && predicted.is_none_or(|class| class < self.classes),
            "confusion: class"
        );
        self.counts[gold * (self.classes + 1) + predicted.unwrap_or(self.classes)] += 1;
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Cases of class `gold` that were answered with `predicted`, or with no label.
    #[must_use]
    pub fn count(&self, gold: usize, predicted: Option<usize>) -> u64 {
        self.counts[gold * (self.classes + 1) + predicted.unwrap_or(self.classes)]
    }

    /// All cases.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Answers that are no label.
    #[must_use]
    pub fn unparsed(&self) -> u64 {
        (0..self.classes).map(|gold| self.count(gold, None)).sum()
    }

    /// Cases whose gold class is `class`.
    #[must_use]
    pub fn support(&self, class: usize) -> u64 {
        self.row(class).iter().sum()
    }

    /// Cases that were answered with `class`.
    #[must_use]
    pub fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|gold| self.count(gold, Some(class))).sum()
    }

    /// Part of the cases that are right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.right(), self.cases())
    }

    /// The mean of the recalls of the classes that occur.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        mean(self.present().map(|class| self.recall(class)))
    }

    /// Of the answers `class`, the part that is right; 0 if there is none.
    #[must_use]
    pub fn precision(&self, class: usize) -> f64 {
        share(self.count(class, Some(class)), self.predicted(class))
    }

    /// Of the cases of `class`, the part that is right; 0 if there is none.
    #[must_use]
    pub fn recall(&self, class: usize) -> f64 {
        share(self.count(class, Some(class)), self.support(class))
    }

    /// The harmonic mean of precision and recall, where recall counts `beta` times as much.
    #[must_use]
    pub fn f_beta(&self, class: usize, beta: f64) -> f64 {
        f_of_counts(self.count(class, Some(class)), self.predicted(class), self.support(class), beta)
    }

    /// The mean of the F-scores of the classes that occur.
    #[must_use]
    pub fn macro_f_beta(&self, beta: f64) -> f64 {
        mean(self.present().map(|class| self.f_beta(class, beta)))
    }

    /// The F-score of the counts of all classes that occur, summed.
    #[must_use]
    pub fn micro_f_beta(&self, beta: f64) -> f64 {
        let (right, predicted, support) = self.micro_counts();
        f_of_counts(right, predicted, support, beta)
    }

    /// The mean of the F-scores, each class by its number of cases.
    #[must_use]
    pub fn weighted_f_beta(&self, beta: f64) -> f64 {
        self.weighted(|class| self.f_beta(class, beta))
    }

    /// Right answers, answers and cases of the classes that occur.
    pub(super) fn micro_counts(&self) -> (u64, u64, u64) {
        self.present().fold((0, 0, 0), |(right, predicted, support), class| {
            let hits = self.count(class, Some(class));
            (right + hits, predicted + self.predicted(class), support + self.support(class))
        })
    }

    pub(super) fn weighted(&self, score: impl Fn(usize) -> f64) -> f64 {
        let sum: f64 = self.present().map(|class| self.support(class) as f64 * score(class)).sum();
        sum / (self.cases().max(1)) as f64
    }

    /// Matthews's correlation for any number of classes (Gorodkin 2004); answers that are no label are a class. 0 where
    /// gold or answers are all of one class.
    #[must_use]
    pub fn mcc(&self) -> f64 {
        let cases = self.cases() as f64;
        let (mut both, mut of_gold, mut of_answers) = (0.0, 0.0, (self.unparsed() as f64).powi(2));
        for class in 0..self.classes {
            let (support, predicted) = (self.support(class) as f64, self.predicted(class) as f64);
            both += support * predicted;
            of_gold += support * support;
            of_answers += predicted * predicted;
        }
        let spread = (cases * cases - of_answers) * (cases * cases - of_gold);
        if spread > 0.0 { (self.right() as f64 * cases - both) / spread.sqrt() } else { 0.0 }
    }

    /// Cohen's kappa: agreement beyond that of chance; answers that are no label are a class. 0 where chance agrees always.
    #[must_use]
    pub fn kappa(&self) -> f64 {
        let cases = self.cases() as f64;
        let by_chance = |class| self.support(class) as f64 * self.predicted(class) as f64;
        let chance: f64 = (0..self.classes).map(by_chance).sum::<f64>() / (cases * cases);
        if cases == 0.0 || chance >= 1.0 { 0.0 } else { (self.accuracy() - chance) / (1.0 - chance) }
    }

    /// The class with most cases, the first of equals.
    #[must_use]
    pub fn largest(&self) -> usize {
        (0..self.classes).max_by_key(|&class| (self.support(class), std::cmp::Reverse(class))).unwrap_or(0)
    }

    /// Rows of gold classes, each with the counts of the answers and, last, of those that are no label.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks(self.classes + 1)
    }

    /// The classes that occur in gold.
    pub(super) fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.classes).filter(|&class| self.support(class) > 0)
    }

    fn row(&self, gold: usize) -> &[u64] {
        &self.counts[gold * (self.classes + 1)..(gold + 1) * (self.classes + 1)]
    }

    fn right(&self) -> u64 {
        (0..self.classes).map(|class| self.count(class, Some(class))).sum()
    }
}

impl AddAssign<&Confusion> for Confusion {
    /// # Panics
    /// If the two have not as many classes.
    fn add_assign(&mut self, other: &Confusion) {
        assert_eq!(self.classes, other.classes, "confusion: classes");
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
    }
}

/// From counts, as scikit-learn does: 0 where nothing was answered and nothing wanted.
fn f_of_counts(right: u64, predicted: u64, support: u64, beta: f64) -> f64 {
    let squared = beta * beta;
    let of = squared * support as f64 + predicted as f64;
    if of > 0.0 { (1.0 + squared) * right as f64 / of } else { 0.0 }
}

pub(super) fn share(part: u64, of: u64) -> f64 {
    if of > 0 { part as f64 / of as f64 } else { 0.0 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    if count > 0 { sum / count as f64 } else { 0.0 }
}
