//! How good the model is.

mod asking;
pub mod benchmark;
mod choosing;
pub mod compare;
pub mod conversation;
pub mod export;
pub mod extraction;
pub mod figures;
pub mod golden;
pub mod labels;
pub mod likelihood;
pub mod perplexity;
pub mod samples;
pub mod stability;
mod tally;
mod wanted;

pub use rtune_metrics::text;
