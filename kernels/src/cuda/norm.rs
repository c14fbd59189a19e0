//! RMSNorm and LayerNorm: the launchers of `cuda/norm.cu`; twins are [`crate::norm`] and [`crate::layer_norm`].

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Matrix, MatrixMut, Span, SpanMut};

/// Threads of a block: `THREADS` of the source.
const THREADS: usize = 256;
/// Up to this width a warp takes a row, and a block eight of them: a block would have more threads than work.
const WIDEST_FOR_A_WARP: usize = 1024;

/// A norm's frozen parameters on the device, `[D]` each, aligned to 16 bytes. Gemma's `1 + w` is added by whoever
/// uploads.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// The weight.
    pub weight: Span<'a, f32>,
    /// LayerNorm's bias; without one it is RMSNorm.
    pub bias: Option<Span<'a, f32>>,
    /// Added to the mean of squares.
    pub epsilon: f32,
    /// Rows of `D` that stand side by side in a row of the matrices: 1, or the heads of a projection (qk-norm).
    pub heads: usize,
}

impl Norm<'_> {
    fn width(&self) -> usize {
        self.weight.len()
    }

    /// Numbers kept for every row: one over the root mean square, or mean and one over the deviation.
    #[must_use]
    pub fn moments_a_row(&self) -> usize {
        if self.bias.is_some() { 2 } else { 1 }
    }

    fn name(&self, names: [&'static str; 4]) -> &'static str {
        names[usize::from(self.bias.is_some()) * 2 + usize::from(self.width() <= WIDEST_FOR_A_WARP)]
    }

    /// Checks what all share, and gives how many rows there are to norm and how many blocks they take.
    fn rows(&self, x: &Matrix<'_, bf16>, moments: usize) -> (usize, usize) {
        let width = self.width();
        x.expect("norm", x.rows, self.heads * width);
        assert!(width.is_multiple_of(8) && width > 0, "norm: width {width}");
        assert!(self.bias.is_none_or(|bias| bias.len() == width), "norm: bias");
        for span in [Some(self.weight), self.bias].into_iter().flatten() {
            assert!(span.address.is_multiple_of(16), "norm: alignment of the parameters");
        }
        let rows = x.rows * self.heads;
        assert_eq!(moments, rows * self.moments_a_row(), "norm: moments");
        (rows, if width <= WIDEST_FOR_A_WARP { rows.div_ceil(THREADS / 32) } else { rows })
    }
}

/// What a norm reads: a matrix as it is, or the residual stream with what is added to it first.
pub enum Input<'a> {
    /// Normed as it stands, `[T, heads * D]`.
    Whole(Matrix<'a, bf16>),
    /// `sum = bf16(x + delta)`, written and normed.
    Sum {
        /// `[T, heads * D]`.
        x: Matrix<'a, bf16>,
        /// `[T, heads * D]`.
        delta: Matrix<'a, bf16>,
        /// `[T, heads * D]`, written.
        sum: MatrixMut<'a, bf16>,
    },
    /// `x = bf16(x + delta)`, written in place and normed.
    AddTo {
        /// `[T, heads * D]`, written.
        x: MatrixMut<'a, bf16>,
        /// `[T, heads * D]`.
        delta: Matrix<'a, bf16>,
    },
}

/// `y = weight * (h - mean) * rho + bias` by rows, `h` being what `input` says; `moments`, `[T * heads,
/// moments_a_row]`, written, kept for the other functions.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the shapes do not fit each other or cannot be read 16 bytes at a time.
pub fn forward(
    device: &Device,
    norm: &Norm<'_>,
    input: Input<'_>,
    y: MatrixMut<'_, bf16>,
    moments: SpanMut<'_, f32>,
) -> Result<()> {
    let (x, delta, sum) = match &input {
        Input::Whole(x) => (*x, None, None),
        Input::Sum { x, delta, sum } => (*x, Some(*delta), Some((sum.span.read(), sum.stride))),
        Input::AddTo { x, delta } => (x.read(), Some(*delta), Some((x.span.read(), x.stride))),
    };
    let (rows, blocks) = norm.rows(&x, moments.len());
    y.expect("norm", x.rows, x.columns);
    if let Some(delta) = &delta {
        delta.expect("norm", x.rows, x.columns);
    }
    if let Input::Sum { sum, .. } = &input {
        sum.expect("norm", x.rows, x.columns);
    }
    let name = norm.name([
        "rms_norm_forward",
        "rms_norm_narrow_forward",
        "layer_norm_forward",
        "layer_norm_narrow_forward",
    ]);
    let launch = Launch::new(device, "norm", name)
        .read(x.span)
        .long(x.stride)
        .read_if(delta.map(|delta| delta.span))
        .long(delta.map_or(0, |delta| delta.stride))
        .read_if(sum.map(|(span, _)| span))
        .long(sum.map_or(0, |(_, stride)| stride))
        .read(norm.weight)
        .read_if(norm.bias)
        .float(norm.epsilon)
        .write(&y.span)
        .long(y.stride)
        .write(&moments)
        .int(rows)
        .int(norm.heads)
        .int(norm.width());
    // SAFETY: all matrices are [T, heads * D] and aligned, checked above; `y`, `moments` and the sum are borrowed alone.
    unsafe { launch.run(blocks, THREADS as u32, 0) }
}

/// The output of [`forward`] again, from what was normed and the saved moments; the same bits.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`forward`].
pub fn again(
    device: &Device,
    norm: &Norm<'_>,
    x: Matrix<'_, bf16>,
    moments: Span<'_, f32>,
    y: MatrixMut<'_, bf16>,
) -> Result<()> {
    let (rows, blocks) = norm.rows(&x, moments.len());
    y.expect("norm", x.rows, x.columns);
    let launch = Launch::new(
        device,
        "norm",
        norm.name(["rms_norm_again", "rms_norm_narrow_again", "layer_norm_again", "layer_norm_narrow_again"]),
    )
    .read(x.span)
    .long(x.stride)
    .read(norm.weight)
    .read_if(norm.bias)
    .read(moments)
    .write(&y.span)
    .long(y.stride)
    .int(rows)
    .int(norm.heads)
    .int(norm.width());
    // SAFETY: as in `forward`.
    unsafe { launch.run(blocks, THREADS as u32, 0) }
}

/// `dx += d(norm)/dx · dy`, weight and bias being frozen. `x`: what was normed; `dx` holds the gradient of the residual
/// stream, to which this adds.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`forward`].
pub fn backward_add(
    device: &Device,
    norm: &Norm<'_>,
    x: Matrix<'_, bf16>,
    moments: Span<'_, f32>,
    dy: Matrix<'_, bf16>,
    dx: MatrixMut<'_, bf16>,
) -> Result<()> {
    let (rows, blocks) = norm.rows(&x, moments.len());
    dy.expect("norm", x.rows, x.columns);
    dx.expect("norm", x.rows, x.columns);
    let name = norm.name([
        "rms_norm_backward",
        "rms_norm_narrow_backward",
        "layer_norm_backward",
        "layer_norm_narrow_backward",
    ]);
    let launch = Launch::new(device, "norm", name)
        .read(x.span)
        .long(x.stride)
        .read(norm.weight)
        .read(moments)
        .read(dy.span)
        .long(dy.stride)
        .write(&dx.span)
        .long(dx.stride)
        .int(rows)
        .int(norm.heads)
        .int(norm.width());
    // SAFETY: as in `forward`.
    unsafe { launch.run(blocks, THREADS as u32, 0) }
}
