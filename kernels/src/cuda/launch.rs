//! From a launcher's arguments to a kernel's parameters.

use super::device::Device;
use super::error::Result;
use super::view::{Element, Span, SpanMut};

/// A kernel, by the source it stands in and its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) source: &'static str,
    pub(crate) name: &'static str,
}

/// The most parameters that a kernel here has.
const MOST_PARAMETERS: usize = 32;

/// One launch: how many blocks of how many threads, with which parameters.
pub(crate) struct Call {
    pub(crate) kernel: Kernel,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared_bytes: u32,
    slots: [u64; MOST_PARAMETERS],
    kinds: [u8; MOST_PARAMETERS],
    count: usize,
}

impl Call {
    /// The addresses of the parameters, as the driver wants them.
    pub(crate) fn pointers(&mut self) -> [*mut std::ffi::c_void; MOST_PARAMETERS] {
        let first = self.slots.as_mut_ptr();
        std::array::from_fn(|i| first.wrapping_add(i).cast())
    }

    /// What each parameter is: p address, i and u 32 bits, l and L 64 bits, f and d single and double
    /// precision.
    #[cfg_attr(not(test), allow(dead_code, reason = "the driver cannot check it; the emulator does"))]
    pub(crate) fn kinds(&self) -> &str {
        std::str::from_utf8(&self.kinds[..self.count]).unwrap_or_default()
    }
}

/// A launch being put together: parameters in the order of the kernel's own.
pub(crate) struct Launch<'d> {
    device: &'d Device,
    call: Call,
}

impl<'d> Launch<'d> {
    pub(crate) fn new(device: &'d Device, source: &'static str, name: &'static str) -> Self {
        let call = Call {
            kernel: Kernel { source, name },
            grid: [1; 3],
            block: [32, 1, 1],
            shared_bytes: 0,
            slots: [0; MOST_PARAMETERS],
            kinds: [0; MOST_PARAMETERS],
            count: 0,
        };
        Self { device, call }
    }

    fn push(mut self, kind: u8, slot: u64) -> Self {
        self.call.slots[self.call.count] = slot;
        self.call.kinds[self.call.count] = kind;
        self.call.count += 1;
        self
    }

    /// An address that is this device's own, wherever a kernel reads or writes by it.
    fn span(self, address: u64, len: usize) -> Self {
        self.device.expect_own(address, len);
        self.push(b'p', address)
    }

    pub(crate) fn read<T: Element>(self, span: Span<'_, T>) -> Self {
        self.span(span.address, span.len)
    }

    pub(crate) fn read_if<T: Element>(self, span: Option<Span<'_, T>>) -> Self {
        let (address, len) = span.map_or((0, 0), |span| (span.address, span.len));
        self.span(address, len)
    }

    pub(crate) fn write<T: Element>(self, span: &SpanMut<'_, T>) -> Self {
        self.span(span.address, span.len)
    }

    pub(crate) fn write_if<T: Element>(self, span: Option<&SpanMut<'_, T>>) -> Self {
        let (address, len) = span.map_or((0, 0), |span| (span.address, span.len));
        self.span(address, len)
    }

    /// A size or index that the kernel takes as `int`.
    ///
    /// # Panics
    /// If it is 2^31 or more.
    pub(crate) fn int(self, value: usize) -> Self {
        let value = i32::try_from(value).unwrap_or_else(|_| panic!("a kernel's size of {value}"));
        self.push(b'i', u64::from(value.cast_unsigned()))
    }

    pub(crate) fn long(self, value: usize) -> Self {
        self.push(b'l', value as u64)
    }

    pub(crate) fn bits64(self, value: u64) -> Self {
        self.push(b'L', value)
    }

    pub(crate) fn float(self, value: f32) -> Self {
        self.push(b'f', u64::from(value.to_bits()))
    }

    pub(crate) fn double(self, value: f64) -> Self {
        self.push(b'd', value.to_bits())
    }

    /// `blocks` blocks of `threads` threads.
    ///
    /// # Safety
    /// The parameters are those of the kernel, its contract holds for them, and what it writes is the caller's alone.
    pub(crate) unsafe fn run(self, blocks: usize, threads: u32, shared_bytes: usize) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.run_on([blocks, 1, 1], threads, shared_bytes) }
    }

    /// A grid of up to three dimensions; nothing at all where one of them is 0.
    ///
    /// # Safety
    /// As [`Self::run`].
    pub(crate) unsafe fn run_on(mut self, grid: [usize; 3], threads: u32, shared_bytes: usize) -> Result<()> {
        /// Of y and z; x goes up to 2^31 - 1.
        const MOST_ROWS_OF_BLOCKS: usize = 65_535;
        if grid.contains(&0) {
            return Ok(());
        }
        assert!(
            i32::try_from(grid[0]).is_ok() && grid[1].max(grid[2]) <= MOST_ROWS_OF_BLOCKS,
            "grid {grid:?}"
        );
        self.call.grid = grid.map(|size| size as u32);
        self.call.block = [threads, 1, 1];
        self.call.shared_bytes = u32::try_from(shared_bytes).expect("shared memory is counted in kilobytes");
        // SAFETY: passed on.
        unsafe { self.device.backend().launch(&mut self.call) }
    }
}
