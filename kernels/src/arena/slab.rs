//! A stretch of memory of which parts are lent: the lowest free part that is long enough, and free neighbours become one.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;

use crate::real::Real;

/// Parts begin at multiples of so many elements: a cache line of `f32`, so that rows of vectors do not straddle lines.
pub(super) const ALIGNED_ELEMENTS: usize = 16;
/// Bytes that a stretch begins at a multiple of.
const ALIGNED_BYTES: usize = 64;

/// The largest stretch that is asked of the system.
#[cfg(not(test))]
fn most_bytes() -> usize {
    usize::MAX
}

#[cfg(test)]
thread_local! {
    /// What a test takes the system to have in one piece.
    pub(super) static MOST_BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

#[cfg(test)]
fn most_bytes() -> usize {
    MOST_BYTES.get()
}

/// `len` elements; memory that was never lent takes no room but addresses.
#[derive(Debug)]
pub(super) struct Slab<R> {
    base: NonNull<R>,
    len: usize,
    /// Lengths of the free parts by their first element; no two touch.
    free: BTreeMap<usize, usize>,
    /// One past the last element that was ever lent.
    touched: usize,
}

// SAFETY: a slab owns its memory, and gives out addresses of parts that it does not read or write itself.
unsafe impl<R: Real> Send for Slab<R> {}

impl<R: Real> Slab<R> {
    /// `None` where the system has not so much in one piece: Linux refuses more than all memory and swap, touched or not.
    ///
    /// # Panics
    /// If `len` elements are more than an address space has.
    pub(super) fn new(len: usize) -> Option<Self> {
        let layout = Self::layout(len);
        if layout.size() > most_bytes() {
            return None;
        }
        // SAFETY: the layout has a size, since it is of one element at least.
        let bytes = unsafe { alloc(layout) };
        let base = NonNull::new(bytes.cast::<R>())?;
        Some(Self { base, len, free: BTreeMap::from([(0, len)]), touched: 0 })
    }

    /// # Panics
    /// As [`Self::new`].
    pub(super) fn layout(len: usize) -> Layout {
        let bytes = len.max(1).saturating_mul(size_of::<R>());
        Layout::from_size_align(bytes, ALIGNED_BYTES).unwrap_or_else(|_| panic!("arena: {len} elements"))
    }

    /// The place of `len` free elements, numbers of any value, that nobody else has until [`Self::give_back`]; `None` where there are not so many.
    pub(super) fn lend(&mut self, len: usize) -> Option<(usize, NonNull<R>)> {
        let (&first, &free) = self.free.iter().find(|(_, free)| **free >= len)?;
        self.free.remove(&first);
        if free > len {
            self.free.insert(first + len, free - len);
        }
        for fresh in self.touched..first + len {
            // SAFETY: the element lies within the memory of this slab, and nobody has it yet.
            unsafe { self.base.add(fresh).write(R::zero()) };
        }
        self.touched = self.touched.max(first + len);
        // SAFETY: the part lies within the memory of this slab, and all of it was written once.
        Some((first, unsafe { self.base.add(first) }))
    }

    /// Takes back what was lent.
    pub(super) fn give_back(&mut self, first: usize, len: usize) {
        let (mut first, mut len) = (first, len);
        if let Some(behind) = self.free.remove(&(first + len)) {
            len += behind;
        }
        if let Some((&before, &length)) = self.free.range(..first).next_back()
            && before + length == first
        {
            (first, len) = (before, length + len);
        }
        self.free.insert(first, len);
    }

    /// Elements that took room so far.
    pub(super) fn touched(&self) -> usize {
        self.touched
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is lent.
    pub(super) fn is_free(&self) -> bool {
        self.free.get(&0) == Some(&self.len)
    }
}

impl<R> Drop for Slab<R> {
    fn drop(&mut self) {
        let bytes = self.len.max(1) * size_of::<R>();
        if let Ok(layout) = Layout::from_size_align(bytes, ALIGNED_BYTES) {
            // SAFETY: this is the layout that the memory was allocated with.
            unsafe { dealloc(self.base.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_neighbours_become_one() {
        let mut slab = Slab::<f32>::new(100).expect("memory");
        let places: Vec<usize> = (0..10).map(|_| slab.lend(10).expect("room").0).collect();
        assert_eq!(places, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert!(slab.lend(1).is_none());
        for place in [30, 10, 20] {
            slab.give_back(place, 10);
        }
        assert_eq!(slab.free, BTreeMap::from([(10, 30)]));
        assert_eq!(slab.lend(25).expect("room").0, 10);
        assert_eq!(slab.free, BTreeMap::from([(35, 5)]));
        assert!(!slab.is_free());
        slab.give_back(10, 25);
        [0, 40, 50, 60, 70, 80, 90].into_iter().for_each(|place| slab.give_back(place, 10));
        assert!(slab.is_free());
        assert_eq!(slab.touched(), 100);
    }
}
