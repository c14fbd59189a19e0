//! How good the model is.

mod asking;
pub mod compare;
pub mod figures;
pub mod golden;
pub mod labels;
pub mod likelihood;
pub mod perplexity;
pub mod samples;
pub mod verdict;
mod wanted;
pub mod watch;

pub use rtune_metrics::text;
