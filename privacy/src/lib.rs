//! Personal data, names and secrets in a text: found, checked, replaced.
//!
//! The crate knows texts and nothing else: no row, no file, no model, no network, no clock. A [`Scanner`] finds spans
//! of certain entities by rules; a model that finds names is a [`NameFinder`], given by whoever has one.

mod check;
mod entity;
mod finding;
mod form;
mod generic;
mod names;
mod national;
mod replace;
mod scanner;
mod secrets;

pub use check::Check;
pub use entity::{Entity, UnknownEntity};
pub use finding::{Finding, code_points};
pub use form::Form;
pub use names::{NameFinder, NameFinderError, Names};
pub use replace::{Mode, Replacement, ReplacementError, Replacer, Scope, Scrubbed, Scrubber};
pub use scanner::{DEFAULT_THRESHOLD, ScanError, ScanOptions, Scanner};
