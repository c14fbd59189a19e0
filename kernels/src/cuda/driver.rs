//! The backend that is a GPU: NVIDIA's driver and cuBLAS through cudarc, opened at run time.
//!
//! One stream, on which everything runs in order, so nothing needs events but the copies beside it; memory comes straight from the driver, for
//! the engine takes it once, in an arena.

mod aside;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;

use cudarc::driver::{result, sys};

use super::cublas;
use super::device::{Backend, Facts, Product, Way};
use super::error::{CudaError, Result};
use super::held::Held;
use super::launch::{Call, Kernel};
use super::places::Places;
use super::sources;

/// What cuBLAS works in, so that it takes no memory of its own in between; NVIDIA's advice for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;
/// Up to here a block has shared memory without being asked for it.
const SHARED_WITHOUT_ASKING_BYTES: u32 = 48 << 10;

/// The version of CUDA whose PTX the kernels are in (`scripts/kernels`).
const OLDEST_DRIVER: i32 = 12_080;

/// cuBLAS, a context with its stream, and the kernels loaded so far.
pub(super) struct Driver {
    /// Before the rest: fields are dropped in this order.
    cublas: cublas::Opened,
    context: Context,
    held: Held,
    modules: RefCell<HashMap<&'static str, sys::CUmodule>>,
    functions: RefCell<HashMap<&'static str, (sys::CUfunction, Cell<u32>)>>,
    facts: Facts,
    stamps: RefCell<Stamps>,
}

/// Events that take the time, of which the first `used` were recorded.
#[derive(Default)]
struct Stamps {
    events: Vec<sys::CUevent>,
    used: usize,
}

/// The context of a GPU, a stream in it, and what cuBLAS works in; each given back as far as it was made.
struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    aside: aside::Stream,
    workspace: sys::CUdeviceptr,
}

impl Context {
    fn new(device: sys::CUdevice) -> Result<Self> {
        // SAFETY: `device` came from the driver; the context is given back when this is dropped.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(driver_error("a context"))?;
        let (stream, aside) = (std::ptr::null_mut(), aside::Stream::default());
        let mut made = Self { device, context, stream, aside, workspace: 0 };
        made.enter()?;
        made.stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(driver_error("a stream"))?;
        made.aside.open()?;
        // SAFETY: a context is current; freed when this is dropped.
        made.workspace =
            unsafe { result::malloc_sync(WORKSPACE_BYTES) }.map_err(memory_error(WORKSPACE_BYTES))?;
        Ok(made)
    }

