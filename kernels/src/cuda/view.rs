//! Parts of device memory, typed and counted: what launchers take.

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;

/// What a buffer may hold: plain numbers, for which any bits are a value.
///
/// # Safety
/// The type has no padding and every bit pattern is a value of it.
pub unsafe trait Element: Copy + Default + Send + 'static {}

// SAFETY: plain numbers.
unsafe impl Element for u8 {}
// SAFETY: as above.
unsafe impl Element for i32 {}
// SAFETY: as above.
unsafe impl Element for u32 {}
// SAFETY: as above.
unsafe impl Element for u64 {}
// SAFETY: as above.
unsafe impl Element for f32 {}
// SAFETY: as above.
unsafe impl Element for f64 {}
// SAFETY: as above: 16 bits.
unsafe impl Element for bf16 {}

/// Elements of device memory to be read, on the thread of their device.
#[derive(Debug)]
pub struct Span<'a, T> {
    pub(crate) address: u64,
    pub(crate) len: usize,
    borrow: PhantomData<(&'a T, *const ())>,
}

impl<T> Clone for Span<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Span<'_, T> {}

/// Elements of device memory to be written, by whoever holds this alone, on the thread of their device.
#[derive(Debug)]
pub struct SpanMut<'a, T> {
    pub(crate) address: u64,
    pub(crate) len: usize,
    borrow: PhantomData<(&'a mut T, *const ())>,
}

fn part<T>(address: u64, len: usize, range: &Range<usize>) -> u64 {
    assert!(range.start <= range.end && range.end <= len, "span {range:?} of {len} elements");
    address + (range.start * size_of::<T>()) as u64
}

impl<'a, T> Span<'a, T> {
    pub(crate) fn new(address: u64, len: usize) -> Self {
        Self { address, len, borrow: PhantomData }
    }

    /// Elements `range` of these.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        Self::new(part::<T>(self.address, self.len, &range), range.len())
    }

    /// How many elements.
    #[must_use]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// These elements as rows of `columns`.
    ///
    /// # Panics
    /// If they are not `rows * columns`.
    #[must_use]
    pub fn matrix(self, rows: usize, columns: usize) -> Matrix<'a, T> {
        assert_eq!(self.len, rows * columns, "matrix: {rows}x{columns}");
        self.strided(rows, columns, columns)
    }

    /// Rows of `columns` elements, `stride` apart.
    ///
    /// # Panics
    /// If the view reaches beyond these elements.
    #[must_use]
    pub fn strided(self, rows: usize, columns: usize, stride: usize) -> Matrix<'a, T> {
        check(self.len, rows, columns, stride);
        Matrix { span: self, rows, columns, stride }
    }
}

impl<'a, T> SpanMut<'a, T> {
    pub(crate) fn new(address: u64, len: usize) -> Self {
        Self { address, len, borrow: PhantomData }
    }

    /// The same elements to be read.
    #[must_use]
    pub fn read(&self) -> Span<'_, T> {
        Span::new(self.address, self.len)
    }

    /// The same elements, lent on.
    #[must_use]
    pub fn lend(&mut self) -> SpanMut<'_, T> {
        SpanMut::new(self.address, self.len)
    }

    /// Elements `range` of these.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        Self::new(part::<T>(self.address, self.len, &range), range.len())
    }

    /// The first `at` elements and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn split_at(self, at: usize) -> (Self, Self) {
        let (address, len) = (self.address, self.len);
        (
            Self::new(part::<T>(address, len, &(0..at)), at),
            Self::new(part::<T>(address, len, &(at..len)), len - at),
        )
    }

    /// The elements of `ranges`, which are in order and do not overlap.
    ///
    /// # Panics
    /// If they are not, or do not lie within.
    #[must_use]
    pub fn parts(self, ranges: &[Range<usize>]) -> Vec<Self> {
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "span: parts {ranges:?}");
        let (address, len) = (self.address, self.len);
        ranges.iter().map(|range| Self::new(part::<T>(address, len, range), range.len())).collect()
    }

    /// The same memory as elements of another type.
    ///
    /// # Panics
    /// If it does not begin where such an element may, or does not end with one.
    #[must_use]
    pub fn cast<U: Element>(self) -> SpanMut<'a, U> {
        let bytes = self.len * size_of::<T>();
        assert!(self.address.is_multiple_of(align_of::<U>() as u64), "cast: alignment");
        assert!(bytes.is_multiple_of(size_of::<U>()), "cast: length");
        SpanMut::new(self.address, bytes / size_of::<U>())
    }

    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// These elements as rows of `columns`.
    ///
    /// # Panics
    /// If they are not `rows * columns`.
    #[must_use]
    pub fn matrix(self, rows: usize, columns: usize) -> MatrixMut<'a, T> {
        assert_eq!(self.len, rows * columns, "matrix: {rows}x{columns}");
        self.strided(rows, columns, columns)
    }

    /// Rows of `columns` elements, `stride` apart.
    ///
    /// # Panics
    /// If the view reaches beyond these elements, or rows overlap.
    #[must_use]
    pub fn strided(self, rows: usize, columns: usize, stride: usize) -> MatrixMut<'a, T> {
        check(self.len, rows, columns, stride);
        assert!(rows <= 1 || stride >= columns, "rows of a mutable matrix overlap");
        MatrixMut { span: self, rows, columns, stride }
    }
}

