//! Answers as JSON: whether they are, whether they fit a schema, and how many fields are right.

mod fields;
mod json;
mod schema;

pub use fields::{FieldCounts, FieldScores, compare_fields};
pub use json::{Fences, JsonProblem, parse_json};
pub use schema::{Schema, SchemaProblem};
