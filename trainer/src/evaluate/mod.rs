//! How good the model is.

mod asking;
pub mod benchmark;
pub mod by_name;
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
pub mod verdict;
mod wanted;
pub mod watch;

pub use rtune_metrics::text;
