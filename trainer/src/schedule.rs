//! The learning rate as a function of the step: one pure formula.

use crate::config::{Schedule, Warmup};

/// Steps over which the learning rate rises. A fraction is rounded up, so that a small one still warms up.
pub fn warmup_steps(warmup: Warmup, steps: u64) -> u64 {
    match warmup {
        Warmup::Steps(count) => count,
        // Rounding an f64 below 2^53 steps is exact enough: the product is not needed to the step.
        Warmup::Fraction(part) => (part * steps as f64).ceil() as u64,
    }
}

/// Learning rate of step `step` (from 0) of `steps`, of which the first `warmup` rise in a line.
///
/// In the warm-up it is `highest (step + 1) / warmup`. After it, with `left = steps - step` and
/// `all = steps - warmup`: linear is `highest left / all`; cosine is
/// `highest (floor + (1 - floor) (1 + cos(pi (1 - left / all))) / 2)`; constant is `highest`.
pub fn learning_rate(highest: f64, schedule: Schedule, warmup: u64, steps: u64, step: u64) -> f64 {
    if step < warmup {
        return highest * ((step + 1) as f64 / warmup as f64);
    }
    let all = steps.saturating_sub(warmup).max(1) as f64;
    let left = steps.saturating_sub(step) as f64;
    match schedule {
        Schedule::Constant => highest,
        Schedule::Linear => highest * (left / all),
        Schedule::Cosine { minimum_ratio } => {
            let half = (1.0 + (std::f64::consts::PI * (1.0 - left / all)).cos()) / 2.0;
            highest * (minimum_ratio + (1.0 - minimum_ratio) * half)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: Schedule, warmup: u64, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| learning_rate(1.0, schedule, warmup, steps, step)).collect()
    }

    #[test]
    fn linear_by_hand() {
        assert_eq!(all(Schedule::Linear, 2, 6), [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(all(Schedule::Linear, 0, 4), [1.0, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn cosine_by_hand() {
        let rates = all(Schedule::Cosine { minimum_ratio: 0.2 }, 1, 5);
        let quarter = 0.2 + 0.8 * (1.0 + std::f64::consts::FRAC_1_SQRT_2) / 2.0;
        for (rate, expected) in rates.iter().zip([1.0, 1.0, quarter, 0.6, 0.2 + 0.8 - (quarter - 0.2)]) {
            assert!((rate - expected).abs() < 1e-15, "{rate} {expected}");
        }
    }

    #[test]
    fn constant_stays() {
        assert_eq!(all(Schedule::Constant, 2, 4), [0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_warm_up_longer_than_the_run_only_rises() {
        assert_eq!(all(Schedule::Linear, 8, 4), [0.125, 0.25, 0.375, 0.5]);
    }

    #[test]
    fn a_fraction_is_rounded_up() {
        assert_eq!(warmup_steps(Warmup::Fraction(0.05), 21), 2);
        assert_eq!(warmup_steps(Warmup::Fraction(0.0), 21), 0);
        assert_eq!(warmup_steps(Warmup::Steps(5), 21), 5);
    }
}
