//! The activations of an MLP: the launchers of `cuda/activation.cu`; the twin is [`crate::activation`].

use half::bf16;

use super::device::Device;
use super::error::Result;
use super::launch::Launch;
use super::view::{Matrix, MatrixMut};
use crate::activation::Activation;

/// Threads of a block: `THREADS` of the source.
const THREADS: usize = 256;
/// Blocks that walk over the elements; more than any GPU holds at once.
const MOST_BLOCKS: usize = 65_536;

fn blocks(rows: usize, columns: usize) -> usize {
    (rows * columns / 8).div_ceil(THREADS).min(MOST_BLOCKS)
}

fn name(activation: Activation, names: [&'static str; 3]) -> &'static str {
    match activation {
        Activation::Silu => names[0],
        Activation::Gelu => names[1],
        Activation::GeluTanh => names[2],
    }
}

/// `h = f(e)`, or `h = f(e) * g` where there is a `g`; all `[T, F]`.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the shapes differ or cannot be read 16 bytes at a time.
pub fn forward(
    device: &Device,
    activation: Activation,
    e: Matrix<'_, bf16>,
    g: Option<Matrix<'_, bf16>>,
    h: MatrixMut<'_, bf16>,
) -> Result<()> {
    let (rows, columns) = (e.rows, e.columns);
    e.expect("activation", rows, columns);
    h.expect("activation", rows, columns);
    let names = match g {
        Some(_) => ["silu_gated", "gelu_gated", "gelu_tanh_gated"],
        None => ["silu_plain", "gelu_plain", "gelu_tanh_plain"],
    };
    let mut launch = Launch::new(device, "activation", name(activation, names)).read(e.span).long(e.stride);
    if let Some(g) = g {
        g.expect("activation", rows, columns);
        launch = launch.read(g.span).long(g.stride);
    }
    let launch = launch.write(&h.span).long(h.stride).int(rows).int(columns);
    // SAFETY: all are [T, F] and aligned, checked above; `h` is borrowed alone.
    unsafe { launch.run(blocks(rows, columns), THREADS as u32, 0) }
}

/// Given `dh` in `d`, and `e` and `g` as they went forward, all `[T, F]`: `d` becomes `h` again, `e` its gradient and
/// `g` its own; what the gradients of the next products need, in no new memory.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    device: &Device,
    activation: Activation,
    d: MatrixMut<'_, bf16>,
    e: MatrixMut<'_, bf16>,
    g: Option<MatrixMut<'_, bf16>>,
) -> Result<()> {
    let (rows, columns) = (e.rows, e.columns);
    e.expect("activation", rows, columns);
    d.expect("activation", rows, columns);
    let names = match g {
        Some(_) => ["silu_gated_backward", "gelu_gated_backward", "gelu_tanh_gated_backward"],
        None => ["silu_plain_backward", "gelu_plain_backward", "gelu_tanh_plain_backward"],
    };
    let mut launch = Launch::new(device, "activation", name(activation, names))
        .write(&d.span)
        .long(d.stride)
        .write(&e.span)
        .long(e.stride);
    if let Some(g) = &g {
        g.expect("activation", rows, columns);
        launch = launch.write(&g.span).long(g.stride);
    }
    // SAFETY: all are [T, F] and aligned, checked above, and borrowed alone.
    unsafe { launch.int(rows).int(columns).run(blocks(rows, columns), THREADS as u32, 0) }
}
