use crate::input::Source;
use crate::testing::Files;

const ROW: &str = r#"{"instruction": "a", "output": "b"}"#;

fn told(name: &str, text: &str) -> Vec<String> {
    let files = Files::new();
    files.told(&Source::new(files.write(name, text)))
}

#[test]
fn lists_in_files_of_either_name() {
    let list = format!("\u{feff} [\n{ROW},\n  {ROW}\n,{ROW}]\n");
    for name in ["a.json", "a.jsonl", "a.txt.jsonl", "a"] {
        let lines = told(name, &list);
        let rows: Vec<_> = lines[..3].iter().map(|line| line.trim_start_matches(name)).collect();
        assert_eq!(rows, [":2 u:a / a:b", ":3 u:a / a:b", ":4 u:a / a:b"], "{name}");
        assert_eq!(lines[3], "3 rows, 0 problems");
    }
    assert_eq!(told("a.json", "[]"), ["error a.json: the file has no rows"]);
}

#[test]
fn lists_that_are_broken() {
    let cases = [
        (format!("[{ROW},\n{{\"instruction\": }},\n{ROW}]"), 4, "a.json:2:17: invalid JSON: expected value"),
        (format!("[{ROW}\n{ROW}]"), 3, "a.json:2:1: invalid JSON: expected a comma or the end of the list"),
        (format!("[{ROW},\n]"), 3, "a.json:2:1: invalid JSON: expected value"),
        (format!("[{ROW}"), 3, "a.json:1:1: invalid JSON: EOF while parsing a list"),
        (
            format!("[{ROW}]\n[{ROW}]"),
            3,
            "a.json:2:1: invalid JSON: the list has ended, but the file goes on",
        ),
        (format!("[{ROW}, {{\"a\": \"b"), 3, "a.json:1:8: invalid JSON: EOF while parsing a string"),
        (format!("[{ROW}, [1]]"), 3, "a.json:1: expected an object, found a list"),
        (format!("[{ROW}, 12]"), 3, "a.json:1: expected an object, found a number"),
    ];
    for (text, lines, problem) in cases {
        let told = told("a.json", &text);
        assert_eq!((told.len(), told[1].as_str()), (lines, problem), "{text}");
    }
}

#[test]
fn objects_over_several_lines_and_lines_by_another_name() {
    let pretty = "{\n\"instruction\": \"a\",\n\"output\": \"b\"}\n";
    assert_eq!(told("a.json", &pretty.repeat(2))[..2], ["a.json:1 u:a / a:b", "a.json:4 u:a / a:b"]);
    // Lines fail one by one.
    let lines = format!("{ROW}\n{{broken\n{ROW}\n");
    let told_lines = told("a.json", &lines);
    assert_eq!(told_lines[1], "a.json:2:2: invalid JSON: key must be a string");
    assert_eq!(told_lines[2..], ["a.json:3 u:a / a:b", "2 rows, 1 problems"]);
    assert_eq!(told("a.json", "\"text\"")[0], "a.json:1: expected an object, found a text");
}

#[test]
fn documents_hold_rows_with_lines_of_their_own() {
    let text = format!("{{\"count\": 2,\n \"data\": [\n{ROW},\n\n{ROW}]}}");
    assert_eq!(told("a.json", &text), ["a.json:3 u:a / a:b", "a.json:5 u:a / a:b", "2 rows, 0 problems"]);
    let turns = r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#;
    assert_eq!(told("a.json", turns)[0], "a.json:1 u:a / a:b");
}

#[test]
fn hostile_json_is_a_problem_with_its_place() {
    let row = |instruction: &str| format!("{{\"instruction\": {instruction}, \"output\": \"b\"}}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("[{}0]", "0,".repeat(crate::input::MAX_VALUES));
    let zero = "\"a\0\"";
    let cases = [
        (row("\"\\ud800\""), "invalid JSON: unexpected end of hex escape"),
        (row("\"\\ud800x\""), "invalid JSON: unexpected end of hex escape"),
        (row("\"\\udc00\\ud800\""), "invalid JSON: lone leading surrogate in hex escape"),
        (row(&deep), "lists and objects stand more than 100 deep in one another"),
        (row(&many), "the row has more than 2 million values"),
        (row(zero), "invalid JSON: control character (\\u0000-\\u001F) found while parsing a string"),
    ];
    for name in ["a.jsonl", "a.json"] {
        for (text, problem) in &cases {
            let told = told(name, &format!("{ROW}\n{text}\n{ROW}"));
            assert_eq!(told.len(), 4, "{problem}: {told:?}");
            assert!(told[1].starts_with(&format!("{name}:2")) && told[1].ends_with(problem), "{}", told[1]);
        }
    }
    // A zero that is written as an escape is a character like any other.
    assert_eq!(told("a.jsonl", &row("\"a\\u0000\""))[0], "a.jsonl:1 u:a\0 / a:b");
    let long = "x".repeat(10_000_000);
    assert_eq!(told("a.jsonl", &row(&format!("\"{long}\"")))[1], "1 rows, 0 problems");
}
