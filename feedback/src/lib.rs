//! rtune-feedback: what users said of answers, on its way to training rows.
//!
//! | module | what |
//! | --- | --- |
//! | [`forms`] | other tools' files: objects in, [`Raw`] feedback out |
//! | [`intake`] | scrubbed, rid of what is there already, held against golden rows, capped for each user |
//! | [`queue`] | the folder: what waits, what was decided, the rows that were accepted |
//! | [`topics`] | what fails and no golden row asks about |
//!
//! Nothing becomes a training row but by a person's decision, and nothing a golden row at all.

mod entry;
mod error;
pub mod forms;
pub mod intake;
pub mod queue;
#[cfg(test)]
mod tests;
pub mod topics;
mod when;

pub use entry::{CameFrom, Entry, Leak, Raw, Turn};
pub use error::FeedbackError;