    /// Makes the context the thread's own again: another device may have been opened on it since.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context was retained by `new` and is given back when this is dropped.
        unsafe { result::ctx::set_current(self.context) }.map_err(driver_error("a context"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Errors on the way out have nobody to go to.
        // SAFETY: each of these was made by `new`, and nothing runs on the stream after its wait.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            self.aside.close();
            if !self.stream.is_null() {
                let _ = result::stream::synchronize(self.stream);
            }
            if self.workspace != 0 {
                let _ = result::free_sync(self.workspace);
            }
            if !self.stream.is_null() {
                let _ = result::stream::destroy(self.stream);
            }
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

fn driver_error(what: impl Into<String>) -> impl FnOnce(result::DriverError) -> CudaError {
    |error| CudaError::Driver { what: what.into(), message: format!("{error:?}") }
}

impl Driver {
    pub(super) fn open(ordinal: usize, places: &Places) -> Result<Self> {
        // SAFETY: only opens the library.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        match result::init() {
            // A library without a GPU behind it, as in a container that was lent none.
            Err(result::DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
                return Err(CudaError::NoDevice { wanted: ordinal, found: 0 });
            }
            started => started.map_err(driver_error("start of the driver"))?,
        }
        let found = result::device::get_count().map_err(driver_error("count of GPUs"))?;
        let found = usize::try_from(found).unwrap_or_default();
        if ordinal >= found {
            return Err(CudaError::NoDevice { wanted: ordinal, found });
        }
        let device = result::device::get(ordinal as i32).map_err(driver_error("choice of a GPU"))?;
        let mut facts = facts_of(device)?;
        let (major, minor) = facts.capability;
        if major < 8 {
            return Err(CudaError::TooOld { name: facts.name, major, minor });
        }
        if facts.driver < OLDEST_DRIVER {
            return Err(CudaError::OldDriver { found: facts.driver });
        }
        let context = Context::new(device)?;
        let (stream, workspace) = (context.stream.cast(), context.workspace);
        // SAFETY: the context is current, and cuBLAS is closed before stream and workspace go: see the order of fields.
        let cublas = unsafe { cublas::open(places, facts.driver, stream, workspace, WORKSPACE_BYTES) }?;
        facts.cublas = cublas.version;
        // What the driver and cuBLAS need for themselves is taken by now.
        let free = result::mem_get_info().map_err(driver_error("the GPU's free memory"))?.0;
        facts.free_bytes = free + WORKSPACE_BYTES;
        let (modules, functions) = (RefCell::default(), RefCell::default());
        let (held, stamps) = (Held::new(WORKSPACE_BYTES), RefCell::default());
        Ok(Self { cublas, context, held, modules, functions, facts, stamps })
    }

    fn enter(&self) -> Result<()> {
        self.context.enter()
    }

    /// The kernel, its module loaded and compiled for this GPU by the driver if this is the first of it.
    fn function(&self, kernel: Kernel, shared_bytes: u32) -> Result<sys::CUfunction> {
        if !self.functions.borrow().contains_key(kernel.name) {
            let module = self.module(kernel.source)?;
            let name = CString::new(kernel.name).unwrap_or_default();
            // SAFETY: the module was loaded and is not unloaded before this is dropped.
            let function =
                unsafe { result::module::get_function(module, name) }.map_err(driver_error(kernel.name))?;
            self.functions
                .borrow_mut()
                .insert(kernel.name, (function, Cell::new(SHARED_WITHOUT_ASKING_BYTES)));
        }
        let functions = self.functions.borrow();
        let (function, allowed) = &functions[kernel.name];
        if shared_bytes > allowed.get() {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function exists.
            unsafe { result::function::set_function_attribute(*function, attribute, shared_bytes as i32) }
                .map_err(driver_error(format!("{}: {shared_bytes} bytes of shared memory", kernel.name)))?;
            allowed.set(shared_bytes);
        }
        Ok(*function)
    }

    fn module(&self, source: &'static str) -> Result<sys::CUmodule> {
        if let Some(module) = self.modules.borrow().get(source) {
            return Ok(*module);
        }
        let text = CString::new(sources::ptx(source)).unwrap_or_default();
        // SAFETY: PTX with a zero at its end.
        let module =
            unsafe { result::module::load_data(text.as_ptr().cast()) }.map_err(driver_error(source))?;
        self.modules.borrow_mut().insert(source, module);
        Ok(module)
    }
}

/// What to say where `wanted_bytes` could not be had.
fn memory_error(wanted_bytes: usize) -> impl Fn(result::DriverError) -> CudaError {
    move |error| match error {
        result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
            let free_bytes = result::mem_get_info().map_or(0, |(free_bytes, _)| free_bytes);
            CudaError::OutOfMemory { wanted_bytes, free_bytes }
        }
        error => driver_error("memory")(error),
    }
}

fn facts_of(device: sys::CUdevice) -> Result<Facts> {
    use sys::CUdevice_attribute as Attribute;
    // SAFETY: `device` came from the driver, here and below.
    let of = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let read = |attribute| of(attribute).map_err(driver_error("facts of the GPU"));
    let count = |attribute| read(attribute).map(|value| usize::try_from(value).unwrap_or_default());
    let mut driver = 0;
    // SAFETY: writes one number.
    unsafe { sys::cuDriverGetVersion(&raw mut driver) }
        .result()
        .map_err(driver_error("the driver's version"))?;
    Ok(Facts {
        name: result::device::get_name(device).map_err(driver_error("the GPU's name"))?,
        capability: (
            read(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            read(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory_bytes: unsafe { result::device::total_mem(device) }
            .map_err(driver_error("the GPU's memory"))?,
        shared_bytes: count(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        multiprocessors: count(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        driver,
        ..Facts::default()
    })
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.enter().and_then(|()| self.synchronize());
        for event in &self.stamps.borrow().events {
            // SAFETY: made by `stamp`, and nothing waits for it. An error has nobody to go to.
            let _ = unsafe { result::event::destroy(*event) };
        }
        for module in self.modules.borrow().values() {
            // SAFETY: loaded by `module`, and nothing runs any more. An error has nobody to go to.
            let _ = unsafe { result::module::unload(*module) };
        }
    }
}

impl Backend for Driver {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.enter()?;
        if bytes == 0 {
            return Ok(0);
        }
        // SAFETY: the context is current.
        let address = unsafe { result::malloc_sync(bytes) }.map_err(memory_error(bytes))?;
        self.held.add(address, bytes);
        Ok(address)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        if address == 0 {
            return;
        }
        // Nobody could act on an error here.
        let _ =
            self.enter().and_then(|()| self.context.aside.synchronize()).and_then(|()| self.synchronize());
        // SAFETY: the caller's promise, and nothing runs any more.
        let _ = unsafe { result::free_sync(address) };
        self.held.remove(address, bytes);
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.enter()?;
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller's promise; the wait below ends all use of `from`.
        unsafe { result::memcpy_htod_async(to, from, self.context.stream) }
            .map_err(driver_error("copy to the GPU"))?;
        self.synchronize()
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.enter()?;
        if to.is_empty() {
            return self.synchronize();
        }
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(to, from, self.context.stream) }
            .map_err(driver_error("copy from the GPU"))?;
        self.synchronize()
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.context.stream) }
            .map_err(driver_error("copy on the GPU"))
    }

    unsafe fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        self.enter()?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { result::memset_d8_async(to, byte, bytes, self.context.stream) }.map_err(driver_error("fill"))
    }

