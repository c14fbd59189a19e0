//! JSON Schema.

use boon::{CompileError, Compiler, SchemaIndex, Schemas, SchemeUrlLoader, ValidationError};
use serde_json::Value;

/// An address that leads nowhere: what a schema refers to must be within it.
const ADDRESS: &str = "schema:///answer.json";
/// More problems of one answer say no more.
const MOST_PROBLEMS: usize = 20;

/// A schema of the drafts 4 to 2020-12, by its `$schema`; the last where there is none.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Schema").finish_non_exhaustive()
    }
}

/// Why a schema is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Schema: {reason}")]
pub struct SchemaProblem {
    /// What is wrong with it.
    pub reason: String,
}

impl Schema {
    /// Prepares a schema. Nothing is loaded: a reference to another document is an error.
    ///
    /// # Errors
    /// It is no schema, or refers to what is not within it.
    pub fn new(schema: &Value) -> Result<Self, SchemaProblem> {
        let problem = |error: CompileError| SchemaProblem { reason: format!("{error:#}") };
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(SchemeUrlLoader::new()));
        compiler.enable_format_assertions();
        compiler.add_resource(ADDRESS, schema.clone()).map_err(problem)?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(ADDRESS, &mut schemas).map_err(problem)?;
        Ok(Self { schemas, index })
    }

    /// What of a value does not fit: a line for each place, at most 20; none if it fits.
    #[must_use]
    pub fn problems(&self, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.schemas.validate(value, self.index) {
            collect(&error, &mut problems);
        }
        problems
    }
}

/// The innermost causes: those around them only say that something within is wrong.
fn collect(error: &ValidationError<'_, '_>, into: &mut Vec<String>) {
    if into.len() >= MOST_PROBLEMS {
        return;
    }
    if error.causes.is_empty() {
        let place = error.instance_location.to_string();
        let place = if place.is_empty() { "the answer".to_owned() } else { format!("`{place}`") };
        into.push(format!("{place}: {}", error.kind));
    }
    for cause in &error.causes {
        collect(cause, into);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_fit_a_schema_or_the_places_are_named() {
        let schema = Schema::new(&json!({
            "type": "object",
            "required": ["id", "mail"],
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "mail": {"type": "string", "format": "email"},
                "next": {"$ref": "#/$defs/next"}
            },
            "additionalProperties": false,
            "$defs": {"next": {"type": "array", "items": {"$ref": "#"}}}
        }))
        .expect("a schema");
        assert!(schema.problems(&json!({"id": 3, "mail": "a@b.example"})).is_empty());
        let problems = schema.problems(&json!({"id": 0, "next": [{"id": 1, "mail": "none"}]}));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.starts_with("`/next/0/mail`")), "{problems:?}");
        assert!(!schema.problems(&json!({"id": 1, "mail": "a@b.example", "x": 1})).is_empty());
        let many = json!({"id": 1, "mail": "a@b.example", "next": vec![1; 100]});
        assert_eq!(schema.problems(&many).len(), MOST_PROBLEMS);
    }

    #[test]
    fn a_schema_is_not_looked_for_elsewhere() {
        let of = |schema: Value| Schema::new(&schema).map(|_| ()).map_err(|problem| problem.reason);
        for elsewhere in ["file:///etc/hostname", "http://a.example/schema.json", "other.json"] {
            let reason = of(json!({"$ref": elsewhere})).expect_err(elsewhere);
            assert!(!reason.is_empty());
        }
        assert!(of(json!({"type": "nothing"})).is_err());
        assert!(of(json!(3)).is_err());
        assert!(of(json!(true)).is_ok());
    }
}
