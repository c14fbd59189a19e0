//! Cases that are right or wrong.

use serde::Serialize;

use super::cases::Cases;

/// Halvings of a range of 40: what is left is under the distance of two neighbouring numbers.
const QUANTILE_STEPS: usize = 60;

/// Two models' outcomes, case by case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcomes {
    /// Right with both.
    pub both: u64,
    /// Wrong with the first, right with the second.
    pub gained: u64,
    /// Right with the first, wrong with the second.
    pub lost: u64,
    /// Wrong with both.
    pub neither: u64,
    /// Exact McNemar; it takes cases as independent.
    pub mcnemar_p: f64,
    /// Wilson's interval of the first model's share of right cases.
    pub first_interval: [f64; 2],
    /// The same of the second.
    pub second_interval: [f64; 2],
    /// Of the difference, second less first (Bonett and Price 2012): of some width even where no case differs.
    pub difference_interval: [f64; 2],
}

impl Outcomes {
    /// Those of `cases`; `alpha` is the part of intervals that miss.
    #[must_use]
    pub fn new(first: &[bool], second: &[bool], cases: &Cases, alpha: f64) -> Self {
        let count = |one: bool, other: bool| {
            cases.iter().filter(|&case| first[case] == one && second[case] == other).count() as u64
        };
        let (both, gained, lost, neither) =
            (count(true, true), count(false, true), count(true, false), count(false, false));
        let all = both + gained + lost + neither;
        Self {
            both,
            gained,
            lost,
            neither,
            mcnemar_p: exact_mcnemar(gained, lost),
            first_interval: wilson_interval(both + lost, all, alpha),
            second_interval: wilson_interval(both + gained, all, alpha),
            difference_interval: bonett_price(gained, lost, all, alpha),
        }
    }

    /// How far the interval of the difference reaches below the difference (not above 0) and above it.
    #[must_use]
    pub fn reach(&self) -> [f64; 2] {
        let all = (self.both + self.gained + self.lost + self.neither).max(1) as f64;
        let difference = (self.gained as f64 - self.lost as f64) / all;
        let [low, high] = self.difference_interval;
        [(low - difference).min(0.0), (high - difference).max(0.0)]
    }
}

/// The cases that one model has right and the other wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flips {
    /// Wrong with the first model, right with the second.
    pub gained: Vec<usize>,
    /// Right with the first, wrong with the second.
    pub lost: Vec<usize>,
}

impl Flips {
    /// Of two models' outcomes, case by case.
    #[must_use]
    pub fn new(first: &[bool], second: &[bool]) -> Self {
        let of = |one: bool, other: bool| {
            let pairs = first.iter().zip(second).enumerate();
            pairs.filter(|(_, pair)| *pair == (&one, &other)).map(|(case, _)| case).collect()
        };
        Self { gained: of(false, true), lost: of(true, false) }
    }
}

/// The two-sided probability of counts at least as uneven as these, if gains and losses were as likely as one another.
#[must_use]
pub fn exact_mcnemar(gained: u64, lost: u64) -> f64 {
    let (of, fewer) = (gained + lost, gained.min(lost));
    if of == 0 {
        return 1.0;
    }
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    let ln_all = ln_factorial(of) - of as f64 * std::f64::consts::LN_2;
    let tail: f64 = (0..=fewer).map(|k| (ln_all - ln_factorial(k) - ln_factorial(of - k)).exp()).sum();
    (2.0 * tail).min(1.0)
}

/// Wilson's score interval of a share.
#[must_use]
pub fn wilson_interval(right: u64, of: u64, alpha: f64) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    wilson_of_share(right as f64 / of as f64, of, alpha)
}

/// The same of the mean of `of` values from 0 to 1, whatever they are between.
pub(super) fn wilson_of_share(share: f64, of: u64, alpha: f64) -> [f64; 2] {
    let (n, z) = (of as f64, normal_quantile(1.0 - alpha / 2.0));
    let widened = 1.0 + z * z / n;
    let middle = (share + z * z / (2.0 * n)) / widened;
    let half = z / widened * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    [if share <= 0.0 { 0.0 } else { middle - half }, if share >= 1.0 { 1.0 } else { middle + half }]
}

/// Adjusted Wald's interval of the difference of two paired shares.
fn bonett_price(gained: u64, lost: u64, of: u64, alpha: f64) -> [f64; 2] {
    let n = of as f64 + 2.0;
    let (up, down) = ((gained as f64 + 1.0) / n, (lost as f64 + 1.0) / n);
    let difference = up - down;
    let half = normal_quantile(1.0 - alpha / 2.0) * ((up + down - difference * difference) / n).sqrt();
    [(difference - half).max(-1.0), (difference + half).min(1.0)]
}

/// The number that a standard normal one is below with this probability; infinite for 0 and 1.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    if probability <= 0.0 || probability >= 1.0 {
        return if probability <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // The lower tail keeps its digits where the upper one loses them.
    if probability > 0.5 {
        return -normal_quantile(1.0 - probability);
    }
    let (mut low, mut high) = (-40.0_f64, 0.0);
    for _ in 0..QUANTILE_STEPS {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < probability {
            low = middle
        } else {
            high = middle
        }
    }
    0.5 * (low + high)
}
