//! The texts of a row that a person wrote: what is cleaned, and where it goes back.

use serde_json::Value;

use crate::record::{REASONING_FIELDS, Record, TOOL_CALLS};

/// The field of a tool call with what is handed to the tool.
const ARGUMENTS: &str = "arguments";

/// Calls `each` for every text of the row: the contents of its turns, their reasoning, and what they hand to tools. Roles,
/// names and ids are none.
pub(super) fn each(record: &mut Record, each: &mut dyn FnMut(&mut String)) {
    for message in &mut record.messages {
        each(&mut message.content);
        for (name, value) in &mut message.extra {
            if REASONING_FIELDS.contains(&name.as_str()) {
                strings(value, each);
            } else if name == TOOL_CALLS {
                arguments(value, each);
            }
        }
    }
}

/// The texts, in order, taken out of the row.
pub(super) fn take(record: &mut Record) -> Vec<String> {
    let mut texts = Vec::new();
    each(record, &mut |text| texts.push(std::mem::take(text)));
    texts
}

/// Puts back what [`take`] took, in the same order.
pub(super) fn put(record: &mut Record, texts: Vec<String>) {
    let mut texts = texts.into_iter();
    each(record, &mut |text| *text = texts.next().unwrap_or_default());
}

fn strings(value: &mut Value, each: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| strings(item, each)),
        Value::Object(fields) => fields.values_mut().for_each(|field| strings(field, each)),
        _ => {}
    }
}

fn arguments(value: &mut Value, each: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| arguments(item, each)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == ARGUMENTS { strings(field, each) } else { arguments(field, each) }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Message;
    use crate::testing::record;

    #[test]
    fn what_is_taken_goes_back() {
        let mut answer = Message::new("assistant", "done");
        answer.extra.insert("reasoning_content".into(), json!("thought"));
        let call = json!([{"id": "call_1", "function": {"name": "f", "arguments": {"to": "a@b.com", "n": 1}}}]);
        answer.extra.insert("tool_calls".into(), call);
        answer.extra.insert("name".into(), json!("agent"));
        let whole = record(vec![Message::new("user", "ask"), answer]);
        let mut row = whole.clone();
        let texts = take(&mut row);
        assert_eq!(texts, ["ask", "done", "thought", "a@b.com"]);
        put(&mut row, texts);
        assert_eq!(row, whole);
    }
}