fn check(len: usize, rows: usize, columns: usize, stride: usize) {
    let needed = match (rows, columns) {
        (0, _) | (_, 0) => Some(0),
        _ => (rows - 1).checked_mul(stride).and_then(|before| before.checked_add(columns)),
    };
    assert!(
        needed.is_some_and(|needed| needed <= len),
        "matrix {rows}x{columns}, rows {stride} apart, beyond its {len} elements"
    );
}

/// A matrix to be read: `rows` rows of `columns` neighbouring elements, `stride` apart.
#[derive(Debug)]
pub struct Matrix<'a, T> {
    pub(crate) span: Span<'a, T>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl<T> Clone for Matrix<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Matrix<'_, T> {}

/// A matrix to be written.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    pub(crate) span: SpanMut<'a, T>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl<T> Matrix<'_, T> {
    /// Rows `range`.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn rows(self, range: Range<usize>) -> Self {
        let (start, len) = row_part(self.span.len, self.rows, self.columns, self.stride, &range);
        Self { span: self.span.slice(start..start + len), rows: range.len(), ..self }
    }

    /// Columns `range` of all rows.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn columns(self, range: Range<usize>) -> Self {
        let (start, len) = column_part(self.span.len, self.rows, self.columns, self.stride, &range);
        Self { span: self.span.slice(start..start + len), columns: range.len(), ..self }
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// The same matrix, only to be read from now on.
    #[must_use]
    pub fn into_read(self) -> Matrix<'a, T> {
        let span = Span::new(self.span.address, self.span.len);
        Matrix { span, rows: self.rows, columns: self.columns, stride: self.stride }
    }
}

