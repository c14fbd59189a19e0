//! How far a preparation is, for whoever waits for it.

use std::sync::Arc;

/// What a preparation is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Files are read and their rows cleaned, each on its own; counted in bytes.
    Reading,
    /// Rows are compared with one another and with golden rows, in several passes; counted in rows.
    Comparing,
    /// Rows become tokens; counted in rows.
    Encoding,
}

/// Called with what is done, how far it is and how far it goes.
pub type Watch = Arc<dyn Fn(Doing, u64, u64) + Send + Sync>;
