//! The backend that is a GPU: NVIDIA's driver and cuBLAS through cudarc, opened at run time.
//!
//! One stream, on which everything runs in order, so nothing needs events; memory comes straight from the driver, for
//! the engine takes it once, in an arena.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CString, c_void};

use cudarc::cublas::{result as cublas, sys as cublas_sys};
use cudarc::driver::{result, sys};

use super::device::{Backend, Facts, Operand, Product};
use super::error::{CudaError, Result};
use super::launch::{Call, Kernel};
use super::places::Places;
use super::sources;

/// What cuBLAS works in, so that it takes no memory of its own in between; NVIDIA's advice for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;
/// Up to here a block has shared memory without being asked for it.
const SHARED_WITHOUT_ASKING_BYTES: u32 = 48 << 10;

/// The version of CUDA whose PTX the kernels are in (`scripts/kernels`).
const OLDEST_DRIVER: i32 = 12_080;

/// A context, its stream, cuBLAS, and the kernels loaded so far.
pub(super) struct Driver {
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    handle: cublas_sys::cublasHandle_t,
    workspace: sys::CUdeviceptr,
    facts: Facts,
    modules: RefCell<HashMap<&'static str, sys::CUmodule>>,
    functions: RefCell<HashMap<&'static str, (sys::CUfunction, Cell<u32>)>>,
}

fn driver_error(what: impl Into<String>) -> impl FnOnce(result::DriverError) -> CudaError {
    |error| CudaError::Driver { what: what.into(), message: format!("{error:?}") }
}

fn cublas_error(what: impl Into<String>) -> impl FnOnce(cublas::CublasError) -> CudaError {
    |error| CudaError::Cublas { what: what.into(), message: format!("{error:?}") }
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
        let facts = facts_of(device)?;
        let (major, minor) = facts.capability;
        if major < 8 {
            return Err(CudaError::TooOld { name: facts.name, major, minor });
        }
        if facts.driver < OLDEST_DRIVER {
            return Err(CudaError::OldDriver { found: facts.driver });
        }
        open_cublas(places)?;
        // SAFETY: `device` came from the driver; the context is given back when this is dropped.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(driver_error("a context"))?;
        // SAFETY: a context just retained.
        unsafe { result::ctx::set_current(context) }.map_err(driver_error("a context"))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(driver_error("a stream"))?;
        // SAFETY: a context is current; freed when this is dropped.
        let workspace =
            unsafe { result::malloc_sync(WORKSPACE_BYTES) }.map_err(memory_error(WORKSPACE_BYTES))?;
        let handle = cublas::create_handle().map_err(cublas_error("a handle"))?;
        // SAFETY: handle and stream were just made; a driver's stream is a runtime's stream.
        unsafe { cublas::set_stream(handle, stream.cast()) }.map_err(cublas_error("a stream"))?;
        // SAFETY: the workspace is as large as said, and lives as long as the handle.
        unsafe { cublas_sys::cublasSetWorkspace_v2(handle, workspace as *mut c_void, WORKSPACE_BYTES) }
            .result()
            .map_err(cublas_error("a workspace"))?;
        let mode = cublas_sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
        // Else a product that is cut along its inner side may be summed in bf16, and not be rounded once.
        // SAFETY: the handle was just made.
        unsafe { cublas_sys::cublasSetMathMode(handle, mode) }
            .result()
            .map_err(cublas_error("a mode of summing"))?;
        let (modules, functions) = (RefCell::default(), RefCell::default());
        Ok(Self { device, context, stream, handle, workspace, facts, modules, functions })
    }

    /// Makes the context the thread's own again: another device may have been opened on it since.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context was retained by `open` and is given back when this is dropped.
        unsafe { result::ctx::set_current(self.context) }.map_err(driver_error("a context"))
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
    })
}

