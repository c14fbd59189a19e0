//! The text of a template, a zero byte, and a row as JSON: a text or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtune_data::{ChatTemplate, Message, SpecialTokens};
use serde_json::Value;

fuzz_target!(|input: &str| {
    let (source, row) = input.split_once('\0').unwrap_or((input, ""));
    let row: Value = serde_json::from_str(row).unwrap_or_else(|_| {
        serde_json::json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    });
    let special = SpecialTokens {
        bos: Some("<s>".to_owned()),
        eos: Some("</s>".to_owned()),
        ..SpecialTokens::default()
    };
    let Ok(template) = ChatTemplate::new(source, special, "2026-01-31".parse().ok()) else { return };
    let list = |name: &str| row.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |turn: &Value, name: &str| turn.get(name).and_then(Value::as_str).unwrap_or("user").to_owned();
    let mut messages = Vec::new();
    for turn in list("messages") {
        let mut message = Message::new(text(&turn, "role"), text(&turn, "content"));
        message.extra = turn.as_object().cloned().unwrap_or_default();
        message.extra.retain(|name, _| name != "role" && name != "content");
        messages.push(message);
    }
    let tools = list("tools");
    for prompt in [false, true] {
        let first = template.render_conversation(&messages, &tools, prompt);
        assert_eq!(template.render_conversation(&messages, &tools, prompt), first);
    }
    let variables = row.as_object().cloned().unwrap_or_default();
    let _ = template.render_json(&row, true, &variables);
});
