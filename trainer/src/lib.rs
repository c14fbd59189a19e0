//! rtune-trainer: the run, from a configuration to checkpoints.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod files;
pub mod lock;
pub mod loss;
pub mod manifest;
pub mod metrics;
pub mod optimizer;
pub mod schedule;
