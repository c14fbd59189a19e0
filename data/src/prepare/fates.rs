//! What becomes of each row beside the others: duplicates, sides, leaks, labels. A byte a row stands in memory.

use std::path::Path;

use super::intake::{Golden, Taken};
use super::spool::{Entry, Spool};
use crate::error::DataError;
use crate::options::PrepareOptions;
use crate::report::{DuplicateReport, LeakReport, Stage};

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Train,
    Validation,
    /// It was dropped on its own, before it was compared with others.
    Gone,
    /// It is dropped at this stage.
    Dropped(Stage),
}
