//! Answers as JSON: whether they are, whether they fit a schema, how many fields are right, and which tools they call.

mod calls;
mod fields;
mod json;
mod schema;

pub use calls::{Call, CallCounts, calls_in, calls_of, compare_calls};
pub use fields::{FieldCounts, FieldScores, compare_fields};
pub use json::{Fences, JsonProblem, parse_json};
pub use schema::{Schema, SchemaProblem};
