//! What tools are called with, as values: in rows of other tools it is JSON within a string, and numbers are no texts.

use serde_json::Value;

use super::Record;
use crate::input::numbers;

/// Digits of a whole number from which on it may be somebody's: an account, a telephone, a day of birth.
const LONG_DIGITS: usize = 6;

/// The arguments of a row's calls as they were, from [`Record::open_calls`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OpenedCalls(Vec<Value>);

impl Record {
    /// Makes values of arguments that are JSON in a string, and texts of long numbers in arguments, so that [`Record::texts_mut`]
    /// has them as they are meant, without escapes: what is replaced in a string of JSON leaves none. [`Record::close_calls`] undoes it.
    pub(crate) fn open_calls(&mut self) -> OpenedCalls {
        let mut before = Vec::new();
        self.each_arguments(&mut |arguments| {
            let opened = numbers_as_texts(&parsed(arguments));
            before.push(std::mem::replace(arguments, opened));
        });
        OpenedCalls(before)
    }

    /// Puts arguments back as they were written; those in which a text has changed since are written anew, in the same form.
    pub(crate) fn close_calls(&mut self, opened: &OpenedCalls) {
        let mut before = opened.0.iter();
        self.each_arguments(&mut |arguments| {
            let Some(before) = before.next() else { return };
            let said = parsed(before);
            let now = with_numbers(std::mem::take(arguments), &said);
            *arguments = match before {
                _ if now == said => before.clone(),
                Value::String(_) if said != *before => Value::String(numbers::written(&now)),
                _ => now,
            };
        });
    }

    /// What stands under `arguments`, in order; nothing of it is looked into.
    fn each_arguments(&mut self, take: &mut dyn FnMut(&mut Value)) {
        let fields = self.messages.iter_mut().flat_map(|message| message.extra.iter_mut());
        fields.for_each(|(name, value)| each_in(name, value, take));
    }
}

fn each_in(name: &str, value: &mut Value, take: &mut dyn FnMut(&mut Value)) {
    match value {
        value if name == "arguments" => take(value),
        Value::Array(items) => items.iter_mut().for_each(|item| each_in("", item, take)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| each_in(name, field, take)),
        _ => {}
    }
}

/// The object or list that a string is the JSON of; else what is given.
fn parsed(value: &Value) -> Value {
    let inner = value.as_str().and_then(|text| numbers::parse(text).ok());
    inner.filter(|inner: &Value| inner.is_object() || inner.is_array()).unwrap_or_else(|| value.clone())
}

fn numbers_as_texts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(numbers_as_texts).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), numbers_as_texts(field))).collect()
        }
        Value::Number(number) if !number.is_f64() && number.to_string().len() >= LONG_DIGITS => {
            Value::String(number.to_string())
        }
        Value::String(text) => Value::String(numbers::digits_of(text).unwrap_or(text).to_owned()),
        other => other.clone(),
    }
}

