//! The one source of randomness: streams keyed by what they are for. `rtune-data` hands it on.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Keeps these keys apart from every other use of BLAKE3.
const CONTEXT: &str = "rtune random stream, format 1";

/// A ChaCha8 stream whose key is BLAKE3 of (seed, purpose, name, step).
///
/// Equal keys give equal numbers on every machine and for any number of threads; a step drawn late does not depend on
/// what was drawn before it, so that a resumed run draws what the unbroken one would have.
#[must_use]
pub fn stream(seed: u64, purpose: &str, name: &str, step: u64) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&step.to_le_bytes());
    for text in [purpose, name] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// A number below `bound`, each as likely as the others; 0 if `bound` is 0.
///
/// Source: Lemire, Fast Random Integer Generation in an Interval, 2019 (multiply, reject the biased low part).
pub fn uniform_below(random: &mut ChaCha8Rng, bound: u32) -> u32 {
    if bound == 0 {
        return 0;
    }
    loop {
        let product = u64::from(random.next_u32()) * u64::from(bound);
        // The remainder is dear and below `bound`: most draws need not know it.
        if product as u32 >= bound || product as u32 >= bound.wrapping_neg() % bound {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_what_it_always_was() {
        assert_eq!(stream(0, "golden", "", 0).next_u64(), 8_316_925_655_046_593_675);
        assert_ne!(stream(7, "a", "bc", 3).next_u64(), stream(7, "ab", "c", 3).next_u64());
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
}
