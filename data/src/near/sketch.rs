//! Sketches of sets: two sets agree in each slot with the probability of their Jaccard index.
//!
//! Source: Dahlgaard, Knudsen, Thorup, Fast Similarity Sketching, 2017. Every element is thrown into one slot a round,
//! and a slot keeps the least of the first round that reached it; when all are filled, the sketch is done. A set of n
//! elements and t slots costs about n + t ln t steps in place of the n t of as many permutations, and small sets are
//! sketched no worse than large ones.

use super::text::fold;

/// How many slots give a bit to the digest.
const DIGEST_BITS: usize = 64;

/// How surely pairs shall be found, and what may be spent on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Care {
    /// How surely a pair of exactly the wanted similarity shall meet in some band; those above meet more surely.
    pub(crate) recall: f64,
    /// How rarely such a pair may be refused by its digests.
    pub(crate) digest_loss: f64,
    /// More bands find more, but each costs keys on disk and a place in a sort.
    pub(crate) most_bands: usize,
    /// More slots cost time for every row.
    pub(crate) most_slots: usize,
}

impl Care {
    /// A duplicate that stays costs little: one in 200 at the threshold.
    pub(crate) const DUPLICATES: Self =
        Self { recall: 0.995, digest_loss: 1e-3, most_bands: 32, most_slots: 256 };

    /// An exam that was seen spoils every figure: one in 100,000 at the threshold.
    pub(crate) const LEAKS: Self =
        Self { recall: 0.99999, digest_loss: 1e-6, most_bands: 64, most_slots: 384 };
}

/// How the slots of a sketch are cut into bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bands {
    pub(crate) bands: usize,
    /// Slots of a band: rows in the literature.
    pub(crate) slots: usize,
}

impl Bands {
    /// The widest bands that still find a pair of this Jaccard index with the wanted recall.
    ///
    /// A pair of similarity s meets in one of b bands of r slots with probability 1 - (1 - s^r)^b.
    pub(crate) fn for_similarity(similarity: f64, care: Care) -> Self {
        let mut chosen = Self { bands: care.most_bands, slots: 1 };
        for slots in 1..=DIGEST_BITS {
            let meets = similarity.powi(slots as i32);
            let wanted = ((1.0 - care.recall).ln() / (1.0 - meets).ln()).ceil().max(1.0);
            if wanted > care.most_bands as f64 || wanted * slots as f64 > care.most_slots as f64 {
                break;
            }
            chosen = Self { bands: wanted as usize, slots };
        }
        chosen
    }
}

/// What the sketch of a set is used for: the keys of its bands, and a digest that refuses most chance meetings.
pub(crate) struct Sketcher {
    bands: Bands,
    /// One number a round.
    rounds: Vec<u64>,
}

impl Sketcher {
    pub(crate) fn new(bands: Bands) -> Self {
        let slots = (bands.bands * bands.slots).max(DIGEST_BITS);
        // The first outputs of SplitMix64 (Steele, Lea, Flood, 2014): fixed, so that equal texts give equal keys always.
        let rounds = (1..=2 * slots as u64).map(|round| {
            let state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        });
        Self { bands, rounds: rounds.collect() }
    }

    pub(crate) fn bands(&self) -> Bands {
        self.bands
    }

    /// Appends the key of each band to `keys` and returns the digest; `values` is room to work in. A set may name an
    /// element more than once; there must be one at least.
    pub(crate) fn sketch(&self, set: &[u64], values: &mut Vec<u64>, keys: &mut Vec<u32>) -> u64 {
        self.fill(set, values);
        keys.extend(values.chunks_exact(self.bands.slots).take(self.bands.bands).map(|band| {
            let key = band
                .iter()
                .fold(0x4528_21e6_38d0_1377, |key, value| fold(key ^ value, 0xbe54_66cf_34e9_0c6d));
            (key >> 32) as u32
        }));
        let bits = values.iter().take(DIGEST_BITS);
        bits.fold(0, |digest, value| digest << 1 | value & 1)
    }

    fn fill(&self, set: &[u64], values: &mut Vec<u64>) {
        let slots = self.rounds.len() / 2;
        values.clear();
        values.resize(slots, u64::MAX);
        let mut empty = slots;
        let value = |round: usize, hash: u64| (round as u64) << 32 | hash & 0xffff_ffff;
        for (round, &key) in self.rounds[..slots].iter().enumerate() {
            for &element in set {
                let hash = fold(element ^ key, 0x9e37_79b9_7f4a_7c15);
                let slot = &mut values[(((hash >> 32) * slots as u64) >> 32) as usize];
                empty -= usize::from(*slot == u64::MAX);
                *slot = (*slot).min(value(round, hash));
            }
            if empty == 0 {
                return;
            }
        }
        // What chance left empty: in round `slots + i` every element is thrown into slot i.
        for (index, &key) in self.rounds[slots..].iter().enumerate() {
            if values[index] == u64::MAX {
                let hashes = set.iter().map(|&element| fold(element ^ key, 0x9e37_79b9_7f4a_7c15));
                values[index] = hashes.map(|hash| value(slots + index, hash)).min().unwrap_or(u64::MAX);
            }
        }
    }
}

