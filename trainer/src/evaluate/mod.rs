//! How good the model is.

mod asking;
pub mod compare;
pub mod golden;
pub mod labels;
pub mod likelihood;
pub mod perplexity;
pub mod samples;
mod wanted;

pub use rtune_metrics::text;