/// Opens cuBLAS by name, or from a folder first, after which the loader finds it by name.
fn open_cublas(places: &Places) -> Result<()> {
    // SAFETY: only opens the library.
    let present = || unsafe { cublas_sys::is_culib_present() };
    if present() {
        return Ok(());
    }
    let searched = places.folders();
    for folder in &searched {
        for name in ["libcublasLt.so.12", "libcublas.so.12"] {
            let path = folder.join(name);
            if path.is_file() {
                // SAFETY: NVIDIA's library, whose start code has no preconditions.
                if let Ok(library) = unsafe { libloading::Library::new(&path) } {
                    // Open for as long as the program runs: cudarc finds it by its name from now on.
                    std::mem::forget(library);
                }
            }
        }
        if present() {
            return Ok(());
        }
    }
    Err(CudaError::NoCublas { searched })
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Errors on the way out have nobody to go to.
        // SAFETY: each of these was made by `open` or `module`, and nothing runs on the stream after its wait.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            let _ = result::stream::synchronize(self.stream);
            let _ = cublas::destroy_handle(self.handle);
            let _ = result::free_sync(self.workspace);
            for module in self.modules.borrow().values() {
                let _ = result::module::unload(*module);
            }
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
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
        unsafe { result::malloc_sync(bytes) }.map_err(memory_error(bytes))
    }

    unsafe fn free(&self, address: u64, _: usize) {
        if address == 0 {
            return;
        }
        // Nobody could act on an error here.
        let _ = self.enter().and_then(|()| self.synchronize());
        // SAFETY: the caller's promise, and nothing runs any more.
        let _ = unsafe { result::free_sync(address) };
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.enter()?;
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller's promise; the wait below ends all use of `from`.
        unsafe { result::memcpy_htod_async(to, from, self.stream) }
            .map_err(driver_error("copy to the GPU"))?;
        self.synchronize()
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.enter()?;
        if to.is_empty() {
            return self.synchronize();
        }
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream) }
            .map_err(driver_error("copy from the GPU"))?;
        self.synchronize()
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }
            .map_err(driver_error("copy on the GPU"))
    }

    unsafe fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        self.enter()?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { result::memset_d8_async(to, byte, bytes, self.stream) }.map_err(driver_error("fill"))
    }

    unsafe fn launch(&self, call: &mut Call) -> Result<()> {
        self.enter()?;
        let function = self.function(call.kernel, call.shared_bytes)?;
        let tuple = |[x, y, z]: [u32; 3]| (x, y, z);
        let (grid, block, shared_bytes) = (tuple(call.grid), tuple(call.block), call.shared_bytes);
        let name = call.kernel.name;
        // SAFETY: the caller's promise; the driver reads the parameters before it returns.
        unsafe {
            result::launch_kernel(function, grid, block, shared_bytes, self.stream, &mut call.pointers())
        }
        .map_err(driver_error(name))
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        self.enter()?;
        use cublas_sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
        use cublas_sys::cudaDataType::{CUDA_R_16BF, CUDA_R_32F};
        let size =
            |value: usize| i32::try_from(value).unwrap_or_else(|_| panic!("a product's size of {value}"));
        let way = |operand: &Operand| if operand.transposed { CUBLAS_OP_T } else { CUBLAS_OP_N };
        let Product { left, right, out, .. } = product;
        // cuBLAS counts by columns: our rows are its columns, so it forms the transposed product, right by left.
        // SAFETY: the caller's promise; both factors are read before the call returns.
        unsafe {
            cublas::gemm_strided_batched_ex(
                self.handle,
                way(right),
                way(left),
                size(product.n),
                size(product.m),
                size(product.k),
                (&raw const product.alpha).cast(),
                right.address as *const c_void,
                CUDA_R_16BF,
                size(right.stride.max(1)),
                right.step as i64,
                left.address as *const c_void,
                CUDA_R_16BF,
                size(left.stride.max(1)),
                left.step as i64,
                (&raw const product.beta).cast(),
                out.address as *mut c_void,
                if product.wide_out { CUDA_R_32F } else { CUDA_R_16BF },
                size(out.stride.max(1)),
                out.step as i64,
                size(product.batch),
                cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        }
        .map_err(cublas_error(format!("product {}x{}x{}", product.m, product.k, product.n)))
    }

    fn synchronize(&self) -> Result<()> {
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.stream) }.map_err(driver_error("wait for the GPU"))
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}
