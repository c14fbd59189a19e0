//! A device that is none: memory of the host, and kernels run block by block on the CPU by `cuda/emulator.hpp`, so that
//! launchers and kernels are held against their twins where there is no GPU. For tests alone; very slow.
//!
//! Each source is compiled by the machine's C++ compiler when the first of its kernels is launched.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use half::bf16;

use super::device::{Backend, Device, Facts, Operand, Product, Way};
use super::error::{CudaError, Result};
use super::held::Held;
use super::launch::Call;

/// Bytes before and behind every allocation that must stay as they are; as bf16 and f32 they are no numbers.
const GUARD_BYTES: usize = 256;
const GUARD: u8 = 0xff;
/// As much as a block of an RTX 3090 or 4090 may have: the kernels stay within it.
const SHARED_BYTES: usize = 99 << 10;

/// Bits: 1 for threads from the last to the first, 2 for asynchronous copies at the last moment (else at once), 4 for
/// warps in turns. What a missing barrier or wait would break, one of these breaks.
pub const SCHEDULES: [u32; 2] = [0, 7];
/// Asynchronous copies happen at the last moment, those of a kernel and those beside the stream.
const COPIES_LATE: u32 = 2;

/// The emulated device.
struct Emulator {
    facts: Facts,
    schedule: u32,
    held: Held,
    aside: RefCell<Copies>,
    stamps: RefCell<Vec<Instant>>,
}

/// Copies beside the stream: from, to, bytes.
#[derive(Default)]
struct Copies {
    waiting: VecDeque<[u64; 3]>,
    done: u64,
}

impl Copies {
    /// Does the first of those that wait.
    ///
    /// # Safety
    /// What was promised when it was asked for.
    unsafe fn step(&mut self) {
        let [from, to, bytes] = self.waiting.pop_front().expect("a copy that was asked for");
        // SAFETY: the caller's promise; addresses are the host's.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes as usize) };
        self.done += 1;
    }
}

type Run = unsafe extern "C" fn(
    *const c_char,
    *const u32,
    *const u32,
    u64,
    *mut *mut c_void,
    *const c_char,
    u32,
) -> *const c_char;

/// A device that runs kernels under one of [`SCHEDULES`]; nothing where there is no C++ compiler.
#[must_use]
pub fn open(schedule: u32) -> Option<Device> {
    compiler()?;
    let facts =
        Facts { name: "emulator".into(), capability: (8, 0), shared_bytes: SHARED_BYTES, ..Facts::default() };
    let (held, aside, stamps) = (Held::new(0), RefCell::default(), RefCell::default());
    Some(Device::over(Rc::new(Emulator { facts, schedule, held, aside, stamps })))
}

/// The C++ compiler of this machine.
fn compiler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let works =
            |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
        if cfg!(target_os = "linux") { ["c++", "g++", "clang++"].into_iter().find(works) } else { None }
    })
}

