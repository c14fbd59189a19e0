//! Columns of matrices: several matrices side by side in one, and sums and factors by column.

use rayon::prelude::*;

use crate::real::Real;
use crate::share::Shared;

/// Columns that one parallel task sums.
const COLUMNS_PER_TASK: usize = 64;

/// How several matrices stand side by side in one: every row has `groups` groups, and each group a run of elements of
/// every part. Phi-3's `qkv_proj` is one group, `[q | k | v]`; GPT-NeoX's and Falcon's have one a key-value head.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Groups in a row.
    pub groups: usize,
    /// Elements of each part in a group.
    pub runs: &'a [usize],
}

impl Columns<'_> {
    /// Elements in a row of the joint matrix.
    #[must_use]
    pub fn width(&self) -> usize {
        self.groups * self.runs.iter().sum::<usize>()
    }

    /// Calls `copy(joint place, part, its place, length)` for every run of `rows` rows.
    fn each_run(&self, rows: usize, mut copy: impl FnMut(usize, usize, usize, usize)) {
        let mut at = 0;
        for row in 0..rows {
            for group in 0..self.groups {
                for (part, &run) in self.runs.iter().enumerate() {
                    copy(at, part, (row * self.groups + group) * run, run);
                    at += run;
                }
            }
        }
    }
}

/// Takes the joint matrix `joint_tn` apart.
///
/// # Panics
/// If the lengths do not fit.
pub fn split<R: Real>(columns: Columns<'_>, joint_tn: &[R], parts: &mut [&mut [R]]) {
    let rows = check_columns(columns, joint_tn.len(), parts.iter().map(|part| part.len()));
    columns.each_run(rows, |at, part, place, run| {
        parts[part][place..place + run].copy_from_slice(&joint_tn[at..at + run]);
    });
}

/// Puts the parts of a joint matrix together: the reverse of [`split`].
///
/// # Panics
/// If the lengths do not fit.
pub fn join<R: Real>(columns: Columns<'_>, parts: &[&[R]], joint_tn: &mut [R]) {
    let rows = check_columns(columns, joint_tn.len(), parts.iter().map(|part| part.len()));
    columns.each_run(rows, |at, part, place, run| {
        joint_tn[at..at + run].copy_from_slice(&parts[part][place..place + run]);
    });
}

fn check_columns(columns: Columns<'_>, joint: usize, parts: impl ExactSizeIterator<Item = usize>) -> usize {
    let rows = joint.checked_div(columns.width()).unwrap_or(0);
    assert!(joint == rows * columns.width() && parts.len() == columns.runs.len(), "columns: lengths");
    for (len, &run) in parts.zip(columns.runs) {
        assert_eq!(len, rows * columns.groups * run, "columns: lengths");
    }
    rows
}

/// Multiplies column `n` of `x_tn`, `[T, N]`, by element `n` of `factors_n`.
///
/// # Panics
/// If the lengths do not fit.
pub fn scale_columns<R: Real>(x_tn: &mut [R], factors_n: &[R]) {
    assert!(x_tn.len().is_multiple_of(factors_n.len().max(1)), "columns: lengths");
    x_tn.par_chunks_exact_mut(factors_n.len().max(1)).for_each(|x_n| {
        for (x, &factor) in x_n.iter_mut().zip(factors_n) {
            *x *= factor;
        }
    });
}

/// `out[n] += factors[n] * sum over t of x[t, n] * y[t, n]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_dots<R: Real>(x_tn: &[R], y_tn: &[R], factors_n: &[R], out_n: &mut [R]) {
    assert!(factors_n.len() == out_n.len() && x_tn.len() == y_tn.len(), "columns: lengths");
    add_columns(
        x_tn,
        y_tn,
        out_n,
        |_, sums, x, y| {
            for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        },
        |n, sum| factors_n[n] * sum,
    );
}

