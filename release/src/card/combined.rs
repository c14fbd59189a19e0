//! What a card says of several runs that were made one model.

use std::fmt::Write as _;

use super::Method;
use super::training::{Training, cell};

/// Runs that were made one, or one whose change was made weaker or stronger.
#[derive(Clone, Debug, PartialEq)]
pub struct CombinedRuns {
    /// `linear`, `ties`, `dare` or `dare-ties`.
    pub method: &'static str,
    /// The part of each change that stays, where not all does.
    pub density: Option<f64>,
    /// What draws follow from, where there are any.
    pub seed: Option<u64>,
    /// The runs in order.
    pub runs: Vec<CombinedRun>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct CombinedRun {
    /// Its name, without its place.
    pub name: String,
    /// Its factor.
    pub weight: f64,
    /// What was trained.
    pub method: Method,
    /// What the run says of itself, if it can be read.
    pub training: Option<Training>,
}

impl CombinedRuns {
    /// How they were made one, as the end of a sentence.
    pub(super) fn words(&self) -> String {
        if let ([run], None) = (self.runs.as_slice(), self.density) {
            return format!("one change, multiplied by {}", run.weight);
        }
        let mut words = format!("{} changes, combined by `{}`", self.runs.len(), self.method);
        // Writing to a string cannot fail.
        if let Some(density) = self.density {
            let _ = write!(words, ", of each change the part {density}");
        }
        if let Some(seed) = self.seed {
            let _ = write!(words, " (seed {seed})");
        }
        words
    }

    /// A table of the runs, and a section for each. What each run's own model came to is not what this one does.
    pub(super) fn sections(&self, text: &mut String) {
        *text += "\n| run | trained | factor |\n| --- | --- | --- |\n";
        for CombinedRun { name, weight, method, .. } in &self.runs {
            let _ = writeln!(text, "| {} | {} | {weight} |", cell(name), method.name());
        }
        for CombinedRun { name, training, .. } in &self.runs {
            let _ = writeln!(text, "\n## Run: {}", name.replace(['\n', '\r'], " "));
            match training {
                Some(training) => training.came_about(text, "###"),
                None => *text += "\nIts files say nothing of how it was trained.\n",
            }
        }
    }
}
