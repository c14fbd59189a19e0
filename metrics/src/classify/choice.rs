//! Labels by how likely a model finds each: nothing is generated, and nothing need be parsed.

/// What the log-probabilities of choices are divided by before the highest is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceBy {
    /// Nothing: the most likely text, as lm-evaluation-harness's `acc`.
    Sum,
    /// The length of the choice, so that long ones are not at a disadvantage: in characters its `acc_norm`, in bytes its `acc_bytes`.
    Length,
}

/// The choice with the highest score, the first of equals; each is (sum of the log-probabilities of its tokens, its length).
/// `None` without a choice, or where none has a score that is a number.
#[must_use]
pub fn choose(choices: &[(f64, usize)], by: ChoiceBy) -> Option<usize> {
    let score = |&(logarithm, length): &(f64, usize)| match by {
        ChoiceBy::Sum => logarithm,
        ChoiceBy::Length => logarithm / length.max(1) as f64,
    };
    let scores = choices.iter().map(score).enumerate().filter(|(_, score)| !score.is_nan());
    scores.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(index, _)| index)
}

/// Probabilities of choices, which add up to 1, from logarithms of what they were; all the same where all are impossible.
#[must_use]
pub fn probabilities(logarithms: &[f64]) -> Vec<f64> {
    let highest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return vec![1.0 / logarithms.len().max(1) as f64; logarithms.len()];
    }
    let powers: Vec<f64> = logarithms.iter().map(|logarithm| (logarithm - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_choices_have_less_probability() {
        let choices = [(-4.0, 4), (-3.0, 2), (-3.0, 2)];
        assert_eq!((choose(&choices, ChoiceBy::Sum), choose(&choices, ChoiceBy::Length)), (Some(1), Some(0)));
        assert_eq!(choose(&[], ChoiceBy::Sum), None);
        assert_eq!(choose(&[(f64::NAN, 1), (f64::NEG_INFINITY, 1)], ChoiceBy::Sum), Some(1));
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let found = probabilities(&[-1000.0, -1000.0 + 3.0_f64.ln()]);
        assert!((found[0] - 0.25).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12, "{found:?}");
        assert_eq!(probabilities(&[f64::NEG_INFINITY; 2]), [0.5, 0.5]);
        assert!(probabilities(&[]).is_empty());
    }
}
