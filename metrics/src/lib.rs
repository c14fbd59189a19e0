//! Arithmetic on texts, labels and scores: how good answers are, and whether one model's are better than another's.
//!
//! Nothing here reads a file, a clock or a network, and nothing knows what a model is. Every draw comes from a stream
//! that is keyed by what it is for ([`stream`]), so that figures are the same for any number of threads.

pub mod checks;
pub mod classify;
pub mod compare;
pub mod extract;
pub mod grounded;
pub mod likelihood;
mod pass_at_k;
pub mod rank;
pub mod stream;
pub mod text;

pub use pass_at_k::{mean_pass_at_k, pass_at_k};
