//! JSON out of an answer.

use serde_json::Value;

/// Whether the JSON may stand in a fence of Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fences {
    /// The answer is JSON, and nothing else: what a program needs.
    #[default]
    Refused,
    /// The answer may be one fence, with its language or without.
    Allowed,
}

/// Why an answer is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// Nothing, or spaces.
    #[error("expected JSON; found an empty answer")]
    Empty,
    /// Invalid, at a place of the answer.
    #[error("line {line}, column {column}: invalid JSON: {reason}")]
    Invalid {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words.
        reason: String,
    },
}

/// The value that the whole of an answer is, spaces around it aside.
///
/// # Errors
/// The answer is none, or something else stands beside it.
pub fn parse_json(answer: &str, fences: Fences) -> Result<Value, JsonProblem> {
    if answer.trim().is_empty() {
        return Err(JsonProblem::Empty);
    }
    let (skipped_lines, text) = match fences {
        Fences::Allowed => fenced(answer).unwrap_or((0, answer)),
        Fences::Refused => (0, answer),
    };
    serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        JsonProblem::Invalid { line: error.line() + skipped_lines, column: error.column(), reason }
    })
}

/// The inside of an answer that is one fence, and the lines before it.
fn fenced(answer: &str) -> Option<(usize, &str)> {
    let before = answer.len() - answer.trim_start().len();
    let inside = answer.trim().strip_prefix("```")?.strip_suffix("```")?;
    let (language, inside) = inside.split_once('\n')?;
    let lines = answer[..before].matches('\n').count() + 1;
    language.trim().chars().all(char::is_alphanumeric).then_some((lines, inside))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_json_or_it_is_not() {
        assert_eq!(parse_json(" {\"a\": 1}\n", Fences::Refused), Ok(json!({"a": 1})));
        assert_eq!(parse_json("\n```json\n[1]\n```", Fences::Allowed), Ok(json!([1])));
        assert!(parse_json("```json\n[1]\n```", Fences::Refused).is_err());
        assert_eq!(parse_json(" ", Fences::Allowed), Err(JsonProblem::Empty));
        let at = |answer, fences| match parse_json(answer, fences) {
            Err(JsonProblem::Invalid { line, column, .. }) => (line, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(at("Here it is: {}", Fences::Refused), (1, 1));
        assert_eq!(at("{\"a\": 1} and more", Fences::Refused), (1, 10));
        assert_eq!(at("```\n{\"a\": 1,}\n```", Fences::Allowed), (2, 9));
        // Nesting has an end before the stack has.
        assert!(parse_json(&"[".repeat(100_000), Fences::Refused).is_err());
    }
}
