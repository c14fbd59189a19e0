//! How many of the first rows come to what is to be explained.

/// How many of `values`, in their order, it takes until those that are above zero come to `margin`; `None` where all of them come to less,
/// and where there is nothing to come to.
///
/// Such sums are of the first order: they say how far the steps with a row moved the margin, not what the steps of other rows would
/// have done without it.
#[must_use]
pub fn enough(values: &[f64], margin: f64) -> Option<usize> {
    let mut sum = 0.0;
    let reached = values.iter().position(|value| {
        sum += value.max(0.0);
        sum >= margin
    });
    reached.map(|last| last + 1).filter(|_| margin > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_come_to_the_margin() {
        let values = [2.0, 0.5, 0.2, 0.1, -3.0];
        assert_eq!(enough(&values, 1.5), Some(1));
        assert_eq!(enough(&values, 2.6), Some(3));
        assert_eq!(enough(&values, 2.75), Some(4));
        assert_eq!(enough(&values, 3.0), None, "all come to less");
        assert_eq!(enough(&values, -1.0), None, "nothing is to be explained");
        assert_eq!(enough(&[], 1.0), None);
    }
}
