//! rtune-trainer: the run, from a configuration to checkpoints.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod files;
pub mod lock;
pub mod metrics;
pub mod schedule;
