//! Slices behind candle's tensors, and buffers of our own for the two number types.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};
use rtune_kernels::arena::Arena;
use rtune_kernels::real::Real;

/// Buffers that panels of a weight are unpacked into, kept between calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    narrow: Arena<f32>,
    wide: Arena<f64>,
}

/// What the kernels compute in.
pub(super) trait Number: Real + WithDType {
    fn arena(scratch: &Scratch) -> &Arena<Self>;
}

impl Number for f32 {
    fn arena(scratch: &Scratch) -> &Arena<Self> {
        &scratch.narrow
    }
}

impl Number for f64 {
    fn arena(scratch: &Scratch) -> &Arena<Self> {
        &scratch.wide
    }
}

/// The type that inputs of `dtype` are computed in.
pub(super) fn computed_in(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The elements of an operation's argument.
pub(super) fn elements<'a, N: Number>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [N]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<N>()?[start..end]),
        None => bail!("nf4: expected contiguous elements"),
    }
}

/// Calls `compute` with the elements of contiguous tensors on the CPU.
pub(super) fn with_elements<N: Number, const COUNT: usize, T>(
    tensors: [&Tensor; COUNT],
    compute: impl FnOnce([&[N]; COUNT]) -> Result<T>,
) -> Result<T> {
    let held = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[N]; COUNT] = [&[]; COUNT];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else { bail!("nf4: expected a tensor on the CPU") };
        *slice = elements(storage, layout)?;
    }
    compute(slices)
}
