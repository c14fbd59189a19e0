//! How good the model is.

pub mod golden;
pub mod perplexity;
pub mod samples;
pub mod text;
