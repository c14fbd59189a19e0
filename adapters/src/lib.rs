//! What is frozen and what is trained.
//!
//! | module | what |
//! | --- | --- |
//! | [`weight`] | frozen matrices: NF4, bfloat16 or float32 in memory, unpacked in panels while they are multiplied |
//! | [`linear`] | a linear layer: frozen weight, frozen bias, and LoRA beside it; forward and backward |
//! | [`lora`], [`targets`] | with which rank and scale linears are adapted, and which |
//! | [`low_rank`] | the nearest matrices of low rank, for PiSSA and LoftQ |
//! | [`dora`] | lengths of rows that are trained too |
//! | [`parameters`] | every trainable tensor as a named slice of one flat vector |
//! | [`peft`] | adapter folders as the Python library PEFT reads and writes them |
//! | [`seeing`] | the names that a text model's tensors have in a model that sees besides |
//! | [`merge`], [`combine`] | the weight with its adapter added; several adapters made one |
//! | [`candle`] | the same linears as modules for models built on candle |
//!
//! This crate knows no model family: linears carry the names that the checkpoint gives them.

pub mod candle;
pub mod combine;
pub mod dora;
mod error;
mod floats;
mod layout;
pub mod linear;
pub mod lora;
pub mod low_rank;
pub mod merge;
pub mod parameters;
mod pass;
pub mod peft;
pub mod seeing;
pub mod targets;
pub mod weight;

pub use error::AdapterError;
pub use floats::Floats;
pub use layout::PaddedLayout;
pub use linear::Linear;
pub use lora::{Alongside, Biases, LoraConfig, Scaling, Start};
pub use parameters::{ParameterEntry, Parameters};
pub use targets::Targets;
pub use weight::{Int8Quantizer, Magnitudes, Nf4, Quantizer, Weight};
