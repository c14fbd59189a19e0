//! One mutable slice written by several threads at places that do not overlap.

use std::marker::PhantomData;

/// A mutable slice that parallel tasks share; each says in a `SAFETY` comment why its places are its own.
pub(crate) struct Shared<'a, R> {
    pointer: *mut R,
    len: usize,
    borrow: PhantomData<&'a mut [R]>,
}

// SAFETY: the pointer comes from a `&mut [R]` that is borrowed for `'a`, and reaching elements through it is
// unsafe: the callers of `slice_mut` promise that no two threads reach the same element.
unsafe impl<R: Send> Sync for Shared<'_, R> {}
// SAFETY: as above.
unsafe impl<R: Send> Send for Shared<'_, R> {}

impl<'a, R> Shared<'a, R> {
    pub(crate) fn new(slice: &'a mut [R]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// Elements `start..start + len`, bounds checked.
    ///
    /// # Safety
    /// No other reference to any of these elements may live while the returned one does.
    #[expect(clippy::mut_from_ref, reason = "that is the point of the type; the contract is in the docs")]
    pub(crate) unsafe fn slice_mut(&self, start: usize, len: usize) -> &mut [R] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "slice outside the shared buffer");
        // SAFETY: in bounds by the assertion; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), len) }
    }

    /// The address of element `start`, for a matrix view whose bounds the caller has checked.
    pub(crate) fn pointer_at(&self, start: usize) -> *mut R {
        assert!(start <= self.len, "address outside the shared buffer");
        self.pointer.wrapping_add(start)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
