//! Pooled buffers: the first step allocates, the following ones take from the pool.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::phase::{Phase, PhaseTimes};
use crate::real::Real;

/// A buffer taken from the pool may be this much larger than asked for; beyond that a new one is cheaper than the waste.
const OVERSIZE: usize = 2;

/// Lengths are rounded up to one of so many classes between two powers of two, so that packed rows of slightly
/// different lengths share buffers instead of each leaving its own behind.
const CLASSES_AN_OCTAVE: usize = 8;

/// The arena may hold half as much again as was ever lent at once. Packed rows differ in length, and each length wants
/// buffers of its own: without a bound, every new longest row adds a whole set (measured: 2.5 GB grew to 6.8 GB in 78
/// steps). Giving the free ones back costs page faults, so it is not done for less.
const HELD_OVER_LENT: f64 = 1.5;

/// The length that is allocated where `len` elements are wished.
fn class(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 2 / CLASSES_AN_OCTAVE).max(1))
}

/// Lends [`Buffer`]s of `R` and takes them back when they are dropped.
///
/// Cloning an arena gives another handle to the same pool.
#[derive(Clone, Debug, Default)]
pub struct Arena<R: Real> {
    pool: Arc<Mutex<Pool<R>>>,
}

#[derive(Debug, Default)]
struct Pool<R> {
    /// Free vectors by capacity.
    free: BTreeMap<usize, Vec<Vec<R>>>,
    usage: Usage,
    times: PhaseTimes,
}

/// What an arena has lent and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes lent at this moment.
    pub lent_bytes: usize,
    /// The most bytes lent at once since the arena was made.
    pub peak_lent_bytes: usize,
    /// Bytes of all vectors ever allocated and still held, lent or free.
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
        let mut pool = self.lock();
        let capacity = pool
            .free
            .range(len..=len.saturating_mul(OVERSIZE))
            .find(|(_, vectors)| !vectors.is_empty())
            .map(|(&capacity, _)| capacity);
        let vector = match capacity.and_then(|c| pool.free.get_mut(&c).and_then(Vec::pop)) {
            Some(vector) => vector,
            None => {
                let capacity = class(len);
                pool.usage.allocations += 1;
                pool.usage.held_bytes += capacity * size_of::<R>();
                vec![R::zero(); capacity]
            }
        };
        pool.usage.lent_bytes += vector.len() * size_of::<R>();
        pool.usage.peak_lent_bytes = pool.usage.peak_lent_bytes.max(pool.usage.lent_bytes);
        Buffer { vector, len, pool: Arc::clone(&self.pool) }
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

    /// Gives free buffers back to the system where too much is held; to be called between passes.
    pub fn give_back(&self) {
        let usage = self.usage();
        if usage.held_bytes as f64 > HELD_OVER_LENT * usage.peak_lent_bytes as f64 {
            self.trim();
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

    /// Gives the free vectors back to the system.
    pub fn trim(&self) {
        let mut pool = self.lock();
        let free_bytes: usize = pool.free.values().flatten().map(|v| v.len() * size_of::<R>()).sum();
        pool.free.clear();
        pool.usage.held_bytes -= free_bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Pool<R>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slice of `R` lent by an [`Arena`]; goes back when dropped.
#[derive(Debug)]
pub struct Buffer<R: Real> {
    vector: Vec<R>,
    len: usize,
    pool: Arc<Mutex<Pool<R>>>,
}

impl<R: Real> Deref for Buffer<R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        &self.vector[..self.len]
    }
}

impl<R: Real> DerefMut for Buffer<R> {
    fn deref_mut(&mut self) -> &mut [R] {
        &mut self.vector[..self.len]
    }
}

impl<R: Real> Drop for Buffer<R> {
    fn drop(&mut self) {
        let vector = std::mem::take(&mut self.vector);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.usage.lent_bytes -= vector.len() * size_of::<R>();
        pool.free.entry(vector.len()).or_default().push(vector);
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
        assert_eq!(arena.usage().peak_lent_bytes, (1024 + 640) * 4);
    }

    #[test]
    fn rows_of_varying_lengths_share_buffers() {
        let arena = Arena::<f32>::new();
        drop(arena.take(1000));
        for len in 900..=1024 {
            drop(arena.take(len));
        }
        assert_eq!(arena.usage().allocations, 1);
        assert!((1..5000).all(|len| (len..len + len / 8 + 1).contains(&super::class(len))));
    }

    #[test]
    fn a_much_larger_buffer_is_not_wasted_on_a_small_wish() {
        let arena = Arena::<f64>::new();
        drop(arena.take(1000));
        let small = arena.take(10);
        assert_eq!(arena.usage().lent_bytes, 10 * size_of::<f64>());
        drop(small);
        arena.trim();
        assert_eq!(arena.usage().held_bytes, 0);
    }
}
