//! The weight with its adapter added.

use rtune_kernels::arena::Arena;
use rtune_kernels::gemm::{Mat, MatMut, multiply};

use crate::{Linear, Weight, dora};

/// `scale · B A` in `f32`, `[O, I]` row-major: what the adapter of a linear adds to its weight; `None` without one.
///
/// # Panics
/// If `parameters` is shorter than the adapter's places.
#[must_use]
pub fn delta(linear: &Linear, parameters: &[f32]) -> Option<Vec<f32>> {
    let lora = linear.lora.as_ref()?;
    let (rows, columns) = (linear.out_features(), linear.in_features());
    let a = Mat::new(&parameters[lora.a.clone()], lora.rank, columns);
    let b = Mat::new(&parameters[lora.b.clone()], rows, lora.rank);
    let mut delta = vec![0.0_f32; rows * columns];
    multiply(MatMut::new(&mut delta, rows, columns), 0.0, lora.scale as f32, b, a);
    Some(delta)
}

/// The weight as it stands in memory, in `f32`, `[O, I]` row-major: an NF4 weight is dequantised, to what the adapter
/// was trained against.
#[must_use]
pub fn dense(weight: &Weight) -> Vec<f32> {
    let arena = Arena::<f32>::new();
    let mut values = Vec::with_capacity(weight.rows() * weight.columns());
    for rows in weight.panels() {
        values.extend_from_slice(&weight.panel(rows, &arena));
    }
    values
}

/// [`dense`] plus [`delta`], each element one sum in `f32`; with DoRA its rows have the trained lengths. A linear without
/// an adapter gives its weight.
///
/// # Panics
/// If `parameters` is shorter than the adapter's places.
#[must_use]
pub fn merged(linear: &Linear, parameters: &[f32]) -> Weight {
    let mut merged = dense(linear.weight());
    if let Some(delta) = delta(linear, parameters) {
        merged.iter_mut().zip(&delta).for_each(|(out, delta)| *out += delta);
    }
    if let Some(magnitude) = linear.lora.as_ref().and_then(|lora| lora.magnitude.as_ref()) {
        dora::rescale(&mut merged, &parameters[magnitude.range.clone()]);
    }
    Weight::from_f32(linear.out_features(), linear.in_features(), merged)
}
