//! How good the model is.

pub mod perplexity;
pub mod text;
