//! The innermost loops: a tile of the result held in registers while its sums run over the depth.
//!
//! Every element of a tile is one chain of fused multiply-adds in the order of the depth, whatever the instruction set, the
//! tile's shape and what stands beside it: the bits of a product depend on its depth alone.

use std::arch::x86_64::{
    __m256, __m512, _MM_HINT_T0, _mm_prefetch, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::sync::OnceLock;

/// One tile: `c = beta c + alpha a b` over `depth`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) depth: usize,
    /// Element (row, d) at `row * a_row + d * a_depth`; packed tiles have 1 and the kernel's rows.
    pub(super) a: *const f32,
    pub(super) a_row: usize,
    pub(super) a_depth: usize,
    /// Element (d, column) at `d * b_depth + column`.
    pub(super) b: *const f32,
    pub(super) b_depth: usize,
    /// Element (row, column) at `row * c_row + column`; not read where `beta` is 0.
    pub(super) c: *mut f32,
    pub(super) c_row: usize,
    pub(super) alpha: f32,
    pub(super) beta: f32,
}

/// A vector register of `f32`.
trait Lanes {
    const LANES: usize;
    type Vector: Copy;
    /// # Safety
    /// The instruction set must be there; so of all functions here.
    unsafe fn zero() -> Self::Vector;
    /// # Safety
    /// `from` must be valid for [`Self::LANES`] reads.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// # Safety
    /// `from` must be valid for one read.
    unsafe fn splat_at(from: *const f32) -> Self::Vector;
    /// # Safety
    /// As [`Self::zero`].
    unsafe fn splat(value: f32) -> Self::Vector;
    /// # Safety
    /// `to` must be valid for [`Self::LANES`] writes.
    unsafe fn store(to: *mut f32, value: Self::Vector);
    /// # Safety
    /// As [`Self::zero`].
    unsafe fn multiply(x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x y + z` with one rounding.
    ///
    /// # Safety
    /// As [`Self::zero`].
    unsafe fn multiply_add(x: Self::Vector, y: Self::Vector, z: Self::Vector) -> Self::Vector;
}

macro_rules! lanes {
    ($name:ident, $vector:ty, $lanes:literal, $zero:ident, $load:ident, $splat_at:expr, $splat:ident, $store:ident, $multiply:ident, $multiply_add:ident) => {
        struct $name;
        impl Lanes for $name {
            const LANES: usize = $lanes;
            type Vector = $vector;
            #[inline(always)]
            unsafe fn zero() -> $vector {
                // SAFETY: the instruction set is there by the caller's promise, here and below.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> $vector {
                // SAFETY: readable by the caller's promise.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn splat_at(from: *const f32) -> $vector {
                // SAFETY: readable by the caller's promise.
                unsafe { $splat_at(from) }
            }
            #[inline(always)]
            unsafe fn splat(value: f32) -> $vector {
                // SAFETY: as in `zero`.
                unsafe { $splat(value) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, value: $vector) {
                // SAFETY: writable by the caller's promise.
                unsafe { $store(to, value) }
            }
            #[inline(always)]
            unsafe fn multiply(x: $vector, y: $vector) -> $vector {
                // SAFETY: as in `zero`.
                unsafe { $multiply(x, y) }
            }
            #[inline(always)]
            unsafe fn multiply_add(x: $vector, y: $vector, z: $vector) -> $vector {
                // SAFETY: as in `zero`.
                unsafe { $multiply_add(x, y, z) }
            }
        }
    };
}

lanes!(
    Avx2,
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    |from: *const f32| _mm256_broadcast_ss(&*from),
    _mm256_set1_ps,
    _mm256_storeu_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps
);
lanes!(
    Avx512,
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    |from: *const f32| _mm512_set1_ps(*from),
    _mm512_set1_ps,
    _mm512_storeu_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps
);

/// # Safety
/// The instruction set of `L` must be there; the addresses of `t` valid for `depth`, `ROWS` and `VECTORS` vectors.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const VECTORS: usize, const PACKED: bool>(
    t: &Tile,
    stride: usize,
) {
    let (a_row, a_depth) = if PACKED { (1, stride) } else { (t.a_row, t.a_depth) };
    let (mut a, mut b) = (t.a, t.b);
    // SAFETY: addresses by the caller's promise, the instruction set too.
    unsafe {
        let mut sums = [[L::zero(); VECTORS]; ROWS];
        for i in 0..ROWS {
            // Is wanted at the end.
            _mm_prefetch::<_MM_HINT_T0>(t.c.wrapping_add(i * t.c_row).cast());
        }
        for _ in 0..t.depth {
            let mut line = [L::zero(); VECTORS];
            for (j, part) in line.iter_mut().enumerate() {
                *part = L::load(b.add(j * L::LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::splat_at(a.add(i * a_row));
                for (sum, &part) in sums.iter_mut().zip(&line) {
                    *sum = L::multiply_add(x, part, *sum);
                }
            }
            // The last step may leave the buffers, so addresses are not said to lie inside.
            (a, b) = (a.wrapping_add(a_depth), b.wrapping_add(t.b_depth));
        }
        let (alpha, beta) = (L::splat(t.alpha), L::splat(t.beta));
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let c = t.c.add(i * t.c_row + j * L::LANES);
                let value = if t.beta == 0.0 {
                    L::multiply(alpha, sum)
                } else if t.beta == 1.0 {
                    L::multiply_add(alpha, sum, L::load(c))
                } else {
                    L::multiply_add(alpha, sum, L::multiply(beta, L::load(c)))
                };
                L::store(c, value);
            }
        }
    }
}

/// # Safety
/// Those of [`tile`] with [`Avx2`].
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const ROWS: usize, const VECTORS: usize, const PACKED: bool>(t: &Tile) {
    // SAFETY: passed on.
    unsafe { tile::<Avx2, ROWS, VECTORS, PACKED>(t, 6) }
}

/// # Safety
/// Those of [`tile`] with [`Avx512`].
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const ROWS: usize, const VECTORS: usize, const PACKED: bool>(t: &Tile) {
    // SAFETY: passed on.
    unsafe { tile::<Avx512, ROWS, VECTORS, PACKED>(t, 12) }
}

type Run = unsafe fn(&Tile);

/// The tiles of an instruction set.
pub(super) struct Kernel {
    /// Most rows of a tile.
    pub(super) rows: usize,
    /// Most columns of a tile.
    pub(super) columns: usize,
    /// By rows, less one: one and two vectors wide, of packed left factors.
    packed: &'static [[Run; 2]],
    /// The same of left factors where they stand.
    direct: &'static [[Run; 2]],
}

macro_rules! table {
    ($run:ident, $packed:literal, $($rows:literal)*) => {
        &[$([$run::<$rows, 1, $packed>, $run::<$rows, 2, $packed>]),*]
    };
}

static AVX2: Kernel = Kernel {
    rows: 6,
    columns: 16,
    packed: table!(avx2, true, 1 2 3 4 5 6),
    direct: table!(avx2, false, 1 2 3 4 5 6),
};

static AVX512: Kernel = Kernel {
    rows: 12,
    columns: 32,
    packed: table!(avx512, true, 1 2 3 4 5 6 7 8 9 10 11 12),
    direct: table!(avx512, false, 1 2 3 4 5 6 7 8 9 10 11 12),
};

/// Most elements of a tile.
const TILE_ELEMENTS: usize = 12 * 32;

impl Kernel {
    /// Those that run on this machine and gave the right bits when they were first asked for, the fastest first.
    pub(super) fn all() -> &'static [&'static Self] {
        static FOUND: OnceLock<Vec<&'static Kernel>> = OnceLock::new();
        FOUND.get_or_init(|| {
            let mut found = Vec::new();
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                found.push(&AVX512);
            }
            if avx2 {
                found.push(&AVX2);
            }
            // The wider ones have run on few machines: each proves itself where it is to be used.
            found.retain(|kernel| kernel.is_right());
            found
        })
    }

    /// Whether every tile gives the bits of the chain of multiply-adds that it stands for.
    fn is_right(&self) -> bool {
        const DEPTH: usize = 5;
        let number = |index: usize| ((index * 7919) % 1009) as f32 / 64.0 - 7.5;
        let a: Vec<f32> = (0..self.rows * DEPTH).map(number).collect();
        let b: Vec<f32> = (0..DEPTH * self.columns).map(|index| number(index + 17)).collect();
        let began: Vec<f32> = (0..self.rows * self.columns).map(|index| number(index + 5)).collect();
        let alpha = 0.75;
        let cases = [0.0, 1.0, 0.5].into_iter().flat_map(|beta| [(beta, true), (beta, false)]);
        let tiles = (1..=self.rows).flat_map(|rows| [(rows, self.columns / 2), (rows, self.columns)]);
        tiles.flat_map(|tile| cases.clone().map(move |case| (tile, case))).all(
            |((rows, columns), (beta, packed))| {
                let (a_row, a_depth) = if packed { (1, self.rows) } else { (DEPTH, 1) };
                let mut c = began.clone();
                let tile = Tile {
                    depth: DEPTH,
                    a: a.as_ptr(),
                    a_row,
                    a_depth,
                    b: b.as_ptr(),
                    b_depth: self.columns,
                    c: c.as_mut_ptr(),
                    c_row: self.columns,
                    alpha,
                    beta,
                };
                // SAFETY: the instructions are there, and every address lies in one of the vectors above.
                unsafe { self.run(&tile, rows, columns, packed) };
                let expected = |row: usize, column: usize| {
                    let chain = |sum: f32, d: usize| {
                        a[row * a_row + d * a_depth].mul_add(b[d * self.columns + column], sum)
                    };
                    let (sum, old) = ((0..DEPTH).fold(0.0, chain), began[row * self.columns + column]);
                    match beta {
                        0.0 => alpha * sum,
                        1.0 => alpha.mul_add(sum, old),
                        beta => alpha.mul_add(sum, beta * old),
                    }
                };
                (0..rows * columns).all(|at| {
                    let (row, column) = (at / columns, at % columns);
                    c[row * self.columns + column].to_bits() == expected(row, column).to_bits()
                })
            },
        )
    }

    /// Runs one tile of `rows` rows and `columns` columns. What stands in `b` behind `columns`, up to [`Self::columns`], must
    /// be readable.
    ///
    /// # Safety
    /// The kernel must be one of [`Self::all`]; the addresses of `t` must be valid for the tile, `c` for writes.
    pub(super) unsafe fn run(&self, t: &Tile, rows: usize, columns: usize, packed: bool) {
        let width = usize::from(columns > self.columns / 2);
        let run = if packed { self.packed } else { self.direct }[rows - 1][width];
        if columns == (width + 1) * self.columns / 2 {
            // SAFETY: the addresses by the caller's promise.
            return unsafe { run(t) };
        }
        let mut edge = [0.0_f32; TILE_ELEMENTS];
        // SAFETY: `c` is valid for rows and columns; `edge` has room for a whole tile.
        unsafe {
            if t.beta != 0.0 {
                for row in 0..rows {
                    let (from, to) = (t.c.add(row * t.c_row), edge.as_mut_ptr().add(row * self.columns));
                    std::ptr::copy_nonoverlapping(from, to, columns);
                }
            }
            run(&Tile { c: edge.as_mut_ptr(), c_row: self.columns, ..*t });
            for row in 0..rows {
                let (from, to) = (edge.as_ptr().add(row * self.columns), t.c.add(row * t.c_row));
                std::ptr::copy_nonoverlapping(from, to, columns);
            }
        }
    }
}
