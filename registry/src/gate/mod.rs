//! The gate: what a candidate must be, rule by rule, and the decision with every number.

mod cases;
mod finite;
mod preferred;
mod rules;
#[cfg(test)]
mod tests;

use std::path::Path;

use rtune_data::Half;
use rtune_metrics::compare::OverSeeds;
use rtune_trainer::config::GateSection;
use rtune_trainer::evaluate::compare::{Compared, Which};
use rtune_trainer::evaluate::golden::{Case, GoldenReport, Likely, Side, Summary};
use rtune_trainer::evaluate::plain::{PlainText, TextSide};
use serde::Serialize;
use serde_json::Value;

pub use preferred::preferred;
pub use rules::judge;

use crate::version::THIS_FORMAT;

/// A model's answers to golden rows.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The report, as it lies on the disk.
    pub path: &'a Path,
    /// Which of its models is meant.
    pub which: Which,
    /// The same report.
    pub report: &'a GoldenReport,
}

impl<'a> Model<'a> {
    /// Over all cases; `None` where the golden rows are texts alone.
    fn summary_of_cases(&self) -> Option<&'a Summary> {
        let summary = match (self.which, &self.report.tuned) {
            (Which::Tuned | Which::Best, Some(tuned)) => tuned,
            _ => &self.report.base,
        };
        (!self.report.cases.is_empty()).then_some(summary)
    }

    /// Over all texts; `None` where there are none.
    fn texts(&self) -> Option<&'a Likely> {
        let texts = self.report.texts.as_ref()?;
        match (self.which, &texts.tuned) {
            (Which::Tuned | Which::Best, Some(tuned)) => Some(tuned),
            _ => Some(&texts.base),
        }
    }

    fn side_of_text(&self, text: &PlainText) -> TextSide {
        text.tuned.filter(|_| self.which != Which::Base).unwrap_or(text.base)
    }

    fn side(&self, case: &'a Case) -> &'a Side {
        match (self.which, &case.tuned) {
            (Which::Tuned | Which::Best, Some(tuned)) => tuned,
            _ => &case.base,
        }
    }
}

/// Both models on the same golden rows.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which rows.
    pub half: Half,
    /// What is in use.
    pub current: Model<'a>,
    /// What wants to take its place.
    pub candidate: Model<'a>,
    /// The same recipe from other seeds, asked in the same form: what they differ by, the candidate has by chance.
    pub seeds: &'a [Model<'a>],
}

/// What a rule came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule, as its key in `[gate]`.
    pub rule: &'static str,
    /// The half of the golden rows that it was applied to; `None` where it is about something else.
    pub half: Option<&'static str>,
    /// The metric, if it is about one.
    pub metric: Option<String>,
    /// The slice, if it is about one.
    pub slice: Option<String>,
    /// Whether it lets the candidate in.
    pub passed: bool,
    /// What was found, in a sentence.
    pub said: String,
    /// The value that the rule sets.
    pub limit: Option<f64>,
    /// The candidate's value, or the bound of the interval that decides.
    pub found: Option<f64>,
    /// The difference over several seeds, where there are some.
    pub over_seeds: Option<OverSeeds>,
    /// Cases that speak against it, the worst first: ids of golden rows, items of a suite, or places of rows.
    pub cases: Vec<String>,
}

impl Finding {
    /// One that is no comparison: of leaks, canaries, a suite.
    #[must_use]
    pub fn of(rule: &'static str, said: String, cases: Vec<String>) -> Self {
        let passed = cases.is_empty();
        Self {
            rule,
            half: None,
            metric: None,
            slice: None,
            passed,
            said,
            limit: None,
            found: None,
            over_seeds: None,
            cases,
        }
    }

    /// One against a model that computes no numbers at all, so that nothing could be asked of it: `whose` model, at `what`.
    #[must_use]
    pub fn not_finite(whose: &str, what: &str) -> Self {
        let said = format!("{whose} computes what is no number, at {what}: nothing can be asked of it");
        Self { passed: false, ..Self::of("finite", said, Vec::new()) }
    }

    /// The sentence, and the cases behind it.
    #[must_use]
    pub fn line(&self) -> String {
        /// More are in decision.json.
        const MOST_SHOWN: usize = 10;
        if self.passed || self.cases.is_empty() {
            return self.said.clone();
        }
        let mut shown = self.cases.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if self.cases.len() > MOST_SHOWN {
            shown += &format!(" and {} more", self.cases.len() - MOST_SHOWN);
        }
        format!("{}: {shown}", self.said)
    }
}

/// Metrics and flips of one half.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// Which rows.
    pub half: &'static str,
    /// The comparison; its first metric is the gate's first.
    pub compared: Compared,
}

/// What choosing may have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Looks at the sealed rows, this one too.
    pub looks: usize,
    /// Candidates that they were of.
    pub candidates: usize,
    /// The metric.
    pub metric: String,
    /// By how much the best of so many equal candidates seems better, in the metric's unit.
    pub gained_by_choosing: f64,
}

/// decision.json.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// 1.
    pub format: u64,
    /// Whether the candidate is let in.
    pub promoted: bool,
    /// The run, as it was named.
    pub candidate: String,
    /// The version in use, or the base where there is none.
    pub against: String,
    /// In which form both were asked, as `gate.ships` has it.
    pub ships: String,
    /// `[gate]`, defaults too.
    pub gate: Value,
    /// The golden files and BLAKE3 of their bytes.
    pub golden: Vec<(String, String)>,
    /// The suite of `gate.red-team`, as it was named, and SHA-256 of its text; `None` where there is none.
    pub red_team: Option<(String, String)>,
    /// Every rule, in the order in which they were applied.
    pub findings: Vec<Finding>,
    /// Every comparison.
    pub weighed: Vec<Weighed>,
    /// What choosing may have done, where sealed rows were looked at.
    pub chosen: Option<Chosen>,
    /// The program's version.
    pub program: String,
    /// When, in seconds of Unix time.
    pub decided_unix_seconds: u64,
}

impl Decision {
    /// One that nothing speaks against yet.
    #[must_use]
    pub fn begin(candidate: String, against: String, gate: &GateSection) -> Self {
        let gate = serde_json::to_value(gate).unwrap_or_default();
        let ships = gate["ships"].as_str().unwrap_or_default().to_owned();
        Self {
            format: THIS_FORMAT,
            promoted: true,
            candidate,
            against,
            ships,
            gate,
            golden: Vec::new(),
            red_team: None,
            findings: Vec::new(),
            weighed: Vec::new(),
            chosen: None,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            decided_unix_seconds: 0,
        }
    }

    /// Adds what was found.
    pub fn add(&mut self, found: impl IntoIterator<Item = Finding>) {
        for one in found {
            self.promoted &= one.passed;
            self.findings.push(one);
        }
    }

    /// The findings that speak against the candidate.
    pub fn reasons(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|one| !one.passed)
    }
}
