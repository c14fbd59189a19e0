//! One bit a row.

/// A set of rows, an eighth of a byte each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn insert(&mut self, row: u32) {
        let word = row as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_in() {
        let mut bits = Bits::default();
        for row in [0, 63, 64, 1000] {
            bits.insert(row);
        }
        let found: Vec<u32> = (0..2000).filter(|&row| bits.contains(row)).collect();
        assert_eq!(found, [0, 63, 64, 1000]);
    }
}
