//! The weight with its adapter added.

use rtune_kernels::arena::Arena;
use rtune_kernels::gemm::{Mat, MatMut, multiply};

use crate::{Linear, Weight};

/// `W + scale · B A` in `f32`, `[O, I]`, from the weight as it stands in memory (an NF4 weight is dequantised: it is
/// what the adapter was trained against). A linear without an adapter gives its weight.
///
/// # Panics
/// If `parameters` is shorter than the adapter's places.
#[must_use]
pub fn merged(linear: &Linear, parameters: &[f32]) -> Weight {
    let arena = Arena::new();
    let (rows, columns) = (linear.out_features(), linear.in_features());
    let mut merged = vec![0.0_f32; rows * columns];
    for (row, out) in merged.chunks_exact_mut(columns).enumerate() {
        linear.weight().row(row, out);
    }
    if let Some(lora) = &linear.lora {
        let a = Mat::new(&parameters[lora.a.clone()], lora.rank, columns);
        let b = Mat::new(&parameters[lora.b.clone()], rows, lora.rank);
        let mut delta = arena.take(rows * columns);
        multiply(MatMut::new(&mut delta, rows, columns), 0.0, lora.scale as f32, b, a);
        for (out, delta) in merged.iter_mut().zip(delta.iter()) {
            *out += delta;
        }
    }
    Weight::from_f32(rows, columns, merged)
}
