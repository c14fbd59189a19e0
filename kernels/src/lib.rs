//! Kernels of the training engine: functions on buffers.
//!
//! Every function takes `(&inputs, &mut outputs)` over slices that an [`arena::Arena`] lends, is generic over
//! [`real::Real`] (`f32` to train, `f64` to hold the same code against finite differences), and gives the
//! same bits for every number of threads: work is cut along rows, heads or panels of a fixed size, and no
//! sum is ever split by the number of workers.
//!
//! | module | what |
//! | --- | --- |
//! | [`arena`] | pooled buffers; nothing is allocated in the steady state |
//! | [`gemm`] | products of matrix views, through the crate `gemm` |
//! | [`nf4`] | bitsandbytes' NF4 with double quantisation |
//! | [`int4`], [`cholesky`] | 4 bits with scales and zero points; what GPTQ rounds by |
//! | [`norm`], [`layer_norm`], [`rope`], [`activation`], [`attention`], [`route`], [`cross_entropy`] | forward and backward |
//! | [`noise`] | dropout and uniform noise, drawn by counters |
//! | [`adamw`] | the optimiser's arithmetic |
//! | [`numbers`] | numbers as the bytes of files |
//! | [`cuda`] | the same on an NVIDIA GPU, in bf16 |
//!
//! This is the only crate of the workspace with `unsafe` code.

pub mod activation;
pub mod adamw;
pub mod arena;
pub mod attention;
pub mod cholesky;
pub mod columns;
mod compiled;
pub mod cross_entropy;
pub mod cuda;
pub mod elementwise;
pub mod gemm;
pub mod int4;
pub mod layer_norm;
pub mod nf4;
pub mod noise;
pub mod norm;
pub mod numbers;
pub mod phase;
pub mod real;
pub mod rope;
pub mod route;
mod share;
mod simd;
