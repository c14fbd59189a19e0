//! Matrix products on strided views: own kernels for `f32` with AVX2 or AVX-512, which unpack a frozen factor while they
//! lay it out, and the crate `gemm` for all else.

#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;

use std::any::TypeId;
use std::fmt::Debug;
use std::ops::Range;

use gemm::Parallelism;

use crate::real::Real;
use crate::share::Shared;

/// A read-only view of a matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, R> {
    data: &'a [R],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A mutable view of a matrix `[rows, columns]`, rows `row_stride` elements apart.
#[derive(Debug)]
pub struct MatMut<'a, R> {
    data: &'a mut [R],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

/// Elements that a view of this shape spans, or a panic with the shape: a view beyond its buffer is an error in the engine.
fn span(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1)
        .checked_mul(row_stride)
        .zip((columns - 1).checked_mul(column_stride))
        .and_then(|(r, c)| r.checked_add(c)?.checked_add(1))
        .unwrap_or_else(|| {
            panic!("matrix view {rows}x{columns} with strides {row_stride}, {column_stride} overflows")
        })
}

impl<'a, R: Real> Mat<'a, R> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * columns`.
    #[must_use]
    pub fn new(data: &'a [R], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows stand `row_stride` elements apart.
    ///
    /// # Panics
    /// If the view reaches beyond `data`.
    #[must_use]
    pub fn strided(data: &'a [R], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            span(rows, columns, row_stride, 1) <= data.len(),
            "matrix {rows}x{columns} beyond its buffer"
        );
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transposed view of the same elements.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a, R: Real> MatMut<'a, R> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * columns`.
    #[must_use]
    pub fn new(data: &'a mut [R], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows stand `row_stride` elements apart.
    ///
    /// # Panics
    /// If the view reaches beyond `data`, or rows overlap.
    #[must_use]
    pub fn strided(data: &'a mut [R], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            span(rows, columns, row_stride, 1) <= data.len(),
            "matrix {rows}x{columns} beyond its buffer"
        );
        assert!(rows <= 1 || row_stride >= columns, "rows of a mutable matrix overlap");
        Self { data, rows, columns, row_stride }
    }
}

/// A frozen matrix that is unpacked row by row.
pub trait Unpack: Debug + Sync {
    /// Elements `columns` of row `row` into `out`, which is as long.
    fn unpack(&self, row: usize, columns: Range<usize>, out: &mut [f32]);
}

/// A right factor.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a, R> {
    /// Numbers.
    Plain(Mat<'a, R>),
    /// Numbers that are unpacked while they are used, only where [`unpacks`] says so.
    Unpacked {
        /// Where they are.
        matrix: &'a dyn Unpack,
        /// Rows of the factor.
        rows: usize,
        /// Columns of the factor.
        columns: usize,
        /// Whether the factor is the transposed matrix.
        transposed: bool,
    },
}

impl<R> Right<'_, R> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Plain(mat) => (mat.rows, mat.columns),
            Self::Unpacked { rows, columns, .. } => (*rows, *columns),
        }
    }
}

/// `factor * left * right`.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a, R> {
    /// What the product is multiplied by.
    pub factor: R,
    /// `[m, k]`.
    pub left: Mat<'a, R>,
    /// `[k, n]`.
    pub right: Right<'a, R>,
}

impl<'a, R> Term<'a, R> {
    /// Of two matrices of numbers.
    #[must_use]
    pub fn plain(factor: R, left: Mat<'a, R>, right: Mat<'a, R>) -> Self {
        Self { factor, left, right: Right::Plain(right) }
    }
}

/// Whether products in `R` take factors that are unpacked while they are used, here.
#[must_use]
pub fn unpacks<R: Real>() -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = TypeId::of::<R>() == TypeId::of::<f32>() && !tile::Kernel::all().is_empty();
    #[cfg(not(target_arch = "x86_64"))]
    let found = false;
    found
}

/// Bytes that products in `f32` keep beside the buffers of an arena, with so many threads.
#[must_use]
pub fn kept_bytes(threads: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if unpacks::<f32>() {
        return blocked::kept_bytes(threads);
    }
    let _ = threads;
    0
}

/// `out = beta * out + alpha * left * right` with the worker threads of the pool.
///
/// Shapes `[m, k] * [k, n] = [m, n]`. With `beta` zero the old contents of `out` are not read. The order of every
/// sum depends on the shapes alone.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn multiply<R: Real>(out: MatMut<'_, R>, beta: R, alpha: R, left: Mat<'_, R>, right: Mat<'_, R>) {
    sum(out, beta, &[Term::plain(alpha, left, right)]);
}

