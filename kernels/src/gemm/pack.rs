//! Pieces of both factors, laid out in the order in which tiles read them.

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm_storeu_ps, _mm256_castps256_ps128, _mm256_loadu_ps, _mm256_mul_ps,
    _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps,
    _mm256_unpacklo_ps,
};
use std::ops::Range;

use super::{Mat, Right};

/// Numbers turned at a time.
const SIDE: usize = 8;
/// Columns that are unpacked before they are turned: a cache line of each result, and a strip that stays in the first cache.
const STRIP_COLUMNS: usize = 16;

/// Floats between what is turned and what is fetched for later: four lines of the cache.
const AHEAD: usize = 64;

/// Floats that packing may write behind its place.
pub(super) const SLACK: usize = SIDE;

/// Rows `rows` of `left`, at most `height`, times `factor`, over `depth`, into a panel: element (row, d) at
/// `d * height + row`. Rows that it lacks are any numbers.
///
/// # Safety
/// AVX2 must be there; `out` must be valid for writes over the panel and [`SLACK`] more.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn left(
    left: Mat<'_, f32>,
    rows: Range<usize>,
    depth: Range<usize>,
    factor: f32,
    height: usize,
    out: *mut f32,
) {
    let (first, count) = (rows.start, rows.len());
    let mut done = 0;
    // SAFETY: rows and depth lie inside `left`, whose view lies inside its slice; `out` by the caller's promise.
    unsafe {
        let at = |row: usize, d: usize| {
            left.data.as_ptr().add((first + row) * left.row_stride + (depth.start + d) * left.column_stride)
        };
        if left.column_stride == 1 {
            let factor = _mm256_set1_ps(factor);
            while done + SIDE <= depth.len() {
                for group in (0..count).step_by(SIDE) {
                    // A row that is not there is read as the first one.
                    let lines = load(at(group, done), left.row_stride, SIDE.min(count - group));
                    for (d, line) in transpose(lines).into_iter().enumerate() {
                        let to = out.add((done + d) * height + group);
                        let line = _mm256_mul_ps(line, factor);
                        if height - group > SIDE / 2 {
                            // May write behind its place, where the next step, or panel, writes later.
                            _mm256_storeu_ps(to, line);
                        } else {
                            _mm_storeu_ps(to, _mm256_castps256_ps128(line));
                        }
                    }
                }
                done += SIDE;
            }
        }
        for d in done..depth.len() {
            for row in 0..count {
                *out.add(d * height + row) = *at(row, d) * factor;
            }
        }
    }
}

/// Columns `columns` of `right` over `depth` into panels of `width` columns: element (d, column) of a panel at
/// `d * width + column`, panels `panel_stride` apart. Columns that a last panel lacks are zeros. `strip` is working memory.
///
/// # Safety
/// AVX2 must be there; `out` must be valid for writes over all panels.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn right(
    right: &Right<'_, f32>,
    columns: Range<usize>,
    depth: Range<usize>,
    width: usize,
    panel_stride: usize,
    out: *mut f32,
    strip: &mut Vec<f32>,
) {
    let panels = columns.clone().step_by(width).enumerate();
    let panels = panels.map(|(panel, first)| (panel * panel_stride, first, width.min(columns.end - first)));
    match *right {
        Right::Plain(mat) => {
            for (at, first, count) in panels {
                // SAFETY: passed on.
                unsafe { plain(mat, first..first + count, depth.clone(), width, width, out.add(at)) };
            }
        }
        Right::Unpacked { matrix, transposed: true, .. } => {
            strip.resize(STRIP_COLUMNS * depth.len(), 0.0);
            for (at, first, count) in panels {
                for lane in (0..width).step_by(STRIP_COLUMNS) {
                    let here = STRIP_COLUMNS.min(count.saturating_sub(lane));
                    let strip = &mut strip[..here * depth.len()];
                    for (row, out) in strip.chunks_exact_mut(depth.len()).enumerate() {
                        matrix.unpack(first + lane + row, depth.clone(), out);
                    }
                    let mat = Mat::new(strip, here, depth.len()).t();
                    let wide = STRIP_COLUMNS.min(width - lane);
                    // SAFETY: passed on.
                    unsafe { plain(mat, 0..here, 0..depth.len(), wide, width, out.add(at + lane)) };
                }
            }
        }
        Right::Unpacked { matrix, transposed: false, .. } => {
            // Zeros behind the last column fill its panel.
            strip.clear();
            strip.resize(columns.len().next_multiple_of(width), 0.0);
            for (d, row) in depth.enumerate() {
                matrix.unpack(row, columns.clone(), &mut strip[..columns.len()]);
                for (panel, line) in strip.chunks_exact(width).enumerate() {
                    // SAFETY: line `d` of the panel is inside `out` by the caller's promise.
                    unsafe {
                        let to = out.add(panel * panel_stride + d * width);
                        std::ptr::copy_nonoverlapping(line.as_ptr(), to, width);
                    }
                }
            }
        }
    }
}

