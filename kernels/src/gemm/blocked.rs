//! Products cut into blocks that fit the caches: a block of the right factor is laid out once for all threads, of the left
//! one by each task for itself. The cut of the depth follows the shapes alone, so that no number of threads changes a bit.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::tile::{Kernel, Tile};
use super::{Term, pack};

/// The longest run of the depth that is summed in registers: a panel of the right factor of this depth is 25 KiB with AVX2
/// and stays in the first cache while the rows pass by. Long, as the result is read and written once a run.
const DEPTH: usize = 400;
/// Runs of the depth are multiples of this, so that whole vectors are laid out.
const DEPTH_STEP: usize = 16;
/// Elements of the right factor that are laid out at a time: 4 MiB.
const RIGHT_ELEMENTS: usize = 1 << 20;
/// Most rows of the left factor that a task lays out: with [`DEPTH`], 300 KiB of the second cache.
const LEFT_ROWS: usize = 192;
/// Tasks for each thread, so that one that is held up does not hold up all.
const TASKS_EACH: usize = 4;
/// Multiplications below which waking other threads costs more than it saves.
const ALONE: usize = 1 << 18;
/// Up to this many columns the left factor is read where it stands: laying it out would cost more than it saves.
const DIRECT_COLUMNS: usize = 64;

/// Up to this many rows the right factor is used up as soon as it is laid out, by the task that did so.
const THIN_ROWS: usize = 24;
/// Panels of the right factor that such a task lays out at a time: 150 KiB with AVX2.
const THIN_PANELS: usize = 6;
/// Up to this depth a tile of the result is more to read and write than its factors, and is visited in the order of its rows.
const SHALLOW: usize = 48;

/// An address that tasks share.
#[derive(Clone, Copy)]
struct Address(*mut f32);
// SAFETY: tasks write at places of their own, as each says.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

thread_local! {
    /// Working memory of products: kept, so that nothing is allocated in the steady state.
    static RIGHT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static LEFT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static STRIP: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with this thread's memory of a kind. Where the thread is already using that, as a task that waits may take up
/// another product, there is new one.
fn with<T>(kind: &'static std::thread::LocalKey<Cell<Vec<f32>>>, work: impl FnOnce(&mut Vec<f32>) -> T) -> T {
    let mut memory = kind.take();
    let result = work(&mut memory);
    kind.set(memory);
    result
}

fn room(memory: &mut Vec<f32>, len: usize) -> *mut f32 {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    memory.as_mut_ptr()
}

/// A part of a term's depth inside a run.
#[derive(Clone)]
struct Piece {
    term: usize,
    depth: Range<usize>,
    /// Where it begins in the run.
    at: usize,
}

/// The depths of all terms, one behind the other, cut into runs.
fn runs(terms: &[Term<'_, f32>]) -> Vec<(usize, Vec<Piece>)> {
    let depth: usize = terms.iter().map(|term| term.left.columns).sum();
    let count = depth.div_ceil(DEPTH).max(1);
    let step = depth.div_ceil(count).next_multiple_of(DEPTH_STEP).max(DEPTH_STEP);
    let mut runs = Vec::with_capacity(count);
    for start in (0..depth.max(1)).step_by(step) {
        let end = (start + step).min(depth);
        let (mut pieces, mut first) = (Vec::with_capacity(terms.len()), 0);
        for (term, one) in terms.iter().enumerate() {
            let last = first + one.left.columns;
            let (from, to) = (start.max(first), end.min(last));
            if from < to {
                pieces.push(Piece { term, depth: from - first..to - first, at: from - start });
            }
            first = last;
        }
        runs.push((end - start, pieces));
    }
    runs
}

/// Bytes that products keep: what is laid out of the right factor, and of the left one and of strips by each thread.
pub(super) fn kept_bytes(threads: usize) -> usize {
    let columns = Kernel::all().first().map_or(0, |kernel| (THIN_PANELS + 1) * kernel.columns);
    (RIGHT_ELEMENTS + threads * DEPTH * (LEFT_ROWS + columns)) * size_of::<f32>()
}

/// What all tasks of a product know.
#[derive(Clone, Copy)]
struct Job<'a> {
    kernel: &'static Kernel,
    terms: &'a [Term<'a, f32>],
    out: Address,
    rows: usize,
    row_stride: usize,
    /// Whether the left factor is read where it stands.
    direct: bool,
    parallel: bool,
}

