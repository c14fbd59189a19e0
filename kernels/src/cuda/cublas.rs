//! The few functions of cuBLAS that products need, opened at run time from version 12 or 13: their interface is the same
//! in both, and which of them a machine has is its own affair.
//!
//! cudarc opens cuBLAS too, but by names that end with the version it was built for.

use std::ffi::{c_int, c_longlong, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};

use super::device::{Operand, Product};
use super::error::{CudaError, Result};
use super::places::Places;

/// The names that are looked for in folders, and that the system's loader is asked for.
const NAMES: [&str; 3] = ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];
/// The driver that the first of them needs: it begins with CUDA 13.
const DRIVER_OF_13: i32 = 13_000;
/// Before 12.0 the products in use here were summed otherwise, and nobody has tried them.
const OLDEST_VERSION: c_int = 120_000;

// `cublas_api.h` and `library_types.h` of CUDA 12 and 13.
const OP_N: c_int = 0;
const OP_T: c_int = 1;
const R_32F: c_int = 0;
const R_16BF: c_int = 14;
const COMPUTE_32F: c_int = 68;
const GEMM_DEFAULT_TENSOR_OP: c_int = 99;
const DISALLOW_REDUCED_PRECISION_REDUCTION: c_int = 16;
const SUCCESS: c_int = 0;

type Handle = *mut c_void;
type Create = unsafe extern "C" fn(*mut Handle) -> c_int;
type Destroy = unsafe extern "C" fn(Handle) -> c_int;
type GetVersion = unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
type SetStream = unsafe extern "C" fn(Handle, *mut c_void) -> c_int;
type SetWorkspace = unsafe extern "C" fn(Handle, *mut c_void, usize) -> c_int;
type SetMathMode = unsafe extern "C" fn(Handle, c_int) -> c_int;
type GemmStridedBatched = unsafe extern "C" fn(
    Handle,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_void,
    *const c_void,
    c_int,
    c_int,
    c_longlong,
    *const c_void,
    c_int,
    c_int,
    c_longlong,
    *const c_void,
    *mut c_void,
    c_int,
    c_int,
    c_longlong,
    c_int,
    c_int,
    c_int,
) -> c_int;

/// The library, opened. It stays loaded: others of NVIDIA's libraries do not like to see it go.
struct Cublas {
    library: ManuallyDrop<Library>,
    multiply: GemmStridedBatched,
}

/// One handle, bound to a stream; to be closed before the context is.
pub(super) struct Opened {
    cublas: Cublas,
    handle: Handle,
    pub(super) version: i32,
}

fn error(what: &str, status: c_int) -> CudaError {
    let message = match status {
        1 => "it could not be started (CUBLAS_STATUS_NOT_INITIALIZED)".to_owned(),
        3 => "there is no memory for it (CUBLAS_STATUS_ALLOC_FAILED)".to_owned(),
        7 => "a value is not valid (CUBLAS_STATUS_INVALID_VALUE)".to_owned(),
        8 => "the GPU is too old for it (CUBLAS_STATUS_ARCH_MISMATCH)".to_owned(),
        13 => "the GPU failed (CUBLAS_STATUS_EXECUTION_FAILED)".to_owned(),
        15 => "it does not do that (CUBLAS_STATUS_NOT_SUPPORTED)".to_owned(),
        status => format!("status {status}"),
    };
    CudaError::Cublas { what: what.to_owned(), message }
}

fn checked(what: &str, status: c_int) -> Result<()> {
    if status == SUCCESS { Ok(()) } else { Err(error(what, status)) }
}

