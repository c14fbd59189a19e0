//! Dropout and uniform noise by counters: the launchers of `cuda/noise.cu`; the twin is [`crate::noise`], whose bits
//! these are.

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Matrix, MatrixMut, Span};

/// Threads of a block: `THREADS` of the source.
const THREADS: usize = 256;

/// What is drawn: for which rows, and for what; see [`crate::noise::Draw`].
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// A key for each row, `[T]`.
    pub keys: Span<'a, u64>,
    /// See [`crate::noise::stream_of`].
    pub stream: u64,
}

/// Blocks side by side that share a row.
fn grid(rows: usize, columns: usize) -> [usize; 3] {
    [rows, columns.div_ceil(8 * THREADS), 1]
}

/// Which of 2^32 draws drop, and the factor on what stays, as the twin has them.
fn scales(probability: f64) -> (u64, f32) {
    ((probability * (1u64 << 32) as f64).round() as u64, (1.0 / (1.0 - probability)) as f32)
}

impl Draw<'_> {
    /// `y` is `x / (1 - probability)` or, with `probability`, zero; both `[T, I]`.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit or cannot be read 16 bytes at a time.
    pub fn drop_out(
        self,
        device: &Device,
        probability: f64,
        x: Matrix<'_, bf16>,
        y: MatrixMut<'_, bf16>,
    ) -> Result<()> {
        let (rows, columns) = (self.keys.len(), x.columns);
        x.expect("noise", rows, columns);
        y.expect("noise", rows, columns);
        let (limit, factor) = scales(probability);
        let launch = Launch::new(device, "noise", "drop_out")
            .read(x.span)
            .long(x.stride)
            .write(&y.span)
            .long(y.stride)
            .read(self.keys)
            .bits64(self.stream)
            .bits64(limit)
            .float(factor)
            .int(columns);
        // SAFETY: both are [T, I] and aligned, keys are [T]; `y` is borrowed alone.
        unsafe { launch.run_on(grid(rows, columns), THREADS as u32, 0) }
    }

    /// [`Self::drop_out`] the other way: adds to the gradient of what it read, `[T, I]`, that of what it gave.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// As [`Self::drop_out`].
    pub fn drop_out_back(
        self,
        device: &Device,
        probability: f64,
        dy: Matrix<'_, bf16>,
        dx: MatrixMut<'_, bf16>,
    ) -> Result<()> {
        let (rows, columns) = (self.keys.len(), dy.columns);
        dy.expect("noise", rows, columns);
        dx.expect("noise", rows, columns);
        let (limit, factor) = scales(probability);
        let launch = Launch::new(device, "noise", "drop_out_back")
            .read(dy.span)
            .long(dy.stride)
            .write(&dx.span)
            .long(dx.stride)
            .read(self.keys)
            .bits64(self.stream)
            .bits64(limit)
            .float(factor)
            .int(columns);
        // SAFETY: as in `drop_out`.
        unsafe { launch.run_on(grid(rows, columns), THREADS as u32, 0) }
    }

    /// Adds to each element of `x`, `[T, I]`, a number from minus to below plus `bound`.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// As [`Self::drop_out`].
    pub fn add_uniform(self, device: &Device, bound: f64, x: MatrixMut<'_, bf16>) -> Result<()> {
        let (rows, columns) = (self.keys.len(), x.columns);
        x.expect("noise", rows, columns);
        let launch = Launch::new(device, "noise", "add_uniform")
            .write(&x.span)
            .long(x.stride)
            .read(self.keys)
            .bits64(self.stream)
            .double(bound)
            .int(columns);
        // SAFETY: as in `drop_out`.
        unsafe { launch.run_on(grid(rows, columns), THREADS as u32, 0) }
    }
}
