//! The rules about golden rows.

use rtune_data::Half;
use rtune_metrics::compare::{Better, Comparison, OverSeeds, Settings, Verdict, judge_together};
use rtune_trainer::config::{GateSection, LIKELIHOODS};
use rtune_trainer::evaluate::by_name::{better, figures};
use rtune_trainer::evaluate::compare::{Compared, compare_reports, is_metric};
use rtune_trainer::evaluate::verdict::word;

use super::{Asked, Finding, Weighed, finite};
use crate::error::RegistryError;

/// Applies the rules of `gate` to one half of the golden rows, or to all. What must improve is judged where nobody could choose: on the
/// sealed half, if there is one. A candidate with a figure that is no number cannot be compared: that alone is found then, against it.
///
/// # Errors
/// [`RegistryError::Rule`] for a metric that these rows do not have; those of the comparison.
pub fn judge(
    gate: &GateSection,
    asked: &Asked<'_>,
) -> Result<(Vec<Finding>, Option<Weighed>), RegistryError> {
    if let Some(finding) = finite::fault(asked)? {
        return Ok((vec![finding], None));
    }
    let settings = Settings { alpha: gate.alpha, ..Settings::default() };
    let labels = label_classes(gate);
    let (one, other) =
        ((asked.current.path, asked.current.which), (asked.candidate.path, asked.candidate.which));
    let compare = |metric: Option<&str>| compare_reports(one, other, metric, &labels, &settings);
    // Slices are judged by it: by what answers are, where any rule names that, and not by how likely they were.
    let named = || gate.metrics().map(|(_, name)| name).filter(|name| is_metric(name));
    let first = named().find(|name| !LIKELIHOODS.contains(name)).or_else(|| named().next());
    let compared = compare(first)?;
    let comparison = |metric: &str| -> Result<Comparison, RegistryError> {
        if let Some(known) = compared.metrics.iter().find(|one| one.metric == metric) {
            return Ok(known.clone());
        }
        // The first is the one that was asked for: without one, the comparison itself fails.
        Ok(compare(Some(metric))?.metrics.swap_remove(0))
    };
    // The candidate first, then the other seeds, each against what is in use.
    let over_seeds = |metric: &str| -> Result<Option<OverSeeds>, RegistryError> {
        let mut all = vec![comparison(metric)?];
        for seed in asked.seeds {
            let compared = compare_reports(one, (seed.path, seed.which), Some(metric), &labels, &settings)?;
            all.extend(compared.metrics.into_iter().next());
        }
        Ok(OverSeeds::new(&all, gate.alpha))
    };
    let rules = Rules { gate, asked, settings: &settings };
    let mut findings = Vec::new();
    for (metric, limit) in &gate.limits {
        findings.push(rules.limit(metric, *limit)?);
    }
    if asked.half != Half::Open {
        for metric in &gate.must_improve {
            findings.push(rules.improves(comparison(metric)?, over_seeds(metric)?));
        }
    }
    for (metric, margin) in &gate.non_inferior {
        findings.push(rules.not_inferior(&comparison(metric)?, over_seeds(metric)?, *margin));
    }
    if gate.slices {
        findings.extend(rules.slices(&compared));
    }
    Ok((findings, Some(Weighed { half: asked.half.name(), compared })))
}

/// The labels whose F1 a rule names.
fn label_classes(gate: &GateSection) -> Vec<String> {
    gate.metrics()
        .map(|(_, name)| name)
        .filter(|name| is_metric(name))
        .filter_map(|name| name.strip_prefix("f1-").map(str::to_owned))
        .collect()
}

/// Clusters of a slice under which six lost ones, the fewest that a test tells from chance, would be most of it.
const FEW_IN_SLICE: usize = 12;

/// Whether a slice lost more than half of what it was, where its clusters are too few for a probability to say so: with `k` of them that of a
/// test of signs is never less than two in 2^k, whatever the metric.
pub(super) fn collapsed(one: &Comparison, alpha: f64) -> bool {
    let clusters = i32::try_from(one.clusters).unwrap_or(i32::MAX);
    let is_small = one.clusters < FEW_IN_SLICE || 2_f64.powi(1 - clusters) > alpha;
    let is_half = match one.better {
        Better::Higher => one.first > 0.0 && one.second < 0.5 * one.first,
        Better::Lower => one.second > 0.0 && one.first < 0.5 * one.second,
    };
    is_small && is_half
}

struct Rules<'a> {
    gate: &'a GateSection,
    asked: &'a Asked<'a>,
    settings: &'a Settings,
}

