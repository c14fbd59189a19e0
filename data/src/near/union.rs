//! Disjoint sets of rows.

/// Sets of rows, each known by its first row; 4 bytes a row.
pub(crate) struct Union {
    parents: Vec<u32>,
}

impl Union {
    pub(crate) fn new(rows: usize) -> Self {
        Self { parents: (0..rows as u32).collect() }
    }

    /// The first row of the set of `row`.
    pub(crate) fn first(&self, mut row: u32) -> u32 {
        while self.parents[row as usize] != row {
            row = self.parents[row as usize];
        }
        row
    }

    /// Puts two sets together; the lower first row is that of both.
    pub(crate) fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.shorten(one), self.shorten(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }

    /// The first row of the set of `row`; the way there is halved for those who come later.
    fn shorten(&mut self, mut row: u32) -> u32 {
        while self.parents[row as usize] != row {
            let next = self.parents[self.parents[row as usize] as usize];
            self.parents[row as usize] = next;
            row = next;
        }
        row
    }

    /// The first row of every row's set.
    pub(crate) fn into_firsts(mut self) -> Vec<u32> {
        // A parent is never a later row, so in order every parent is final.
        for row in 0..self.parents.len() {
            self.parents[row] = self.parents[self.parents[row] as usize];
        }
        self.parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_known_by_their_first_row() {
        let mut union = Union::new(8);
        for (one, other) in [(7, 3), (3, 5), (2, 6), (6, 2), (5, 6)] {
            union.join(one, other);
        }
        assert_eq!(union.first(7), 2);
        assert_eq!(union.into_firsts(), [0, 1, 2, 2, 4, 2, 2, 2]);
    }
}
