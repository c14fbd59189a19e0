//! Sums, factors, casts and copies over matrices: the launchers of `cuda/elementwise.cu`; twins stand in
//! [`crate::elementwise`] and [`crate::columns`].
//!
//! All of them: errors if the launch fails; panics if the shapes do not fit or cannot be read 16 bytes at a time.
#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc)]

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Matrix, MatrixMut, Span, SpanMut};

/// Threads of a block: `THREADS` of the source.
const THREADS: usize = 256;
/// Blocks that walk over the elements; more than any GPU holds at once.
const MOST_BLOCKS: usize = 65_536;

fn blocks(rows: usize, columns: usize) -> usize {
    (rows * columns / 8).div_ceil(THREADS).min(MOST_BLOCKS)
}

fn launch<'d>(device: &'d Device, name: &'static str) -> Launch<'d> {
    Launch::new(device, "elementwise", name)
}

/// Ends with rows and columns, and runs.
///
/// # Safety
/// All matrices among the parameters are `rows` by `columns` and aligned, and those written are the caller's alone.
unsafe fn run(launch: Launch<'_>, rows: usize, columns: usize) -> Result<()> {
    // SAFETY: passed on.
    unsafe { launch.int(rows).int(columns).run(blocks(rows, columns), THREADS as u32, 0) }
}

fn vector(what: &str, values: Span<'_, f32>, columns: usize) {
    assert!(values.len() == columns && values.address.is_multiple_of(16), "{what}: a number a column");
}

/// `y += factor * x`.
pub fn add_scaled(device: &Device, x: Matrix<'_, bf16>, factor: f32, y: MatrixMut<'_, bf16>) -> Result<()> {
    let (rows, columns) = (y.rows, y.columns);
    x.expect("add", rows, columns);
    y.expect("add", rows, columns);
    let launch =
        launch(device, "add_scaled").read(x.span).long(x.stride).float(factor).write(&y.span).long(y.stride);
    // SAFETY: checked above; `y` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// `out = x + y`.
pub fn sum_into(
    device: &Device,
    x: Matrix<'_, bf16>,
    y: Matrix<'_, bf16>,
    out: MatrixMut<'_, bf16>,
) -> Result<()> {
    let (rows, columns) = (out.rows, out.columns);
    x.expect("sum", rows, columns);
    y.expect("sum", rows, columns);
    out.expect("sum", rows, columns);
    let launch = launch(device, "sum_into")
        .read(x.span)
        .long(x.stride)
        .read(y.span)
        .long(y.stride)
        .write(&out.span)
        .long(out.stride);
    // SAFETY: checked above; `out` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// `x *= factor`.
pub fn scale(device: &Device, x: MatrixMut<'_, bf16>, factor: f32) -> Result<()> {
    let (rows, columns) = (x.rows, x.columns);
    x.expect("scale", rows, columns);
    let launch = launch(device, "scale").write(&x.span).long(x.stride).float(factor);
    // SAFETY: checked above; `x` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// Multiplies column `c` of `x` by `factors[c]`.
pub fn scale_columns(device: &Device, x: MatrixMut<'_, bf16>, factors: Span<'_, f32>) -> Result<()> {
    let (rows, columns) = (x.rows, x.columns);
    x.expect("scale", rows, columns);
    vector("scale", factors, columns);
    let launch = launch(device, "scale_columns").write(&x.span).long(x.stride).read(factors);
    // SAFETY: checked above; `x` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// Writes `bias`, or zeros, to every row of `x`: the start of a product that then adds to it.
pub fn fill_rows(device: &Device, bias: Option<Span<'_, f32>>, x: MatrixMut<'_, bf16>) -> Result<()> {
    let (rows, columns) = (x.rows, x.columns);
    x.expect("bias", rows, columns);
    if let Some(bias) = bias {
        vector("bias", bias, columns);
    }
    let launch = launch(device, "fill_rows").write(&x.span).long(x.stride).read_if(bias);
    // SAFETY: checked above; `x` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// `y = x`: parts of joint matrices apart and together ([`crate::columns`]). Of matrices whose rows have groups, one
/// group is a row here.
pub fn copy(device: &Device, x: Matrix<'_, bf16>, y: MatrixMut<'_, bf16>) -> Result<()> {
    let (rows, columns) = (y.rows, y.columns);
    x.expect("copy", rows, columns);
    y.expect("copy", rows, columns);
    let launch = launch(device, "copy").read(x.span).long(x.stride).write(&y.span).long(y.stride);
    // SAFETY: checked above; `y` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// `y = bf16(factor * x)`.
pub fn narrow(device: &Device, x: Matrix<'_, f32>, factor: f32, y: MatrixMut<'_, bf16>) -> Result<()> {
    let (rows, columns) = (y.rows, y.columns);
    x.expect("cast", rows, columns);
    y.expect("cast", rows, columns);
    let launch =
        launch(device, "narrow_to").read(x.span).long(x.stride).float(factor).write(&y.span).long(y.stride);
    // SAFETY: checked above; `y` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// `y = x`, exactly.
pub fn widen(device: &Device, x: Matrix<'_, bf16>, y: MatrixMut<'_, f32>) -> Result<()> {
    let (rows, columns) = (y.rows, y.columns);
    x.expect("cast", rows, columns);
    y.expect("cast", rows, columns);
    let launch = launch(device, "widen_to").read(x.span).long(x.stride).write(&y.span).long(y.stride);
    // SAFETY: checked above; `y` is borrowed alone.
    unsafe { run(launch, rows, columns) }
}

/// With what the elements of a matrix are multiplied before they are summed by columns.
#[derive(Clone, Copy, Debug)]
pub enum Times<'a> {
    /// Nothing: the gradient of a bias.
    One,
    /// The elements of another.
    Elements(Matrix<'a, bf16>),
    /// Those of another, normed: the gradient of a norm's weight. One or two moments a row, as the norm kept them.
    Normed(Matrix<'a, bf16>, Span<'a, f32>),
}

/// `out[c] += factors[c] * sum over rows of x[r][c] * times[r][c]`, factors being 1 where there are none.
pub fn add_column_sums(
    device: &Device,
    x: Matrix<'_, bf16>,
    times: Times<'_>,
    factors: Option<Span<'_, f32>>,
    out: SpanMut<'_, f32>,
) -> Result<()> {
    let (rows, columns) = (x.rows, out.len());
    x.expect("columns", rows, columns);
    let (y, moments) = match times {
        Times::One => (None, None),
        Times::Elements(y) => (Some(y), None),
        Times::Normed(y, moments) => (Some(y), Some(moments)),
    };
    if let Some(y) = y {
        y.expect("columns", rows, columns);
    }
    let each = moments.map_or(0, |moments| moments.len().checked_div(rows).unwrap_or(1));
    assert!(
        moments.is_none_or(|moments| moments.len() == each * rows && (1..=2).contains(&each)),
        "columns: moments"
    );
    assert!(factors.is_none_or(|factors| factors.len() == columns), "columns: factors");
    if rows == 0 {
        return Ok(());
    }
    let launch = launch(device, "column_sums")
        .read(x.span)
        .long(x.stride)
        .read_if(y.map(|y| y.span))
        .long(y.map_or(0, |y| y.stride))
        .read_if(moments)
        .int(each)
        .read_if(factors)
        .write(&out)
        .int(rows)
        .int(columns);
    // SAFETY: checked above; a block of 32 times 8 columns writes those of `out`, which is borrowed alone.
    unsafe { launch.run(columns.div_ceil(32 * 8), THREADS as u32, 0) }
}