/// `out = beta out + terms`, where `shape` is rows, columns and row stride of `out`.
///
/// # Safety
/// The kernel must be one of [`Kernel::all`]; `out` must be valid for reads and writes over its shape, and the terms must
/// have that shape.
pub(super) unsafe fn product(
    kernel: &'static Kernel,
    out: *mut f32,
    shape: (usize, usize, usize),
    beta: f32,
    terms: &[Term<'_, f32>],
    parallel: bool,
) {
    let (rows, columns, row_stride) = shape;
    let runs = runs(terms);
    let work = rows * columns * runs.iter().map(|(depth, _)| depth).sum::<usize>();
    let parallel = parallel && work > ALONE && rayon::current_num_threads() > 1;
    let direct = terms.len() == 1 && (columns <= DIRECT_COLUMNS || rows <= THIN_ROWS);
    let job = Job { kernel, terms, out: Address(out), rows, row_stride, direct, parallel };
    let deepest = runs.iter().map(|(depth, _)| *depth).max().unwrap_or(0);
    if rows > THIN_ROWS {
        let most = (RIGHT_ELEMENTS / deepest.max(1) / kernel.columns).max(1) * kernel.columns;
        // SAFETY: passed on.
        return unsafe { job.columns(0..columns, most, deepest, &runs, beta) };
    }
    let most = THIN_PANELS * kernel.columns;
    let alone = Job { parallel: false, ..job };
    job.for_each(columns.div_ceil(most), |task| {
        let columns = task * most..((task + 1) * most).min(columns);
        // SAFETY: tasks have columns of their own.
        unsafe { alone.columns(columns, most, deepest, &runs, beta) };
    });
}

impl Job<'_> {
    fn for_each(&self, tasks: usize, work: impl Fn(usize) + Send + Sync) {
        if self.parallel && tasks > 1 {
            (0..tasks).into_par_iter().with_max_len(1).for_each(work);
        } else {
            (0..tasks).for_each(work);
        }
    }

    fn threads(&self) -> usize {
        if self.parallel { rayon::current_num_threads() } else { 1 }
    }

    /// The columns `columns` of the product, `most` at a time.
    ///
    /// # Safety
    /// These columns of the result must be the caller's alone; `deepest` must be the longest of `runs`.
    unsafe fn columns(
        &self,
        columns: Range<usize>,
        most: usize,
        deepest: usize,
        runs: &[(usize, Vec<Piece>)],
        beta: f32,
    ) {
        with(&RIGHT, |memory| {
            let width = most.min(columns.len()).next_multiple_of(self.kernel.columns);
            let right = Address(room(memory, width * deepest));
            for first in columns.clone().step_by(most) {
                let columns = first..(first + most).min(columns.end);
                for (number, (depth, pieces)) in runs.iter().enumerate() {
                    let beta = if number == 0 { beta } else { 1.0 };
                    // SAFETY: `right` has room for the columns over the deepest run; the rest is passed on.
                    unsafe {
                        self.lay_out(right, &columns, *depth, pieces);
                        self.run(right, &columns, *depth, pieces, beta);
                    }
                }
            }
        });
    }

    /// Lays out `columns` of the right factors over a run.
    ///
    /// # Safety
    /// `right` must have room for them.
    unsafe fn lay_out(&self, right: Address, columns: &Range<usize>, depth: usize, pieces: &[Piece]) {
        let width = self.kernel.columns;
        let panels = columns.len().div_ceil(width);
        let each = panels.div_ceil(TASKS_EACH * self.threads());
        self.for_each(panels.div_ceil(each), |task| {
            let first = columns.start + task * each * width;
            let here = first..(first + each * width).min(columns.end);
            with(&STRIP, |strip| {
                for piece in pieces {
                    let term = &self.terms[piece.term];
                    // SAFETY: AVX2 is there, as a kernel is; the panels of a task are its own.
                    unsafe {
                        let out = right.at(task * each * width * depth + piece.at * width);
                        let (here, along) = (here.clone(), piece.depth.clone());
                        pack::right(&term.right, here, along, width, width * depth, out, strip);
                    }
                }
            });
        });
    }

    /// Adds a run to `columns` of the result.
    ///
    /// # Safety
    /// `right` must hold the run's columns; the result must be the caller's alone.
    unsafe fn run(&self, right: Address, columns: &Range<usize>, depth: usize, pieces: &[Piece], beta: f32) {
        let (height, width) = (self.kernel.rows, self.kernel.columns);
        let wanted = TASKS_EACH * self.threads();
        let panels = columns.len().div_ceil(width);
        let row_blocks = self.rows.div_ceil(LEFT_ROWS).max(wanted.min(self.rows.div_ceil(2 * height)));
        let rows_each = self.rows.div_ceil(row_blocks).next_multiple_of(height);
        let row_blocks = self.rows.div_ceil(rows_each);
        let column_blocks = wanted.div_ceil(row_blocks).min(panels);
        let panels_each = panels.div_ceil(column_blocks);
        let column_blocks = panels.div_ceil(panels_each);
        self.for_each(row_blocks * column_blocks, |task| {
            let (row_block, column_block) = (task / column_blocks, task % column_blocks);
            let rows = row_block * rows_each..((row_block + 1) * rows_each).min(self.rows);
            let panels = column_block * panels_each..((column_block + 1) * panels_each).min(panels);
            with(&LEFT, |memory| {
                let stride = height * depth;
                let mut left = std::ptr::null_mut();
                if !self.direct {
                    left = room(memory, rows.len().div_ceil(height) * stride + pack::SLACK);
                    // Panel by panel: what is written behind the end of one is written over by the next.
                    for (number, row) in rows.clone().step_by(height).enumerate() {
                        let some = row..(row + height).min(rows.end);
                        for piece in pieces {
                            let Term { factor, left: mat, .. } = self.terms[piece.term];
                            let factor = if self.terms.len() == 1 { 1.0 } else { factor };
                            let to = left.wrapping_add(number * stride + piece.at * height);
                            // SAFETY: AVX2 is there, as a kernel is; there is room.
                            unsafe {
                                pack::left(mat, some.clone(), piece.depth.clone(), factor, height, to);
                            }
                        }
                    }
                }
                let place = |panel: usize, number: usize| {
                    let (first, row) = (columns.start + panel * width, rows.start + number * height);
                    let (a, a_row, a_depth) = if self.direct {
                        let mat = &self.terms[0].left;
                        let start = pieces.first().map_or(0, |piece| piece.depth.start);
                        let at = row * mat.row_stride + start * mat.column_stride;
                        (mat.data.as_ptr().wrapping_add(at), mat.row_stride, mat.column_stride)
                    } else {
                        (left.wrapping_add(number * stride).cast_const(), 1, height)
                    };
                    let tile = Tile {
                        depth,
                        a,
                        a_row,
                        a_depth,
                        b: right.at(panel * width * depth),
                        b_depth: width,
                        c: self.out.at(row * self.row_stride + first),
                        c_row: self.row_stride,
                        alpha: if self.terms.len() == 1 { self.terms[0].factor } else { 1.0 },
                        beta,
                    };
                    let (height, width) = (height.min(rows.end - row), width.min(columns.end - first));
                    // SAFETY: rows and columns lie inside the factors and the result; tasks have tiles of their own.
                    unsafe { self.kernel.run(&tile, height, width, !self.direct) };
                };
                let numbers = 0..rows.len().div_ceil(height);
                if depth <= SHALLOW {
                    numbers.for_each(|number| panels.clone().for_each(|panel| place(panel, number)));
                } else {
                    panels.for_each(|panel| numbers.clone().for_each(|number| place(panel, number)));
                }
            });
        });
    }
}
