//! The one source of randomness: streams keyed by what they are for.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
pub use rtune_metrics::stream::stream;

/// A number below `bound`, each as likely as the others; 0 if `bound` is 0.
///
/// Source: Lemire, Fast Random Integer Generation in an Interval, 2019 (multiply, reject the biased low part).
pub fn uniform_below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(random.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// Fisher and Yates: every order as likely as the others.
pub fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        let other = uniform_below(random, last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_fixed_by_its_key() {
        assert_eq!(stream(7, "shuffle", "train", 3).next_u64(), stream(7, "shuffle", "train", 3).next_u64());
        let first = stream(7, "shuffle", "train", 3).next_u64();
        for other in [stream(8, "shuffle", "train", 3), stream(7, "dropout", "train", 3)] {
            assert_ne!(first, other.clone().next_u64());
        }
        assert_ne!(first, stream(7, "shuffle", "train", 4).next_u64());
        assert_ne!(first, stream(7, "shuffletrain", "", 3).next_u64());
    }

    #[test]
    fn the_numbers_do_not_change_between_releases() {
        assert_eq!(stream(0, "golden", "", 0).next_u64(), 8_316_925_655_046_593_675);
    }

    #[test]
    fn every_number_is_about_as_frequent() {
        let mut random = stream(1, "test", "uniform", 0);
        let mut counts = [0usize; 7];
        for _ in 0..70_000 {
            counts[uniform_below(&mut random, 7) as usize] += 1;
        }
        // Six standard deviations of a binomial of 70,000 draws at 1/7 are 556.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 556), "{counts:?}");
        assert_eq!(uniform_below(&mut random, 0), 0);
        assert_eq!(uniform_below(&mut random, 1), 0);
    }

    #[test]
    fn a_shuffle_keeps_the_items() {
        let mut items: Vec<usize> = (0..100).collect();
        shuffle(&mut items, &mut stream(1, "test", "shuffle", 0));
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