    unsafe fn launch(&self, call: &mut Call) -> Result<()> {
        self.enter()?;
        let function = self.function(call.kernel, call.shared_bytes)?;
        let tuple = |[x, y, z]: [u32; 3]| (x, y, z);
        let (grid, block, shared_bytes) = (tuple(call.grid), tuple(call.block), call.shared_bytes);
        let name = call.kernel.name;
        // SAFETY: the caller's promise; the driver reads the parameters before it returns.
        unsafe {
            result::launch_kernel(
                function,
                grid,
                block,
                shared_bytes,
                self.context.stream,
                &mut call.pointers(),
            )
        }
        .map_err(driver_error(name))
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's promise.
        unsafe { self.cublas.multiply(product) }
    }

    fn pin(&self, bytes: usize) -> Result<u64> {
        self.enter()?;
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_host(bytes, 0) };
        address.map(|address| address as u64).map_err(|_| CudaError::Unpinned { wanted_bytes: bytes })
    }

    unsafe fn unpin(&self, address: u64, _: usize) {
        // Nobody could act on an error here.
        let _ = self.enter().and_then(|()| self.context.aside.synchronize());
        // SAFETY: the caller's promise, and nothing is copied any more.
        let _ = unsafe { result::free_host(address as *mut _) };
    }

    unsafe fn copy_aside(&self, from: u64, to: u64, bytes: usize, way: Way) -> Result<u64> {
        self.enter()?;
        // SAFETY: the caller's promise.
        unsafe { self.context.aside.copy(self.context.stream, from, to, bytes, way) }
    }

    fn join(&self, ticket: u64) -> Result<()> {
        self.enter()?;
        self.context.aside.join(self.context.stream, ticket)
    }

    fn stamp(&self) -> Result<usize> {
        self.enter()?;
        let mut stamps = self.stamps.borrow_mut();
        let index = stamps.used;
        if index == stamps.events.len() {
            let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
            stamps.events.push(event.map_err(driver_error("an event"))?);
        }
        // SAFETY: event and stream live.
        unsafe { result::event::record(stamps.events[index], self.context.stream) }
            .map_err(driver_error("a stamp"))?;
        stamps.used += 1;
        Ok(index)
    }

    fn seconds_between(&self, from: usize, to: usize) -> Result<f64> {
        self.enter()?;
        let stamps = self.stamps.borrow();
        let failed = || driver_error("the time between two stamps");
        // SAFETY: both were made by `stamp`, and recorded.
        unsafe {
            result::event::synchronize(stamps.events[to]).map_err(failed())?;
            let milliseconds =
                result::event::elapsed(stamps.events[from], stamps.events[to]).map_err(failed())?;
            Ok(f64::from(milliseconds) / 1e3)
        }
    }

    fn clear_stamps(&self) {
        self.stamps.borrow_mut().used = 0;
    }

    fn synchronize(&self) -> Result<()> {
        self.enter()?;
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.context.stream) }.map_err(driver_error("wait for the GPU"))
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn held(&self) -> &Held {
        &self.held
    }
}
