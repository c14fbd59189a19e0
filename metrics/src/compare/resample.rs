//! Draws of cases, and exchanges of answers.

use rand_core::Rng;
use rayon::prelude::*;

use super::cases::Cases;
use super::corpus::CorpusMetric;
use crate::stream::{stream, uniform_below};

/// Draws from one stream: few enough for many workers, enough that making streams costs nothing.
const DRAWS_A_STREAM: usize = 64;
/// Sums in another order differ in their last digits: differences so near, as a part of the scores, are the same.
const ROUNDING: f64 = 1e-12;

/// Scores of both models on drawn cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Resamples {
    /// Differences, second less first, in rising order.
    differences: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Resamples {
    /// The percentile interval of the difference, second less first; `alpha` is the part that it misses.
    #[must_use]
    pub fn difference_interval(&self, alpha: f64) -> [f64; 2] {
        interval(&self.differences, alpha)
    }

    /// The percentile intervals of the first model's score and of the second's.
    #[must_use]
    pub fn intervals(&self, alpha: f64) -> [[f64; 2]; 2] {
        [interval(&self.first, alpha), interval(&self.second, alpha)]
    }

    /// The standard error of the difference.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let count = self.differences.len() as f64;
        let mean = self.differences.iter().sum::<f64>() / count;
        let squares: f64 = self.differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        (squares / (count - 1.0).max(1.0)).sqrt()
    }
}

/// Paired bootstrap: as many clusters as there are, drawn with return, `draws` times. The same for any number of threads.
///
/// # Panics
/// If the models have not as many cases as `cases` names.
#[must_use]
pub fn resamples<M: CorpusMetric>(
    first: &M,
    second: &M,
    cases: &Cases,
    draws: usize,
    seed: u64,
) -> Resamples {
    let clusters = cases.clusters();
    let count = u32::try_from(clusters.len()).unwrap_or(u32::MAX);
    let scores = in_parallel(draws, |block, draws| {
        let mut random = stream(seed, "bootstrap", "", block);
        let draw = |_| {
            let (mut one, mut other) = (first.zero(), second.zero());
            for _ in 0..count {
                for &case in &clusters[uniform_below(&mut random, count) as usize] {
                    first.add(&mut one, case);
                    second.add(&mut other, case);
                }
            }
            (first.score(&one), second.score(&other))
        };
        (0..draws).map(draw).collect()
    });
    let sorted = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = scores.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    Resamples {
        differences: sorted(|(first, second)| second - first),
        first: sorted(|(first, _)| *first),
        second: sorted(|(_, second)| *second),
    }
}

/// The two-sided probability of a difference as great as that of the models if it were chance which model gave which of two
/// answers: (hits + 1) / (trials + 1), where clusters change hands as a whole. For means this flips signs.
///
/// # Panics
/// If the models have not as many cases as `cases` names.
#[must_use]
pub fn permutation_p<M: CorpusMetric>(first: &M, second: &M, cases: &Cases, trials: usize, seed: u64) -> f64 {
    let (observed, scale) = exchanged(first, second, cases, |_| false);
    let enough = observed - ROUNDING * scale;
    let hits: usize = in_parallel(trials, |block, trials| {
        let mut random = stream(seed, "permutation", "", block);
        let trial = |_| {
            let mut bits = 0_u64;
            let exchange = |index: usize| {
                if index.is_multiple_of(64) {
                    bits = random.next_u64();
                }
                let bit = bits & 1 == 1;
                bits >>= 1;
                bit
            };
            usize::from(exchanged(first, second, cases, exchange).0 >= enough)
        };
        (0..trials).map(trial).collect()
    })
    .into_iter()
    .sum();
    (hits as f64 + 1.0) / (trials as f64 + 1.0)
}

/// How far the scores are apart, and the larger of them, where clusters that `exchange` names change hands.
fn exchanged<M: CorpusMetric>(
    first: &M,
    second: &M,
    cases: &Cases,
    mut exchange: impl FnMut(usize) -> bool,
) -> (f64, f64) {
    let (mut one, mut other) = (first.zero(), second.zero());
    for (index, cluster) in cases.clusters().iter().enumerate() {
        let (to_one, to_other) = if exchange(index) { (second, first) } else { (first, second) };
        for &case in cluster {
            to_one.add(&mut one, case);
            to_other.add(&mut other, case);
        }
    }
    let (one, other) = (first.score(&one), second.score(&other));
    ((other - one).abs(), one.abs().max(other.abs()))
}

/// What `work` makes of (number of a block, draws of it), for all blocks in order.
fn in_parallel<T: Send>(draws: usize, work: impl Fn(u64, usize) -> Vec<T> + Sync) -> Vec<T> {
    let blocks: Vec<Vec<T>> = (0..draws.div_ceil(DRAWS_A_STREAM))
        .into_par_iter()
        .map(|block| work(block as u64, DRAWS_A_STREAM.min(draws - block * DRAWS_A_STREAM)))
        .collect();
    blocks.into_iter().flatten().collect()
}

/// Quantiles between neighbours are on the line between them.
fn interval(sorted: &[f64], alpha: f64) -> [f64; 2] {
    let Some(last) = sorted.len().checked_sub(1) else { return [f64::NAN, f64::NAN] };
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let above = sorted[(below + 1).min(last)];
        sorted[below] + part * (above - sorted[below])
    };
    [at(alpha / 2.0), at(1.0 - alpha / 2.0)]
}