/// Opens cuBLAS and makes a handle for `stream`, with `bytes` bytes at `workspace` to work in: the first that the system's
/// loader knows by its version, or that one of `places` has, or that the loader knows without one. One that does not start,
/// since it wants a newer driver or is too old, is passed over for the next.
///
/// # Errors
/// Why the last of those that were there did not start; [`CudaError::NoCublas`] where there was none.
///
/// # Safety
/// A context is current, stream and workspace are of it and outlive what is returned.
pub(super) unsafe fn open(
    places: &Places,
    driver: i32,
    stream: *mut c_void,
    workspace: u64,
    bytes: usize,
) -> Result<Opened> {
    let folders = places.folders();
    let mut failed = CudaError::NoCublas { searched: folders.clone() };
    for path in candidates(&folders, driver) {
        let Some(found) = Cublas::at(&path) else { continue };
        // SAFETY: the caller's promise.
        match unsafe { found.start(stream, workspace, bytes) } {
            Ok(opened) => return Ok(opened),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Where cuBLAS may be, the best first.
fn candidates(folders: &[PathBuf], driver: i32) -> Vec<PathBuf> {
    let [newest, middle, plain] = NAMES;
    let versions = [newest, middle].into_iter().filter(|name| driver >= DRIVER_OF_13 || *name != newest);
    let versions: Vec<&str> = versions.collect();
    let in_folders = folders.iter().flat_map(|folder| {
        let names = versions.iter().copied().chain([plain]);
        names.map(|name| folder.join(name)).filter(|path| path.is_file())
    });
    versions.iter().map(PathBuf::from).chain(in_folders).chain([PathBuf::from(plain)]).collect()
}

impl Cublas {
    fn at(path: &Path) -> Option<Self> {
        // cuBLAS finds its other half by name, which the loader knows from then on.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            for name in ["libcublasLt.so.13", "libcublasLt.so.12"] {
                // SAFETY: NVIDIA's library, whose start code has no preconditions.
                if let Ok(library) = unsafe { Library::new(folder.join(name)) } {
                    std::mem::forget(library);
                }
            }
        }
        // SAFETY: as above.
        let library = unsafe { Library::new(path) }.ok()?;
        // SAFETY: the function's type is that of `cublas_api.h`.
        let multiply = unsafe { *library.get::<GemmStridedBatched>(b"cublasGemmStridedBatchedEx\0").ok()? };
        Some(Self { library: ManuallyDrop::new(library), multiply })
    }

    fn function<T>(&self, name: &'static [u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: callers name types as `cublas_api.h` has them.
        unsafe { self.library.get(name) }
            .map_err(|error| CudaError::Cublas { what: "opening".to_owned(), message: error.to_string() })
    }

    /// A handle for `stream`, with `bytes` bytes at `workspace` to work in.
    ///
    /// # Safety
    /// A context is current, stream and workspace are of it and outlive what is returned.
    unsafe fn start(self, stream: *mut c_void, workspace: u64, bytes: usize) -> Result<Opened> {
        let mut handle = std::ptr::null_mut();
        let create = *self.function::<Create>(b"cublasCreate_v2\0")?;
        // SAFETY: writes the handle.
        checked("a handle", unsafe { create(&raw mut handle) })?;
        let mut opened = Opened { cublas: self, handle, version: 0 };
        let cublas = &opened.cublas;
        let version = *cublas.function::<GetVersion>(b"cublasGetVersion_v2\0")?;
        let set_stream = *cublas.function::<SetStream>(b"cublasSetStream_v2\0")?;
        let set_workspace = *cublas.function::<SetWorkspace>(b"cublasSetWorkspace_v2\0")?;
        let set_mode = *cublas.function::<SetMathMode>(b"cublasSetMathMode\0")?;
        let mut found = 0;
        // SAFETY: the handle was just made; the rest is the caller's promise. Sums of a product that is cut along its
        // inner side stay in f32, so that it is rounded once.
        unsafe {
            checked("its version", version(handle, &raw mut found))?;
            checked("a stream", set_stream(handle, stream))?;
            checked("a workspace", set_workspace(handle, workspace as *mut c_void, bytes))?;
            checked("a mode of summing", set_mode(handle, DISALLOW_REDUCED_PRECISION_REDUCTION))?;
        }
        if found < OLDEST_VERSION {
            return Err(CudaError::OldCublas { found });
        }
        opened.version = found;
        Ok(opened)
    }
}

impl Opened {
    /// # Safety
    /// As [`super::device::Backend::multiply`].
    pub(super) unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let size =
            |value: usize| c_int::try_from(value).unwrap_or_else(|_| panic!("a product's size of {value}"));
        let way = |operand: &Operand| if operand.transposed { OP_T } else { OP_N };
        let Product { left, right, out, .. } = product;
        // cuBLAS counts by columns: our rows are its columns, so it forms the transposed product, right by left.
        // SAFETY: the caller's promise; both factors are read before the call returns.
        let status = unsafe {
            (self.cublas.multiply)(
                self.handle,
                way(right),
                way(left),
                size(product.n),
                size(product.m),
                size(product.k),
                (&raw const product.alpha).cast(),
                right.address as *const c_void,
                R_16BF,
                size(right.stride.max(1)),
                right.step as c_longlong,
                left.address as *const c_void,
                R_16BF,
                size(left.stride.max(1)),
                left.step as c_longlong,
                (&raw const product.beta).cast(),
                out.address as *mut c_void,
                if product.wide_out { R_32F } else { R_16BF },
                size(out.stride.max(1)),
                out.step as c_longlong,
                size(product.batch),
                COMPUTE_32F,
                GEMM_DEFAULT_TENSOR_OP,
            )
        };
        checked(&format!("product {}x{}x{}", product.m, product.k, product.n), status)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Ok(destroy) = self.cublas.function::<Destroy>(b"cublasDestroy_v2\0") {
            // SAFETY: the handle was made by `start`, and is used no more. An error on the way out has nobody to go to.
            let _ = unsafe { destroy(self.handle) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_before_none_and_the_newest_needs_its_driver() {
        let folder = std::env::temp_dir().join(format!("rtune-cublas-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in NAMES {
            std::fs::write(folder.join(name), b"").expect("written");
        }
        let of = |driver| candidates(std::slice::from_ref(&folder), driver);
        let inside = |name: &str| folder.join(name);
        let [newest, middle, plain] = NAMES;
        let all = [newest.into(), middle.into(), inside(newest), inside(middle), inside(plain), plain.into()];
        assert_eq!(of(DRIVER_OF_13), all);
        assert_eq!(of(12_080), [middle.into(), inside(middle), inside(plain), PathBuf::from(plain)]);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
