//! A GPU, its memory, and the one stream on which everything runs in order.

use std::marker::PhantomData;
use std::rc::Rc;

use half::bf16;

use super::driver::Driver;
use super::error::Result;
use super::held::Held;
use super::launch::Call;
use super::places::Places;
use super::view::{Element, Span, SpanMut};
use super::watch::Watch;

/// Where kernels run: the driver, or in tests the emulator.
pub(crate) trait Backend {
    fn allocate(&self, bytes: usize) -> Result<u64>;
    /// # Safety
    /// `address` came from [`Self::allocate`] with as many bytes, and is used no more.
    unsafe fn free(&self, address: u64, bytes: usize);
    /// # Safety
    /// `from.len()` bytes at `to` are the caller's.
    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()>;
    /// # Safety
    /// `to.len()` bytes at `from` may be read.
    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()>;
    /// # Safety
    /// `bytes` bytes at `from` may be read, and those at `to` are the caller's; they do not overlap.
    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;
    /// # Safety
    /// `bytes` bytes at `to` are the caller's.
    unsafe fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()>;
    /// # Safety
    /// The call's parameters are those of its kernel, whose contract holds.
    unsafe fn launch(&self, call: &mut Call) -> Result<()>;
    /// # Safety
    /// The operands lie in memory that may be read, the result in memory that is the caller's.
    unsafe fn multiply(&self, product: &Product) -> Result<()>;
    /// Page-locked memory of the host.
    fn pin(&self, bytes: usize) -> Result<u64>;
    /// # Safety
    /// `address` came from [`Self::pin`] with as many bytes, and is used no more.
    unsafe fn unpin(&self, address: u64, bytes: usize);
    /// Copies beside the stream, behind everything launched on it so far and all earlier copies of this kind; gives what
    /// [`Self::join`] takes.
    /// # Safety
    /// `bytes` bytes at `from` may be read and those at `to` are the caller's until the copy was joined; one of them lies
    /// in memory of [`Self::pin`], the other on the device.
    unsafe fn copy_aside(&self, from: u64, to: u64, bytes: usize, way: Way) -> Result<u64>;
    /// What is launched from here on waits for that copy and for all before it.
    fn join(&self, ticket: u64) -> Result<()>;
    /// Notes on the stream when everything launched so far is done; gives what [`Self::seconds_between`] takes.
    fn stamp(&self) -> Result<usize>;
    /// The time from one stamp to a later one; waits for that.
    fn seconds_between(&self, from: usize, to: usize) -> Result<f64>;
    /// Takes all stamps back.
    fn clear_stamps(&self);
    fn synchronize(&self) -> Result<()>;
    fn facts(&self) -> &Facts;
    /// What was allocated and not freed.
    fn held(&self) -> &Held;
    /// Whether what lies at `address` is of this backend, so that something may be done with it.
    fn owns(&self, address: u64) -> bool {
        self.held().has(address)
    }
    /// Whether nothing is computed.
    fn is_dry(&self) -> bool {
        false
    }
    /// What takes the time of launches, if something does.
    fn watch(&self) -> Option<&Watch> {
        None
    }
}

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToHost,
    ToDevice,
}

/// What there is to know about a GPU.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// All of its memory.
    pub memory_bytes: usize,
    /// What of it was free when it was opened, the workspace of this program counted as free.
    pub free_bytes: usize,
    /// The most shared memory that a block may have.
    pub shared_bytes: usize,
    /// How many multiprocessors it has.
    pub multiprocessors: usize,
    /// The driver's version of CUDA, 12080 for 12.8.
    pub driver: i32,
    /// The version of cuBLAS, 120801 for 12.8.1.
    pub cublas: i32,
}

impl Facts {
    /// Bytes that this program has to itself: others may hold a part of the GPU's memory.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.memory_bytes.min(self.free_bytes)
    }
}

/// One operand of a product as cuBLAS takes it: element `(i, j)` at `i * stride + j`, or turned over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) address: u64,
    pub(crate) stride: usize,
    pub(crate) transposed: bool,
    /// Elements from one matrix of a batch to the next.
    pub(crate) step: usize,
}

/// `batch` products `out[m, n] = beta * out + alpha * left[m, k] * right[k, n]` of bf16 operands, summed in f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) batch: usize,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) left: Operand,
    pub(crate) right: Operand,
    pub(crate) out: Operand,
    pub(crate) wide_out: bool,
}

/// A GPU that is open. It stays on the thread that opened it, as everything that came from it.
#[derive(Clone)]
pub struct Device {
    backend: Rc<dyn Backend>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Device").field(self.facts()).finish()
    }
}

impl Device {
    /// Opens GPU number `ordinal`, and cuBLAS from the system or one of `places`.
    ///
    /// # Errors
    /// If there is no driver, no such GPU, one too old, or no cuBLAS.
    pub fn open(ordinal: usize, places: &Places) -> Result<Self> {
        Ok(Self::over(Rc::new(Driver::open(ordinal, places)?)))
    }

    pub(crate) fn over(backend: Rc<dyn Backend>) -> Self {
        Self { backend }
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn share(&self) -> Rc<dyn Backend> {
        Rc::clone(&self.backend)
    }

    /// Panics unless the `len` elements at `address` are of this device: another's number here would be any memory at all.
    #[track_caller]
    pub(crate) fn expect_own(&self, address: u64, len: usize) {
        assert!(len == 0 || self.backend.owns(address), "memory of another device");
    }

    /// What there is to know about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.backend.facts()
    }

