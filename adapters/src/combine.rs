//! Several adapters of one base made into one change of its weights.

use rtune_kernels::noise::{Draw, stream_of};

/// How the changes that adapters make to a weight become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combination {
    /// Their weighted sum (task arithmetic, Ilharco et al., arXiv 2212.04089).
    Linear,
    /// Of each the largest, then those of the sign that weighs most, then their mean (TIES, Yadav et al., arXiv 2306.01708).
    Ties {
        /// The part of each change that stays, by size; above 0, at most 1.
        density: f64,
    },
    /// Of each some drawn at random, enlarged so that the sum stays what it was to be, then their weighted sum (DARE, Yu et
    /// al., arXiv 2311.03099).
    Dare {
        /// The part of each change that stays, at random; above 0, at most 1.
        density: f64,
        /// What the draws follow from.
        seed: u64,
    },
    /// As [`Self::Dare`] draws, then as [`Self::Ties`] decides by signs.
    DareTies {
        /// As of [`Self::Dare`].
        density: f64,
        /// As of [`Self::Dare`].
        seed: u64,
    },
}

/// Makes one change of several to the weight `name`, each `[O, columns]` and multiplied by its factor; they are used up.
///
/// TIES counts an element of the elected sign whatever its factor is, and elects before factors are applied, as `peft` does.
///
/// # Panics
/// If there are not as many factors as changes, or the changes differ in length.
#[must_use]
pub fn combine(
    name: &str,
    columns: usize,
    mut changes: Vec<Vec<f32>>,
    factors: &[f64],
    combination: Combination,
) -> Vec<f32> {
    assert_eq!(changes.len(), factors.len(), "combination: one factor for each change");
    let len = changes.first().map_or(0, Vec::len);
    assert!(changes.iter().all(|change| change.len() == len), "combination: lengths");
    match combination {
        Combination::Linear => {}
        Combination::Ties { density } => changes.iter_mut().for_each(|change| trim(change, density)),
        Combination::Dare { density, seed } | Combination::DareTies { density, seed } => {
            for (number, change) in changes.iter_mut().enumerate() {
                thin(change, columns, density, seed, &format!("combination {number} {name}"));
            }
        }
    }
    let elects = matches!(combination, Combination::Ties { .. } | Combination::DareTies { .. });
    let factors: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    (0..len)
        .map(|at| {
            let values = changes.iter().map(|change| change[at]);
            if !elects {
                return values.zip(&factors).map(|(value, factor)| value * factor).sum();
            }
            let is_positive = values.clone().sum::<f32>() >= 0.0;
            let is_elected = |value: f32| if is_positive { value > 0.0 } else { value < 0.0 };
            let elected = values.zip(&factors).filter(|(value, _)| is_elected(*value));
            let (count, sum) =
                elected.fold((0, 0.0), |(count, sum), (value, factor)| (count + 1, sum + value * factor));
            sum / count.max(1) as f32
        })
        .collect()
}

/// All but the largest by magnitude become zero; of equal ones the first stay.
fn trim(change: &mut [f32], density: f64) {
    let kept = (density * change.len() as f64) as usize;
    if kept >= change.len() {
        return;
    }
    let mut order: Vec<u32> = (0..change.len() as u32).collect();
    let size = |at: u32| change[at as usize].abs();
    order.select_nth_unstable_by(kept, |&a, &b| size(b).total_cmp(&size(a)).then(a.cmp(&b)));
    for &at in &order[kept..] {
        change[at as usize] = 0.0;
    }
}