/// `out[n] += sum over t of y[t, n] * (x[t, n] - mean) * scale`, where `of_row` gives row `t`'s mean and scale: the
/// gradient of a norm's weight.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_weighted_dots<R: Real>(
    x_tn: &[R],
    y_tn: &[R],
    of_row: impl Fn(usize) -> (R, R) + Sync,
    out_n: &mut [R],
) {
    assert_eq!(x_tn.len(), y_tn.len(), "columns: lengths");
    add_columns(
        x_tn,
        y_tn,
        out_n,
        |row, sums, x, y| {
            let (mean, scale) = of_row(row);
            for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
                *sum += y * ((x - mean) * scale);
            }
        },
        |_, sum| sum,
    );
}

/// `out[n] += sum over t of x[t, n]`: the gradient of a bias.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_sums<R: Real>(x_tn: &[R], out_n: &mut [R]) {
    add_columns(
        x_tn,
        x_tn,
        out_n,
        |_, sums, x, _| {
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum += x;
            }
        },
        |_, sum| sum,
    );
}

/// Adds to every column of `out_n` what `last` makes of its sum, which `add` forms row after row: (row, sums, `x`, `y`)
/// of a few columns.
fn add_columns<R: Real>(
    x_tn: &[R],
    y_tn: &[R],
    out_n: &mut [R],
    add: impl Fn(usize, &mut [R], &[R], &[R]) + Sync,
    last: impl Fn(usize, R) -> R + Sync,
) {
    let columns = out_n.len();
    assert!(x_tn.len().is_multiple_of(columns.max(1)), "columns: lengths");
    let out = Shared::new(out_n);
    (0..columns.div_ceil(COLUMNS_PER_TASK)).into_par_iter().for_each(|task| {
        let first = task * COLUMNS_PER_TASK;
        let count = COLUMNS_PER_TASK.min(columns - first);
        let mut sums = [R::zero(); COLUMNS_PER_TASK];
        for (row, (x_n, y_n)) in x_tn.chunks_exact(columns).zip(y_tn.chunks_exact(columns)).enumerate() {
            add(row, &mut sums[..count], &x_n[first..first + count], &y_n[first..first + count]);
        }
        // SAFETY: the tasks' ranges of columns do not overlap.
        let out = unsafe { out.slice_mut(first, count) };
        for (n, (out, &sum)) in out.iter_mut().zip(&sums).enumerate() {
            *out += last(first + n, sum);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joint_matrices_come_apart_and_together_again() {
        let joint: Vec<f32> = (0..24).map(|v| v as f32).collect();
        for (groups, runs, first) in [
            (1, [6, 3, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]),
            (3, [2, 1, 1], vec![0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0, 13.0, 16.0, 17.0, 20.0, 21.0]),
        ] {
            let columns = Columns { groups, runs: &runs };
            let [mut q, mut k, mut v] = [vec![0.0; 12], vec![0.0; 6], vec![0.0; 6]];
            split(columns, &joint, &mut [&mut q, &mut k, &mut v]);
            assert_eq!(q, first);
            let mut again = vec![0.0; 24];
            join(columns, &[&q, &k, &v], &mut again);
            assert_eq!(again, joint);
        }
    }

    #[test]
    fn columns_are_scaled_and_summed() {
        let mut x: Vec<f64> = (0..200).map(f64::from).collect();
        let mut sums = vec![1.0; 100];
        add_dots(&x, &vec![2.0; 200], &vec![0.5; 100], &mut sums);
        assert!(sums.iter().enumerate().all(|(n, &sum)| sum == 1.0 + 2.0 * n as f64 + 100.0));
        add_sums(&x, &mut sums);
        assert!(sums.iter().enumerate().all(|(n, &sum)| sum == 1.0 + 4.0 * n as f64 + 200.0));
        let factors: Vec<f64> = (0..100).map(f64::from).collect();
        scale_columns(&mut x, &factors);
        assert_eq!((x[3], x[103]), (9.0, 309.0));
    }
}
