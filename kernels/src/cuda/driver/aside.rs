//! The stream of copies beside the kernels', and the events by which the two wait for each other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use cudarc::driver::{result, sys};

use super::super::device::Way;
use super::super::error::Result;
use super::driver_error;

/// A stream for copies. Null until it is opened.
pub(super) struct Stream {
    stream: sys::CUstream,
    /// What the kernels' stream has come to; recorded anew for each copy.
    behind: sys::CUevent,
    /// Ends of copies that were not joined, by their tickets, ascending.
    ends: RefCell<VecDeque<(u64, sys::CUevent)>>,
    spare: RefCell<Vec<sys::CUevent>>,
    last: Cell<u64>,
}

impl Default for Stream {
    fn default() -> Self {
        let (stream, behind) = (std::ptr::null_mut(), std::ptr::null_mut());
        Self { stream, behind, ends: RefCell::default(), spare: RefCell::default(), last: Cell::new(0) }
    }
}

fn event() -> Result<sys::CUevent> {
    result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(driver_error("an event"))
}

const NO_FLAGS: sys::CUevent_wait_flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;

impl Stream {
    /// With a context current.
    pub(super) fn open(&mut self) -> Result<()> {
        self.stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(driver_error("a stream"))?;
        self.behind = event()?;
        Ok(())
    }

    /// Waits, and gives everything back.
    ///
    /// # Safety
    /// The context is current, and nothing of this is used any more.
    pub(super) unsafe fn close(&mut self) {
        let _ = self.synchronize();
        let ends = self.ends.take().into_iter().map(|(_, event)| event);
        let behind = (!self.behind.is_null()).then_some(self.behind);
        for event in ends.chain(self.spare.take()).chain(behind) {
            // SAFETY: made by `event`, and nothing waits for it any more. Errors on the way out have nobody to go to.
            let _ = unsafe { result::event::destroy(event) };
        }
        if !self.stream.is_null() {
            // SAFETY: made by `open`, and nothing runs on it.
            let _ = unsafe { result::stream::destroy(self.stream) };
        }
    }

    /// Waits for all copies.
    pub(super) fn synchronize(&self) -> Result<()> {
        if self.stream.is_null() {
            return Ok(());
        }
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.stream) }.map_err(driver_error("wait for copies"))
    }

    /// A copy behind everything launched on `kernels`, and behind all earlier copies.
    ///
    /// # Safety
    /// That of [`super::Backend::copy_aside`]; `kernels` is a stream of the current context.
    pub(super) unsafe fn copy(
        &self,
        kernels: sys::CUstream,
        from: u64,
        to: u64,
        bytes: usize,
        way: Way,
    ) -> Result<u64> {
        let failed = || driver_error("copy beside the stream");
        // Before the copy begins: from then on nothing may fail without waiting for it.
        let end = self.spare.borrow_mut().pop().map_or_else(event, Ok)?;
        // SAFETY: events and streams live. A wait takes the event as it was recorded last, so that it may be recorded anew.
        unsafe {
            result::event::record(self.behind, kernels).map_err(failed())?;
            result::stream::wait_event(self.stream, self.behind, NO_FLAGS).map_err(failed())?;
            match way {
                Way::ToHost => sys::cuMemcpyDtoHAsync_v2(to as *mut _, from, bytes, self.stream),
                Way::ToDevice => sys::cuMemcpyHtoDAsync_v2(to, from as *const _, bytes, self.stream),
            }
            .result()
            .map_err(failed())?;
        }
        // SAFETY: as above.
        if let Err(error) = unsafe { result::event::record(end, self.stream) } {
            self.synchronize()?;
            return Err(failed()(error));
        }
        let ticket = self.last.get() + 1;
        self.last.set(ticket);
        self.ends.borrow_mut().push_back((ticket, end));
        Ok(ticket)
    }

    /// Has `kernels` wait for the copy of this ticket; those before it end earlier.
    pub(super) fn join(&self, kernels: sys::CUstream, ticket: u64) -> Result<()> {
        let mut ends = self.ends.borrow_mut();
        while let Some((of, event)) = ends.pop_front_if(|(of, _)| *of <= ticket) {
            if of == ticket {
                // SAFETY: event and streams live.
                unsafe { result::stream::wait_event(kernels, event, NO_FLAGS) }
                    .map_err(driver_error("wait for a copy"))?;
            }
            self.spare.borrow_mut().push(event);
        }
        Ok(())
    }
}
