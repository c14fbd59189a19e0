//! Matrices that are put aside in the host's memory while a pass goes on, and brought back for its way down.
//!
//! Copies run on a stream of their own beside the kernels. Each begins behind everything that was launched before it, so
//! that what it reads is written and what it overwrites was read; and a part of the arena may be given back once the
//! kernels' stream waits for the copy ([`Leaving::join`]).

use std::cell::RefCell;
use std::marker::PhantomData;

use super::arena::{Arena, Lent};
use super::device::{Device, Way};
use super::error::Result;
use super::view::{Element, Span};

/// Places in the host's page-locked memory, one for each matrix that is under way.
pub struct Aside {
    device: Device,
    places: RefCell<Vec<Pinned>>,
}

struct Pinned {
    device: Device,
    address: u64,
    bytes: usize,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: pinned with this size by the same backend, which waits for what is still copied.
            unsafe { self.device.backend().unpin(self.address, self.bytes) }
        }
    }
}

/// A copy to the host that is under way, and reads what it borrows.
#[must_use = "memory that is copied may only be lent anew behind the copy"]
pub struct Leaving<'a> {
    copying: Copying,
    from: PhantomData<&'a ()>,
}

impl Leaving<'_> {
    /// What is launched from here on waits for the copy: what it reads may be given back.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn join(mut self) -> Result<()> {
        self.copying.join()
    }
}

/// A copy to the device that is under way.
pub struct Coming<T> {
    // Before the part, which goes back to the arena behind it.
    copying: Copying,
    part: Lent<T>,
}

impl<T> Coming<T> {
    /// What is launched from here on waits for the copy, and may read it.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn join(mut self) -> Result<Lent<T>> {
        self.copying.join()?;
        Ok(self.part)
    }
}

struct Copying {
    device: Device,
    ticket: Option<u64>,
}

impl Copying {
    fn join(&mut self) -> Result<()> {
        self.ticket.take().map_or(Ok(()), |ticket| self.device.backend().join(ticket))
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        // On the way out after an error: memory may go back to the arena, but not before the copy. A second error has nobody to
        // go to.
        let _ = self.join();
    }
}

impl Aside {
    /// No places yet: each is made when it is first used, and stays.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), places: RefCell::default() }
    }

    /// The place `index`, of at least `bytes` bytes.
    fn place(&self, index: usize, bytes: usize) -> Result<u64> {
        let mut places = self.places.borrow_mut();
        while places.len() <= index {
            places.push(Pinned { device: self.device.clone(), address: 0, bytes: 0 });
        }
        if places[index].bytes < bytes {
            // The old one first, so that not both are held.
            places[index] = Pinned { device: self.device.clone(), address: 0, bytes: 0 };
            let address = self.device.backend().pin(bytes)?;
            places[index] = Pinned { device: self.device.clone(), address, bytes };
        }
        Ok(places[index].address)
    }

    /// Begins to copy `from` into place `index`.
    ///
    /// # Errors
    /// If the host has not as much memory that can be page-locked, or the driver fails.
    pub fn put<'a, T: Element>(&self, index: usize, from: Span<'a, T>) -> Result<Leaving<'a>> {
        let bytes = from.len() * size_of::<T>();
        self.device.expect_own(from.address, from.len());
        let to = self.place(index, bytes)?;
        // SAFETY: the place is as large, and only read by `take`, which runs behind this copy; `from` is borrowed until the copy
        // is joined, by `Leaving` or where that is dropped.
        let ticket = unsafe { self.device.backend().copy_aside(from.address, to, bytes, Way::ToHost) }?;
        Ok(Leaving { copying: self.under_way(ticket), from: PhantomData })
    }

    fn under_way(&self, ticket: u64) -> Copying {
        Copying { device: self.device.clone(), ticket: Some(ticket) }
    }

    /// Begins to bring back the `len` elements of place `index` into a part of `arena`.
    ///
    /// # Errors
    /// As [`Arena::take`], and if the driver fails.
    ///
    /// # Panics
    /// If less was put there, or the arena is another device's.
    pub fn take<T: Element>(&self, index: usize, len: usize, arena: &Arena) -> Result<Coming<T>> {
        let bytes = len * size_of::<T>();
        let (from, held) = {
            let places = self.places.borrow();
            (places[index].address, places[index].bytes)
        };
        assert!(held >= bytes, "aside: {bytes} of {held} bytes");
        let mut part = arena.take(len)?;
        let to = part.all_mut().address;
        self.device.expect_own(to, len);
        // SAFETY: the part is ours alone, and what read or wrote it before was launched before this copy; `Coming` gives it back
        // once the stream waits for the copy.
        let ticket = unsafe { self.device.backend().copy_aside(from, to, bytes, Way::ToDevice) }?;
        Ok(Coming { copying: self.under_way(ticket), part })
    }

    /// Bytes of the host's memory that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.places.borrow().iter().map(|place| place.bytes).sum()
    }
}
