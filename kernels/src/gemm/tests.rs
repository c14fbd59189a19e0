//! Products held against their definition.

use super::*;

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 - 1001.0) / 1001.0).collect()
}

fn naive(left: Mat<'_, f32>, right: Mat<'_, f32>) -> Vec<f64> {
    let at = |m: &Mat<'_, f32>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.column_stride]);
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
    for (m, k, n) in [(300, 576, 192), (257, 1536, 576), (16, 1000, 576), (1000, 576, 16), (64, 64, 301)] {
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

/// A matrix in NF4, or as numbers: what is unpacked.
#[derive(Debug)]
struct Numbers {
    values: Vec<f32>,
    columns: usize,
}

impl Unpack for Numbers {
    fn unpack(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        out.copy_from_slice(&self.values[row * self.columns..][columns]);
    }
}

#[test]
fn a_row_has_the_same_bits_whatever_stands_beside_it_and_however_a_factor_is_kept() {
    for (m, k, n) in [(70, 1000, 33), (7, 592, 100), (300, 37, 576), (100, 401, 5000)] {
        let (a, b) = (numbers(m * k, 5), numbers(k * n, 6));
        let run = |rows: Range<usize>, right: Right<'_, f32>| {
            let mut out = vec![0.5_f32; rows.len() * n];
            let left = Mat::new(&a[rows.start * k..rows.end * k], rows.len(), k);
            sum(MatMut::new(&mut out, rows.len(), n), 1.0, &[Term { factor: 1.0, left, right }]);
            out
        };
        let whole = run(0..m, Right::Plain(Mat::new(&b, k, n)));
        if !unpacks::<f32>() {
            continue;
        }
        for row in [0, m / 2, m - 1] {
            let one = run(row..row + 1, Right::Plain(Mat::new(&b, k, n)));
            assert!(one == whole[row * n..(row + 1) * n], "row {row} of {m}x{k}x{n}");
        }
        let mut turned = vec![0.0; k * n];
        for (i, &value) in b.iter().enumerate() {
            turned[i % n * k + i / n] = value;
        }
        assert!(whole == run(0..m, Right::Plain(Mat::new(&turned, n, k).t())), "transposed");
        let (straight, turned) = (Numbers { values: b, columns: n }, Numbers { values: turned, columns: k });
        for (matrix, transposed) in [(&straight, false), (&turned, true)] {
            let right = Right::Unpacked { matrix, rows: k, columns: n, transposed };
            assert!(whole == run(0..m, right), "unpacked, {transposed}");
        }
    }
}

#[test]
fn a_sum_of_products_is_what_its_terms_come_to() {
    for (m, n, depths) in [(64, 48, [592, 16]), (131, 70, [385, 31]), (9, 200, [3, 800])] {
        let lefts = depths.map(|k| numbers(m * k, k));
        let rights = depths.map(|k| numbers(k * n, k + 1));
        let terms = [0, 1].map(|i| {
            Term::plain(
                [1.0_f32, 0.25][i],
                Mat::new(&lefts[i], m, depths[i]),
                Mat::new(&rights[i], depths[i], n),
            )
        });
        let mut out = vec![0.5_f32; m * n];
        sum(MatMut::new(&mut out, m, n), 1.0, &terms);
        let [first, second] =
            [0, 1].map(|i| naive(Mat::new(&lefts[i], m, depths[i]), Mat::new(&rights[i], depths[i], n)));
        for (i, &got) in out.iter().enumerate() {
            let want = 0.5 + first[i] + 0.25 * second[i];
            assert!((f64::from(got) - want).abs() < 1e-3, "{m}x{n}: {got} {want}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn all_instruction_sets_give_the_same_bits() {
    let (m, k, n) = (95, 777, 131);
    let (a, b) = (numbers(m * k, 8), numbers(k * n, 9));
    let mut before: Option<Vec<f32>> = None;
    for kernel in tile::Kernel::all() {
        for direct in [false, true] {
            // Thin products are read where they stand.
            let n = if direct { 40 } else { n };
            let mut out = vec![1.0_f32; m * n];
            let terms = [Term::plain(0.5, Mat::new(&a, m, k), Mat::strided(&b, k, n, 131))];
            // SAFETY: `out` has the shape of the terms, and the kernel runs here.
            unsafe { blocked::product(kernel, out.as_mut_ptr(), (m, n, n), 2.0, &terms, true) };
            match &before {
                Some(before) => {
                    let same = (0..m * n).all(|i| out[i] == before[i / n * 131 + i % n]);
                    assert!(same, "direct {direct}");
                }
                None => before = Some(out),
            }
        }
    }
}
