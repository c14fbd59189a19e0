//! rtune-release: from a run folder to what other programs load.
//!
//! Shares nothing with the trainer but the files of a run: a checkpoint is read here as any reader must, by its
//! manifest.

mod checkpoint;
mod error;
mod peft;

pub use checkpoint::{VerifiedCheckpoint, find};
pub use error::ReleaseError;
pub use peft::export_peft;
