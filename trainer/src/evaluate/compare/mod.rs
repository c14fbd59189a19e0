//! Two models on the same golden cases: metric by metric, from the reports of their evaluations.

mod answers;
mod diff;
mod measure;
mod reach;
mod report;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rtune_metrics::classify::LabelSet;
use rtune_metrics::compare::{Cases, CompareError, Comparison, Settings, judge_after_first};
use serde::Serialize;

pub use self::answers::{Answered, Answers, answers};
pub use self::diff::{Part, diff};
use self::measure::Scores;
pub use self::measure::is_metric;
pub(crate) use self::report::bytes_of;
use self::report::{Report, ReportCase, ReportSide, read};
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;
use crate::evaluate::by_name::TEXT_BITS_PER_BYTE;

/// Which model of a report is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The base.
    Base,
    /// The tuned model.
    Tuned,
    /// The tuned model, or the base where there is none.
    Best,
}

/// A case that only one of the two has right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The case.
    pub id: String,
    /// Its place in the first report, from 0: rows that stand twice have one id.
    pub index: usize,
    /// Whether the second model has it right.
    pub gained: bool,
    /// What was asked last.
    pub asked: String,
    /// What was expected.
    pub expected: Vec<String>,
    /// The first model's answer.
    pub first: String,
    /// The second model's answer.
    pub second: String,
    /// The two word by word; `None` where they are too long or have little in common.
    pub diff: Option<Vec<Part>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// [`FORMAT`].
    pub format: u64,
    /// Metric by metric over all cases that have it. The first decides: it was fixed beforehand, so its probability stands, and the margin is
    /// in its unit. The others are corrected for their number together.
    pub metrics: Vec<Comparison>,
    /// The deciding metric by slice, where cases are in slices, corrected for their number.
    pub slices: Vec<Comparison>,
    /// Cases that changed, by the deciding metric where that is right or wrong, else by exact match.
    pub flips: Vec<Flip>,
    /// What was asked of the comparison.
    pub settings: Settings,
}

/// Compares `second` with `first`. `decides` names the metric that decides; `None` takes checks where there are any, else labels,
/// else chrF. `key_classes` are labels whose F1 is compared, too.
///
/// # Errors
/// [`TrainerError::Unreadable`] for a file that is no golden report, [`TrainerError::NotComparable`] for two that have not the same
/// cases.
pub fn compare_reports(
    first: (&Path, Which),
    second: (&Path, Which),
    decides: Option<&str>,
    key_classes: &[String],
    settings: &Settings,
) -> Result<Compared, TrainerError> {
    let (first, second) = (Named::read(first)?, Named::read(second)?);
    first.has_model()?;
    second.has_model()?;
    let texts = texts::compared(&first, &second, settings)?;
    let pairs = Pairs::new(first, second)?;
    let mut measures = if pairs.cases.is_empty() { Vec::new() } else { pairs.measures(key_classes)? };
    let texts_decide = texts.is_some() && (measures.is_empty() || decides == Some(TEXT_BITS_PER_BYTE));
    if let Some(name) = decides.filter(|name| !texts_decide || *name != TEXT_BITS_PER_BYTE) {
        if !measures.iter().any(|measure| measure.name == name) {
            measures.extend(pairs.on_demand(name));
        }
        let at = measures.iter().position(|measure| measure.name == name).ok_or_else(|| {
            let of_texts = texts.is_some().then_some(TEXT_BITS_PER_BYTE);
            let known: Vec<&str> =
                measures.iter().map(|measure| measure.name.as_str()).chain(of_texts).collect();
            let more = pairs.named_on_demand();
            not_comparable(format!(
                "no metric `{name}`; these cases have {}, {}",
                known.join(", "),
                more.join(", ")
            ))
        })?;
        let chosen = measures.remove(at);
        measures.insert(0, chosen);
    }
    let failed = |error: CompareError| not_comparable(error.to_string());
    let mut metrics = Vec::with_capacity(measures.len());
    for measure in &measures {
        metrics.push(measure.compared(&pairs, settings).map_err(failed)?);
    }
    if let Some(texts) = texts {
        metrics.insert(if texts_decide { 0 } else { metrics.len() }, texts);
    }
    judge_after_first(&mut metrics, settings);
    let slices = match measures.first() {
        Some(measure) if !texts_decide => measure.by_slice(&pairs, settings).map_err(failed)?,
        _ => Vec::new(),
    };
    let flips = pairs.flips(measures.first().filter(|_| !texts_decide));
    Ok(Compared { format: FORMAT, metrics, slices, flips, settings: *settings })
}

fn not_comparable(problem: String) -> TrainerError {
    TrainerError::NotComparable { problem }
}

/// A report, and which of its models is meant.
struct Named {
    path: PathBuf,
    which: Which,
    report: Report,
}

impl Named {
    fn read((path, which): (&Path, Which)) -> Result<Self, TrainerError> {
        Ok(Self { path: path.to_owned(), which, report: read(path)? })
    }

    /// # Errors
    /// [`TrainerError::NotComparable`] where that model is not there.
    fn has_model(&self) -> Result<(), TrainerError> {
        let is_there = self.which != Which::Tuned
            || self.report.cases.iter().all(|case| case.tuned.is_some())
                && self.report.texts.as_ref().is_none_or(|texts| texts.are_tuned());
        is_there.then_some(()).ok_or_else(|| {
            not_comparable(format!(
                "expected a tuned model beside the base in `{}`, found the base alone; a base is compared with another report",
                self.path.display()
            ))
        })
    }

