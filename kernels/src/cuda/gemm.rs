//! Products of bf16 matrices through cuBLAS, summed in f32, into bf16 or f32.

use half::bf16;

use super::device::{Device, Operand, Product};
use super::error::Result;
use super::view::{Matrix, MatrixMut};

/// A factor of a product: a matrix as it stands, or turned over.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    matrix: Matrix<'a, bf16>,
    transposed: bool,
}

impl<'a> From<Matrix<'a, bf16>> for Factor<'a> {
    fn from(matrix: Matrix<'a, bf16>) -> Self {
        Self { matrix, transposed: false }
    }
}

impl<'a> Matrix<'a, bf16> {
    /// The transposed view of the same elements.
    #[must_use]
    pub fn t(self) -> Factor<'a> {
        Factor { matrix: self, transposed: true }
    }
}

impl Factor<'_> {
    fn shape(&self) -> (usize, usize) {
        let Matrix { rows, columns, .. } = self.matrix;
        if self.transposed { (columns, rows) } else { (rows, columns) }
    }

    fn operand(&self, step: usize) -> Operand {
        let Matrix { span, stride, .. } = self.matrix;
        Operand { address: span.address, stride, transposed: self.transposed, step }
    }
}

/// Keeps [`Output`] to the two types that it says the width of: what is `WIDE` is written four bytes an element.
mod sealed {
    pub trait Sealed {}
    impl Sealed for half::bf16 {}
    impl Sealed for f32 {}
}

/// What a product may be written to: bf16, or f32 where sums go on over several products.
pub trait Output: super::view::Element + sealed::Sealed {
    #[doc(hidden)]
    const WIDE: bool;
}
impl Output for bf16 {
    const WIDE: bool = false;
}
impl Output for f32 {
    const WIDE: bool = true;
}

/// `out = beta * out + alpha * left * right`, shapes `[m, k] * [k, n] = [m, n]`, rounded once. With `beta` zero the old
/// contents of `out` are not read. The same shapes give the same bits on the same card and library.
///
/// # Errors
/// If cuBLAS refuses.
///
/// # Panics
/// If the shapes do not fit each other, or a matrix is another device's.
pub fn multiply<'l, 'r, T: Output>(
    device: &Device,
    out: MatrixMut<'_, T>,
    beta: f32,
    alpha: f32,
    left: impl Into<Factor<'l>>,
    right: impl Into<Factor<'r>>,
) -> Result<()> {
    batched(device, out, beta, alpha, left, right, Batch { count: 1, out: 0, left: 0, right: 0 })
}

/// How far apart the matrices of a batch begin, in elements; 0 for one that all share (never `out`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) count: usize,
    pub(crate) out: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
}

/// [`multiply`] of `batch.count` products at once; the views are those of the first, and their spans hold all.
pub(crate) fn batched<'l, 'r, T: Output>(
    device: &Device,
    out: MatrixMut<'_, T>,
    beta: f32,
    alpha: f32,
    left: impl Into<Factor<'l>>,
    right: impl Into<Factor<'r>>,
    batch: Batch,
) -> Result<()> {
    let (left, right) = (left.into(), right.into());
    let ((m, k), (k2, n)) = (left.shape(), right.shape());
    assert!(
        k == k2 && m == out.rows && n == out.columns,
        "product of {m}x{k} by {k2}x{n} into {}x{}",
        out.rows,
        out.columns
    );
    if m == 0 || n == 0 || batch.count == 0 {
        return Ok(());
    }
    let within = |len: usize, rows: usize, columns: usize, stride: usize, step: usize| {
        let last = (batch.count - 1) * step + rows.max(1).saturating_sub(1) * stride + columns;
        assert!(rows == 0 || columns == 0 || last <= len, "product: a batch beyond its memory");
    };
    within(out.span.len, out.rows, out.columns, out.stride, batch.out);
    device.expect_own(out.span.address, out.span.len);
    for (factor, step) in [(&left, batch.left), (&right, batch.right)] {
        let Matrix { span, rows, columns, stride } = factor.matrix;
        within(span.len, rows, columns, stride, step);
        device.expect_own(span.address, span.len);
    }
    assert!(batch.count == 1 || batch.out > 0, "product: one result for a whole batch");
    let product = Product {
        m,
        n,
        k,
        batch: batch.count,
        alpha,
        beta,
        left: left.operand(batch.left),
        right: right.operand(batch.right),
        out: Operand { address: out.span.address, stride: out.stride, transposed: false, step: batch.out },
        wide_out: T::WIDE,
    };
    // SAFETY: the views were checked against their spans, `within` holds the whole batch to them, and `out` is borrowed
    // alone.
    unsafe { device.backend().multiply(&product) }
}
