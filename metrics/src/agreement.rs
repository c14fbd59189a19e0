//! Whether people who score the same answers agree, beyond what chance gives.

/// What the distance of two values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The same or not.
    Nominal,
    /// How many values lie between them.
    Ordinal,
    /// The square of their difference.
    Interval,
}

/// Krippendorff's alpha: 1 for perfect agreement, 0 for that of chance, below 0 for less. Each unit has the values that its raters gave it,
/// in any order; a unit with fewer than two says nothing. `None` where no unit has two, where all values are the same, or where one is no
/// number.
///
/// Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011.
#[must_use]
pub fn krippendorff_alpha(units: &[Vec<f64>], level: Level) -> Option<f64> {
    let paired: Vec<&Vec<f64>> = units.iter().filter(|unit| unit.len() > 1).collect();
    let mut values: Vec<f64> = paired.iter().flat_map(|unit| unit.iter().copied()).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    values.dedup();
    let kinds = values.len();
    let place = |value: f64| values.partition_point(|one| *one < value);
    let mut coincidences = vec![0.0; kinds * kinds];
    for unit in paired {
        let each = 1.0 / (unit.len() - 1) as f64;
        for (one, first) in unit.iter().enumerate() {
            for (other, second) in unit.iter().enumerate() {
                if one != other {
                    coincidences[place(*first) * kinds + place(*second)] += each;
                }
            }
        }
    }
    let of_kind: Vec<f64> = coincidences.chunks(kinds.max(1)).map(|row| row.iter().sum()).collect();
    let all: f64 = of_kind.iter().sum();
    let distance = |low: usize, high: usize| match level {
        Level::Nominal => 1.0,
        Level::Interval => (values[high] - values[low]).powi(2),
        Level::Ordinal => {
            let between: f64 = of_kind[low..=high].iter().sum();
            (between - (of_kind[low] + of_kind[high]) / 2.0).powi(2)
        }
    };
    let (mut observed, mut expected) = (0.0, 0.0);
    for low in 0..kinds {
        for high in low + 1..kinds {
            observed += coincidences[low * kinds + high] * distance(low, high);
            expected += of_kind[low] * of_kind[high] * distance(low, high);
        }
    }
    (expected > 0.0).then(|| 1.0 - (all - 1.0) * observed / expected)
}

/// Cohen's kappa of two raters of the same cases. `quadratic` weighs a disagreement by the square of how far the two are apart, which is
/// what scores on a scale want; without it every disagreement counts alike. `None` without a case, or where chance alone agrees always.
///
/// Source: Cohen, A Coefficient of Agreement for Nominal Scales, 1960; Weighted Kappa, 1968.
#[must_use]
pub fn cohen_kappa(pairs: &[(u32, u32)], quadratic: bool) -> Option<f64> {
    let weight = |one: u32, other: u32| match quadratic {
        true => (f64::from(one) - f64::from(other)).powi(2),
        false => f64::from(u8::from(one != other)),
    };
    let count = pairs.len() as f64;
    let observed: f64 = pairs.iter().map(|(one, other)| weight(*one, *other)).sum::<f64>() / count;
    // Every score of the one beside every score of the other: the margins of the table, without the table.
    let across = pairs.iter().flat_map(|(one, _)| pairs.iter().map(|(_, other)| weight(*one, *other)));
    let expected: f64 = across.sum::<f64>() / (count * count);
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four observers of Krippendorff's paper; 0 is a value that is missing.
    const OBSERVERS: [[u32; 12]; 4] = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];

    #[test]
    fn alpha_is_that_of_the_paper() {
        let unit = |at: usize| -> Vec<f64> {
            OBSERVERS.iter().map(|one| one[at]).filter(|value| *value > 0).map(f64::from).collect()
        };
        let units: Vec<Vec<f64>> = (0..12).map(unit).collect();
        for (level, expected) in [(Level::Nominal, 0.743), (Level::Ordinal, 0.815), (Level::Interval, 0.849)]
        {
            let alpha = krippendorff_alpha(&units, level).expect("values");
            assert!((alpha - expected).abs() < 0.0005, "{level:?}: {alpha}");
        }
    }

    #[test]
    fn alpha_says_nothing_where_nothing_can_be_said() {
        assert_eq!(krippendorff_alpha(&[vec![1.0], vec![2.0]], Level::Nominal), None);
        assert_eq!(krippendorff_alpha(&[vec![1.0, 1.0], vec![1.0, 1.0]], Level::Ordinal), None);
        assert_eq!(krippendorff_alpha(&[vec![1.0, f64::NAN]], Level::Interval), None);
        assert_eq!(krippendorff_alpha(&[], Level::Interval), None);
        let same = krippendorff_alpha(&[vec![1.0, 1.0], vec![2.0, 2.0]], Level::Ordinal).expect("values");
        assert!((same - 1.0).abs() < 1e-12);
    }

    /// Fifty grants, read by two: both yes 20, both no 15, 5 and 10 apart. Chance agrees on half, and they do on 0.7.
    #[test]
    fn kappa_is_agreement_beyond_chance() {
        let table = [((1, 1), 20), ((1, 0), 5), ((0, 1), 10), ((0, 0), 15)];
        let pairs: Vec<(u32, u32)> =
            table.iter().flat_map(|(pair, count)| std::iter::repeat_n(*pair, *count)).collect();
        for quadratic in [false, true] {
            let kappa = cohen_kappa(&pairs, quadratic).expect("pairs");
            assert!((kappa - 0.4).abs() < 1e-12, "{kappa}");
        }
        assert_eq!(cohen_kappa(&[(3, 3), (3, 3)], true), None);
        assert_eq!(cohen_kappa(&[], false), None);
    }

    #[test]
    fn a_near_miss_weighs_less_than_a_far_one() {
        let near = [(1, 2), (2, 3), (5, 5), (4, 4)];
        let far = [(1, 5), (5, 1), (2, 2), (3, 3)];
        let kappa = |pairs: &[(u32, u32)]| cohen_kappa(pairs, true).expect("pairs");
        assert!(kappa(&near) > 0.8 && kappa(&far) < 0.0, "{} {}", kappa(&near), kappa(&far));
    }
}
