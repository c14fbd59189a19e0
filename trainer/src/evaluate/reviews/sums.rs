//! What many reviews come to.

use std::collections::{BTreeMap, BTreeSet};

use rtune_metrics::agreement::{Level, cohen_kappa, krippendorff_alpha};
use rtune_metrics::compare::{Better, Cases, Comparison, Means, Preference, Settings, compare, preference};
use serde::Serialize;

use super::{Place, Review};

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reviewer {
    /// Who.
    pub name: String,
    /// How many cases.
    pub cases: usize,
}

/// Whether reviewers agree in one thing that they said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// A dimension, or `preferred`.
    pub what: String,
    /// Answers, or pairs of answers, that more than one reviewer saw.
    pub seen_by_several: usize,
    /// Krippendorff's alpha: ordinal of scores, nominal of preferences; `None` where it says nothing.
    pub alpha: Option<f64>,
    /// Cohen's kappa where there are two reviewers: of scores with quadratic weights.
    pub kappa: Option<f64>,
}

/// Reviews of two models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reviewed {
    /// Which is preferred.
    pub preference: Preference,
    /// Part of the choices other than ties that fell on the left answer: far from a half, reviewers chose by place.
    pub left: Option<f64>,
    /// Scores dimension by dimension, each the mean over the reviewers of a case; corrected for the number of dimensions together.
    pub dimensions: Vec<Comparison>,
    /// Whether reviewers agree; empty where nobody saw what another saw.
    pub agreement: Vec<Agreement>,
    /// Who reviewed.
    pub reviewers: Vec<Reviewer>,
    /// Answers that somebody corrected.
    pub corrections: usize,
}

/// Sums reviews, each with the number of its case; `keys` has for each case what says which belong together. `None` without reviews.
#[must_use]
pub fn sum(reviews: &[(usize, Review)], keys: &[String], settings: &Settings) -> Option<Reviewed> {
    let clusters = Cases::clustered(&keys.iter().map(Some).collect::<Vec<_>>());
    let choices: Vec<(usize, f64)> =
        reviews.iter().map(|(case, review)| (*case, review.preferred.value())).collect();
    let preference = preference(&choices, &clusters, settings.alpha)?;
    let dimensions: BTreeSet<&str> =
        reviews.iter().flat_map(|(_, review)| review.scores.first.keys().map(String::as_str)).collect();
    let mut compared: Vec<Comparison> =
        dimensions.iter().filter_map(|name| dimension(name, reviews, keys, settings)).collect();
    rtune_metrics::compare::judge_together(&mut compared, settings);
    let decided = reviews.iter().filter(|(_, review)| review.preferred.value() != 0.5);
    let on_left = |review: &Review| (review.shown_left == Place::First) == (review.preferred.value() < 0.5);
    let (left, all) =
        decided.fold((0_u64, 0_u64), |(left, all), (_, review)| (left + u64::from(on_left(review)), all + 1));
    let mut reviewers: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, review) in reviews {
        *reviewers.entry(review.reviewer.as_str()).or_default() += 1;
    }
    let agreement = if reviewers.len() > 1 { agreement(reviews, &dimensions) } else { Vec::new() };
    Some(Reviewed {
        preference,
        left: (all > 0).then(|| left as f64 / all as f64),
        dimensions: compared,
        agreement,
        reviewers: reviewers
            .into_iter()
            .map(|(name, cases)| Reviewer { name: name.to_owned(), cases })
            .collect(),
        corrections: reviews.iter().filter(|(_, review)| review.correction.is_some()).count(),
    })
}

/// Both models' scores in one dimension.
fn dimension(
    name: &str,
    reviews: &[(usize, Review)],
    keys: &[String],
    settings: &Settings,
) -> Option<Comparison> {
    // Sums and numbers of scores, case by case.
    let mut of_case: BTreeMap<usize, [f64; 3]> = BTreeMap::new();
    for (case, review) in reviews {
        let pair = review.scores.first.get(name).zip(review.scores.second.get(name));
        let Some((first, second)) = pair else { continue };
        let entry = of_case.entry(*case).or_default();
        *entry = [entry[0] + f64::from(*first), entry[1] + f64::from(*second), entry[2] + 1.0];
    }
    let mean = |side: usize| Means::new(of_case.values().map(|sums| sums[side] / sums[2]).collect());
    let own: Vec<Option<&String>> = of_case.keys().map(|case| keys.get(*case)).collect();
    compare(name, Better::Higher, &mean(0), &mean(1), &Cases::clustered(&own), settings).ok()
}

/// What each reviewer said of one thing: a unit, by reviewer.
type Units<'a> = BTreeMap<(usize, u8), BTreeMap<&'a str, f64>>;

fn agreement(reviews: &[(usize, Review)], dimensions: &BTreeSet<&str>) -> Vec<Agreement> {
    let mut preferred = Units::new();
    for (case, review) in reviews {
        let unit = preferred.entry((*case, 0)).or_default();
        unit.insert(review.reviewer.as_str(), review.preferred.value());
    }
    let mut all = vec![agreement_of("preferred", &preferred, Level::Nominal)];
    for name in dimensions {
        let mut units = Units::new();
        for (case, review) in reviews {
            for (side, scores) in [(0, &review.scores.first), (1, &review.scores.second)] {
                if let Some(score) = scores.get(*name) {
                    let unit = units.entry((*case, side)).or_default();
                    unit.insert(review.reviewer.as_str(), f64::from(*score));
                }
            }
        }
        all.push(agreement_of(name, &units, Level::Ordinal));
    }
    all.retain(|one| one.seen_by_several > 0);
    all
}

fn agreement_of(what: &str, units: &Units<'_>, level: Level) -> Agreement {
    let values: Vec<Vec<f64>> = units.values().map(|unit| unit.values().copied().collect()).collect();
    let names: BTreeSet<&str> = units.values().flat_map(|unit| unit.keys().copied()).collect();
    let pairs: Vec<(u32, u32)> = match names.into_iter().collect::<Vec<_>>()[..] {
        [one, other] => {
            let both = units.values().filter_map(|unit| unit.get(one).zip(unit.get(other)));
            // Choices are 0, a half and 1: twice them are numbers as scores are.
            both.map(|(one, other)| ((2.0 * one) as u32, (2.0 * other) as u32)).collect()
        }
        _ => Vec::new(),
    };
    Agreement {
        what: what.to_owned(),
        seen_by_several: values.iter().filter(|unit| unit.len() > 1).count(),
        alpha: krippendorff_alpha(&values, level),
        kappa: cohen_kappa(&pairs, level != Level::Nominal),
    }
}
