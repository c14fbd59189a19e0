//! Which of many values are far above the rest.

/// Deviations from the middle above which a value stands out: of a normal distribution one in thirty thousand is.
const DEVIATIONS: f64 = 4.0;
/// The median of the distances from the median, over the standard deviation of a normal distribution.
const MEDIAN_DISTANCE: f64 = 0.6745;

/// The places of values that stand out above the rest, the largest first; at most `most`. How far the rest is spread is said by medians,
/// which what stands out does not move.
#[must_use]
pub fn standing_out(values: &[f64], most: usize) -> Vec<usize> {
    let middle = median(values.to_vec());
    let spread = median(values.iter().map(|value| (value - middle).abs()).collect()) / MEDIAN_DISTANCE;
    let mut places: Vec<usize> = (0..values.len())
        .filter(|&place| values[place] > 0.0 && values[place] > middle + DEVIATIONS * spread)
        .collect();
    places.sort_by(|one, other| values[*other].total_cmp(&values[*one]));
    places.truncate(most);
    places
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_from_the_rest_stands_out() {
        let mut values: Vec<f64> = (0..100).map(|number| f64::from(number % 10) * 0.1 - 0.5).collect();
        assert!(standing_out(&values, 20).is_empty(), "nothing does");
        values[7] = 9.0;
        values[42] = 12.0;
        values[50] = -30.0;
        assert_eq!(standing_out(&values, 20), [42, 7]);
        assert_eq!(standing_out(&values, 1), [42]);
        assert!(standing_out(&[], 3).is_empty());
        assert!(standing_out(&[-9.0, -1.0, -1.0, -1.0], 3).is_empty(), "what is below zero speaks for it");
    }
}
