use std::collections::BTreeMap;

use serde_json::json;

use crate::input::{Format, Reader, Source};
use crate::testing::Files;

/// What becomes of rows, one a line.
fn told(rows: &[serde_json::Value]) -> Vec<String> {
    let files = Files::new();
    let text: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let lines = files.told(&Source::new(files.write("a.jsonl", text.join("\n"))));
    let rows = lines[..rows.len()].iter();
    rows.map(|line| line.split_once(' ').map_or(String::new(), |(_, rest)| rest.to_owned())).collect()
}

fn one(row: serde_json::Value) -> String {
    told(&[row]).remove(0)
}

#[test]
fn pairs_of_text() {
    assert_eq!(one(json!({"prompt": "a", "completion": "b"})), "u:a / a:b");
    assert_eq!(one(json!({"prompt": "a", "chosen": "b", "rejected": "c"})), "u:a / a:b");
    assert_eq!(
        one(json!({"instruction": "a", "input": "x", "chosen": "b", "rejected": "c"})),
        "u:a||x / a:b"
    );
    assert_eq!(one(json!({"prompt": " ", "completion": "b"})), "the prompt is empty");
    assert_eq!(one(json!({"prompt": "a", "completion": ""})), "no answer: `completion` is empty");
    assert_eq!(one(json!({"prompt": "a", "chosen": null})), "no answer: `chosen` is empty");
}