/// Columns `columns` of `mat` over `depth` as lines of `width`, `stride` apart; columns that are lacking are zeros.
///
/// # Safety
/// AVX2 must be there; `out` must be valid for writes over all lines.
#[target_feature(enable = "avx2")]
unsafe fn plain(
    mat: Mat<'_, f32>,
    columns: Range<usize>,
    depth: Range<usize>,
    width: usize,
    stride: usize,
    out: *mut f32,
) {
    let (first, count) = (columns.start, columns.len());
    let data = mat.data.as_ptr();
    // SAFETY: depth and columns lie inside `mat`; `out` by the caller's promise.
    unsafe {
        let at = |d: usize, column: usize| {
            data.add((depth.start + d) * mat.row_stride + (first + column) * mat.column_stride)
        };
        // Line by line, as far as whole vectors go: a line of the cache is written once.
        let whole = count / SIDE * SIDE;
        let mut done = 0;
        if mat.column_stride == 1 {
            while done < depth.len() {
                for lane in (0..whole).step_by(SIDE) {
                    _mm256_storeu_ps(out.add(done * stride + lane), _mm256_loadu_ps(at(done, lane)));
                }
                done += 1;
            }
        } else if mat.row_stride == 1 {
            while done + SIDE <= depth.len() {
                for lane in (0..whole).step_by(SIDE) {
                    if done % (2 * SIDE) == 0 {
                        // So many rows at once are more than the processor foresees. Behind the end of a row stands what the next run reads.
                        for column in lane..lane + SIDE {
                            _mm_prefetch::<_MM_HINT_T0>(at(done, column).wrapping_add(AHEAD).cast());
                        }
                    }
                    let turned = transpose(load(at(done, lane), mat.column_stride, SIDE));
                    for (d, line) in turned.into_iter().enumerate() {
                        _mm256_storeu_ps(out.add((done + d) * stride + lane), line);
                    }
                }
                done += SIDE;
            }
        }
        for d in 0..depth.len() {
            for column in if d < done { whole } else { 0 }..width {
                *out.add(d * stride + column) = if column < count { *at(d, column) } else { 0.0 };
            }
        }
    }
}

/// Eight lines of eight floats, `stride` apart, of which `count` are there; others are the first.
///
/// # Safety
/// AVX2 must be there, and `count` lines.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(from: *const f32, stride: usize, count: usize) -> [__m256; SIDE] {
    let line = |i: usize| {
        let row = if i < count { i } else { 0 };
        // SAFETY: line `row` is there.
        unsafe { _mm256_loadu_ps(from.add(row * stride)) }
    };
    [line(0), line(1), line(2), line(3), line(4), line(5), line(6), line(7)]
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(x: [__m256; SIDE]) -> [__m256; SIDE] {
    let low = |i: usize| _mm256_unpacklo_ps(x[i], x[i + 1]);
    let high = |i: usize| _mm256_unpackhi_ps(x[i], x[i + 1]);
    let (l0, h0, l2, h2) = (low(0), high(0), low(2), high(2));
    let (l4, h4, l6, h6) = (low(4), high(4), low(6), high(6));
    let fours = [
        _mm256_shuffle_ps::<0x44>(l0, l2),
        _mm256_shuffle_ps::<0xEE>(l0, l2),
        _mm256_shuffle_ps::<0x44>(h0, h2),
        _mm256_shuffle_ps::<0xEE>(h0, h2),
        _mm256_shuffle_ps::<0x44>(l4, l6),
        _mm256_shuffle_ps::<0xEE>(l4, l6),
        _mm256_shuffle_ps::<0x44>(h4, h6),
        _mm256_shuffle_ps::<0xEE>(h4, h6),
    ];
    [
        _mm256_permute2f128_ps::<0x20>(fours[0], fours[4]),
        _mm256_permute2f128_ps::<0x20>(fours[1], fours[5]),
        _mm256_permute2f128_ps::<0x20>(fours[2], fours[6]),
        _mm256_permute2f128_ps::<0x20>(fours[3], fours[7]),
        _mm256_permute2f128_ps::<0x31>(fours[0], fours[4]),
        _mm256_permute2f128_ps::<0x31>(fours[1], fours[5]),
        _mm256_permute2f128_ps::<0x31>(fours[2], fours[6]),
        _mm256_permute2f128_ps::<0x31>(fours[3], fours[7]),
    ]
}
