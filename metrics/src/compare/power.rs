//! How many cases it takes to see a difference.

use super::outcomes::normal_quantile;

/// Halvings of a range of 1.
const STEPS: usize = 60;

/// Cases with which McNemar's test finds `difference` with probability `power`, where `discordant` is the part of the cases
/// that one model has right and the other wrong (Connor 1987). `None` where there is no difference to find.
#[must_use]
pub fn cases_for_outcomes(difference: f64, discordant: f64, alpha: f64, power: f64) -> Option<u64> {
    let difference = difference.abs();
    // A difference cannot be of more cases than differ.
    let discordant = discordant.max(difference);
    if difference <= 0.0 {
        return None;
    }
    let by_chance = normal_quantile(1.0 - alpha / 2.0) * discordant.sqrt();
    let found = normal_quantile(power) * (discordant - difference * difference).max(0.0).sqrt();
    whole(((by_chance + found) / difference).powi(2))
}

/// The least difference that so many cases show with probability `power`; `None` where they could show none.
#[must_use]
pub fn smallest_visible_outcome(cases: usize, discordant: f64, alpha: f64, power: f64) -> Option<f64> {
    let enough = |difference: f64| {
        cases_for_outcomes(difference, discordant, alpha, power).is_some_and(|needed| needed <= cases as u64)
    };
    if !enough(1.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// Cases (or clusters, if `count` counts those) with which a difference of scores is found with probability `power`, where
/// `count` of them gave it a standard error of `error`. `None` where there is no difference to find.
#[must_use]
pub fn cases_for_difference(
    difference: f64,
    error: f64,
    count: usize,
    alpha: f64,
    power: f64,
) -> Option<u64> {
    if difference == 0.0 {
        return None;
    }
    whole(count as f64 * (errors(alpha, power) * error / difference).powi(2))
}

/// The least difference of scores with this standard error that is found with probability `power`; `None` without an error.
#[must_use]
pub fn smallest_visible_difference(error: f64, alpha: f64, power: f64) -> Option<f64> {
    (error > 0.0).then(|| error * errors(alpha, power))
}

/// By how many standard errors a difference must be from none.
fn errors(alpha: f64, power: f64) -> f64 {
    normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power)
}

fn whole(cases: f64) -> Option<u64> {
    // A number of cases that no one will ever have says as little as none.
    (cases < 1e12).then_some(cases.ceil() as u64)
}
