//! DoRA (arXiv 2402.09353): a linear whose rows have trained lengths, `m (W + scale · B A) / |W + scale · B A|` by rows.
//!
//! Legend: O output features, I input features, R rank.

use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::gemm::{Mat, MatMut, multiply};
use rtune_kernels::real::Real;

use crate::Linear;
use crate::lora::{Lora, Magnitude};

/// Factors by rows.
pub(crate) struct Lengths<R: Real> {
    /// One over the length of a row of weight and adapter, `[O]`.
    pub(crate) inverse_o: Buffer<R>,
    /// The trained length over that one, `[O]`.
    pub(crate) ratios_o: Buffer<R>,
}

/// The lengths of the rows of weight and adapter as they are now. The sum itself is not formed:
/// `|w + s b A|² = |w|² + 2 s b · (A w) + s² b (A Aᵀ) bᵀ`, where `A W` costs what `R` tokens do.
pub(crate) fn lengths<R: Real>(
    linear: &Linear,
    lora: &Lora,
    magnitude: &Magnitude,
    parameters: &[R],
    arena: &Arena<R>,
) -> Lengths<R> {
    let (inputs, outputs, rank) = (linear.in_features(), linear.out_features(), lora.rank);
    let a_ri = &parameters[lora.a.clone()];
    let (mut aw_ro, mut aa_rr) = (arena.take(rank * outputs), arena.take(rank * rank));
    linear.weight().project(a_ri, &mut aw_ro, R::zero(), None, arena);
    let a = Mat::new(a_ri, rank, inputs);
    multiply(MatMut::new(&mut aa_rr, rank, rank), R::zero(), R::one(), a, a.t());
    let (mut inverse_o, mut ratios_o) = (arena.take(outputs), arena.take(outputs));
    let (b_or, lengths_o) = (&parameters[lora.b.clone()], &parameters[magnitude.range.clone()]);
    for (row, b_r) in b_or.chunks_exact(rank).enumerate() {
        let (mut cross, mut square) = (0.0, 0.0);
        for (k, &b) in b_r.iter().enumerate() {
            cross += b.wide() * aw_ro[k * outputs + row].wide();
            let inner: f64 =
                aa_rr[k * rank..(k + 1) * rank].iter().zip(b_r).map(|(x, y)| x.wide() * y.wide()).sum();
            square += b.wide() * inner;
        }
        let total = magnitude.weight_squares[row] + lora.scale * (2.0 * cross + lora.scale * square);
        let inverse = 1.0 / total.sqrt();
        inverse_o[row] = R::of(inverse);
        ratios_o[row] = R::of(lengths_o[row].wide() * inverse);
    }
    Lengths { inverse_o, ratios_o }
}

/// Gives the rows of `values`, weight and adapter together, the lengths `lengths_o`: what merging does.
///
/// # Panics
/// If the lengths do not fit.
pub fn rescale(values: &mut [f32], lengths_o: &[f32]) {
    let columns = values.len().checked_div(lengths_o.len()).unwrap_or(0).max(1);
    assert_eq!(values.len(), lengths_o.len() * columns, "dora: lengths");
    for (row, &length) in values.chunks_exact_mut(columns).zip(lengths_o) {
        let now = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) * f64::from(length) / now) as f32);
    }
}
