use super::*;

fn origin(line: u64) -> Origin {
    Origin { file: Path::new("a.jsonl").into(), line }
}

#[test]
fn the_id_is_the_users_or_the_content_hash() {
    let messages = vec![Message::new("user", "a"), Message::new("assistant", "b")];
    let own = Record::new(Some("row-1".into()), origin(1), messages.clone());
    let derived = Record::new(None, origin(2), messages);
    assert_eq!(own.id, "row-1");
    assert_eq!(derived.id.len(), 32);
    assert_eq!(own.content_hash(), derived.content_hash());
    assert_eq!(derived.origin.to_string(), "a.jsonl:2");
}

#[test]
fn texts_cannot_flow_into_each_other() {
    let hash = |one: &str, other: &str| {
        content_hash(&[Message::new("user", one), Message::new("assistant", other)], &[])
    };
    assert_ne!(hash("ab", "c"), hash("a", "bc"));
}

#[test]
fn everything_a_template_sees_is_in_the_hash_and_plain_rows_keep_theirs() {
    let plain = vec![Message::new("user", "a"), Message::new("assistant", "")];
    let record = |messages: &[Message], tools: &[Value]| {
        Record::with_tools(None, origin(1), messages.to_vec(), tools.to_vec())
    };
    // The hash of rows that were read before there were tools.
    assert_eq!(record(&plain, &[]).id, "70a321a0c63a32cb251a5963a64ba7eb");
    let changes: [fn(&mut Message); 6] = [
        |message| message.trained = false,
        |message| message.written = Content::Null,
        |message| message.written = Content::Absent,
        |message| drop(message.extra.insert("name".into(), "x".into())),
        |message| drop(message.extra.insert("namex".into(), "".into())),
        |message| message.role = TEXT_ROLE.into(),
    ];
    let mut ids = vec![record(&plain, &[]).id, record(&plain, &[Value::from(1)]).id];
    for change in changes {
        let mut messages = plain.clone();
        change(&mut messages[1]);
        ids.push(record(&messages, &[]).id);
    }
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

#[test]
fn what_was_said_is_found_and_what_ties_it_together_is_not() {
    let mut call = Message::new("assistant", "a");
    let calls = serde_json::json!([{"id": "1", "type": "function",
        "function": {"name": "f", "arguments": {"name": "Ann", "more": ["b", 1], "id": "c"}}}]);
    call.extra = [("tool_calls", calls), ("tool_call_id", "2".into()), ("thinking", "d".into())]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    let mut record = Record::new(None, origin(1), vec![Message::new("user", "q"), call]);
    let found: Vec<String> = record.texts_mut().into_iter().map(|text| text.clone()).collect();
    assert_eq!(found, ["q", "a", "Ann", "b", "c", "d"]);
}

#[test]
fn a_text_is_one_answer_that_nobody_asked_for() {
    let text = |text: &str| Record::new(None, origin(1), vec![Message::new(TEXT_ROLE, text)]);
    let record = text("a");
    assert_eq!((record.form(), record.prompt().len(), record.answer()), (Form::Text, 0, Some("a")));
    assert_ne!(record.prompt_hash(), text("b").prompt_hash());
    assert_eq!(record.to_json()["text"], "a");
}

#[test]
fn the_prompt_ends_before_the_last_answer() {
    let messages = ["user", "assistant", "user", "assistant", "user"].map(|role| Message::new(role, role));
    let record = Record::new(None, origin(1), messages.to_vec());
    assert_eq!(record.prompt().len(), 3);
    assert_eq!(record.answer(), Some("assistant"));
}
