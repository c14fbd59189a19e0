//! Whether a key may be among the keys of a set: a Bloom filter.

/// With two positions a key and at most this share of bits set, about one foreign key in 18 passes.
const BITS_PER_KEY: usize = 8;

/// The fewest words of a filter; smaller ones save nothing.
const LEAST_WORDS: usize = 1 << 10;

/// Keys that were put in are always found, others mostly not.
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// A filter for so many keys of well-mixed bits, in at most so many bytes; with fewer more foreign keys pass.
    pub(crate) fn new(keys: usize, most_bytes: usize) -> Self {
        let wanted = (keys * BITS_PER_KEY / 64).next_power_of_two();
        // The greatest power of two in the budget.
        let most = (most_bytes / 8 + 1).next_power_of_two() / 2;
        Self { words: vec![0; wanted.min(most).max(LEAST_WORDS)] }
    }

    pub(crate) fn insert(&mut self, key: u64) {
        for (word, bit) in self.places(key) {
            self.words[word] |= bit;
        }
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.places(key).iter().all(|&(word, bit)| self.words[word] & bit != 0)
    }

    fn places(&self, key: u64) -> [(usize, u64); 2] {
        let mask = self.words.len() - 1;
        [key, key.rotate_left(32)].map(|key| ((key >> 6) as usize & mask, 1 << (key & 63)))
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;
    use crate::stream::stream;

    #[test]
    fn own_keys_pass_and_few_others() {
        let mut random = stream(1, "test", "filter", 0);
        let keys: Vec<u64> = (0..100_000).map(|_| random.next_u64()).collect();
        let mut filter = Filter::new(keys.len(), usize::MAX);
        keys.iter().for_each(|&key| filter.insert(key));
        assert!(keys.iter().all(|&key| filter.contains(key)));
        let foreign = (0..100_000).filter(|_| filter.contains(random.next_u64())).count();
        assert!(foreign < 8_000, "{foreign}");
        let mut narrow = Filter::new(keys.len(), 10_000);
        assert_eq!(narrow.words.len(), LEAST_WORDS);
        keys.iter().for_each(|&key| narrow.insert(key));
        assert!(keys.iter().all(|&key| narrow.contains(key)));
    }
}