    /// Which model of the report it is, by name.
    fn model(&self) -> &'static str {
        let has_tuned = self.report.cases.iter().any(|case| case.tuned.is_some());
        if self.which != Which::Base && has_tuned { "tuned" } else { "base" }
    }

    /// Puts labels into the order of `wanted`, and with them the nats of each case.
    ///
    /// # Errors
    /// [`TrainerError::NotComparable`] for other labels.
    fn order_labels(&mut self, first: &Self) -> Result<(), TrainerError> {
        let shown = |named: &Self| {
            let labels = match &named.report.labels {
                Some(labels) => format!("the labels {}", labels.join(", ")),
                None => "no labels".to_owned(),
            };
            (named.path.display().to_string(), labels)
        };
        let other = || {
            let ((one, expected), (other, found)) = (shown(first), shown(self));
            not_comparable(format!("`{one}` was evaluated with {expected}, `{other}` with {found}"))
        };
        let (Some(wanted), Some(own)) = (&first.report.labels, &self.report.labels) else {
            return if first.report.labels == self.report.labels { Ok(()) } else { Err(other()) };
        };
        let place = |label: &String| own.iter().position(|one| one == label);
        let order = wanted.iter().map(place).collect::<Option<Vec<usize>>>();
        let order = order.filter(|order| order.len() == own.len()).ok_or_else(other)?;
        for case in &mut self.report.cases {
            for side in std::iter::once(&mut case.base).chain(&mut case.tuned) {
                let nats = side.label_nats.take();
                side.label_nats =
                    nats.and_then(|nats| order.iter().map(|&at| nats.get(at).copied()).collect());
            }
        }
        self.report.labels = Some(wanted.clone());
        Ok(())
    }
}

/// The same cases under two models.
struct Pairs {
    cases: Vec<ReportCase>,
    sides: [Vec<ReportSide>; 2],
    labels: Option<LabelSet>,
    clusters: Cases,
}

impl Pairs {
    fn new(first: Named, mut second: Named) -> Result<Self, TrainerError> {
        second.order_labels(&first)?;
        let Named { which, report: first, .. } = first;
        let Named { which: other, report: second, .. } = second;
        // Rows that stand twice have one id: the first is the first's, and so on.
        let mut others: HashMap<&str, Vec<&ReportCase>> = HashMap::new();
        for case in second.cases.iter().rev() {
            others.entry(case.id.as_str()).or_default().push(case);
        }
        let (mut sides, mut missing, mut other_text) = ([Vec::new(), Vec::new()], 0_usize, None);
        for case in &first.cases {
            let same_id = others.get_mut(case.id.as_str());
            let place = same_id.as_ref().and_then(|all| all.iter().rposition(|one| one.asks_as(case)));
            match (same_id, place) {
                (Some(all), Some(place)) => {
                    sides[0].push(case.side(which));
                    sides[1].push(all.remove(place).side(other));
                }
                (same_id, _) => {
                    missing += 1;
                    let is_there = same_id.is_some_and(|all| !all.is_empty());
                    other_text = other_text.or(is_there.then_some(&case.id));
                }
            }
        }
        let left = others.values().map(Vec::len).sum::<usize>();
        if missing + left > 0 {
            let mut problem = format!(
                "{missing} of the {} cases of the first are not in the second, and {left} of the {} the other way round",
                first.cases.len(),
                second.cases.len()
            );
            if let Some(id) = other_text {
                problem += &format!("; `{id}` is in both, but asks, expects or checks something else");
            }
            return Err(not_comparable(problem));
        }
        let labels = first.labels.map(LabelSet::new).transpose();
        let labels = labels.map_err(|error| not_comparable(error.to_string()))?;
        let keys: Vec<Option<String>> = first.cases.iter().map(|case| Some(case.key())).collect();
        Ok(Self { clusters: Cases::clustered(&keys), cases: first.cases, sides, labels })
    }

    fn flips(&self, decides: Option<&measure::Measure>) -> Vec<Flip> {
        let exact = self.outcomes("exact-match", |_, side| side.exact_match);
        let is_outcome =
            |measure: &&measure::Measure| matches!(measure.scores, Scores::Outcomes(_) | Scores::Weighted(_));
        let measure = decides.filter(is_outcome).unwrap_or(&exact);
        let (Scores::Outcomes([first, second]) | Scores::Weighted([first, second])) = &measure.scores else {
            return Vec::new();
        };
        let mut members: Vec<usize> = measure.cases.iter().collect();
        members.sort_unstable();
        let changed = members.into_iter().filter(|&index| first[index] != second[index]);
        changed
            .map(|index| {
                let case = &self.cases[index];
                let asked = case.prompt.last().and_then(|message| message["content"].as_str());
                Flip {
                    id: case.id.clone(),
                    index,
                    gained: second[index],
                    asked: asked.unwrap_or_default().to_owned(),
                    expected: case.expected.clone(),
                    first: self.sides[0][index].answer.clone(),
                    second: self.sides[1][index].answer.clone(),
                    diff: diff(&self.sides[0][index].answer, &self.sides[1][index].answer),
                }
            })
            .collect()
    }
}
