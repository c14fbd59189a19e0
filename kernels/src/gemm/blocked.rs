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

/// A run of the depth, and what of the terms is in it.
type Run = (usize, Vec<Piece>);

/// A part of a term's depth inside a run.
#[derive(Clone)]
struct Piece {
    term: usize,
    depth: Range<usize>,
    /// Where it begins in the run.
    at: usize,
}

/// The depths of all terms, one behind the other, cut into runs.
fn runs(terms: &[Term<'_, f32>]) -> Vec<Run> {
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
        return unsafe { job.columns(0..columns, most, RIGHT_ELEMENTS, &runs, beta) };
    }
    let most = thin_panels(columns.div_ceil(kernel.columns), job.threads()) * kernel.columns;
    // What is laid out is used up at once: a run at a time stays in the second cache.
    let alone = Job { parallel: false, ..job };
    job.for_each(columns.div_ceil(most), |task| {
        let columns = task * most..((task + 1) * most).min(columns);
        // SAFETY: tasks have columns of their own.
        unsafe { alone.columns(columns, most, most * deepest, &runs, beta) };
    });
}

/// Panels that a task of a thin product takes, so that the thread with most of them has few: one that waits for the last task of an odd
/// number computes nothing meanwhile.
fn thin_panels(panels: usize, threads: usize) -> usize {
    let most_of_a_thread = |each: &usize| panels.div_ceil(*each).div_ceil(threads) * each;
    // Of those that are as good the largest: the left factor is read once a task.
    (1..=THIN_PANELS).rev().min_by_key(most_of_a_thread).unwrap_or(THIN_PANELS)
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

    /// The columns `columns` of the product, `most` at a time. As many runs as `elements` of the right factor hold are laid out
    /// together, one at least: threads that wait for each other twice a run would lose much of a small product.
    ///
    /// # Safety
    /// These columns of the result must be the caller's alone.
    unsafe fn columns(&self, columns: Range<usize>, most: usize, elements: usize, runs: &[Run], beta: f32) {
        with(&RIGHT, |memory| {
            let width = most.min(columns.len()).next_multiple_of(self.kernel.columns);
            for first in columns.clone().step_by(most) {
                let columns = first..(first + most).min(columns.end);
                let (mut rest, mut beta) = (runs, beta);
                while !rest.is_empty() {
                    let mut depth = 0;
                    let fits = |(run, _): &&Run| {
                        depth += run;
                        depth * width <= elements
                    };
                    let (group, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
                    let depth = group.iter().map(|(depth, _)| depth).sum::<usize>();
                    let right = Address(room(memory, width * depth));
                    // SAFETY: `right` has room for the columns over the group; the rest is passed on.
                    unsafe {
                        self.lay_out(right, &columns, group);
                        self.run(right, &columns, group, beta);
                    }
                    (rest, beta) = (behind, 1.0);
                }
            }
        });
    }

    /// Lays out `columns` of the right factors over some runs, one behind the other.
    ///
    /// # Safety
    /// `right` must have room for them.
    unsafe fn lay_out(&self, right: Address, columns: &Range<usize>, group: &[Run]) {
        let width = self.kernel.columns;
        let panels = columns.len().div_ceil(width);
        let each = panels.div_ceil(TASKS_EACH * self.threads());
        self.for_each(panels.div_ceil(each), |task| {
            let first = columns.start + task * each * width;
            let here = first..(first + each * width).min(columns.end);
            with(&STRIP, |strip| {
                let mut start = 0;
                for (depth, pieces) in group {
                    for piece in pieces {
                        let term = &self.terms[piece.term];
                        // SAFETY: AVX2 is there, as a kernel is; the panels of a task are its own.
                        unsafe {
                            let out = right.at(start + task * each * width * depth + piece.at * width);
                            let (here, along) = (here.clone(), piece.depth.clone());
                            pack::right(&term.right, here, along, width, width * depth, out, strip);
                        }
                    }
                    start += panels * width * depth;
                }
            });
        });
    }

    /// Adds some runs to `columns` of the result.
    ///
    /// # Safety
    /// `right` must hold the columns of the runs; the result must be the caller's alone.
    unsafe fn run(&self, right: Address, columns: &Range<usize>, group: &[Run], beta: f32) {
        let (height, width) = (self.kernel.rows, self.kernel.columns);
        let wanted = TASKS_EACH * self.threads();
        let all_panels = columns.len().div_ceil(width);
        let row_blocks = self.rows.div_ceil(LEFT_ROWS).max(wanted.min(self.rows.div_ceil(2 * height)));
        let rows_each = self.rows.div_ceil(row_blocks).next_multiple_of(height);
        let row_blocks = self.rows.div_ceil(rows_each);
        let column_blocks = wanted.div_ceil(row_blocks).min(all_panels);
        let panels_each = all_panels.div_ceil(column_blocks);
        let column_blocks = all_panels.div_ceil(panels_each);
        self.for_each(row_blocks * column_blocks, |task| {
            let (row_block, column_block) = (task / column_blocks, task % column_blocks);
            let rows = row_block * rows_each..((row_block + 1) * rows_each).min(self.rows);
            let panels = column_block * panels_each..((column_block + 1) * panels_each).min(all_panels);
            let (mut start, mut beta) = (0, beta);
            for (depth, pieces) in group {
                // SAFETY: tasks have tiles of their own; the rest is passed on.
                unsafe {
                    let right = right.at(start);
                    self.block(right, columns, rows.clone(), panels.clone(), (*depth, pieces), beta);
                }
                start += all_panels * width * depth;
                beta = 1.0;
            }
        });
    }

    /// Adds a run to the rows `rows` of the panels `panels` of `columns`.
    ///
    /// # Safety
    /// `right` must hold the run's columns; these tiles of the result must be the caller's alone.
    unsafe fn block(
        &self,
        right: *mut f32,
        columns: &Range<usize>,
        rows: Range<usize>,
        panels: Range<usize>,
        (depth, pieces): (usize, &[Piece]),
        beta: f32,
    ) {
        let (height, width) = (self.kernel.rows, self.kernel.columns);
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
                    b: right.wrapping_add(panel * width * depth),
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
    }
}
