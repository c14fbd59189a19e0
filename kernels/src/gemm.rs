//! Matrix products on strided views, through the crate `gemm` (AVX-512, AVX2 and NEON micro-kernels chosen at run time).

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

/// `out = beta * out + alpha * left * right` with the worker threads of the pool.
///
/// Shapes `[m, k] * [k, n] = [m, n]`. With `beta` zero the old contents of `out` are not read. The order of every
/// sum depends on the shapes alone.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn multiply<R: Real>(out: MatMut<'_, R>, beta: R, alpha: R, left: Mat<'_, R>, right: Mat<'_, R>) {
    product(out, beta, alpha, left, right, Parallelism::Rayon(0));
}

/// [`multiply`] on the calling thread alone, for use inside a parallel task.
pub fn multiply_here<R: Real>(out: MatMut<'_, R>, beta: R, alpha: R, left: Mat<'_, R>, right: Mat<'_, R>) {
    product(out, beta, alpha, left, right, Parallelism::None);
}

fn product<R: Real>(
    out: MatMut<'_, R>,
    beta: R,
    alpha: R,
    left: Mat<'_, R>,
    right: Mat<'_, R>,
    parallelism: Parallelism,
) {
    let MatMut { data, rows, columns, row_stride } = out;
    check(rows, columns, left, right);
    // SAFETY: `data` is exclusively borrowed and `MatMut` has checked that the view lies inside it.
    unsafe { call(data.as_mut_ptr(), row_stride, beta, alpha, left, right, parallelism) }
}

fn check<R>(rows: usize, columns: usize, left: Mat<'_, R>, right: Mat<'_, R>) {
    assert!(
        left.rows == rows && right.columns == columns && left.columns == right.rows,
        "product of {}x{} by {}x{} into {rows}x{columns}",
        left.rows,
        left.columns,
        right.rows,
        right.columns
    );
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
    check(rows, columns, left, right);
    assert!(
        start + span(rows, columns, row_stride, 1) <= out.len(),
        "matrix {rows}x{columns} beyond its buffer"
    );
    // SAFETY: the view lies inside the buffer by the assertion; exclusive by the caller's promise.
    unsafe { call(out.pointer_at(start), row_stride, beta, alpha, left, right, Parallelism::None) }
}

/// # Safety
/// `out` must be valid for reads and writes at `i * row_stride + j` for `i < left.rows`, `j < right.columns`.
unsafe fn call<R: Real>(
    out: *mut R,
    row_stride: usize,
    beta: R,
    alpha: R,
    left: Mat<'_, R>,
    right: Mat<'_, R>,
    parallelism: Parallelism,
) {
    if left.rows == 0 || right.columns == 0 {
        return;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 - 1001.0) / 1001.0).collect()
    }

    fn naive(left: Mat<'_, f32>, right: Mat<'_, f32>) -> Vec<f64> {
        let at =
            |m: &Mat<'_, f32>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.column_stride]);
        (0..left.rows * right.columns)
            .map(|e| {
                let (i, j) = (e / right.columns, e % right.columns);
                (0..left.columns).map(|k| at(&left, i, k) * at(&right, k, j)).sum()
            })
            .collect()
    }

    #[test]
    fn products_of_all_layouts_agree_with_the_definition() {
        for (m, k, n) in [(1, 1, 1), (5, 7, 3), (33, 64, 17), (128, 65, 130), (1, 200, 40), (40, 200, 1)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            for (left, right) in [
                (Mat::new(&a, m, k), Mat::new(&b, k, n)),
                (Mat::new(&a, k, m).t(), Mat::new(&b, k, n)),
                (Mat::new(&a, m, k), Mat::new(&b, n, k).t()),
            ] {
                let mut out = vec![0.5_f32; m * n];
                multiply(MatMut::new(&mut out, m, n), 2.0, 3.0, left, right);
                for (&got, want) in out.iter().zip(naive(left, right)) {
                    assert!((f64::from(got) - (1.0 + 3.0 * want)).abs() < 1e-3, "{m}x{k}x{n}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        for (m, k, n) in [(300, 576, 192), (257, 1536, 576), (16, 1000, 576), (1000, 576, 16), (64, 64, 301)]
        {
            let (a, b) = (numbers(m * k, 3), numbers(k * n, 4));
            let run = |threads: usize, transposed: bool| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut out = vec![0.25_f32; m * n];
                let right = if transposed { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                pool.install(|| multiply(MatMut::new(&mut out, m, n), 1.0, 1.0, Mat::new(&a, m, k), right));
                out
            };
            for transposed in [false, true] {
                let one = run(1, transposed);
                for threads in [2, 3, 8] {
                    assert!(one == run(threads, transposed), "{m}x{k}x{n} differs with {threads} threads");
                }
            }
        }
    }

    #[test]
    fn a_view_beyond_its_buffer_is_refused() {
        let beyond = std::panic::catch_unwind(|| Mat::new(&[0.0_f32; 5], 2, 3).rows);
        assert!(beyond.is_err());
        assert_eq!(Mat::new(&[0.0_f32; 6], 2, 3).rows, 2);
    }
}
