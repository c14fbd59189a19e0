//! Arithmetic on texts, labels and scores: how good answers are, and whether one model's are better than another's.
//!
//! Nothing here reads a file, a clock or a network, and nothing knows what a model is. Every draw comes from a stream
//! that is keyed by what it is for ([`stream`]), so that figures are the same for any number of threads.

pub mod classify;
pub mod compare;
pub mod stream;
pub mod text;
