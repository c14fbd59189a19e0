//! The engine's functions on an NVIDIA GPU: bf16 activations, sums in f32, every launch checked before it is made.
//!
//! The kernels stand in `kernels/cuda/*.cu`, each with its contract at its head and a twin among this crate's CPU
//! functions. `scripts/kernels` compiles them to PTX, which is embedded; the driver compiles that for the card at hand.
//! Nothing is linked: driver and cuBLAS are opened at run time, so one program serves machines with and without a GPU.
//!
//! | module | what | twin |
//! | --- | --- | --- |
//! | [`nf4`] | four bits to bf16, rows as far apart as the product wants them | [`crate::nf4`] |
//! | [`gemm`], [`linear`] | products by cuBLAS; linears with LoRA's columns beside them | [`crate::gemm`] |
//! | [`attention`] | on tensor cores, or in strips for other head widths | [`crate::attention`] |
//! | [`norm`] | RMSNorm and LayerNorm, of rows or heads, with the residual's sum | [`crate::norm`], [`crate::layer_norm`] |
//! | [`rope`], [`activation`], [`route`], [`noise`] | in place where backward allows | of the same names |
//! | [`rows`], [`elementwise`] | embeddings and experts' rows; sums, factors, casts | [`crate::elementwise`], [`crate::columns`] |
//! | [`cross_entropy`], [`adamw`] | loss with its gradient; the optimiser, its norm on the device | of the same names |
//!
//! Memory comes from [`Device`] in [`Buffer`]s; an engine takes one for all that comes and goes, an [`Arena`], which lends
//! parts of it; what an [`Aside`] keeps lies in the host's. What is borrowed of either is a [`Span`] or, alone, a [`SpanMut`]; a
//! [`Matrix`] is a span with rows and a stride. Launches return at once and run in order; what fails on the way is said by
//! the next call that waits: a copy to the host or [`Device::synchronize`].
//!
//! What a launcher's arguments must be is checked as the CPU functions check theirs, by panics with the sizes: a wrong
//! shape is an error in the engine. What the machine does wrong comes back as [`CudaError`].

pub mod activation;
pub mod adamw;
mod arena;
mod aside;
pub mod attention;
pub mod cross_entropy;
mod cublas;
mod device;
mod driver;
mod dry;
pub mod elementwise;
#[cfg(any(test, feature = "emulator"))]
pub mod emulator;
mod error;
pub mod gemm;
mod held;
mod launch;
pub mod linear;
pub mod nf4;
pub mod noise;
pub mod norm;
mod places;
pub mod rope;
pub mod route;
pub mod rows;
mod sources;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use arena::{Arena, Lent};
pub use aside::{Aside, Coming, Leaving};
pub use device::{Buffer, Device, Facts};
pub use error::{CudaError, Result};
pub use places::Places;
pub use view::{Element, Matrix, MatrixMut, Span, SpanMut};
pub use watch::{Launches, Profile};
