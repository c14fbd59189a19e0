//! Personal data, names and secrets in a text: found, checked, replaced.
//!
//! The crate knows texts and nothing else: no row, no file, no model, no network, no clock. A [`Recognizer`] finds spans
//! of certain entities; a model that finds names is a [`NameFinder`], given by whoever has one.

mod check;
mod entity;
mod finding;
mod form;
mod names;

pub use check::Check;
pub use entity::{Entity, UnknownEntity};
pub use finding::{Finding, code_points};
pub use form::Form;
pub use names::{NameFinder, NameFinderError, Names};
