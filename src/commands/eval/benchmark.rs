//! `rtune eval --benchmark`: a benchmark as lm-evaluation-harness computes it.

use std::path::Path;

use comfy_table::Table;
use rtune_sandbox::Outcome;
use rtune_trainer::evaluate::benchmark::{
    BenchmarkOptions, BenchmarkReport, ItemReport, ItemSide, Scores, examine,
};
use rtune_trainer::evaluate::figures::Estimate;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::Speaker;

use crate::args::talk::EvalArgs;
use crate::reporter::{Work, say};
use crate::table::{align_right, table};

/// Subjects that are still read one by one.
const SHOWN_SUBJECTS: usize = 60;

pub(super) fn run(
    args: &EvalArgs,
    file: &Path,
    subject: &Subject,
    model: &Opened,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let options = BenchmarkOptions {
        shots: args.shots,
        shots_from: args.shots_from.clone(),
        description: args.description.clone(),
        max_new_tokens: args.max_new_tokens as usize,
        batch: args.batch.map_or_else(|| super::batch(model), |rows| rows as usize),
        programs: super::code::programs(&args.code)?,
    };
    let speaker = Speaker::new(model)?;
    let mut work = Work::new("asking");
    let report = examine(&speaker, file, &options, &mut |tuned, done, total| {
        work.rename(if tuned { "asking the tuned model" } else { "asking the base" });
        work.show(done, total);
    })?;
    work.finish();
    let text = serde_json::to_string_pretty(&report)? + "\n";
    let places = super::places(subject, "benchmark", &super::stem(file), &report.files, out);
    crate::commands::out::write(&places, &text)?;
    if args.json {
        say(text.trim_end());
        return Ok(());
    }
    let examples = match report.shots {
        0 => "no examples".to_owned(),
        shots => format!("{shots} examples before each"),
    };
    if args.answers {
        report.items.iter().for_each(show_item);
    }
    say(&score_table(&report).to_string());
    say(&format!(
        "{} items of the form {}, {examples}; as lm-evaluation-harness computes it, no chat template",
        report.items.len(),
        report.form,
    ));
    for place in &places {
        say(&format!("report: {}", place.display()));
    }
    Ok(())
}

fn score_table(report: &BenchmarkReport) -> Table {
    let sides: Vec<(&str, &Scores)> = std::iter::once(("base", &report.base))
        .chain(report.tuned.iter().map(|tuned| ("tuned", tuned)))
        .collect();
    let header = std::iter::once(String::new()).chain(sides.iter().map(|(name, _)| (*name).to_owned()));
    let mut table = table(header.collect::<Vec<String>>());
    let mut row = |name: &str, of: &dyn Fn(&Scores) -> Option<Estimate>| {
        let values = sides.iter().map(|(_, scores)| of(scores).map_or_else(String::new, shown));
        table.add_row(std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>());
    };
    for name in report.base.metrics.keys() {
        row(name, &|scores| scores.metrics.get(name).copied());
    }
    for name in report.base.subjects.keys().take(SHOWN_SUBJECTS) {
        row(&format!("  {name}"), &|scores| scores.subjects.get(name).copied());
    }
    align_right(&mut table, 1);
    table
}

fn shown(estimate: Estimate) -> String {
    match estimate.standard_error {
        Some(error) => format!("{:.4} ± {error:.4}", estimate.mean),
        None => format!("{:.4}", estimate.mean),
    }
}

fn show_item(item: &ItemReport) {
    say(&format!("=== {} (line {})\n{}", item.id, item.line, item.query));
    let side = |name: &str, side: &ItemSide| {
        if let Some(answer) = &side.answer {
            say(&format!("--- {name}\n{answer}"));
        }
        for written in &side.programs {
            let outcome = match &written.outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed(reason) => format!("failed: {reason}"),
                Outcome::TimedOut => "took too long".to_owned(),
            };
            say(&format!("--- {name}, {outcome}\n{}", written.answer));
        }
        for ((choice, likelihood), index) in item.choices.iter().zip(&side.log_likelihoods).zip(0..) {
            let right = if item.gold == Some(index) { "*" } else { " " };
            say(&format!("{name} {right} {likelihood:9.3}  {choice}"));
        }
    };
    side("base", &item.base);
    if let Some(tuned) = &item.tuned {
        side("tuned", tuned);
    }
}
