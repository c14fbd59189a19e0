//! How good the model is.

mod asked;
mod asking;
pub mod asks;
pub mod benchmark;
pub mod by_name;
pub mod calls;
mod choosing;
pub mod compare;
pub mod contrast;
pub mod conversation;
pub mod export;
pub mod extraction;
pub mod figures;
pub mod golden;
mod known;
pub mod labels;
pub mod likelihood;
mod nearest;
pub mod people;
pub mod perplexity;
pub mod plain;
pub mod reviews;
mod running;
pub mod samples;
pub mod similarity;
pub mod stability;
mod tally;
pub(crate) mod thinking;
pub mod variants;
pub mod verdict;
mod wanted;
pub mod watch;

pub use rtune_metrics::text;
