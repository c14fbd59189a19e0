//! Calls of tools, as templates write them in JSON.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the name of a tool stands under.
const NAMES: [&str; 3] = ["name", "tool_name", "function"];
/// What its arguments stand under.
const ARGUMENTS: [&str; 2] = ["arguments", "parameters"];
/// What calls stand under that have more about them.
const AROUND: [&str; 4] = ["tool_calls", "tool_call", "function_call", "function"];

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments: an object, or whatever stands in its place.
    pub arguments: Value,
}

/// Calls that were found beside those expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// Calls that are expected ones: the same tool with the same arguments.
    pub right: u64,
    /// Calls of an expected tool, whatever their arguments.
    pub named: u64,
    /// Calls found.
    pub found: u64,
    /// Calls expected.
    pub expected: u64,
}

impl CallCounts {
    /// Whether all calls are there, and no others.
    #[must_use]
    pub fn all_right(&self) -> bool {
        self.right == self.found && self.right == self.expected
    }

    /// Whether the right tools are called, and no others.
    #[must_use]
    pub fn all_named(&self) -> bool {
        self.named == self.found && self.named == self.expected
    }

    /// Twice the right calls over those found and those expected; 1 where there are neither.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let all = self.found + self.expected;
        if all == 0 { 1.0 } else { 2.0 * self.right as f64 / all as f64 }
    }
}

impl AddAssign for CallCounts {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.named += other.named;
        self.found += other.found;
        self.expected += other.expected;
    }
}

/// The calls in a text, in order: every JSON value in it that names a tool and its arguments, such as
/// `{"name": "weather", "arguments": {"city": "Oslo"}}`, alone, in a list, or with `type` and `id` around it; what stands between them,
/// such as `<tool_call>`, is not looked at. Arguments that are JSON in a text are read.
#[must_use]
pub fn calls_in(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '[']).map(|at| from + at) {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        from = match values.next() {
            Some(Ok(value)) => {
                collect(&value, &mut calls);
                at + values.byte_offset()
            }
            _ => at + 1,
        };
    }
    calls
}

/// The calls in a value, such as the `tool_calls` of a message.
///
/// A call that names a tool alone gives it nothing.
#[must_use]
pub fn calls_of(value: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    for one in all {
        let before = calls.len();
        collect(one, &mut calls);
        let inner = one.get("function").filter(|inner| inner.is_object()).unwrap_or(one);
        if calls.len() == before
            && let Some(name) = inner.get("name").and_then(Value::as_str)
        {
            calls.push(Call { name: name.to_owned(), arguments: Value::Object(Map::new()) });
        }
    }
    calls
}

/// Counts the calls `found` that are among those `expected`, in any order; each expected one is found once.
#[must_use]
pub fn compare_calls(found: &[Call], expected: &[Call]) -> CallCounts {
    let among = |same: fn(&Call, &Call) -> bool| {
        let mut left: Vec<&Call> = expected.iter().collect();
        let mut count = 0;
        for call in found {
            if let Some(place) = left.iter().position(|one| same(one, call)) {
                left.swap_remove(place);
                count += 1;
            }
        }
        count
    };
    CallCounts {
        right: among(|one, other| one.name == other.name && same(&one.arguments, &other.arguments)),
        named: among(|one, other| one.name == other.name),
        found: found.len() as u64,
        expected: expected.len() as u64,
    }
}

fn collect(value: &Value, calls: &mut Vec<Call>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, calls)),
        Value::Object(fields) => match call(fields) {
            Some(call) => calls.push(call),
            None => {
                AROUND.iter().filter_map(|name| fields.get(*name)).for_each(|inner| collect(inner, calls))
            }
        },
        _ => {}
    }
}

fn call(fields: &Map<String, Value>) -> Option<Call> {
    let name = NAMES.iter().find_map(|name| fields.get(*name)?.as_str())?;
    let arguments = ARGUMENTS.iter().find_map(|name| fields.get(*name))?;
    let arguments = match arguments {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| arguments.clone()),
        other => other.clone(),
    };
    Some(Call { name: name.to_owned(), arguments })
}

/// Whether two values are the same; 1 is 1.0, and the order of an object's keys is no part of it.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let in_other =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(in_other)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weather(city: &str) -> Call {
        Call { name: "weather".to_owned(), arguments: json!({"city": city}) }
    }

    #[test]
    fn every_way_of_writing_a_call_is_read() {
        let oslo = [weather("Oslo")];
        for text in [
            "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>",
            "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}, \"id\": \"a1b2c3d4e\"}]",
            "{\"name\": \"weather\", \"parameters\": {\"city\": \"Oslo\"}}",
            "I look. {\"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": \"{\\\"city\\\": \\\"Oslo\\\"}\"}} {",
            "{\"tool_calls\": [{\"function\": {\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}}]}",
            "Action: ```json\n[{\"tool_name\": \"weather\", \"parameters\": {\"city\": \"Oslo\"}}]\n```",
        ] {
            assert_eq!(calls_in(text), oslo, "{text}");
        }
        for text in [
            "It rains in Oslo.",
            "{\"name\": \"Ann\"}",
            "{\"name\": \"weather\", \"arguments\": {\"ci",
            "[1, {}]",
            "",
        ] {
            assert_eq!(calls_in(text), [], "{text}");
        }
        let two = "<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Oslo\"}}</tool_call><tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}</tool_call>";
        assert_eq!(calls_in(two), [weather("Oslo"), weather("Rome")]);
    }

    /// Depth is bounded, and what does not end is left after one look.
    #[test]
    fn endless_openings_are_no_calls() {
        for opening in ["[", "{\"a\":", "[\"", "{"] {
            assert_eq!(calls_in(&opening.repeat(2000)), []);
        }
    }

    #[test]
    fn calls_are_compared_as_values_in_any_order() {
        let (oslo, rome) = (weather("Oslo"), weather("Rome"));
        let both = compare_calls(&[rome.clone(), oslo.clone()], &[oslo.clone(), rome.clone()]);
        assert_eq!(both, CallCounts { right: 2, named: 2, found: 2, expected: 2 });
        assert!(both.all_right());
        let twice = compare_calls(&[oslo.clone(), oslo.clone()], &[oslo.clone(), rome]);
        assert_eq!(twice, CallCounts { right: 1, named: 2, found: 2, expected: 2 });
        assert!(!twice.all_right() && twice.all_named());
        let none = compare_calls(&[], std::slice::from_ref(&oslo));
        assert_eq!((none.right, none.f1()), (0, 0.0));
        let needless = compare_calls(std::slice::from_ref(&oslo), &[]);
        assert!(!needless.all_right());
        assert!((compare_calls(&[], &[]).f1() - 1.0).abs() < 1e-12);
        let of = |arguments: Value| Call { name: "add".to_owned(), arguments };
        let right = |one: Value, other: Value| compare_calls(&[of(one)], &[of(other)]).right == 1;
        assert!(right(json!({"a": 1, "b": [2.0, null]}), json!({"b": [2, null], "a": 1.0})));
        assert!(!right(json!({"a": 1}), json!({"a": "1"})));
        assert!(!right(json!({"a": 1}), json!({"a": 1, "b": 2})));
        assert_eq!(calls_of(&json!([{"function": {"name": "add", "arguments": null}}])), [of(json!({}))]);
        assert_eq!(calls_of(&json!([{"type": "function", "function": {"name": "add"}}])), [of(json!({}))]);
    }
}
