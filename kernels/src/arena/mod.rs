//! Pooled buffers: the first step allocates, the following ones take from the pool.

mod slab;

use std::alloc::handle_alloc_error;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::phase::{Phase, PhaseTimes};
use crate::real::Real;
use slab::{ALIGNED_ELEMENTS, Slab};

/// Elements of the first slab. Addresses cost nothing, so it is large enough for small models' whole step.
const FIRST_SLAB_ELEMENTS: usize = 1 << 24;

/// Lends [`Buffer`]s of `R` and takes them back when they are dropped.
///
/// Packed rows differ in length, and so does each buffer of theirs: buffers are parts of few large stretches of memory, cut
/// and joined as they come, so that what a long row took serves a short one whatever their lengths are (pools of whole
/// vectors held up to half as much again as was ever lent). Cloning an arena gives another handle to the same pool.
#[derive(Clone, Debug, Default)]
pub struct Arena<R: Real> {
    pool: Arc<Mutex<Pool<R>>>,
}

#[derive(Debug, Default)]
struct Pool<R: Real> {
    slabs: Vec<Slab<R>>,
    usage: Usage,
    times: PhaseTimes,
}

impl<R: Real> Pool<R> {
    /// The place of `len` elements: slab, first element, address.
    fn lend(&mut self, len: usize) -> (usize, usize, NonNull<R>) {
        for (number, slab) in self.slabs.iter_mut().enumerate() {
            let before = slab.touched();
            if let Some((first, data)) = slab.lend(len) {
                self.usage.held_bytes += (slab.touched() - before) * size_of::<R>();
                return (number, first, data);
            }
        }
        // Each new one is as large as all before, so there are few; where the system has not so much, as large as it must be.
        let all: usize = self.slabs.iter().map(Slab::len).sum();
        let slab = Slab::new(len.max(all).max(FIRST_SLAB_ELEMENTS)).or_else(|| Slab::new(len));
        self.slabs.push(slab.unwrap_or_else(|| handle_alloc_error(Slab::<R>::layout(len))));
        self.usage.allocations += 1;
        self.lend(len)
    }

    /// Drops the slabs of which nothing is lent; those behind one that is stay, as buffers know them by number.
    fn trim(&mut self) {
        while self.slabs.last().is_some_and(Slab::is_free) {
            if let Some(slab) = self.slabs.pop() {
                self.usage.held_bytes -= slab.touched() * size_of::<R>();
            }
        }
    }
}

/// What an arena has lent and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes lent at this moment.
    pub lent_bytes: usize,
    /// The most bytes lent at once since the arena was made.
    pub peak_lent_bytes: usize,
    /// Bytes of all memory that was ever lent and is still held, lent or free.
    pub held_bytes: usize,
    /// How often memory was asked of the system; does not grow in the steady state.
    pub allocations: usize,
}

impl<R: Real> Arena<R> {
    /// An empty arena.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `len` elements whose contents are unspecified (numbers of an earlier user): write before you read.
    #[must_use]
    pub fn take(&self, len: usize) -> Buffer<R> {
        let taken = len.max(1).checked_next_multiple_of(ALIGNED_ELEMENTS);
        let taken = taken.unwrap_or_else(|| panic!("a buffer of {len} elements"));
        let mut pool = self.lock();
        let (slab, first, data) = pool.lend(taken);
        pool.usage.lent_bytes += taken * size_of::<R>();
        pool.usage.peak_lent_bytes = pool.usage.peak_lent_bytes.max(pool.usage.lent_bytes);
        Buffer { data, len, slab, first, taken, pool: Arc::clone(&self.pool) }
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeros(&self, len: usize) -> Buffer<R> {
        let mut buffer = self.take(len);
        buffer.fill(R::zero());
        buffer
    }

    /// A buffer with a copy of `source`.
    #[must_use]
    pub fn copy_of(&self, source: &[R]) -> Buffer<R> {
        let mut buffer = self.take(source.len());
        buffer.copy_from_slice(source);
        buffer
    }

    /// Makes one slab of several where nothing is lent; to be called between passes. Several leave parts unused at their ends,
    /// and rows of growing lengths leave several behind.
    pub fn give_back(&self) {
        let mut pool = self.lock();
        if pool.slabs.len() > 1 && pool.usage.lent_bytes == 0 {
            let len = pool.slabs.iter().map(Slab::len).sum();
            let touched = pool.slabs.iter().map(Slab::touched).sum();
            pool.trim();
            // What was touched stood in memory a moment ago. Without a slab the next that takes makes one.
            pool.slabs.extend(Slab::new(len).or_else(|| Slab::new(touched)));
        }
    }

    /// Does `work`, and counts its time as that of `phase`. Phases are not nested.
    pub fn timed<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.lock().times.add(phase, start.elapsed());
        done
    }

    /// The time that went into each phase since the arena was made.
    #[must_use]
    pub fn times(&self) -> PhaseTimes {
        self.lock().times
    }

    /// What is lent and held now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.lock().usage
    }

    /// Gives what is not lent back to the system, as far as whole slabs are free.
    pub fn trim(&self) {
        self.lock().trim();
    }

    fn lock(&self) -> MutexGuard<'_, Pool<R>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slice of `R` lent by an [`Arena`]; goes back when dropped.
#[derive(Debug)]
pub struct Buffer<R: Real> {
    data: NonNull<R>,
    len: usize,
    slab: usize,
    first: usize,
    /// Elements that were taken for it.
    taken: usize,
    pool: Arc<Mutex<Pool<R>>>,
}

