//! Layers for models built on candle: a linear whose frozen weight is in NF4, alone or with LoRA beside it.
//!
//! candle's own autograd computes a gradient for every frozen weight that takes part in a `matmul` and keeps it, so that
//! training an adapter costs the memory of training everything (huggingface/candle, issue 3569 and pull request 3773).
//! Here the frozen part is one operation that owns its weight: backward gives the input and the two matrices of the
//! adapter their gradients, and the weight none. The numbers are those of the engine that `rtune` trains with, for the
//! kernels are the same.
//!
//! Inputs may be of any rank, `[..., in]`, on the CPU. `f64` is computed in `f64`, everything else in `f32`.
//! `adapters/examples/candle_lora.rs` fine-tunes a small model of one's own with these.

mod linear;
mod lora;
mod storage;
#[cfg(test)]
mod tests;

pub use linear::Nf4Linear;
pub use lora::LoraLinear;
