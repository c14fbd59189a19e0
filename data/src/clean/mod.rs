//! The stages that rows pass between reading and the template, each a module of its own.

pub mod duplicates;
mod error;
pub mod normalise;
pub mod quality;
#[cfg(test)]
mod testing;

pub use error::CleanError;
