//! How many of the first rows come to what is to be explained.

/// The fewest of `values`, largest first, that together come to `margin`; `None` where all that are above zero come to less, and where
/// there is nothing to come to.
///
/// Such sums are of the first order: they say how far the steps with a row moved the margin, not what the steps of other rows would
/// have done without it.
#[must_use]
pub fn enough(values: &[f64], margin: f64) -> Option<usize> {
    let mut above: Vec<f64> = values.iter().copied().filter(|value| *value > 0.0).collect();
    above.sort_by(|one, other| other.total_cmp(one));
    let mut sum = 0.0;
    let reached = above.iter().position(|value| {
        sum += value;
        sum >= margin
    });
    reached.map(|last| last + 1).filter(|_| margin > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_come_to_the_margin() {
        let values = [0.1, -3.0, 0.5, 2.0, 0.2];
        assert_eq!(enough(&values, 1.5), Some(1));
        assert_eq!(enough(&values, 2.6), Some(3));
        assert_eq!(enough(&values, 2.75), Some(4));
        assert_eq!(enough(&values, 3.0), None, "all come to less");
        assert_eq!(enough(&values, -1.0), None, "nothing is to be explained");
        assert_eq!(enough(&[], 1.0), None);
    }
}