/// In how many of 64 bits two digests agree.
pub(crate) fn agreement(one: u64, other: u64) -> u32 {
    (one ^ other).count_zeros()
}

/// The least agreement of digests at which a pair is compared: bits of equal slots agree always, others in half of the
/// cases, so that a pair of similarity s agrees in a binomial of 64 draws at (1 + s) / 2.
pub(crate) fn least_agreement(similarity: f64, care: Care) -> u32 {
    let agrees = (1.0 + similarity) / 2.0;
    if agrees >= 1.0 {
        return DIGEST_BITS as u32;
    }
    // The probability of exactly `count` bits, from none on.
    let mut exactly = (1.0 - agrees).powi(DIGEST_BITS as i32);
    let mut fewer = 0.0;
    for count in 0..DIGEST_BITS as u32 {
        if fewer + exactly > care.digest_loss {
            return count;
        }
        fewer += exactly;
        exactly *= f64::from(DIGEST_BITS as u32 - count) / f64::from(count + 1) * agrees / (1.0 - agrees);
    }
    DIGEST_BITS as u32
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;
    use crate::stream::stream;

    #[test]
    fn the_curve_chooses_the_bands() {
        let care = Care::DUPLICATES;
        for (similarity, bands, slots) in [(0.5, 19, 2), (0.7, 29, 5), (0.8, 29, 8), (0.85, 25, 10)] {
            assert_eq!(Bands::for_similarity(similarity, care), Bands { bands, slots }, "{similarity}");
        }
        for care in [Care::DUPLICATES, Care::LEAKS] {
            for similarity in [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let Bands { bands, slots } = Bands::for_similarity(similarity, care);
                let found = 1.0 - (1.0 - similarity.powi(slots as i32)).powi(bands as i32);
                assert!(found >= care.recall, "{similarity}: {found}");
                assert!(
                    bands <= care.most_bands && bands * slots <= care.most_slots,
                    "{similarity}: {bands} {slots}"
                );
            }
        }
        assert_eq!(least_agreement(1.0, care), 64);
        // P(X <= 44) of a binomial of 64 draws at 0.85 is 0.0009, P(X <= 45) is 0.0022.
        assert_eq!(least_agreement(0.7, care), 45);
        assert!(least_agreement(0.7, Care::LEAKS) < 45);
    }

    /// Sets of every size agree in slots, bands and digests as the theory has it.
    #[test]
    fn slots_agree_as_often_as_the_sets_do() {
        let bands = Bands::for_similarity(0.7, Care::DUPLICATES);
        let sketcher = Sketcher::new(bands);
        let mut random = stream(5, "test", "sketch", 0);
        for (common, own) in [(7, 1), (7, 2), (70, 15), (300, 64), (300, 300)] {
            let similarity = f64::from(common) / f64::from(common + 2 * own);
            let (mut slots, mut met, mut digests, mut refused) = (0, 0, 0, 0);
            const PAIRS: usize = 2_000;
            for _ in 0..PAIRS {
                let mut draw = |count: i32| (0..count).map(|_| random.next_u64()).collect::<Vec<_>>();
                let both = draw(common);
                let sets = [[both.clone(), draw(own)].concat(), [both, draw(own)].concat()];
                let mut values = [Vec::new(), Vec::new()];
                let mut keys = [Vec::new(), Vec::new()];
                let digest =
                    [0, 1].map(|index| sketcher.sketch(&sets[index], &mut values[index], &mut keys[index]));
                slots += values[0].iter().zip(&values[1]).filter(|(one, other)| one == other).count();
                met += usize::from(keys[0].iter().zip(&keys[1]).any(|(one, other)| one == other));
                let agreed = agreement(digest[0], digest[1]);
                digests += agreed as usize;
                refused += usize::from(agreed < least_agreement(similarity, Care::DUPLICATES));
            }
            let agreed = slots as f64 / (PAIRS * sketcher.rounds.len() / 2) as f64;
            assert!((agreed - similarity).abs() < 0.01, "{common} + {own}: {agreed} for {similarity}");
            let agreed = digests as f64 / (PAIRS * DIGEST_BITS) as f64;
            assert!((agreed - (1.0 + similarity) / 2.0).abs() < 0.01, "{common} + {own}: {agreed}");
            assert!(refused <= 12, "{common} + {own}: {refused} of {PAIRS} refused");
            let theory = 1.0 - (1.0 - similarity.powi(bands.slots as i32)).powi(bands.bands as i32);
            let share = met as f64 / PAIRS as f64;
            assert!((share - theory).abs() < 0.03, "{common} + {own}: {share} meet, {theory} in theory");
        }
    }
}
