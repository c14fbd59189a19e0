//! The engine's functions on an NVIDIA GPU: bf16 activations, sums in f32, every launch checked before it is made.
//!
//! The kernels stand in `kernels/cuda/*.cu`, each with its contract at its head and a twin among this crate's CPU
//! functions. `scripts/kernels` compiles them to PTX, which is embedded; the driver compiles that for the card at hand.
//! Nothing is linked: driver and cuBLAS are opened at run time, so one program serves machines with and without a GPU.
//!
//! What a launcher's arguments must be is checked as the CPU functions check theirs, by panics with the sizes: a wrong
//! shape is an error in the engine. What the machine does wrong comes back as [`CudaError`].

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod cross_entropy;
mod device;
mod driver;
pub mod elementwise;
#[cfg(any(test, feature = "emulator"))]
pub mod emulator;
mod error;
pub mod gemm;
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

pub use device::{Buffer, Device, Facts};
pub use error::{CudaError, Result};
pub use places::Places;
pub use view::{Element, Matrix, MatrixMut, Span, SpanMut};
