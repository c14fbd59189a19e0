//! Benchmarks as lm-evaluation-harness 0.4.13 computes them: k examples, then the likeliest choice or the number that is arrived at.
//!
//! Texts are continued as they stand, without a chat template.

mod answering;
mod programs;
mod rows;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

pub use self::programs::{Programs, Written};
pub use self::rows::Form;
use self::rows::{Item, Items, Task, read};
use super::choosing;
use super::figures::Estimate;
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;
use crate::talk::Speaker;
use rtune_metrics::classify::{ChoiceBy, choose};
use rtune_metrics::final_answer::{Extract, final_answer, same_final_answer};

/// What is asked of a benchmark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BenchmarkOptions {
    /// Examples before each item.
    pub shots: usize,
    /// The file they come from, its first rows; `None` takes the first of the benchmark itself, without the item that is asked.
    pub shots_from: Option<PathBuf>,
    /// What stands before the examples; `None` takes what the form has, which for MMLU names the subject.
    pub description: Option<String>,
    /// Most tokens of an answer that is generated.
    pub max_new_tokens: usize,
    /// Answers under way at once.
    pub batch: usize,
    /// Where answers that are programs are run; `None` refuses to.
    pub programs: Option<Programs>,
}

/// What a benchmark came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchmarkReport {
    /// [`FORMAT`].
    pub format: u64,
    /// The file, and SHA-256 of its bytes; then that of the examples, where it is another.
    pub files: Vec<(String, String)>,
    /// What its rows are.
    pub form: String,
    /// Examples before each item.
    pub shots: usize,
    /// The base over all items.
    pub base: Scores,
    /// The tuned model; `None` where there is no adapter.
    pub tuned: Option<Scores>,
    /// One for each row, in order.
    pub items: Vec<ItemReport>,
}

/// A model over all items.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Items.
    pub items: usize,
    /// Each metric by the harness's name: the mean over items, and its standard error.
    pub metrics: BTreeMap<String, Estimate>,
    /// The first metric subject by subject, where rows have one.
    pub subjects: BTreeMap<String, Estimate>,
}

/// An item, and what the models made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemReport {
    /// The row's `id`, or its line.
    pub id: String,
    /// Its line.
    pub line: u64,
    /// The part of the benchmark it belongs to.
    pub subject: Option<String>,
    /// Its query, without the examples before it.
    pub query: String,
    /// What can be chosen; empty where the answer is generated.
    pub choices: Vec<String>,
    /// Which of them is right.
    pub gold: Option<usize>,
    /// The text whose number is right, or the test of the program, where the answer is generated.
    pub target: Option<String>,
    /// The base.
    pub base: ItemSide,
    /// The tuned model.
    pub tuned: Option<ItemSide>,
}

/// One model on one item.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ItemSide {
    /// The natural logarithm of the probability of each choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_likelihoods: Vec<f64>,
    /// Whether each token of the choice is the likeliest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub is_greedy: Vec<bool>,
    /// The answer, where it is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The answers that are programs, and what came of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Written>,
    /// From 0 to 1 by each metric.
    pub scores: BTreeMap<String, f64>,
}

/// Asks the base, and the tuned model if there is an adapter. `progress` is called with (tuned, items done, items in all).
///
/// # Errors
/// [`TrainerError::Unreadable`] for files that are no benchmarks, [`TrainerError::Benchmark`] for one that cannot be asked so.
pub fn examine(
    speaker: &Speaker<'_>,
    file: &std::path::Path,
    options: &BenchmarkOptions,
    progress: &mut dyn FnMut(bool, usize, usize),
) -> Result<BenchmarkReport, TrainerError> {
    let file = read(file)?;
    let shown = options.shots_from.as_deref().map(read).transpose()?;
    if let Some(other) = shown.as_ref().filter(|other| other.form != file.form) {
        return Err(problem(
            &file,
            format!("its rows are {}, the examples are {}", file.form.name(), other.form.name()),
        ));
    }
    if file.form == Form::HumanEval {
        programs::may(&file, options)?;
    }
    let contexts = contexts(&file, shown.as_ref(), options)?;
    let mut sides = |tuned: bool| -> Result<Vec<ItemSide>, TrainerError> {
        let mut on = |done: usize, total: usize| progress(tuned, done, total);
        match file.form {
            Form::Gsm8k => answering::answer(speaker, &file, &contexts, options, tuned, &mut on),
            Form::HumanEval => programs::write(speaker, &file, &contexts, options, tuned, &mut on),
            _ => choose_all(speaker, &file, &contexts, tuned, &mut on),
        }
    };
    let base = sides(false)?;
    let tuned = speaker.opened().tuned.then(|| sides(true)).transpose()?;
    let mut files = vec![(file.path.display().to_string(), file.hash.clone())];
    files.extend(shown.map(|other| (other.path.display().to_string(), other.hash)));
    let mut of_tuned = tuned.clone().map(Vec::into_iter);
    let reports = file.items.iter().zip(&base).map(|(item, base)| {
        let (choices, gold, target) = match &item.task {
            Task::Choose { choices, gold } => (choices.clone(), Some(*gold), None),
            Task::Compute { target } | Task::Program { test: target } => {
                (Vec::new(), None, Some(target.clone()))
            }
        };
        ItemReport {
            id: item.id.clone(),
            line: item.line,
            subject: item.subject.clone(),
            query: item.query.clone(),
            choices,
            gold,
            target,
            base: base.clone(),
            tuned: of_tuned.as_mut().and_then(Iterator::next),
        }
    });
    Ok(BenchmarkReport {
        format: FORMAT,
        files,
        form: file.form.name().to_owned(),
        shots: options.shots,
        items: reports.collect(),
        base: scores(&file, &base),
        tuned: tuned.map(|sides| scores(&file, &sides)),
    })
}

