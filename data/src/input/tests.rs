use super::*;
use crate::input::MAX_LINE_BYTES;
use crate::record::{Message, ROLES};
use crate::testing::Files;

const ROW: &str = r#"{"instruction": "Say yes", "output": "yes"}"#;

/// The message and the hint of the error that this file gives.
fn refused(content: impl AsRef<[u8]>) -> (String, Option<String>) {
    let files = Files::new();
    let error = read_file(&files.write("a.jsonl", content)).expect_err("it cannot be used");
    (files.without_folder(&error), error.hint())
}

fn message_of(content: impl AsRef<[u8]>) -> String {
    refused(content).0
}

fn rows(content: impl AsRef<[u8]>) -> Vec<Record> {
    let files = Files::new();
    read_file(&files.write("a.jsonl", content)).expect("it can be used").rows
}

#[test]
fn both_forms() {
    let flat = &rows(r#"{"instruction": "Translate", "input": "Haus", "output": "house", "id": 7}"#)[0];
    assert_eq!(flat.id, "7");
    assert_eq!(
        flat.messages,
        [Message::new("user", "Translate\n\nHaus"), Message::new("assistant", "house")]
    );
    for input in [r#", "input": """#, r#", "input": null"#, ""] {
        let row = &rows(format!(r#"{{"instruction": " Go ", "output": "on"{input}}}"#))[0];
        assert_eq!(row.messages[0].content, " Go ");
    }
    let turns = &rows(
        r#"{"id": "c1", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": ""}, {"content": "b", "role": "assistant"}]}"#,
    )[0];
    assert_eq!(turns.id, "c1");
    assert_eq!(
        turns.messages.iter().map(|message| message.role.as_str()).collect::<Vec<_>>(),
        ["system", "user", "assistant"]
    );
    assert!(turns.messages.iter().all(|message| ROLES.contains(&message.role.as_str())));
}

#[test]
fn the_same_conversation_in_both_forms_is_the_same() {
    let other =
        r#"{"messages": [{"role": "user", "content": "Say yes"}, {"role": "assistant", "content": "yes"}]}"#;
    let both = rows(format!("{ROW}\n{other}\n"));
    assert_eq!(both[0].id, both[1].id);
    assert_eq!(both[1].origin.line, 2);
}

#[test]
fn byte_order_marks_carriage_returns_and_blank_lines() {
    let read = rows(format!("\u{feff}{ROW}\r\n\r\n  \n{ROW}\r\n"));
    assert_eq!(read.iter().map(|row| row.origin.line).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(read[1].messages[1].content, "yes");
}

#[test]
fn the_hash_is_that_of_the_bytes() {
    let files = Files::new();
    let content = format!("\u{feff}{ROW}\r\n\n{ROW}");
    let file = read_file(&files.write("a.jsonl", &content)).expect("it can be used");
    assert_eq!(file.hash, blake3::hash(content.as_bytes()).to_hex().as_str());
}

#[test]
fn fields_that_nothing_reads_are_counted() {
    let files = Files::new();
    let content = [
        r#"{"instruction": "a", "output": "b", "source": "web", "labels": ["x"]}"#,
        r#"{"messages": [{"role": "user", "content": "a", "time": 1}, {"role": "assistant", "content": "c", "time": 2}], "source": 1, "tools": []}"#,
    ];
    let file = read_file(&files.write("a.jsonl", content.join("\n"))).expect("it can be used");
    let counts: Vec<_> = file.unread_fields.iter().map(|(name, &count)| (name.as_str(), count)).collect();
    assert_eq!(counts, [("labels", 1), ("messages[].time", 1), ("source", 2), ("tools", 1)]);
    assert_eq!(file.extra[0]["labels"], serde_json::json!(["x"]));
}

#[test]
fn files_and_folders_that_cannot_be_read() {
    let files = Files::new();
    let message = |path: PathBuf| {
        let error = read_files(&[path]).expect_err("it cannot be used");
        files.without_folder(&error)
    };
    assert_eq!(message(files.path("none.jsonl")), "none.jsonl: no such file");
    assert_eq!(message(files.write("empty.jsonl", "")), "empty.jsonl: the file has no rows");
    assert_eq!(message(files.write("blank.jsonl", "\n \r\n")), "blank.jsonl: the file has no rows");
    std::fs::create_dir(files.path("folder")).expect("a folder");
    assert_eq!(message(files.path("folder")), "folder: the folder has no data file");
    let under_a_file = files.path("empty.jsonl").join("x");
    assert_eq!(message(under_a_file), format!("empty.jsonl{}x: cannot be read", std::path::MAIN_SEPARATOR));
}

#[test]
fn a_folder_is_its_files_in_order() {
    let files = Files::new();
    for name in ["b.jsonl", "a.jsonl", "notes.txt"] {
        files.write(name, ROW);
    }
    let folder = files.path("");
    let names: Vec<_> =
        read_files(&[folder]).expect("it can be used").into_iter().map(|file| file.path).collect();
    assert_eq!(names, [files.path("a.jsonl"), files.path("b.jsonl")]);
}

#[test]
fn lines_that_are_not_json() {
    let (message, hint) = refused(format!("{ROW}\n{{\"instruction\": \"a\",\n"));
    assert_eq!(message, "a.jsonl:2:20: invalid JSON: EOF while parsing a value");
    assert_eq!(
        hint.as_deref(),
        Some("every line must be one whole JSON object; line breaks inside a text are written \\n")
    );
    assert_eq!(message_of("{'a': 1}"), "a.jsonl:1:2: invalid JSON: key must be a string");
    let (message, hint) = refused([b"{\"instruction\": \"\xe4\"}".as_slice(), b"\n"].concat());
    assert_eq!(message, "a.jsonl:1:18: invalid UTF-8: the byte here starts no character");
    assert_eq!(hint.as_deref(), Some("save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8` converts)"));
    assert_eq!(message_of("1"), "a.jsonl:1: expected an object, found a number");
}

#[test]
fn a_line_that_is_too_long() {
    let long = vec![b'x'; MAX_LINE_BYTES + 1];
    let (message, _) = refused([ROW.as_bytes(), b"\n", &long, b"\n{", b"\n"].concat());
    let expected = "2 rows cannot be used:\n  a.jsonl:2: the line is longer than 64 MiB\n  \
        a.jsonl:3:1: invalid JSON: EOF while parsing an object";
    assert_eq!(message, expected);
}

#[test]
fn shapes_that_are_not_known() {
    let (message, hint) = refused(r#"{"question": "a", "answer": "b"}"#);
    assert_eq!(
        message,
        "a.jsonl:1: expected `instruction` and `output`, or `messages`; found `question`, `answer`"
    );
    let hint = hint.expect("a hint");
    assert!(
        hint.starts_with(
            "`question` is `instruction` here, `answer` is `output` here (`fields` maps them); accepted: {"
        ),
        "{hint}"
    );
    let empty = message_of("{}");
    assert_eq!(empty, "a.jsonl:1: expected `instruction` and `output`, or `messages`; found no fields");
    let both = message_of(r#"{"instruction": "a", "output": "b", "messages": []}"#);
    assert_eq!(both, "a.jsonl:1: expected one form of row; found `instruction`, `messages`");
}

#[test]
fn rows_without_an_answer() {
    let cases = [
        (r#"{"instruction": "a"}"#, "no answer: `output` is missing"),
        (r#"{"instruction": "a", "output": " \n"}"#, "no answer: `output` is empty"),
        (r#"{"messages": []}"#, "no answer: `messages` has no assistant turn"),
        (
            r#"{"messages": [{"role": "user", "content": "a"}]}"#,
            "no answer: `messages` has no assistant turn",
        ),
        (
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}"#,
            "no answer: message 2 is an assistant turn without text",
        ),
        (r#"{"instruction": "", "output": "b"}"#, "the instruction is empty"),
    ];
    for (row, expected) in cases {
        assert_eq!(message_of(row), format!("a.jsonl:1: {expected}"), "{row}");
    }
    let hint = refused(r#"{"instruction": "a"}"#).1;
    assert_eq!(hint.as_deref(), Some("a row teaches its answer: fill it in or remove the row"));
}

#[test]
fn fields_of_another_type_or_meaning() {
    let cases = [
        (r#"{"instruction": 1, "output": "b"}"#, "expected `instruction` to be a text, found a number"),
        (r#"{"instruction": "a", "output": ["b"]}"#, "expected `output` to be a text, found a list"),
        (r#"{"messages": {}}"#, "expected `messages` to be a list, found an object"),
        (r#"{"messages": ["a"]}"#, "expected `messages[0]` to be an object, found a text"),
        (r#"{"messages": [{"role": "user"}]}"#, "expected `messages[0].content` to be a text, found nothing"),
        (
            r#"{"instruction": "a", "output": "b", "id": ""}"#,
            "expected `id` to be a text or a whole number, found an empty text",
        ),
        (
            r#"{"instruction": "a", "output": "b", "id": 1.5}"#,
            "expected `id` to be a text or a whole number, found a number",
        ),
        (
            r#"{"messages": [{"role": "gpt", "content": "a"}]}"#,
            "message 1 has the role `gpt`; expected `system`, `developer`, `user`, `assistant` or `tool`",
        ),
        (
            r#"{"instruction": "a", "output": "b", "functions": [1]}"#,
            "the field `functions` is not supported: leaving it out would change what is trained",
        ),
        (
            r#"{"messages": [{"role": "assistant", "content": "a", "function_call": {}}]}"#,
            "the field `messages[0].function_call` is not supported: leaving it out would change what is trained",
        ),
        (
            r#"{"messages": [], "output": "c"}"#,
            "the field `output` is not supported: leaving it out would change what is trained",
        ),
    ];
    for (row, expected) in cases {
        assert_eq!(message_of(row), format!("a.jsonl:1: {expected}"), "{row}");
    }
    let hint = refused(r#"{"messages": [{"role": "human", "content": "a"}]}"#).1;
    assert_eq!(hint.as_deref(), Some("`human` is `user` here"));
}

#[test]
fn an_id_names_one_row() {
    let row = |answer: &str| format!(r#"{{"id": "x", "instruction": "a", "output": "{answer}"}}"#);
    let files = Files::new();
    let paths = [files.write("a.jsonl", row("b")), files.write("b.jsonl", row("c"))];
    let error = read_files(&paths).expect_err("two rows of one id");
    assert_eq!(
        files.without_folder(&error),
        format!("b.jsonl:1: the id `x` already stands at {}, for another row", "a.jsonl:1")
    );
    // The same row twice is a duplicate, and is counted as one later.
    assert_eq!(rows(format!("{0}\n{0}", row("b"))).len(), 2);
}

#[test]
fn several_problems_at_once() {
    let files = Files::new();
    let paths = [files.write("a.jsonl", "{}\n".repeat(15)), files.write("b.jsonl", "1\n".repeat(15))];
    let error = read_files(&paths).expect_err("nothing can be used");
    let message = files.without_folder(&error);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 22);
    assert_eq!((lines[0], lines[21]), ("30 rows cannot be used:", "  and 10 more"));
    assert_eq!(lines[20], "  b.jsonl:5: expected an object, found a number");
}