impl Rules<'_> {
    fn limit(&self, metric: &str, limit: f64) -> Result<Finding, RegistryError> {
        let candidate = &self.asked.candidate;
        let figures = figures(candidate.summary_of_cases(), candidate.texts());
        let found = figures.get(metric).copied().ok_or_else(|| {
            let known = figures.keys().cloned().collect::<Vec<_>>().join(", ");
            let problem = format!("the golden rows have no metric `{metric}`; they have {known}");
            RegistryError::Rule { key: "limits", problem }
        })?;
        let less_is_better = better(metric) == Some(Better::Lower);
        let passed = if less_is_better { found <= limit } else { found >= limit };
        let bound = if less_is_better { "at most" } else { "at least" };
        let said = format!("{metric}{} is {found:.4}, expected {bound} {limit}", self.on());
        let cases = if passed { Vec::new() } else { self.asked.poor(metric) };
        Ok(self.finding("limits", Some(metric), passed, said, cases).with(limit, found))
    }

    /// Each metric that must improve has a probability of its own: all of them must, so that none can be picked.
    fn improves(&self, comparison: Comparison, over_seeds: Option<OverSeeds>) -> Finding {
        let mut alone = [comparison];
        judge_together(&mut alone, self.settings);
        let [one] = alone;
        let over = over_seeds.as_ref();
        let passed = one.verdict == Verdict::Better && over.is_none_or(|over| over.is_better(one.better));
        let mut said = format!(
            "{}{} must improve and is {}: {:.4} before, {:.4} now, the difference {} ({:.0}% interval {} to {}), p = {:.3}",
            one.metric,
            self.on(),
            word(one.verdict),
            one.first,
            one.second,
            signed(one.difference),
            100.0 * (1.0 - self.gate.alpha),
            signed(one.interval[0]),
            signed(one.interval[1]),
            one.p,
        );
        said += &self.seeds_in_words(over);
        if let (false, Some(needed)) = (passed, one.needed_cases) {
            said += &format!("; {needed} cases like these {} would show it", one.cases);
        }
        let cases = if passed { Vec::new() } else { self.asked.lost(&one.metric, None) };
        let finding = self.finding("must-improve", Some(&one.metric), passed, said, cases);
        Finding { over_seeds, ..finding.with(self.gate.alpha, one.p) }
    }

    fn not_inferior(&self, one: &Comparison, over_seeds: Option<OverSeeds>, margin: f64) -> Finding {
        // The candidate itself ships: its own interval counts, and that over seeds where there are any.
        let over = over_seeds.as_ref().map(|over| over.interval);
        let [low, high] =
            over.map_or(one.interval, |[low, high]| [low.min(one.interval[0]), high.max(one.interval[1])]);
        let (within, worst) = match one.better {
            Better::Higher => (low >= -margin, low),
            Better::Lower => (high <= margin, high),
        };
        // Of a single case, or cluster of cases, every draw is the same: its interval is a point.
        let passed = within && one.cases > 1 && one.clusters > 1;
        let said = format!(
            "{}{} may be worse by {margin}: {:.4} before, {:.4} now, {:.0}% interval of the difference {} to {}",
            one.metric,
            self.on(),
            one.first,
            one.second,
            100.0 * (1.0 - self.gate.alpha),
            signed(low),
            signed(high),
        );
        let said = said + &self.seeds_in_words(over_seeds.as_ref());
        let cases = if passed { Vec::new() } else { self.asked.lost(&one.metric, None) };
        let finding = self.finding("non-inferior", Some(&one.metric), passed, said, cases);
        Finding { over_seeds, ..finding.with(margin, worst) }
    }

    /// What other seeds say, behind what the candidate says.
    fn seeds_in_words(&self, over: Option<&OverSeeds>) -> String {
        let words = |over: &OverSeeds| {
            format!(
                "; over {} seeds the mean difference is {} (from seed to seed {:.4}, {:.0}% interval {} to {})",
                over.seeds,
                signed(over.mean),
                over.deviation,
                100.0 * (1.0 - self.gate.alpha),
                signed(over.interval[0]),
                signed(over.interval[1]),
            )
        };
        over.map(words).unwrap_or_default()
    }

    /// One finding for each slice that is worse, or one that none is. Each slice has a probability of its own: a correction for their
    /// number would let more slip through the more there are. In a slice so small that hardly any outcome could be told from chance, losing more
    /// than half is worse ([`collapsed`]).
    fn slices(&self, compared: &Compared) -> Vec<Finding> {
        let is_worse = |one: &&Comparison| {
            let lost = match one.better {
                Better::Higher => one.difference < 0.0,
                Better::Lower => one.difference > 0.0,
            };
            lost && (one.p <= self.gate.alpha || collapsed(one, self.gate.alpha))
        };
        let worse = compared.slices.iter().filter(is_worse);
        let mut findings: Vec<Finding> = worse
            .map(|one| {
                let slice = one.slice.as_deref().unwrap_or_default();
                let by_half = if one.p > self.gate.alpha { ": more than half, of few cases" } else { "" };
                let said = format!(
                    "the slice `{slice}`{} is worse by {}: {:.4} before, {:.4} now, p = {:.3}{by_half}",
                    self.on(),
                    one.metric,
                    one.first,
                    one.second,
                    one.p
                );
                let cases = self.asked.lost(&one.metric, Some(slice));
                let finding = self.finding("slices", Some(&one.metric), false, said, cases);
                Finding { slice: Some(slice.to_owned()), ..finding.with(self.gate.alpha, one.p) }
            })
            .collect();
        if findings.is_empty() {
            let said = format!("none of {} slices{} is worse", compared.slices.len(), self.on());
            findings.push(self.finding("slices", None, true, said, Vec::new()));
        }
        findings
    }

    fn finding(
        &self,
        rule: &'static str,
        metric: Option<&str>,
        passed: bool,
        said: String,
        cases: Vec<String>,
    ) -> Finding {
        let (half, metric) = (Some(self.asked.half.name()), metric.map(str::to_owned));
        Finding { half, metric, passed, ..Finding::of(rule, said, cases) }
    }

    /// On which rows, where there is a choice.
    fn on(&self) -> &'static str {
        match self.asked.half {
            Half::Whole => "",
            Half::Open => " on the open half",
            Half::Sealed => " on the sealed half",
        }
    }
}

impl Finding {
    fn with(self, limit: f64, found: f64) -> Self {
        Self { limit: Some(limit), found: Some(found), ..self }
    }
}

fn signed(value: f64) -> String {
    format!("{value:+.4}")
}
