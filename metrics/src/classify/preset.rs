//! `preset = "classification"`: known limits, and what they say in words.

use serde::Serialize;

use super::labels::UNPARSED;
use super::report::{ClassScores, ClassificationReport};

/// From what on a classifier fails, and from what on it is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// A lower accuracy fails.
    pub least_accuracy: f64,
    /// A lower recall of a key class fails.
    pub least_key_recall: f64,
    /// Good needs this accuracy,
    pub good_accuracy: f64,
    /// this precision of each key class, or on the mean of all classes where none is named,
    pub good_precision: f64,
    /// and this recall of the same.
    pub good_recall: f64,
}

impl Limits {
    /// Those of the preset.
    pub const CLASSIFICATION: Self = Self {
        least_accuracy: 0.60,
        least_key_recall: 0.50,
        good_accuracy: 0.85,
        good_precision: 0.80,
        good_recall: 0.80,
    };
}

/// What the limits make of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Under a limit that must be held.
    Fail,
    /// Neither.
    Fair,
    /// Over all limits.
    Good,
}

/// A grade and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The grade.
    pub grade: Grade,
    /// What makes it fail; empty if nothing does.
    pub failures: Vec<String>,
    /// What keeps it from being good; empty if nothing does.
    pub shortfalls: Vec<String>,
    /// What a reader of the figures should know.
    pub warnings: Vec<String>,
}

/// Holds a report against limits; `key_classes` are labels that matter most. One that is no label of the report fails.
#[must_use]
pub fn judge(report: &ClassificationReport, key_classes: &[String], limits: &Limits) -> Judgement {
    let (mut failures, mut shortfalls) = (Vec::new(), Vec::new());
    let accuracy = report.accuracy;
    if accuracy < limits.least_accuracy {
        failures.push(format!("accuracy is {accuracy:.3}, under {:.2}", limits.least_accuracy));
    } else if accuracy < limits.good_accuracy {
        shortfalls.push(format!("accuracy is {accuracy:.3}; good is from {:.2}", limits.good_accuracy));
    }
    for label in key_classes {
        match report.class(label) {
            None => failures.push(format!("`{label}` is a key class and no label of the task")),
            Some(class) if class.support == 0 => {
                failures.push(format!("no case is `{label}`, a key class: nothing can be said of it"));
            }
            Some(class) => judge_key_class(report, class, limits, &mut failures, &mut shortfalls),
        }
    }
    if key_classes.is_empty() {
        let means = [
            ("precision", report.macro_averages.precision, limits.good_precision),
            ("recall", report.macro_averages.recall, limits.good_recall),
        ];
        for (name, mean, good) in means.into_iter().filter(|(_, mean, good)| mean < good) {
            shortfalls.push(format!("mean {name} of the classes is {mean:.3}; good is from {good:.2}"));
        }
    }
    let grade = match (failures.is_empty(), shortfalls.is_empty()) {
        (false, _) => Grade::Fail,
        (true, false) => Grade::Fair,
        (true, true) => Grade::Good,
    };
    Judgement { grade, failures, shortfalls, warnings: warnings(report, key_classes, limits) }
}

fn judge_key_class(
    report: &ClassificationReport,
    class: &ClassScores,
    limits: &Limits,
    failures: &mut Vec<String>,
    shortfalls: &mut Vec<String>,
) {
    let ClassScores { label, precision, recall, support, .. } = class;
    if *recall < limits.least_key_recall {
        let missed = support - (recall * *support as f64).round() as u64;
        let mut reason = format!(
            "recall of `{label}` is {recall:.3}, under {:.2}: {missed} of its {support} cases are missed",
            limits.least_key_recall
        );
        if report.accuracy >= limits.least_accuracy {
            let share = 100.0 * *support as f64 / report.cases as f64;
            reason += &format!(
                "; accuracy of {:.3} hides it, for `{label}` is {share:.1}% of the cases",
                report.accuracy
            );
        }
        failures.push(reason);
    } else if *recall < limits.good_recall {
        shortfalls
            .push(format!("recall of `{label}` is {recall:.3}; good is from {:.2}", limits.good_recall));
    }
    if *precision < limits.good_precision {
        let good = limits.good_precision;
        shortfalls.push(format!("precision of `{label}` is {precision:.3}; good is from {good:.2}"));
    }
}

fn warnings(report: &ClassificationReport, key_classes: &[String], limits: &Limits) -> Vec<String> {
    let mut warnings = Vec::new();
    let (accuracy, majority) = (report.accuracy, report.majority_accuracy);
    if majority >= limits.good_accuracy {
        warnings.push(format!(
            "accuracy alone misleads: always answering `{}` has {majority:.3}; look at recall, F1 and MCC",
            report.majority_class
        ));
    }
    if accuracy <= majority {
        warnings.push(format!(
            "accuracy of {accuracy:.3} is no better than always answering `{}` ({majority:.3})",
            report.majority_class
        ));
    }
    if report.unparsed > 0 {
        warnings.push(format!(
            "{} of {} answers are no label (`{UNPARSED}`) and count as wrong",
            report.unparsed, report.cases
        ));
    }
    if key_classes.is_empty() {
        let missed =
            report.classes.iter().filter(|class| class.support > 0 && class.recall < limits.least_key_recall);
        for ClassScores { label, recall, support, .. } in missed {
            warnings.push(format!(
                "recall of `{label}` is {recall:.3} over {support} cases: name it as `key-class` if it matters"
            ));
        }
    }
    warnings
}