/// The launching functions of the sources compiled so far. The emulator's state is one for each source, so whoever
/// launches holds the lock of that source.
fn run_of(source: &'static str) -> &'static Mutex<Run> {
    static LOADED: Mutex<Option<HashMap<&str, &'static Mutex<Run>>>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    loaded.entry(source).or_insert_with(|| Box::leak(Box::new(Mutex::new(compile(source)))))
}

fn compile(source: &str) -> Run {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda");
    let library = std::env::temp_dir().join(format!("rtune-emulator-{}-{source}.so", std::process::id()));
    let out = Command::new(compiler().expect("a compiler, or there is no emulator"))
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"])
        .args([
            "-U_FORTIFY_SOURCE",
            "-Wall",
            "-Wno-unknown-pragmas",
            "-Wno-unused-function",
            "-Wno-maybe-uninitialized",
            "-x",
            "c++",
            "-o",
        ])
        .arg(&library)
        .arg(folder.join(format!("{source}.cu")))
        .output()
        .expect("the compiler runs");
    assert!(out.status.success(), "{source}.cu:\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stderr.is_empty(), "{source}.cu:\n{}", String::from_utf8_lossy(&out.stderr));
    // SAFETY: our own code; its constructors only fill tables.
    let opened = unsafe { libloading::Library::new(&library) }.expect("what was just compiled");
    let _ = std::fs::remove_file(&library);
    // SAFETY: the function's type is that of emulator.hpp.
    let run = unsafe { *opened.get::<Run>(b"emulate_launch\0").expect("emulator.hpp is included") };
    // The code stays loaded for as long as the program runs.
    std::mem::forget(opened);
    run
}

fn layout(bytes: usize) -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(bytes + 2 * GUARD_BYTES, GUARD_BYTES).expect("a size that fits")
}

impl Backend for Emulator {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        // SAFETY: the size is not zero.
        let start = unsafe { std::alloc::alloc(layout(bytes)) };
        assert!(!start.is_null(), "no memory");
        // SAFETY: as long as was just allocated. All of it is poison until someone writes.
        unsafe { start.write_bytes(GUARD, bytes + 2 * GUARD_BYTES) };
        let address = start as u64 + GUARD_BYTES as u64;
        self.held.add(address, bytes);
        Ok(address)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        // As the driver waits: a copy from or to this memory may not be done yet.
        let mut copies = self.aside.borrow_mut();
        while !copies.waiting.is_empty() {
            // SAFETY: the memory of copies that wait was not given back before.
            unsafe { copies.step() };
        }
        drop(copies);
        self.held.remove(address, bytes);
        let start = (address as usize - GUARD_BYTES) as *mut u8;
        // SAFETY: allocated by `allocate` with this size, by the caller's promise.
        let all = unsafe { std::slice::from_raw_parts(start, bytes + 2 * GUARD_BYTES) };
        let kept = |guard: &[u8]| guard.iter().all(|&byte| byte == GUARD);
        let (before, behind) = (kept(&all[..GUARD_BYTES]), kept(&all[GUARD_BYTES + bytes..]));
        // SAFETY: as above; used no more.
        unsafe { std::alloc::dealloc(start, layout(bytes)) };
        if !std::thread::panicking() {
            assert!(before && behind, "a kernel wrote outside of a buffer of {bytes} bytes");
        }
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise; addresses are the host's.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to as *mut u8, from.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        // SAFETY: as above.
        unsafe { (to as *mut u8).write_bytes(byte, bytes) };
        Ok(())
    }

    unsafe fn launch(&self, call: &mut Call) -> Result<()> {
        let run = run_of(call.kernel.source).lock().unwrap_or_else(PoisonError::into_inner);
        let name = CString::new(call.kernel.name).expect("a name");
        let kinds = CString::new(call.kinds()).expect("letters");
        assert!(call.shared_bytes as usize <= SHARED_BYTES, "{} bytes of shared memory", call.shared_bytes);
        let (grid, block, shared_bytes) = (call.grid, call.block, u64::from(call.shared_bytes));
        let mut pointers = call.pointers();
        // SAFETY: the caller's promise; the emulator checks the parameters' kinds before it calls the kernel.
        let message = unsafe {
            run(
                name.as_ptr(),
                grid.as_ptr(),
                block.as_ptr(),
                shared_bytes,
                pointers.as_mut_ptr(),
                kinds.as_ptr(),
                self.schedule,
            )
        };
        if message.is_null() {
            return Ok(());
        }
        // SAFETY: a string of the emulator's that lives until the next launch.
        let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        Err(CudaError::Driver { what: call.kernel.name.into(), message })
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let Product { m, n, k, left, right, out, .. } = *product;
        let read = |operand: &Operand, batch: usize, i: usize, j: usize| {
            let (i, j) = if operand.transposed { (j, i) } else { (i, j) };
            let at = batch * operand.step + i * operand.stride + j;
            // SAFETY: within the operand by the caller's promise.
            f32::from(unsafe { *(operand.address as *const bf16).add(at) })
        };
        for batch in 0..product.batch {
            for i in 0..m {
                for j in 0..n {
                    let sum: f32 = (0..k).map(|l| read(&left, batch, i, l) * read(&right, batch, l, j)).sum();
                    let at = batch * out.step + i * out.stride + j;
                    let put = |old: f32| if product.beta == 0.0 { 0.0 } else { product.beta * old };
                    if product.wide_out {
                        // SAFETY: within the result by the caller's promise.
                        let place = unsafe { &mut *(out.address as *mut f32).add(at) };
                        *place = put(*place) + product.alpha * sum;
                    } else {
                        // SAFETY: as above.
                        let place = unsafe { &mut *(out.address as *mut bf16).add(at) };
                        *place = bf16::from_f32(put(place.to_f32()) + product.alpha * sum);
                    }
                }
            }
        }
        Ok(())
    }

    fn pin(&self, bytes: usize) -> Result<u64> {
        let address = self.allocate(bytes)?;
        self.held.remove(address, bytes);
        Ok(address)
    }

    unsafe fn unpin(&self, address: u64, bytes: usize) {
        self.held.add(address, bytes);
        // SAFETY: allocated by `pin`, by the caller's promise.
        unsafe { self.free(address, bytes) }
    }

    unsafe fn copy_aside(&self, from: u64, to: u64, bytes: usize, _: Way) -> Result<u64> {
        let mut copies = self.aside.borrow_mut();
        copies.waiting.push_back([from, to, bytes as u64]);
        let ticket = copies.done + copies.waiting.len() as u64;
        if self.schedule & COPIES_LATE == 0 {
            // SAFETY: the caller's promise.
            unsafe { copies.step() };
        }
        Ok(ticket)
    }

    fn join(&self, ticket: u64) -> Result<()> {
        let mut copies = self.aside.borrow_mut();
        while copies.done < ticket {
            // SAFETY: whoever asked for it joins it before the memory is given back.
            unsafe { copies.step() };
        }
        Ok(())
    }

    fn stamp(&self) -> Result<usize> {
        let mut stamps = self.stamps.borrow_mut();
        stamps.push(Instant::now());
        Ok(stamps.len() - 1)
    }

    fn seconds_between(&self, from: usize, to: usize) -> Result<f64> {
        let stamps = self.stamps.borrow();
        Ok(stamps[to].duration_since(stamps[from]).as_secs_f64())
    }

    fn clear_stamps(&self) {
        self.stamps.borrow_mut().clear();
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn held(&self) -> &Held {
        &self.held
    }
}
