//! The memory that a backend has given out: whose a span is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Allocations that were not freed.
pub(crate) struct Held {
    /// Length by address, in bytes.
    parts: RefCell<BTreeMap<u64, usize>>,
    bytes: Cell<usize>,
}

impl Held {
    /// Nothing but `beside_bytes` that are counted and that nobody has a span of.
    pub(crate) fn new(beside_bytes: usize) -> Self {
        Self { parts: RefCell::default(), bytes: Cell::new(beside_bytes) }
    }

    pub(crate) fn add(&self, address: u64, bytes: usize) {
        self.parts.borrow_mut().insert(address, bytes);
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(crate) fn remove(&self, address: u64, bytes: usize) {
        self.parts.borrow_mut().remove(&address);
        self.bytes.set(self.bytes.get() - bytes);
    }

    /// Whether there is memory of this backend at `address`. A span is a part of one allocation, so where it begins decides.
    pub(crate) fn has(&self, address: u64) -> bool {
        let parts = self.parts.borrow();
        parts.range(..=address).next_back().is_some_and(|(start, &bytes)| address - start < bytes as u64)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Held;

    #[test]
    fn what_is_held_is_known_by_where_it_lies() {
        let held = Held::new(5);
        held.add(100, 10);
        held.add(200, 1);
        let all = |places: [u64; 6]| places.map(|place| held.has(place));
        assert_eq!(all([99, 100, 109, 110, 200, 201]), [false, true, true, false, true, false]);
        held.remove(100, 10);
        assert_eq!(all([99, 100, 109, 110, 200, 201]), [false, false, false, false, true, false]);
        assert_eq!(held.bytes(), 6);
    }
}