impl<T> MatrixMut<'_, T> {
    /// The same matrix to be read.
    #[must_use]
    pub fn read(&self) -> Matrix<'_, T> {
        Matrix { span: self.span.read(), rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The same matrix, lent on.
    #[must_use]
    pub fn lend(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { span: self.span.lend(), rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// Rows `range`.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn rows(self, range: Range<usize>) -> Self {
        let (start, len) = row_part(self.span.len, self.rows, self.columns, self.stride, &range);
        Self { span: self.span.slice(start..start + len), rows: range.len(), ..self }
    }

    /// Columns `range` of all rows.
    ///
    /// # Panics
    /// If the range is not within.
    #[must_use]
    pub fn columns(self, range: Range<usize>) -> Self {
        let (start, len) = column_part(self.span.len, self.rows, self.columns, self.stride, &range);
        Self { span: self.span.slice(start..start + len), columns: range.len(), ..self }
    }

    /// The columns before `at`, and the rest: two matrices side by side, neither of which reaches into the other.
    ///
    /// # Panics
    /// If there are fewer columns.
    #[must_use]
    pub fn split_columns(self, at: usize) -> (Self, Self) {
        assert!(at <= self.columns, "matrix: columns");
        let (address, len, columns) = (self.span.address, self.span.len, self.columns);
        let (rows, stride) = (self.rows, self.stride);
        let of = |range: Range<usize>| {
            let (start, len) = column_part(len, rows, columns, stride, &range);
            let span = SpanMut::new(address + (start * size_of::<T>()) as u64, len);
            Self { span, rows, columns: range.len(), stride }
        };
        (of(0..at), of(at..columns))
    }
}

/// Where the view of some rows begins, and how many elements it spans.
fn row_part(len: usize, rows: usize, columns: usize, stride: usize, range: &Range<usize>) -> (usize, usize) {
    assert!(range.start <= range.end && range.end <= rows, "matrix: rows {range:?} of {rows}");
    let span = if columns == 0 || range.is_empty() { 0 } else { (range.len() - 1) * stride + columns };
    ((range.start * stride).min(len), span)
}

/// Where the view of some columns begins, and how many elements it spans.
fn column_part(
    len: usize,
    rows: usize,
    columns: usize,
    stride: usize,
    range: &Range<usize>,
) -> (usize, usize) {
    assert!(range.start <= range.end && range.end <= columns, "matrix: columns {range:?} of {columns}");
    let start = range.start.min(len);
    let span = if rows == 0 || range.is_empty() { 0 } else { (rows - 1) * stride + range.len() };
    (start, span)
}

/// Whether the rows of a matrix can be read and written 16 bytes at a time as eight bf16: what most kernels need.
fn eights<T>(address: u64, columns: usize, stride: usize, rows: usize) -> bool {
    let bytes = 8 * size_of::<T>() as u64;
    rows == 0
        || columns == 0
        || (columns.is_multiple_of(8)
            && (rows == 1 || stride.is_multiple_of(8))
            && address.is_multiple_of(bytes.min(16)))
}

impl<T> Matrix<'_, T> {
    /// Panics unless this is `rows` by `columns` and can be read in eights.
    #[track_caller]
    pub(crate) fn expect(&self, what: &str, rows: usize, columns: usize) {
        expect(what, (self.rows, self.columns), (rows, columns));
        assert!(eights::<T>(self.span.address, columns, self.stride, rows), "{what}: alignment");
    }
}

impl<T> MatrixMut<'_, T> {
    /// Panics unless this is `rows` by `columns` and can be written in eights.
    #[track_caller]
    pub(crate) fn expect(&self, what: &str, rows: usize, columns: usize) {
        expect(what, (self.rows, self.columns), (rows, columns));
        assert!(eights::<T>(self.span.address, columns, self.stride, rows), "{what}: alignment");
    }
}

#[track_caller]
fn expect(what: &str, found: (usize, usize), wanted: (usize, usize)) {
    assert_eq!(found, wanted, "{what}: a matrix of {}x{} is wanted", wanted.0, wanted.1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_begin_where_they_should_and_end_with_their_last_element() {
        let whole = SpanMut::<bf16>::new(1000, 5 * 10 + 7).strided(6, 7, 10);
        let (left, right) = whole.split_columns(3);
        assert_eq!((left.span.address, left.span.len, left.columns), (1000, 53, 3));
        assert_eq!((right.span.address, right.span.len, right.columns), (1006, 54, 4));
        let row = right.rows(5..6);
        assert_eq!((row.span.address, row.span.len, row.rows), (1106, 4, 1));
        assert_eq!(row.read().columns(1..1).span.len, 0);
        let (a, b) = SpanMut::<u8>::new(16, 100).split_at(32);
        assert_eq!((a.cast::<f32>().len, b.address), (8, 48));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |run: fn()| assert!(std::panic::catch_unwind(run).is_err());
        refused(|| _ = Span::<f32>::new(0, 9).strided(2, 5, 5));
        refused(|| _ = SpanMut::<f32>::new(0, 9).strided(2, 4, 3));
        refused(|| _ = SpanMut::<u8>::new(2, 8).cast::<f32>());
        refused(|| _ = Span::<f32>::new(0, 9).slice(5..10));
        refused(|| _ = Span::<f32>::new(0, 9).matrix(3, 3).rows(2..4));
        refused(|| Span::<bf16>::new(8, 64).matrix(8, 8).expect("a matrix", 8, 8));
        refused(|| Span::<bf16>::new(16, 63).strided(7, 8, 9).expect("a matrix", 7, 8));
    }
}