/// `out = beta * out + terms`, in one pass over `out` where that can be.
///
/// # Panics
/// If the shapes do not fit each other, or a factor is to be unpacked where [`unpacks`] says no.
pub fn sum<R: Real>(out: MatMut<'_, R>, beta: R, terms: &[Term<'_, R>]) {
    let MatMut { data, rows, columns, row_stride } = out;
    // SAFETY: `data` is exclusively borrowed and `MatMut` has checked that the view lies inside it.
    unsafe { call(data.as_mut_ptr(), (rows, columns, row_stride), beta, terms, true) }
}

/// [`multiply`] on the calling thread alone, for use inside a parallel task.
pub fn multiply_here<R: Real>(out: MatMut<'_, R>, beta: R, alpha: R, left: Mat<'_, R>, right: Mat<'_, R>) {
    let MatMut { data, rows, columns, row_stride } = out;
    let term = Term::plain(alpha, left, right);
    // SAFETY: as in `sum`.
    unsafe { call(data.as_mut_ptr(), (rows, columns, row_stride), beta, &[term], false) }
}

/// [`multiply_here`] into the matrix `[left.rows, right.columns]` that starts at element `start` of a shared buffer.
///
/// # Safety
/// No other reference to any element of that matrix may be used while this runs.
pub(crate) unsafe fn multiply_shared<R: Real>(
    out: &Shared<'_, R>,
    start: usize,
    row_stride: usize,
    beta: R,
    alpha: R,
    left: Mat<'_, R>,
    right: Mat<'_, R>,
) {
    let (rows, columns) = (left.rows, right.columns);
    assert!(
        start + span(rows, columns, row_stride, 1) <= out.len(),
        "matrix {rows}x{columns} beyond its buffer"
    );
    let term = Term::plain(alpha, left, right);
    // SAFETY: the view lies inside the buffer by the assertion; exclusive by the caller's promise.
    unsafe { call(out.pointer_at(start), (rows, columns, row_stride), beta, &[term], false) }
}

/// # Safety
/// `out` must be valid for reads and writes at `i * row_stride + j` for `i < rows`, `j < columns`, where `shape` is rows,
/// columns and row stride.
unsafe fn call<R: Real>(
    out: *mut R,
    shape: (usize, usize, usize),
    beta: R,
    terms: &[Term<'_, R>],
    parallel: bool,
) {
    let (rows, columns, row_stride) = shape;
    for Term { left, right, .. } in terms {
        let (depth, width) = right.shape();
        assert!(
            left.rows == rows && width == columns && left.columns == depth,
            "product of {}x{} by {depth}x{width} into {rows}x{columns}",
            left.rows,
            left.columns
        );
    }
    if rows == 0 || columns == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if let (Some(terms), Some(kernel)) = (as_f32(terms), tile::Kernel::all().first()) {
        let beta = beta.wide() as f32;
        // SAFETY: `R` is `f32`; the view of `out` by the caller's promise, the shapes by the assertions.
        unsafe { blocked::product(kernel, out.cast(), shape, beta, terms, parallel) };
        return;
    }
    let mut beta = beta;
    for &Term { factor, left, right } in terms {
        let Right::Plain(right) = right else { panic!("gemm: nothing is unpacked here") };
        // SAFETY: `out` by the caller's promise.
        unsafe { by_crate(out, row_stride, beta, factor, left, right, parallel) };
        beta = R::one();
    }
}

/// The same terms, where `R` is `f32`.
#[cfg(target_arch = "x86_64")]
fn as_f32<'a, 'b, R: Real>(terms: &'a [Term<'b, R>]) -> Option<&'a [Term<'b, f32>]> {
    // SAFETY: the types are one.
    (TypeId::of::<R>() == TypeId::of::<f32>())
        .then(|| unsafe { std::slice::from_raw_parts(terms.as_ptr().cast(), terms.len()) })
}

/// # Safety
/// `out` must be valid for reads and writes at `i * row_stride + j` for `i < left.rows`, `j < right.columns`.
unsafe fn by_crate<R: Real>(
    out: *mut R,
    row_stride: usize,
    beta: R,
    alpha: R,
    left: Mat<'_, R>,
    right: Mat<'_, R>,
    parallel: bool,
) {
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: `Mat` has checked that both inputs lie inside their slices; `out` by the caller. Strides of slices
    // fit `isize`. The crate names its factors the other way round: `out = alpha * out + beta * left * right`.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out,
            1,
            row_stride as isize,
            beta != R::zero(),
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}
