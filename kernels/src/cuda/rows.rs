//! Rows by number: the launchers of `cuda/rows.cu`; twins stand in [`crate::elementwise`].

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Matrix, MatrixMut, Span, SpanMut};

/// Threads of a block: `THREADS` of the source.
const THREADS: u32 = 256;

/// `out[i] = scale * x[rows[i]]`: embeddings (`x` the table, `rows` the token ids), or the rows of an expert.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the shapes do not fit or cannot be read 16 bytes at a time. A row beyond `x` gives NaN.
pub fn gather(
    device: &Device,
    x: Matrix<'_, bf16>,
    rows: Span<'_, u32>,
    scale: f32,
    out: MatrixMut<'_, bf16>,
) -> Result<()> {
    x.expect("gather", x.rows, x.columns);
    out.expect("gather", rows.len(), x.columns);
    let launch = Launch::new(device, "rows", "gather_rows")
        .read(x.span)
        .long(x.stride)
        .int(x.rows)
        .read(rows)
        .float(scale)
        .write(&out.span)
        .long(out.stride)
        .int(x.columns);
    // SAFETY: shapes checked above; the kernel holds row numbers to `x` itself; `out` is borrowed alone.
    unsafe { launch.run(rows.len(), THREADS, 0) }
}

/// `out[rows[i]] = x[i]`; the other rows of `out` stay as they are. The numbers in `rows` must differ from each other,
/// or it is left open whose row stays.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`gather`]. A number beyond `out` is passed over.
pub fn scatter(
    device: &Device,
    x: Matrix<'_, bf16>,
    rows: Span<'_, u32>,
    out: MatrixMut<'_, bf16>,
) -> Result<()> {
    x.expect("scatter", rows.len(), x.columns);
    out.expect("scatter", out.rows, x.columns);
    let launch = Launch::new(device, "rows", "scatter_rows")
        .read(x.span)
        .long(x.stride)
        .read(rows)
        .write(&out.span)
        .long(out.stride)
        .int(out.rows)
        .int(x.columns);
    // SAFETY: as in `gather`, for `out`.
    unsafe { launch.run(rows.len(), THREADS, 0) }
}

/// `out[rows[i]] += factors[i] * x[i]`, factors being 1 where there are none. The numbers in `rows` must differ from each
/// other, as those of one expert's tokens do, or sums are lost.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`scatter`].
pub fn scatter_add(
    device: &Device,
    x: Matrix<'_, bf16>,
    factors: Option<Span<'_, f32>>,
    rows: Span<'_, u32>,
    out: MatrixMut<'_, bf16>,
) -> Result<()> {
    x.expect("scatter", rows.len(), x.columns);
    out.expect("scatter", out.rows, x.columns);
    assert!(factors.is_none_or(|factors| factors.len() == rows.len()), "scatter: factors");
    let launch = Launch::new(device, "rows", "scatter_rows_add")
        .read(x.span)
        .long(x.stride)
        .read_if(factors)
        .read(rows)
        .write(&out.span)
        .long(out.stride)
        .int(out.rows)
        .int(x.columns);
    // SAFETY: as in `scatter`.
    unsafe { launch.run(rows.len(), THREADS, 0) }
}

/// `x[i] *= factors[i]` by rows.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`gather`].
pub fn scale(device: &Device, x: MatrixMut<'_, bf16>, factors: Span<'_, f32>) -> Result<()> {
    x.expect("scale", factors.len(), x.columns);
    let launch =
        Launch::new(device, "rows", "scale_rows").write(&x.span).long(x.stride).read(factors).int(x.columns);
    // SAFETY: one factor a row; `x` is borrowed alone.
    unsafe { launch.run(x.rows, THREADS, 0) }
}

/// `out[i] = x[i] · y[i]` by rows, in f32.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`gather`].
pub fn dots(device: &Device, x: Matrix<'_, bf16>, y: Matrix<'_, bf16>, out: SpanMut<'_, f32>) -> Result<()> {
    x.expect("dots", out.len(), x.columns);
    y.expect("dots", out.len(), x.columns);
    let launch = Launch::new(device, "rows", "dot_rows")
        .read(x.span)
        .long(x.stride)
        .read(y.span)
        .long(y.stride)
        .write(&out)
        .int(x.columns);
    // SAFETY: both have a row for each element of `out`, which is borrowed alone.
    unsafe { launch.run(out.len(), THREADS, 0) }
}
