//! Functions that a model writes to their end, run beside their tests: pass@k, as HumanEval has it.

use std::collections::BTreeMap;

use rtune_metrics::pass_at_k;
use rtune_models::generate::Sampling;
use rtune_sandbox::{Outcome, Sandbox};
use serde::Serialize;

use super::rows::{Items, Task};
use super::{BenchmarkOptions, ItemSide, answering, problem};
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// What ends a function, as the harness's task has it: the next thing that stands at the margin.
const ENDINGS: [&str; 5] = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"];
/// The numbers of trials that pass@k is shown for.
const TRIALS: [u64; 3] = [1, 10, 100];

/// How programs are written and run.
#[derive(Clone, Debug, PartialEq)]
pub struct Programs {
    /// Where they run.
    pub sandbox: Sandbox,
    /// Answers to each item.
    pub samples: usize,
    /// How their tokens are chosen.
    pub sampling: Sampling,
}

/// An answer that is a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Written {
    /// What the model wrote behind the prompt.
    pub answer: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// Whether such items may be asked.
///
/// # Errors
/// [`TrainerError::CodeNotRun`], [`TrainerError::Benchmark`] where examples are wanted, which such items have not.
pub(super) fn may(file: &Items, options: &BenchmarkOptions) -> Result<(), TrainerError> {
    if options.programs.is_none() {
        return Err(TrainerError::CodeNotRun { place: format!("`{}`", file.path.display()) });
    }
    if options.shots > 0 {
        return Err(problem(file, "its items are written to their end, and have no examples".to_owned()));
    }
    Ok(())
}

/// Answers every item as often as is asked, and runs what was written.
///
/// # Errors
/// Those of the model; [`TrainerError::Sandbox`] where a program was not run.
pub(super) fn write(
    speaker: &Speaker<'_>,
    file: &Items,
    contexts: &[String],
    options: &BenchmarkOptions,
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<ItemSide>, TrainerError> {
    let Some(Programs { sandbox, samples, sampling }) = &options.programs else { return Ok(Vec::new()) };
    let settings = Settings {
        sampling: *sampling,
        seed: 0,
        max_new_tokens: options.max_new_tokens,
        batch: options.batch,
    };
    let samples = (*samples).max(1);
    let repeated: Vec<&str> =
        contexts.iter().flat_map(|context| std::iter::repeat_n(context.as_str(), samples)).collect();
    let answers = answering::texts(speaker, &repeated, &settings, &ENDINGS, tuned, progress)?;
    let mut sides = Vec::with_capacity(file.items.len());
    for (item, answers) in file.items.iter().zip(answers.chunks(samples)) {
        let Task::Program { test } = &item.task else { continue };
        let mut programs = Vec::with_capacity(samples);
        for answer in answers {
            let outcome = sandbox.run(&format!("{}{answer}\n{test}", item.query))?;
            programs.push(Written { answer: answer.clone(), outcome });
        }
        let scores = scores(&programs);
        sides.push(ItemSide { programs, scores, ..ItemSide::default() });
    }
    Ok(sides)
}

/// The unbiased estimate for each number of trials that there are samples for.
fn scores(programs: &[Written]) -> BTreeMap<String, f64> {
    let passed = programs.iter().filter(|written| written.outcome == Outcome::Passed).count() as u64;
    let of =
        |trials: &u64| Some((format!("pass@{trials}"), pass_at_k(programs.len() as u64, passed, *trials)?));
    TRIALS.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_for_as_many_trials_as_there_are_samples() {
        let of = |passed: usize, all: usize| -> Vec<Written> {
            let outcome = |index: usize| if index < passed { Outcome::Passed } else { Outcome::TimedOut };
            (0..all).map(|index| Written { answer: String::new(), outcome: outcome(index) }).collect()
        };
        assert_eq!(scores(&of(1, 1)), BTreeMap::from([("pass@1".to_owned(), 1.0)]));
        let twelve = scores(&of(3, 12));
        assert_eq!(twelve.keys().collect::<Vec<_>>(), ["pass@1", "pass@10"]);
        assert!((twelve["pass@1"] - 0.25).abs() < 1e-12);
        // All that fail must be drawn with one that passes: 1 - C(9, 10) / C(12, 10).
        assert_eq!(twelve["pass@10"], 1.0);
        assert!((scores(&of(2, 12))["pass@10"] - (1.0 - 1.0 / 66.0)).abs() < 1e-12);
    }
}
