//! How good the model is.

mod asking;
pub mod golden;
pub mod likelihood;
pub mod perplexity;
pub mod samples;

pub use rtune_metrics::text;