#[test]
fn pairs_of_messages_as_trl_has_them() {
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let prompt = json!([turn("user", "a"), turn("assistant", "b"), turn("user", "c")]);
    let row = json!({"prompt": prompt, "completion": [turn("assistant", "d")]});
    assert_eq!(one(row), "u:a / -a:b / u:c / a:d");
    let row = json!({"prompt": prompt, "completion": "d"});
    assert_eq!(one(row), "u:a / -a:b / u:c / a:d");
    let row =
        json!({"prompt": prompt, "chosen": [turn("assistant", "d")], "rejected": [turn("assistant", "e")]});
    assert_eq!(one(row), "u:a / -a:b / u:c / a:d");
    // Without a prompt it is what both have in common; with one that is a text, the conversations still hold it.
    let talk = |last: &str| {
        json!([turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", last)])
    };
    let row = json!({"prompt": "a", "chosen": talk("d"), "rejected": talk("e")});
    assert_eq!(one(row), "u:a / -a:b / u:c / a:d");
    let row = json!({"chosen": talk("d"), "rejected": talk("d")});
    assert_eq!(one(row), "u:a / a:b / u:c / a:d");
}

#[test]
fn the_system_and_what_was_said_before() {
    let row = json!({"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]});
    assert_eq!(one(row), "s:s / u:a / a:b / u:c / a:d");
    let row = json!({"instruction": "c", "output": "d", "history": [["a"]]});
    assert_eq!(one(row), "expected `history[0]` to be a list of [question, answer], found a list");
    let turns = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    assert_eq!(one(json!({"messages": turns, "system": "s"})), "s:s / u:a / a:b");
    assert_eq!(
        one(json!({"messages": turns, "system": "other"})),
        "the row has `system`, and a system turn that says something else"
    );
    assert_eq!(
        one(json!({"messages": turns, "history": [["a", "b"]]})),
        "the field `history` is not supported: leaving it out would change what is trained"
    );
}

#[test]
fn texts_are_texts_unless_something_answers_them() {
    assert_eq!(one(json!({"text": "a b", "url": "x"})), "t:a b");
    assert_eq!(one(json!({"text": " "})), "no answer: `text` is empty");
    let asked = one(json!({"text": "a", "label": "b"}));
    assert!(
        asked.starts_with("expected `instruction` and `output`, or `messages`; found `text`, `label`"),
        "{asked}"
    );
    assert_eq!(one(json!({"instruction": "a", "output": "b", "text": "whole"})), "u:a / a:b");
}

#[test]
fn tools_and_what_templates_see() {
    let call = json!([{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]);
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let row = json!({"tools": [tool], "messages": [
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": null, "tool_calls": call, "reasoning_content": "r"},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "assistant", "content": "c", "tool_calls": [], "thinking": ""},
    ]});
    let expected = "d:d / u:ab{\"name\":\"Ann\"} / \
        a:{\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}],\"reasoning_content\":\"r\"} / \
        t:7{\"tool_call_id\":\"1\"} / a:c{\"thinking\":\"\"} / tool:{\"type\":\"function\",\"function\":{\"name\":\"f\"}}";
    assert_eq!(one(row), expected);
    let as_text = json!({"tools": "[{\"a\": 1}]", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(one(as_text), "u:a / a:b / tool:{\"a\":1}");
    // Tools of an instruction are its own; nobody reads them of other turns.
    let of_turns = json!({"messages": [
        {"role": "system", "content": "s", "tools": "[{\"name\": \"f\"}]"},
        {"role": "developer", "content": "d", "tools": [tool]},
        {"role": "user", "content": "a", "tools": "[]"},
        {"role": "assistant", "content": "b"},
    ]});
    assert_eq!(
        one(of_turns),
        "s:s{\"tools\":\"[{\\\"name\\\": \\\"f\\\"}]\"} / d:d{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]} / u:a / a:b"
    );
    let with = |message: serde_json::Value| one(json!({"messages": [message]}));
    let cases = [
        (
            json!({"role": "assistant", "content": null}),
            "expected `messages[0].content` to be a text, found null",
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
            "the field `messages[0].content[0].image_url` is not supported: leaving it out would change what is trained",
        ),
        (
            json!({"role": "user", "content": [1]}),
            "expected `messages[0].content[0]` to be a text, found a number",
        ),
        (
            json!({"role": "system", "content": "s", "tools": {"name": "f"}}),
            "expected `messages[0].tools` to be a text or a list, found an object",
        ),
        (
            json!({"role": "assistant", "content": "", "tool_calls": "x"}),
            "expected `messages[0].tool_calls` to be a list, found a text",
        ),
        (
            json!({"role": "assistant", "content": "", "tool_calls": [1]}),
            "expected `messages[0].tool_calls[0]` to be an object, found a number",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(with(message), expected);
    }
}

#[test]
fn answers_that_are_not_trained() {
    let turns = |field: &str, first: serde_json::Value, second: serde_json::Value| {
        one(json!({"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", field: first},
            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", field: second}]}))
    };
    assert_eq!(turns("weight", json!(0), json!(1)), "u:a / -a:b / u:c / a:d");
    assert_eq!(turns("train", json!(false), json!(true)), "u:a / -a:b / u:c / a:d");
    assert_eq!(turns("training", json!(null), json!(false)), "u:a / a:b / u:c / -a:d");
    assert_eq!(turns("weight", json!(0.0), json!(0)), "no answer: no assistant turn is to be trained");
    assert_eq!(
        turns("weight", json!(0.5), json!(1)),
        "expected `messages[1].weight` to be 0 or 1, found another number"
    );
    let asked = one(
        json!({"messages": [{"role": "user", "content": "a", "weight": 1}, {"role": "assistant", "content": "b"}]}),
    );
    assert_eq!(
        asked,
        "the field `messages[0].weight` is not supported: leaving it out would change what is trained"
    );
}

#[test]
fn share_gpt() {
    let turn = |from: &str, value: &str| json!({"from": from, "value": value});
    let row = json!({"tools": "[{\"name\": \"f\", \"parameters\": {}}]", "conversations": [
        turn("system", "s"), turn("human", "a"), turn("function_call", "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"),
        turn("observation", "7"), turn("gpt", "b")]});
    assert_eq!(
        one(row),
        "s:s / u:a / a:{\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]} / \
         t:7 / a:b / tool:{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}"
    );
    let row =
        json!({"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(one(row), "u:a / a:b");
    let row = json!({"conversations": [turn("human", "a"), turn("function_call", "f(1)")]});
    assert_eq!(one(row), "message 2 calls a tool, but is not JSON with `name` and `arguments`");
    let row = json!({"conversations": [turn("alien", "a")]});
    assert!(one(row).starts_with("message 1 has the role `alien`"));
}

#[test]
fn tickets_of_zendesk() {
    let comment =
        |author: u32, public: bool, body: &str| json!({"author_id": author, "public": public, "body": body});
    let ticket = json!({"id": 5, "subject": "Broken", "requester_id": 1, "status": "solved", "comments": [
        comment(1, true, "it is broken"), comment(2, false, "internal"), comment(2, true, "try this"),
        comment(3, true, "or that"), comment(1, true, "thanks")]});
    assert_eq!(one(ticket.clone()), "u:Broken||it is broken / a:try this||or that / u:thanks");
    let files = Files::new();
    let mut source =
        Source::new(files.write("a.json", json!({"tickets": [ticket], "users": []}).to_string()));
    source.agents = vec!["3".into()];
    let lines = files.told(&source);
    assert_eq!(lines[0], "a.json:1 u:Broken||it is broken||try this / a:or that / u:thanks");
    let apart = json!({
        "comments": [{"ticket_id": 7, "author_id": 9, "html_body": "<p>a</p>"}, {"ticket_id": 7, "author_id": 8, "plain_body": "b"}],
        "users": [{"id": 8, "role": "admin"}, {"id": 9, "role": "end-user"}],
        "tickets": [{"id": 7, "submitter_id": 8}]
    });
    let text = serde_json::to_string_pretty(&apart).expect("JSON");
    let line = text.lines().position(|line| line.contains("tickets")).expect("a line") + 2;
    let source = Source::new(files.write("b.json", text));
    assert_eq!(
        files.told(&source),
        [format!("b.json:{line} u:a / a:b"), "1 rows, 0 problems submitter_id=1".into()]
    );
}

#[test]
fn conversations_of_intercom() {
    let part = |kind: &str, who: &str, body: &str| json!({"part_type": kind, "author": {"type": who, "email": "x@shop.example"}, "body": body});
    let talk = json!({"type": "conversation", "id": "c",
        "source": {"subject": "<p>Order</p>", "body": "<p>Where is <b>it</b>?</p>", "author": {"type": "user", "id": "1"}},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": [
            part("note", "admin", "<p>internal</p>"), part("assignment", "admin", ""), part("comment", "bot", "<p>Hello.</p>"),
            part("comment", "admin", "<p>On its way&nbsp;&amp; soon.</p>"), part("close", "admin", "x"), part("comment", "lead", "ok")]}});
    let expected = "u:Order||Where is it? / a:Hello.||On its way\u{a0}& soon.||x / u:ok";
    assert_eq!(one(talk.clone()), expected);
    let files = Files::new();
    let list = json!({"type": "conversation.list", "conversations": [talk]});
    let source = Source::new(files.write("a.json", list.to_string()));
    assert_eq!(files.told(&source)[0], format!("a.json:1 {expected}"));
}

#[test]
fn fields_by_other_names_and_what_is_beside_them() {
    let files = Files::new();
    let row = json!({"data": {"q": "a", "tags": 1}, "label": "b", "output": "old", "references": ["c"]});
    let mut source = Source::new(files.write("a.jsonl", row.to_string()));
    source.licence = Some("CC-BY-4.0".into());
    source.fields =
        BTreeMap::from([("instruction", "data.q"), ("output", "label")].map(|(a, b)| (a.into(), b.into())));
    assert_eq!(
        files.told(&source),
        ["a.jsonl:1 u:a / a:b", "1 rows, 0 problems data=1 output=1 references=1"]
    );
    let mut reader = Reader::open(&[source]).expect("opened");
    let (_, extra) = reader.next().expect("read").expect("a row").record.expect("usable");
    assert_eq!(extra["references"], json!(["c"]));
    assert!(reader.next().expect("read").is_none());
    assert_eq!(reader.files()[0].licence.as_deref(), Some("CC-BY-4.0"));
}

#[test]
fn rows_as_json_read_as_the_same_rows() {
    let files = Files::new();
    let rows = [
        json!({"text": "whole"}),
        json!({"id": "x", "instruction": "a", "output": "b"}),
        json!({"tools": [{"name": "f"}], "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [{"id": "1"}]}, {"role": "tool", "content": "1"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "2"}], "weight": 0},
            {"role": "assistant", "content": "b", "reasoning": "r"}]}),
    ];
    for row in rows {
        let file = crate::read_file(&files.write("a.jsonl", row.to_string())).expect("read");
        let again =
            crate::read_file(&files.write("a.jsonl", file.rows[0].to_json().to_string())).expect("read");
        assert_eq!(file.rows, again.rows, "{row}");
    }
}

#[test]
fn formats_by_name() {
    for (name, format) in [
        ("a.JSONL.gz", Some(Format::Jsonl)),
        ("a.tsv.zst", Some(Format::Tsv)),
        ("a.mbox", Some(Format::Mbox)),
        ("a.gz", None),
        ("a", None),
    ] {
        assert_eq!(Format::of_name(std::path::Path::new(name)), format, "{name}");
    }
    assert_eq!("zendesk".parse::<Format>().expect("known").name(), "zendesk");
    let error = "xml".parse::<Format>().expect_err("unknown");
    assert!(error.hint().is_some_and(|hint| hint.contains("parquet")), "{error}");
}