/// `now` with the numbers of `before` where their texts are as they were.
fn with_numbers(now: Value, before: &Value) -> Value {
    match (now, before) {
        (Value::Array(items), Value::Array(before)) => {
            items.into_iter().zip(before).map(|(item, before)| with_numbers(item, before)).collect()
        }
        (Value::Object(fields), Value::Object(before)) => {
            let fields = fields.into_iter().zip(before.values());
            fields.map(|((name, field), before)| (name, with_numbers(field, before))).collect()
        }
        (Value::String(text), Value::Number(number)) if text == number.to_string() => before.clone(),
        (Value::String(text), Value::String(number)) if numbers::digits_of(number) == Some(&text) => {
            Value::String(number.clone())
        }
        (now, _) => now,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Message;
    use crate::testing;

    fn record(arguments: Value) -> Record {
        let mut call = Message::new("assistant", "");
        let calls =
            json!([{"id": "1234567", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
        call.extra.insert("tool_calls".to_owned(), calls);
        testing::record(vec![Message::new("user", "q"), call])
    }

    /// What calls are made with, once some text in them was replaced.
    fn changed(arguments: Value, from: &str, to: &str) -> Value {
        let mut record = record(arguments);
        let opened = record.open_calls();
        record.texts_mut().into_iter().for_each(|text| *text = text.replace(from, to));
        record.close_calls(&opened);
        record.messages[1].extra["tool_calls"][0]["function"]["arguments"].clone()
    }

    #[test]
    fn texts_within_json_are_handed_out_as_they_are_meant() {
        let texts = |arguments: Value| -> Vec<String> {
            let mut record = record(arguments);
            record.open_calls();
            record.texts_mut().into_iter().skip(2).map(|text| text.clone()).collect()
        };
        let written = r#"{"body": "Hi,\n+49 151 23456789\nM\u00fcller", "n": [12345, 123456, 1.2345678]}"#;
        assert_eq!(texts(json!(written)), ["Hi,\n+49 151 23456789\nMüller", "123456"]);
        assert_eq!(texts(json!({"card": 4_242_424_242_424_242_u64})), ["4242424242424242"]);
        assert_eq!(texts(json!("plain \\n text")), ["plain \\n text"]);
        assert_eq!(texts(json!("7")), ["7"]);
        assert_eq!(texts(json!(r#"{"card": 12345678901234567890123}"#)), ["12345678901234567890123"]);
    }

    #[test]
    fn what_is_not_replaced_stays_as_it_was_written() {
        for arguments in [
            json!("{ \"b\" : 1.0,\"a\":\"M\\u00fcller\", \"n\": 123456789 }"),
            json!({"b": 1.0, "a": ["x", 123_456_789, null]}),
            json!("not JSON: {"),
            json!("[--12345678901234567890, \"a\"]"),
            json!("{\"a\": 01234567890123456789012}"),
            json!("[12345678901234567890123, -0, -0.0]"),
            json!("[1, 2]"),
            json!(1_234_567),
        ] {
            assert_eq!(changed(arguments.clone(), "nothing of it", "?"), arguments);
        }
    }

    #[test]
    fn what_is_replaced_is_json_afterwards() {
        let written = json!("{\"b\": \"Hi,\\nanna@web.de\", \"card\": 4242424242424242, \"n\": 1234567}");
        assert_eq!(
            changed(written, "anna@web.de", "<EMAIL_ADDRESS>"),
            json!("{\"b\":\"Hi,\\n<EMAIL_ADDRESS>\",\"card\":4242424242424242,\"n\":1234567}")
        );
        let written = json!("{\"card\": 4242424242424242, \"n\": 1234567}");
        assert_eq!(
            changed(written, "4242424242424242", "<CREDIT_CARD>"),
            json!("{\"card\":\"<CREDIT_CARD>\",\"n\":1234567}")
        );
        // Numbers that 64 bits do not hold stay numbers, too.
        let written = json!(
            "{\"to\": \"anna@web.de\", \"wei\": 12345678901234567890123, \"text\": \"12345678901234567890123\"}"
        );
        assert_eq!(
            changed(written.clone(), "anna@web.de", "<EMAIL_ADDRESS>"),
            json!(
                "{\"to\":\"<EMAIL_ADDRESS>\",\"wei\":12345678901234567890123,\"text\":\"12345678901234567890123\"}"
            )
        );
        assert_eq!(
            changed(written, "12345678901234567890123", "<NUMBER>"),
            json!("{\"to\":\"anna@web.de\",\"wei\":\"<NUMBER>\",\"text\":\"<NUMBER>\"}")
        );
        // No JSON is made of what is none.
        let broken = json!("[--12345678901234567890, \"anna@web.de\"]");
        let expected = json!("[--12345678901234567890, \"<EMAIL_ADDRESS>\"]");
        assert_eq!(changed(broken, "anna@web.de", "<EMAIL_ADDRESS>"), expected);
        let given = json!({"card": 4_242_424_242_424_242_u64, "n": 1_234_567});
        let expected = json!({"card": "<CREDIT_CARD>", "n": 1_234_567});
        assert_eq!(changed(given, "4242424242424242", "<CREDIT_CARD>"), expected);
    }
}
