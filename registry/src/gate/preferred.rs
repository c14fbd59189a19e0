//! The rule that people must prefer the candidate.

use std::collections::BTreeMap;

use rtune_data::Half;
use rtune_metrics::compare::Settings;
use rtune_trainer::config::GateSection;
use rtune_trainer::evaluate::compare::{Answered, answers};
use rtune_trainer::evaluate::reviews::{Matched, Review, matched, sum};

use super::{Asked, Finding};
use crate::error::RegistryError;

/// The rule, as its key in `[gate]`.
const RULE: &str = "preferred";

/// Applies `gate.preferred` to people's reviews of both models' answers: the lower bound of the share's interval must reach it, so that a few
/// reviews let nothing in. Reviews of other answers, or of cases that these rows have not, are refused by name. `None` where there is no such
/// rule, and on the sealed half, whose rows nobody may see.
///
/// # Errors
/// [`RegistryError::Trainer`] where the two reports do not have the same cases.
pub fn preferred(
    gate: &GateSection,
    asked: &Asked<'_>,
    reviews: Option<&[Review]>,
) -> Result<Option<Finding>, RegistryError> {
    let Some(limit) = gate.preferred.filter(|_| asked.half != Half::Sealed) else { return Ok(None) };
    let refused = |said: String, cases: Vec<String>| {
        let finding = Finding { passed: false, limit: Some(limit), ..Finding::of(RULE, said, cases) };
        Ok(Some(Finding { half: Some(asked.half.name()), ..finding }))
    };
    let Some(reviews) = reviews else {
        let said = "reviewers must prefer the candidate, and nobody was asked: `rtune promote --answers FOLDER` keeps what both models \
                    answer, `rtune review` asks people, `rtune promote --reviews FILE` reads what they said";
        return refused(said.to_owned(), Vec::new());
    };
    let (current, candidate) = (&asked.current, &asked.candidate);
    let cases = answers((current.path, current.which), (candidate.path, candidate.which))?.cases;
    let Matched { reviews, unmatched } = matched(reviews.to_vec(), &cases);
    if !unmatched.is_empty() {
        let said = format!("{} reviews are not of what both models answer, as it ships", unmatched.len());
        return refused(said, unmatched.iter().map(ToString::to_string).collect());
    }
    let keys: Vec<String> = cases.iter().map(Answered::key).collect();
    let settings = Settings { alpha: gate.alpha, ..Settings::default() };
    let Some(found) = sum(&reviews, &keys, &settings).map(|found| found.preference) else {
        return refused("reviewers must prefer the candidate, and there is no review".to_owned(), Vec::new());
    };
    let [low, high] = found.interval;
    let passed = low >= limit;
    let said = format!(
        "reviewers prefer the candidate in {:.1}% of {} cases ({:.0}% interval {:.1}% to {:.1}%; {} reviews: {} for it, {} against, {} \
         ties; sign test p = {:.3}), and the interval must lie above {:.1}%",
        100.0 * found.share,
        found.cases,
        100.0 * (1.0 - gate.alpha),
        100.0 * low,
        100.0 * high,
        found.reviews,
        found.second,
        found.first,
        found.ties,
        found.sign_p,
        100.0 * limit,
    );
    let mut against: BTreeMap<usize, f64> = BTreeMap::new();
    for (case, review) in &reviews {
        *against.entry(*case).or_default() += 0.5 - review.preferred.value();
    }
    let mut lost: Vec<(f64, &str)> = against
        .into_iter()
        .filter(|(_, votes)| !passed && *votes > 0.0)
        .filter_map(|(case, votes)| Some((votes, cases.get(case)?.id.as_str())))
        .collect();
    lost.sort_by(|one, other| other.0.total_cmp(&one.0));
    let lost = lost.into_iter().map(|(_, id)| id.to_owned()).collect();
    let finding = Finding { passed, limit: Some(limit), found: Some(low), ..Finding::of(RULE, said, lost) };
    Ok(Some(Finding { half: Some(asked.half.name()), ..finding }))
}
