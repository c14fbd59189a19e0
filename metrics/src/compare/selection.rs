//! What choosing the best of several gains where none is better.

/// Beyond so many standard deviations there is nothing to add, up to some billion draws.
const FAR: f64 = 12.0;
/// Parts in which the integral is taken, by the trapezoidal rule: the integrand is smooth.
const PARTS: u32 = 6000;

/// The mean of the largest of `count` independent draws of the standard normal distribution, in standard deviations: the integral of
/// `1 - P(x)^count - P(-x)^count` over `x` from 0 on, `P` being the distribution function. 0 for one draw, and for none.
#[must_use]
pub fn expected_maximum(count: usize) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let power = |x: f64| {
        let below = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        below.powf(count as f64)
    };
    let step = FAR / f64::from(PARTS);
    let ends = |part: u32| if part == 0 || part == PARTS { 0.5 } else { 1.0 };
    let height =
        |part: u32| ends(part) * (1.0 - power(f64::from(part) * step) - power(-f64::from(part) * step));
    (0..=PARTS).map(height).sum::<f64>() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Means of the largest order statistic as tables have them (Harter 1961).
    #[test]
    fn means_are_those_of_the_tables() {
        let known =
            [(0, 0.0), (1, 0.0), (2, 0.56419), (3, 0.84628), (5, 1.16296), (10, 1.53875), (100, 2.50759)];
        for (count, mean) in known {
            let found = expected_maximum(count);
            assert!((found - mean).abs() < 1e-5, "{count}: {found}");
        }
    }
}