/// Each stays with the probability `density`, and is divided by it.
fn thin(change: &mut Vec<f32>, columns: usize, density: f64, seed: u64, name: &str) {
    if density >= 1.0 {
        return;
    }
    let rows = change.len() / columns.max(1);
    let keys: Vec<u64> = (0..rows as u64).map(|row| stream_of(&format!("{seed} {row}"))).collect();
    let mut thinned = vec![0.0; change.len()];
    Draw { keys_t: &keys, stream: stream_of(name) }.drop_out(1.0 - density, change, &mut thinned);
    *change = thinned;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_elections_are_those_of_peft() {
        // peft.utils.merge_utils of 0.21: task_arithmetic and ties of these, weights 0.7 and 0.4, density 0.5.
        let changes = vec![vec![0.5, -0.2, 0.1, -0.9, 0.3, 0.0], vec![-0.4, -0.6, 0.2, 0.8, 0.05, -0.7]];
        let linear = combine("w", 3, changes.clone(), &[0.7, 0.4], Combination::Linear);
        close(&linear, &[0.19, -0.38, 0.15, -0.31, 0.23, -0.28]);
        let ties = combine("w", 3, changes, &[0.7, 0.4], Combination::Ties { density: 0.5 });
        close(&ties, &[0.35, -0.24, 0.0, -0.63, 0.21, -0.28]);
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f32]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
    }

    #[test]
    fn what_is_thinned_is_the_same_in_the_mean_and_for_the_same_seed() {
        let change = vec![1.0_f32; 40_000];
        let of =
            |seed| combine("w", 100, vec![change.clone()], &[1.0], Combination::Dare { density: 0.25, seed });
        let one = of(1);
        assert_eq!(one, of(1));
        assert_ne!(one, of(2));
        assert!(one.iter().all(|&value| value == 0.0 || value == 4.0));
        let mean = one.iter().sum::<f32>() / one.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        let all =
            combine("w", 100, vec![change.clone()], &[2.0], Combination::DareTies { density: 1.0, seed: 1 });
        assert_eq!(all, vec![2.0; 40_000]);
    }

    /// Draws by the draws alone, then the election of the paper of TIES, in f64 and another order.
    #[test]
    fn what_was_drawn_is_elected() {
        let numbers = |seed: u32| -> Vec<f32> {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..600).map(|_| next()).collect()
        };
        let changes: Vec<Vec<f32>> = (1..4).map(numbers).collect();
        let (density, seed, factors) = (0.5, 11, [0.75, -0.5, 0.25]);
        let dare = Combination::Dare { density, seed };
        // Of one change at a time what its draws leave of it.
        let drawn: Vec<Vec<f32>> = (0..3)
            .map(|only| {
                let of = |number: usize| f64::from(u8::from(number == only));
                combine("w", 20, changes.clone(), &[of(0), of(1), of(2)], dare)
            })
            .collect();
        for (drawn, change) in drawn.iter().zip(&changes) {
            let kept = drawn.iter().filter(|value| **value != 0.0).count();
            assert!((240..360).contains(&kept), "{kept} of 600");
            let is_drawn = |(drawn, value): (&f32, &f32)| *drawn == 0.0 || *drawn == 2.0 * value;
            assert!(drawn.iter().zip(change).all(is_drawn));
        }
        let found = combine("w", 20, changes, &factors, Combination::DareTies { density, seed });
        let mut elections = [0; 4];
        for (at, found) in found.iter().enumerate() {
            let values: Vec<f64> = drawn.iter().map(|drawn| f64::from(drawn[at])).collect();
            let sign = if values.iter().sum::<f64>() >= 0.0 { 1.0 } else { -1.0 };
            let elected: Vec<usize> = (0..3).filter(|&which| values[which] * sign > 0.0).collect();
            elections[elected.len()] += 1;
            let sum: f64 = elected.iter().map(|&which| factors[which] * values[which]).sum();
            let expected = if elected.is_empty() { 0.0 } else { sum / elected.len() as f64 };
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{at}: {found} {expected}");
        }
        assert!(elections.iter().all(|count| *count > 10), "every kind of election: {elections:?}");
    }

    #[test]
    fn the_largest_stay() {
        let mut change = vec![0.1, -0.5, 0.5, 0.2, -0.9];
        trim(&mut change, 0.41);
        assert_eq!(change, [0.0, -0.5, 0.0, 0.0, -0.9], "of equal ones the first");
        trim(&mut change, 1.0);
        assert_eq!(change, [0.0, -0.5, 0.0, 0.0, -0.9]);
    }
}