// SAFETY: the elements belong to this buffer alone until it is dropped, and are numbers; the pool is behind a lock.
unsafe impl<R: Real> Send for Buffer<R> {}
// SAFETY: as above; a shared buffer is only read.
unsafe impl<R: Real> Sync for Buffer<R> {}

impl<R: Real> Deref for Buffer<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        // SAFETY: `len` elements from `data` on were lent to this buffer alone, numbers of any value.
        // The pool, which this buffer keeps alive, drops no slab of which something is lent.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<R: Real> DerefMut for Buffer<R> {
    fn deref_mut(&mut self) -> &mut [R] {
        // SAFETY: as above, and the buffer is borrowed as a whole.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl<R: Real> Drop for Buffer<R> {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.usage.lent_bytes -= self.taken * size_of::<R>();
        pool.slabs[self.slab].give_back(self.first, self.taken);
    }
}

/// A slice of someone else, or a buffer of one's own.
#[derive(Debug)]
pub enum Part<'a, R: Real> {
    /// As it stands elsewhere.
    Lent(&'a [R]),
    /// Computed, or converted.
    Own(Buffer<R>),
}

impl<'a, R: Real> Part<'a, R> {
    /// Numbers kept in `f32`: as they stand where `R` is that, else converted.
    #[must_use]
    pub fn of_f32(values: &'a [f32], arena: &Arena<R>) -> Self {
        if let Some(view) = R::view_f32(values) {
            return Self::Lent(view);
        }
        let mut buffer = arena.take(values.len());
        buffer.iter_mut().zip(values).for_each(|(to, &value)| *to = R::of_f32(value));
        Self::Own(buffer)
    }
}

impl<R: Real> Deref for Part<'_, R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        match self {
            Self::Lent(slice) => slice,
            Self::Own(buffer) => buffer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_state_allocates_nothing() {
        let arena = Arena::<f32>::new();
        let step = || {
            let a = arena.take(1000);
            let b = arena.zeros(600);
            assert_eq!((a.len(), b.len()), (1000, 600));
            assert!(b.iter().all(|&v| v == 0.0));
        };
        step();
        let after_one = arena.usage();
        (0..5).for_each(|_| step());
        assert_eq!(arena.usage().allocations, after_one.allocations);
        assert_eq!(arena.usage().lent_bytes, 0);
        assert_eq!(arena.usage().peak_lent_bytes, (1008 + 608) * 4);
        assert_eq!(arena.usage().held_bytes, (1008 + 608) * 4);
    }

    #[test]
    fn rows_of_varying_lengths_share_memory() {
        let arena = Arena::<f32>::new();
        for len in 1..=1024 {
            let (mut a, mut b) = (arena.take(len), arena.take(3 * len));
            a.fill(1.0);
            b.fill(2.0);
            assert!(a.iter().all(|&v| v == 1.0) && b.iter().all(|&v| v == 2.0));
        }
        assert_eq!(arena.usage().allocations, 1);
        assert_eq!(arena.usage().held_bytes, 4 * 1024 * size_of::<f32>());
    }

    #[test]
    fn what_no_slab_has_room_for_gets_one_and_they_become_one() {
        let arena = Arena::<f64>::new();
        let large = arena.take(FIRST_SLAB_ELEMENTS);
        let mut small = arena.take(10);
        small.fill(3.0);
        assert_eq!(arena.usage().allocations, 2);
        arena.give_back();
        assert!(small.iter().all(|&v| v == 3.0), "what is lent stays");
        drop(large);
        arena.trim();
        assert!(small.iter().all(|&v| v == 3.0));
        drop(small);
        arena.give_back();
        assert_eq!(arena.usage().held_bytes, 0, "nothing of the new slab was touched");
        let again = arena.take(FIRST_SLAB_ELEMENTS + 100);
        assert_eq!(arena.usage().allocations, 2);
        drop(again);
        arena.trim();
        assert_eq!(arena.usage().held_bytes, 0);
    }

    #[test]
    fn what_the_system_has_not_in_one_piece_is_not_asked_for() {
        const MIB: usize = 1 << 20;
        let pass = |arena: &Arena<f32>| drop((0..7).map(|_| arena.take(5 * MIB)).collect::<Vec<_>>());
        for (most, slabs) in [
            // Those of 64, 64 and 128 MiB, which do not become one of 256.
            (200 * MIB, 3),
            // After two of 64 MiB the seventh has one of its own.
            (100 * MIB, 3),
        ] {
            slab::MOST_BYTES.set(most);
            let arena = Arena::<f32>::new();
            pass(&arena);
            assert_eq!(arena.usage().allocations, slabs, "{most}");
            for _ in 0..3 {
                arena.give_back();
                pass(&arena);
                assert!(arena.usage().held_bytes <= 2 * 140 * MIB);
            }
        }
        slab::MOST_BYTES.set(usize::MAX);
        let arena = Arena::<f32>::new();
        pass(&arena);
        arena.give_back();
        pass(&arena);
        assert_eq!(arena.usage().allocations, 3, "in the one that they became");
    }

    #[test]
    fn threads_have_buffers_of_their_own() {
        let arena = Arena::<f32>::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let arena = arena.clone();
                scope.spawn(move || {
                    for round in 0..500 {
                        let mut buffer = arena.take(1 + (37 * round + thread) % 300);
                        buffer.fill(thread as f32);
                        assert!(buffer.iter().all(|&v| v == thread as f32));
                    }
                });
            }
        });
        assert_eq!(arena.usage().lent_bytes, 0);
    }
}
