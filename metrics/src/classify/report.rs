//! All figures of one model's labels.

use serde::Serialize;

use super::confusion::{Confusion, share};
use super::labels::{LabelSet, UNPARSED};

/// What a page or a file shows of a classification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// Cases.
    pub cases: u64,
    /// Answers that are no label; they are wrong.
    pub unparsed: u64,
    /// Part of the cases that are right.
    pub accuracy: f64,
    /// The accuracy of always answering the largest class.
    pub majority_accuracy: f64,
    /// That class.
    pub majority_class: String,
    /// The mean of the recalls of the classes that occur.
    pub balanced_accuracy: f64,
    /// Means over the classes that occur.
    #[serde(rename = "macro")]
    pub macro_averages: Averages,
    /// Of the counts of all classes that occur, summed.
    #[serde(rename = "micro")]
    pub micro_averages: Averages,
    /// Means over the cases.
    #[serde(rename = "weighted")]
    pub weighted_averages: Averages,
    /// Matthews's correlation.
    pub mcc: f64,
    /// Cohen's kappa.
    pub kappa: f64,
    /// One for each label, in order.
    pub classes: Vec<ClassScores>,
    /// What the columns of [`Self::confusion`] are: the labels, then [`UNPARSED`].
    pub answers: Vec<String>,
    /// One row for each label: how often its cases were answered with each of [`Self::answers`].
    pub confusion: Vec<Vec<u64>>,
}

/// Precision, recall and F1 over several classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Averages {
    /// Of the answers, the part that is right.
    pub precision: f64,
    /// Of the cases, the part that is right.
    pub recall: f64,
    /// Of the harmonic means of the two.
    pub f1: f64,
    /// Of F-beta with 0.5, to which precision matters twice as much.
    #[serde(rename = "f0.5")]
    pub f_half: f64,
    /// Of F-beta with 2, to which recall does.
    pub f2: f64,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScores {
    /// Its label.
    pub label: String,
    /// Of the answers with this label, the part that is right; 0 if there is none.
    pub precision: f64,
    /// Of the cases of this class, the part that is right; 0 if there is none.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// F-beta with 0.5, to which precision matters twice as much.
    #[serde(rename = "f0.5")]
    pub f_half: f64,
    /// F-beta with 2, to which recall does.
    pub f2: f64,
    /// Cases of this class.
    pub support: u64,
    /// Answers with this label.
    pub predicted: u64,
}

impl ClassificationReport {
    /// # Panics
    /// If `confusion` has not as many classes as there are labels.
    #[must_use]
    pub fn new(labels: &LabelSet, confusion: &Confusion) -> Self {
        assert_eq!(labels.len(), confusion.classes(), "classification: labels");
        let present: Vec<usize> = confusion.present().collect();
        let mean = |score: &dyn Fn(usize) -> f64| {
            present.iter().map(|&class| score(class)).sum::<f64>() / present.len().max(1) as f64
        };
        let (right, predicted, support) = confusion.micro_counts();
        let precision = |class| confusion.precision(class);
        let recall = |class| confusion.recall(class);
        let largest = confusion.largest();
        let classes = labels.names().iter().enumerate().map(|(class, label)| ClassScores {
            label: label.clone(),
            precision: precision(class),
            recall: recall(class),
            f1: confusion.f_beta(class, 1.0),
            f_half: confusion.f_beta(class, 0.5),
            f2: confusion.f_beta(class, 2.0),
            support: confusion.support(class),
            predicted: confusion.predicted(class),
        });
        Self {
            cases: confusion.cases(),
            unparsed: confusion.unparsed(),
            accuracy: confusion.accuracy(),
            majority_accuracy: share(confusion.support(largest), confusion.cases()),
            majority_class: labels.names()[largest].clone(),
            balanced_accuracy: confusion.balanced_accuracy(),
            macro_averages: Averages {
                precision: mean(&precision),
                recall: mean(&recall),
                f1: confusion.macro_f_beta(1.0),
                f_half: confusion.macro_f_beta(0.5),
                f2: confusion.macro_f_beta(2.0),
            },
            micro_averages: Averages {
                precision: share(right, predicted),
                recall: share(right, support),
                f1: confusion.micro_f_beta(1.0),
                f_half: confusion.micro_f_beta(0.5),
                f2: confusion.micro_f_beta(2.0),
            },
            weighted_averages: Averages {
                precision: confusion.weighted(precision),
                recall: confusion.weighted(recall),
                f1: confusion.weighted_f_beta(1.0),
                f_half: confusion.weighted_f_beta(0.5),
                f2: confusion.weighted_f_beta(2.0),
            },
            mcc: confusion.mcc(),
            kappa: confusion.kappa(),
            classes: classes.collect(),
            answers: labels.names().iter().cloned().chain([UNPARSED.to_owned()]).collect(),
            confusion: confusion.rows().map(<[u64]>::to_vec).collect(),
        }
    }

    /// The scores of the class with this label.
    #[must_use]
    pub fn class(&self, label: &str) -> Option<&ClassScores> {
        self.classes.iter().find(|class| class.label == label)
    }
}