fn problem(file: &Items, problem: String) -> TrainerError {
    TrainerError::Benchmark { file: file.path.clone(), problem }
}

/// Description, examples and query of each item. Where rows have subjects, examples are of the item's own.
fn contexts(
    file: &Items,
    shown: Option<&Items>,
    options: &BenchmarkOptions,
) -> Result<Vec<String>, TrainerError> {
    let context = |item: &Item| -> Result<String, TrainerError> {
        let of_subject = |other: &&Item| other.subject == item.subject;
        // As the harness does, the item itself is no example, in whichever file it stands.
        let shown = shown.unwrap_or(file).items.iter().filter(of_subject);
        let examples: Vec<&Item> = shown.filter(|other| !other.is_row_of(item)).take(options.shots).collect();
        if examples.len() < options.shots {
            let of = item.subject.as_deref().map_or_else(String::new, |subject| format!(" of {subject}"));
            let words = format!(
                "line {}: expected {} examples{of}, found {}",
                item.line,
                options.shots,
                examples.len()
            );
            return Err(problem(file, words));
        }
        let mut text = match &options.description {
            Some(description) => description.clone(),
            None => description(file.form, item),
        };
        for example in examples {
            text.push_str(&example.shown());
        }
        Ok(text + &item.query)
    };
    file.items.iter().map(context).collect()
}

fn description(form: Form, item: &Item) -> String {
    match (form, &item.subject) {
        (Form::Mmlu, Some(subject)) => format!(
            "The following are multiple choice questions (with answers) about {}.\n\n",
            subject.replace('_', " ")
        ),
        _ => String::new(),
    }
}

/// The log-probability of each choice behind its context.
fn choose_all(
    speaker: &Speaker<'_>,
    file: &Items,
    contexts: &[String],
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<ItemSide>, TrainerError> {
    let mut groups = Vec::with_capacity(file.items.len());
    for (item, context) in file.items.iter().zip(contexts) {
        let Task::Choose { choices, .. } = &item.task else { continue };
        let of = choices
            .iter()
            .map(|choice| answering::continued(speaker, file, item, context, &format!(" {choice}")));
        groups.push(of.collect::<Result<Vec<_>, _>>()?);
    }
    let losses = choosing::losses(speaker, &groups, tuned, progress)?;
    let sides = file.items.iter().zip(losses).map(|(item, losses)| {
        let Task::Choose { choices, gold } = &item.task else { return ItemSide::default() };
        let log_likelihoods: Vec<f64> =
            losses.iter().map(|rows| -rows.iter().map(|row| row.nats).sum::<f64>()).collect();
        let by = |length: fn(&str) -> usize, by: ChoiceBy| {
            let scored: Vec<(f64, usize)> =
                log_likelihoods.iter().zip(choices).map(|(&sum, choice)| (sum, length(choice))).collect();
            f64::from(u8::from(choose(&scored, by) == Some(*gold)))
        };
        let scores = [
            ("acc", by(str::len, ChoiceBy::Sum)),
            ("acc_norm", by(|text| text.chars().count(), ChoiceBy::Length)),
            ("acc_bytes", by(str::len, ChoiceBy::Length)),
        ];
        ItemSide {
            is_greedy: losses.iter().map(|rows| rows.iter().all(|row| row.correct)).collect(),
            log_likelihoods,
            scores: scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect(),
            ..ItemSide::default()
        }
    });
    Ok(sides.collect())
}

/// 1 or 0 by each way of finding the number.
fn computed(answer: &str, target: &str) -> BTreeMap<String, f64> {
    let by = |how| f64::from(u8::from(same_final_answer(&final_answer(answer, how), target)));
    let scores = [
        ("exact_match,strict-match", by(Extract::Strict)),
        ("exact_match,flexible-extract", by(Extract::Flexible)),
    ];
    scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect()
}

fn scores(file: &Items, sides: &[ItemSide]) -> Scores {
    let mut metrics: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut subjects: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let first = match file.form {
        Form::Gsm8k => "exact_match,strict-match",
        Form::HumanEval => "pass@1",
        _ => "acc",
    };
    for (item, side) in file.items.iter().zip(sides) {
        for (name, score) in &side.scores {
            metrics.entry(name.clone()).or_default().push(*score);
        }
        if let (Some(subject), Some(score)) = (&item.subject, side.scores.get(first)) {
            subjects.entry(subject.clone()).or_default().push(*score);
        }
    }
    let estimates = |all: BTreeMap<String, Vec<f64>>| {
        all.into_iter().map(|(name, scores)| (name, Estimate::of(&scores))).collect()
    };
    Scores { items: sides.len(), metrics: estimates(metrics), subjects: estimates(subjects) }
}
