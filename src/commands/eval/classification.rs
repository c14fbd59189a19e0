//! Answers as labels, for people.

use comfy_table::Table;
use rtune_metrics::classify::{ClassificationReport, Grade};
use rtune_trainer::evaluate::golden::GoldenReport;
use rtune_trainer::evaluate::labels::{Classification, Judged, RECALLS};

use crate::reporter::say;
use crate::table::{align_right, table};

/// Classes of a confusion matrix that is still read.
const SHOWN_CLASSES: usize = 12;

/// Classes whose curves are still read.
const SHOWN_CURVES: usize = 4;

pub(super) fn show(report: &GoldenReport) {
    let columns = columns(report);
    say("");
    say(&figures(&columns).to_string());
    say(
        "greedy: what the answer says, read strictly; likeliest: the label with the highest probability; baselines know no prompt",
    );
    let last = report.tuned.as_ref().unwrap_or(&report.base);
    if let Some(of) = &last.classification {
        say("");
        say(&confusion(&of.greedy.report).to_string());
        tell_calibration(of);
        show_curves(of);
    }
    for (name, judged) in &columns {
        if let Some(judged) = judged {
            tell(name, judged);
        }
    }
}

/// What stands side by side: each model's greedy and likeliest labels, and the baselines. The majority has no judgement.
fn columns(report: &GoldenReport) -> Vec<(String, Option<&Judged>)> {
    let mut columns = Vec::new();
    let sides = [("base", Some(&report.base)), ("tuned", report.tuned.as_ref())];
    for (name, summary) in sides {
        if let Some(of) = summary.and_then(|summary| summary.classification.as_ref()) {
            columns.push((format!("{name}, greedy"), Some(&of.greedy)));
            columns.push((format!("{name}, likeliest"), Some(&of.scored)));
        }
    }
    if let Some(nearest) = &report.nearest_row {
        columns.push(("nearest training row".to_owned(), Some(nearest)));
    }
    columns
}

fn figures(columns: &[(String, Option<&Judged>)]) -> Table {
    let names = columns.iter().map(|(name, _)| name.clone());
    let mut table = table([String::new()].into_iter().chain(names).collect::<Vec<_>>());
    let Some(first) = columns.first().and_then(|(_, judged)| *judged) else { return table };
    let mut row = |name: String, value: &dyn Fn(&ClassificationReport) -> String| {
        let values =
            columns.iter().map(|(_, judged)| judged.map_or_else(String::new, |judged| value(&judged.report)));
        table.add_row([name].into_iter().chain(values).collect::<Vec<String>>());
    };
    row("accuracy".to_owned(), &|report| format!("{:.3}", report.accuracy));
    row(format!("always `{}`", first.report.majority_class), &|report| {
        format!("{:.3}", report.majority_accuracy)
    });
    row("balanced accuracy".to_owned(), &|report| format!("{:.3}", report.balanced_accuracy));
    row("macro F1".to_owned(), &|report| format!("{:.3}", report.macro_averages.f1));
    row("MCC".to_owned(), &|report| format!("{:.3}", report.mcc));
    row("no label at all".to_owned(), &|report| report.unparsed.to_string());
    for class in &first.report.classes {
        let label = &class.label;
        let of = |report: &ClassificationReport| {
            report.class(label).map_or_else(String::new, |class| {
                format!("{:.3} {:.3} {:.3}", class.precision, class.recall, class.f1)
            })
        };
        row(format!("`{label}` ({}): precision, recall, F1", class.support), &of);
    }
    let grade =
        columns.iter().map(|(_, judged)| judged.map_or_else(String::new, |judged| grade(judged).to_owned()));
    table.add_row(["grade".to_owned()].into_iter().chain(grade).collect::<Vec<String>>());
    align_right(&mut table, 1);
    table
}

fn grade(judged: &Judged) -> &'static str {
    match judged.judgement.grade {
        Grade::Fail => "fails",
        Grade::Fair => "fair",
        Grade::Good => "good",
    }
}

/// Rows are the expected labels, columns the answers.
fn confusion(report: &ClassificationReport) -> Table {
    let shown = report.classes.len().min(SHOWN_CLASSES);
    let answers = report.answers.iter().enumerate();
    let columns: Vec<usize> = answers
        .filter(|(index, _)| *index < shown || *index == report.classes.len())
        .map(|(index, _)| index)
        .collect();
    let names = columns.iter().map(|&index| report.answers[index].clone());
    let mut table =
        table(["expected \\ greedy answer".to_owned()].into_iter().chain(names).collect::<Vec<_>>());
    for (class, counts) in report.classes.iter().zip(&report.confusion).take(shown) {
        let counts = columns.iter().map(|&index| counts.get(index).copied().unwrap_or_default().to_string());
        table.add_row([class.label.clone()].into_iter().chain(counts).collect::<Vec<String>>());
    }
    align_right(&mut table, 1);
    table
}

fn tell_calibration(of: &Classification) {
    let mut parts = Vec::new();
    if let Some(calibration) = &of.calibration {
        parts.push(format!(
            "expected calibration error {:.3} over {} bins",
            calibration.expected_error,
            calibration.bins.len()
        ));
    }
    parts.extend(of.brier.map(|brier| format!("Brier score {brier:.3}")));
    parts.extend(
        of.average_precision.iter().map(|(label, mean)| format!("average precision of `{label}` {mean:.3}")),
    );
    if !parts.is_empty() {
        say(&format!("likeliest labels: {}", parts.join(", ")));
    }
}

/// What precision is left at each recall, by the probability of the class.
fn show_curves(of: &Classification) {
    let Some(first) = of.curves.first() else { return };
    if of.curves.len() > SHOWN_CURVES || first.points.is_empty() {
        return;
    }
    let names = RECALLS.iter().map(|recall| format!("{recall:.2}"));
    let mut table =
        table(["precision at a recall of".to_owned()].into_iter().chain(names).collect::<Vec<_>>());
    for curve in &of.curves {
        let values =
            curve.precisions.iter().map(|best| best.map_or_else(String::new, |best| format!("{best:.3}")));
        table.add_row([format!("`{}`", curve.label)].into_iter().chain(values).collect::<Vec<String>>());
    }
    align_right(&mut table, 1);
    say("");
    say(&table.to_string());
    for curve in &of.curves {
        if let Some(best) = &curve.best_f1 {
            let f1 = 2.0 * best.precision * best.recall / (best.precision + best.recall);
            say(&format!(
                "`{}` from a probability of {:.3} on: precision {:.3}, recall {:.3}, F1 {f1:.3}, the best on these cases",
                curve.label, best.threshold, best.precision, best.recall
            ));
        }
    }
}

fn tell(name: &str, judged: &Judged) {
    let judgement = &judged.judgement;
    let reasons = judgement.failures.iter().chain(&judgement.shortfalls).chain(&judgement.warnings);
    for reason in reasons {
        say(&format!("{name}: {reason}"));
    }
}