    /// Bytes of its memory that this program holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.backend.held().bytes()
    }

    /// Whether it is one of [`Self::dry`].
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.backend.is_dry()
    }

    /// `len` elements of memory, all zero.
    ///
    /// # Errors
    /// If there is not as much.
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.allocate(len)?;
        buffer.all_mut().fill(self, 0)?;
        Ok(buffer)
    }

    /// `len` elements of memory with whatever stands there.
    ///
    /// # Errors
    /// If there is not as much.
    pub fn allocate<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let bytes = len.checked_mul(size_of::<T>()).unwrap_or_else(|| panic!("a buffer of {len} elements"));
        let address = if bytes == 0 { 0 } else { self.backend.allocate(bytes)? };
        Ok(Buffer { device: self.clone(), address, len, element: PhantomData })
    }

    /// A copy of host memory.
    ///
    /// # Errors
    /// If there is not as much memory, or the copy fails.
    pub fn upload<T: Element>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.allocate(values.len())?;
        buffer.all_mut().upload(self, values)?;
        Ok(buffer)
    }

    /// Host numbers rounded to bf16.
    ///
    /// # Errors
    /// As [`Self::upload`].
    pub fn upload_narrow(&self, values: &[f32]) -> Result<Buffer<bf16>> {
        let narrow: Vec<bf16> = values.iter().map(|&value| bf16::from_f32(value)).collect();
        self.upload(&narrow)
    }

    /// Waits until everything that was launched is done.
    ///
    /// # Errors
    /// What a kernel did wrong is said here at the latest.
    pub fn synchronize(&self) -> Result<()> {
        self.backend.synchronize()
    }
}

/// Device memory that is freed when this is dropped.
pub struct Buffer<T> {
    device: Device,
    address: u64,
    len: usize,
    element: PhantomData<T>,
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated with this size by the same backend; spans of it cannot outlive the borrow of `self`, and
            // freeing waits for what still runs.
            unsafe { self.device.backend.free(self.address, self.len * size_of::<T>()) }
        }
    }
}

impl<T: Element> Buffer<T> {
    /// All of it, to be read.
    #[must_use]
    pub fn all(&self) -> Span<'_, T> {
        Span::new(self.address, self.len)
    }

    /// All of it, to be written.
    #[must_use]
    pub fn all_mut(&mut self) -> SpanMut<'_, T> {
        SpanMut::new(self.address, self.len)
    }

    /// A copy on the host, after everything launched so far.
    ///
    /// # Errors
    /// If something launched before failed.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.all().to_vec(&self.device)
    }
}

fn bytes_of<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: elements have no padding; the length in bytes is that of the slice.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

impl<T: Element> Span<'_, T> {
    /// A copy on the host.
    ///
    /// # Errors
    /// If something launched before failed.
    pub fn to_vec(self, device: &Device) -> Result<Vec<T>> {
        let mut values = vec![T::default(); self.len];
        self.download(device, &mut values)?;
        Ok(values)
    }

    /// Copies to the host and waits for it.
    ///
    /// # Errors
    /// If something launched before failed.
    ///
    /// # Panics
    /// If the lengths differ, or the span is another device's.
    pub fn download(self, device: &Device, to: &mut [T]) -> Result<()> {
        assert_eq!(to.len(), self.len, "download: lengths");
        device.expect_own(self.address, self.len);
        // SAFETY: any bits are an element, so bytes may be written over elements.
        let bytes = unsafe { std::slice::from_raw_parts_mut(to.as_mut_ptr().cast(), size_of_val(to)) };
        // SAFETY: the span is borrowed from a buffer that lives, and as long as `to`.
        unsafe { device.backend.download(self.address, bytes) }
    }
}

impl<T: Element> SpanMut<'_, T> {
    /// Copies from the host; `from` may be changed as soon as this returns.
    ///
    /// # Errors
    /// If the copy fails.
    ///
    /// # Panics
    /// If the lengths differ, or the span is another device's.
    pub fn upload(&mut self, device: &Device, from: &[T]) -> Result<()> {
        assert_eq!(from.len(), self.len, "upload: lengths");
        device.expect_own(self.address, self.len);
        // SAFETY: the span is borrowed alone, and as long as `from`.
        unsafe { device.backend.upload(bytes_of(from), self.address) }
    }

    /// Copies from elsewhere on the device.
    ///
    /// # Errors
    /// If the copy fails.
    ///
    /// # Panics
    /// If the lengths differ, or a span is another device's.
    pub fn copy_from(&mut self, device: &Device, from: Span<'_, T>) -> Result<()> {
        assert_eq!(from.len, self.len, "copy: lengths");
        device.expect_own(self.address, self.len);
        device.expect_own(from.address, from.len);
        // SAFETY: both are borrowed, this one alone, so they do not overlap; they are of one length.
        unsafe { device.backend.copy(from.address, self.address, self.len * size_of::<T>()) }
    }

    /// Sets every byte; 0 makes zeros of all types.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// If the span is another device's.
    pub fn fill(&mut self, device: &Device, byte: u8) -> Result<()> {
        device.expect_own(self.address, self.len);
        // SAFETY: the span is borrowed alone.
        unsafe { device.backend.fill(self.address, byte, self.len * size_of::<T>()) }
    }
}
