//! Run-time choice of the instruction set, and sums in a fixed order.

use crate::real::Real;

/// Runs `work` compiled for the widest vectors of this machine (AVX-512, AVX2, NEON); what it calls must be inlined.
#[inline(always)]
pub(crate) fn dispatch<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(work)
}

/// Partial sums kept side by side; fixed, so that a sum has the same bits on every instruction set.
const LANES: usize = 16;

/// Sum of `term(x[i], y[i])` in the order of [`LANES`] interleaved partial sums.
#[inline(always)]
pub(crate) fn sum2<R: Real>(x: &[R], y: &[R], term: impl Fn(R, R) -> R) -> R {
    let mut lanes = [R::zero(); LANES];
    let x_chunks = x.chunks_exact(LANES);
    let y_chunks = y.chunks_exact(LANES);
    let mut tail = R::zero();
    for (&a, &b) in x_chunks.remainder().iter().zip(y_chunks.remainder()) {
        tail += term(a, b);
    }
    for (a, b) in x_chunks.zip(y_chunks) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    fold(lanes) + tail
}

/// Sum of `term(x[i])` in the order of [`sum2`].
#[inline(always)]
pub(crate) fn sum<R: Real>(x: &[R], term: impl Fn(R) -> R) -> R {
    sum2(x, x, |a, _| term(a))
}

/// The largest element; minus infinity for an empty slice; NaN is passed over.
#[inline(always)]
pub(crate) fn max<R: Real>(x: &[R]) -> R {
    let mut lanes = [R::neg_infinity(); LANES];
    let chunks = x.chunks_exact(LANES);
    let tail = chunks.remainder();
    for a in chunks {
        for i in 0..LANES {
            lanes[i] = if a[i] > lanes[i] { a[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(tail).fold(R::neg_infinity(), |m, &v| if v > m { v } else { m })
}

#[inline(always)]
fn fold<R: Real>(mut lanes: [R; LANES]) -> R {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] += other;
        }
        width /= 2;
    }
    lanes[0]
}
