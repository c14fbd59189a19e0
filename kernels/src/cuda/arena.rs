//! Memory of a GPU that is taken once and lent in parts: in the steady state of training the driver allocates nothing.
//!
//! All launches of a device run in order on one stream, so a part may be lent anew as soon as it was given back: what
//! reads it was launched before what will write it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use super::device::{Buffer, Device};
use super::error::{CudaError, Result};
use super::view::{Element, Span, SpanMut};

/// Parts begin at multiples of this, which is what kernels and cuBLAS read widest.
const ALIGNMENT_BYTES: usize = 256;

/// Lends parts of one allocation and takes them back when they are dropped. The same calls in the same order lend the
/// same places.
#[derive(Clone)]
pub struct Arena {
    inner: Rc<Inner>,
}

struct Inner {
    memory: Buffer<u8>,
    spaces: RefCell<Spaces>,
}

/// What is free, by where it begins.
struct Spaces {
    free: BTreeMap<usize, usize>,
    lent_bytes: usize,
    end_bytes: usize,
}

impl Spaces {
    /// The first place that is large enough, as close to the start as can be: so the end tells how much memory would do.
    fn take(&mut self, bytes: usize) -> Option<usize> {
        let (&start, &len) = self.free.iter().find(|(_, len)| **len >= bytes)?;
        self.free.remove(&start);
        if len > bytes {
            self.free.insert(start + bytes, len - bytes);
        }
        self.lent_bytes += bytes;
        self.end_bytes = self.end_bytes.max(start + bytes);
        Some(start)
    }

    fn give_back(&mut self, mut start: usize, mut bytes: usize) {
        self.lent_bytes -= bytes;
        if let Some((&before, &len)) = self.free.range(..start).next_back()
            && before + len == start
        {
            self.free.remove(&before);
            (start, bytes) = (before, bytes + len);
        }
        if let Some(len) = self.free.remove(&(start + bytes)) {
            bytes += len;
        }
        self.free.insert(start, bytes);
    }
}

impl Arena {
    /// An arena of `bytes` bytes.
    ///
    /// # Errors
    /// If the device has not as much memory.
    pub fn new(device: &Device, bytes: usize) -> Result<Self> {
        let memory = device.allocate(bytes)?;
        let free = if bytes == 0 { BTreeMap::new() } else { BTreeMap::from([(0, bytes)]) };
        let spaces = RefCell::new(Spaces { free, lent_bytes: 0, end_bytes: 0 });
        Ok(Self { inner: Rc::new(Inner { memory, spaces }) })
    }

    /// `len` elements with whatever stands there: write before you read.
    ///
    /// # Errors
    /// [`CudaError::ArenaFull`] if no part is large enough.
    pub fn take<T: Element>(&self, len: usize) -> Result<Lent<T>> {
        let bytes =
            len.checked_mul(size_of::<T>()).and_then(|len| len.checked_next_multiple_of(ALIGNMENT_BYTES));
        let bytes = bytes.unwrap_or_else(|| panic!("a part of {len} elements"));
        let start = match bytes {
            0 => Some(0),
            _ => self.inner.spaces.borrow_mut().take(bytes),
        };
        let start = start.ok_or_else(|| CudaError::ArenaFull {
            wanted_bytes: bytes,
            lent_bytes: self.lent_bytes(),
            arena_bytes: self.inner.memory.all().len(),
        })?;
        Ok(Lent { inner: Rc::clone(&self.inner), start, bytes, len, element: PhantomData })
    }

    /// A part with a copy of host memory.
    ///
    /// # Errors
    /// As [`Self::take`], and if the copy fails.
    pub fn upload<T: Element>(&self, device: &Device, values: &[T]) -> Result<Lent<T>> {
        let mut part = self.take(values.len())?;
        part.all_mut().upload(device, values)?;
        Ok(part)
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// As [`Self::take`], and if the launch fails.
    pub fn zeros<T: Element>(&self, device: &Device, len: usize) -> Result<Lent<T>> {
        let mut part = self.take(len)?;
        part.all_mut().fill(device, 0)?;
        Ok(part)
    }

    /// Bytes that are lent now.
    #[must_use]
    pub fn lent_bytes(&self) -> usize {
        self.inner.spaces.borrow().lent_bytes
    }

    /// The size of an arena in which everything that was lent so far would have found its place.
    #[must_use]
    pub fn needed_bytes(&self) -> usize {
        self.inner.spaces.borrow().end_bytes
    }

    /// All bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.inner.memory.all().len()
    }
}

/// A part of an [`Arena`], which goes back when this is dropped.
pub struct Lent<T> {
    inner: Rc<Inner>,
    start: usize,
    bytes: usize,
    len: usize,
    element: PhantomData<T>,
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.inner.spaces.borrow_mut().give_back(self.start, self.bytes);
        }
    }
}

impl<T: Element> Lent<T> {
    fn address(&self) -> u64 {
        self.inner.memory.all().address + self.start as u64
    }

    /// All of it, to be read.
    #[must_use]
    pub fn all(&self) -> Span<'_, T> {
        Span::new(self.address(), self.len)
    }

    /// All of it, to be written: no other part reaches into it while it is lent.
    #[must_use]
    pub fn all_mut(&mut self) -> SpanMut<'_, T> {
        SpanMut::new(self.address(), self.len)
    }
}

impl<T> std::fmt::Debug for Lent<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lent({} bytes at {})", self.bytes, self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::Facts;

    #[test]
    fn parts_are_lent_low_and_neighbours_grow_together_again() {
        let device = Device::dry(Facts::default());
        let arena = Arena::new(&device, 1024).expect("an arena");
        let a = arena.take::<u8>(1).expect("a part");
        let b = arena.take::<f32>(64).expect("a part");
        let c = arena.take::<u8>(300).expect("a part");
        assert_eq!((a.start, b.start, c.start), (0, 256, 512));
        assert_eq!((arena.lent_bytes(), arena.needed_bytes()), (1024, 1024));
        let full = arena.take::<u8>(1).expect_err("full");
        assert!(matches!(full, CudaError::ArenaFull { wanted_bytes: 256, lent_bytes: 1024, .. }), "{full}");
        drop(b);
        assert_eq!(arena.take::<u8>(9).expect("the gap").start, 256);
        drop(a);
        assert_eq!(arena.take::<u8>(512).expect("two gaps that became one").start, 0);
        drop(c);
        assert_eq!(arena.take::<u8>(1024).expect("all").start, 0);
        assert!(arena.take::<f64>(0).expect("nothing").all().is_empty());
        assert_eq!(arena.lent_bytes(), 0);
    }
}
