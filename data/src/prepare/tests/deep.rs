//! Lists within lists, by every way that a row comes in.

use super::*;
use crate::options::BadRows;

/// Prints calls and tools, so that they are trained.
const SHOWN: &str = "{{ tools }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') }}{{ m.tool_calls }}{{ '<|im_end|>\n' }}{% endfor %}";

/// One field in the quotation marks of CSV.
fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What is nested so deep, and the levels of a row's field that it stands below, in each way to write a row.
fn ways(lists: &str) -> Vec<(&'static str, usize, String)> {
    let turns = format!(
        r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":"","tool_calls":[{{"function":{{"name":"f","arguments":{lists}}}}}]}}]"#
    );
    let plain = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
    let call = serde_json::json!(format!(r#"{{"name":"f","arguments":{lists}}}"#));
    vec![
        ("a.jsonl", 3, format!("{{\"messages\":{turns}}}")),
        ("b.json", 3, format!("[{{\"messages\":{turns}}}]")),
        ("c.csv", 3, format!("messages\n{}\n", cell(&turns))),
        ("d.jsonl", 1, format!(r#"{{"tools":[{{"x":{lists}}}],"messages":{plain}}}"#)),
        (
            "e.jsonl",
            3,
            format!(
                r#"{{"conversations":[{{"from":"human","value":"q"}},{{"from":"function_call","value":{call}}}]}}"#
            ),
        ),
    ]
}

#[test]
fn a_row_is_as_deep_as_what_reads_it_again_or_a_problem() {
    let template = template(SHOWN);
    let files = Files::new();
    for lists in [90, 96, 97, 98, 99, 100, 101, 118, 119, 120, 121, 122, 127, 200] {
        let nested = format!("{}1{}", "[".repeat(lists), "]".repeat(lists));
        for (name, above, text) in ways(&nested) {
            let path = files.write(name, text);
            let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
            let row = reader.next().expect("readable").expect("a row");
            let fits = lists + above <= crate::input::MAX_DEPTH;
            let place = format!("{name} {lists}");
            match row.record {
                Ok((record, _)) => assert!(fits, "{place}: {:?}", record.id),
                Err(problem) => {
                    assert!(!fits, "{place}: {problem}");
                    assert_eq!(problem.kind, crate::ProblemKind::TooDeep, "{place}");
                    assert!(problem.to_string().contains(name), "{problem}");
                }
            }
            let options = PrepareOptions { bad_rows: BadRows::Drop, ..train(&[&path]) };
            match prepare(&options, &Tools::new(&template, &tokenizer())) {
                Ok(prepared) => assert_eq!((fits, prepared.train.len()), (true, 1), "{place}"),
                Err(DataError::Spill(error)) => panic!("{place}: {error}"),
                Err(error) => assert!(!fits, "{place}: {error}"),
            }
        }
    }
}

#[test]
fn numbers_that_would_be_trained_with_other_digits_are_refused_by_name() {
    let files = Files::new();
    let number = "12345678901234567890123";
    for (name, above, text) in ways(number) {
        assert!(above > 0);
        let path = files.write(name, text);
        let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
        let problem = reader.next().expect("readable").expect("a row").record.expect_err(name);
        let line = if name.ends_with("csv") { 2 } else { 1 };
        assert_eq!(
            files.without_folder(&problem),
            format!(
                "{name}:{line}: the whole number {number} is larger than 64 bits hold: it would be trained with other digits"
            )
        );
        assert!(problem.kind.hint().is_some_and(|hint| hint.contains("as a text")));
    }
    for held in ["18446744073709551615", "-9223372036854775808", "1e30", "1.5", "\"12345678901234567890123\""]
    {
        for (name, _, text) in ways(&format!("[{held}]")) {
            let path = files.write(name, text);
            let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
            let row = reader.next().expect("readable").expect("a row").record;
            assert!(row.is_ok(), "{name} {held}: {row:?}");
        }
    }
    // A row has its own line, and only what is trained or examined is refused.
    let row = |n: &str| format!("{{\"instruction\": \"a\",\n{n}, \"output\": \"b\"}}");
    let refused = |line: u64| {
        format!(
            "f.json:{line}: the whole number {number} is larger than 64 bits hold: it would be trained with other digits"
        )
    };
    for field in ["id", "input", "system", "labels", "references", "checks"] {
        let path = files.write("f.json", format!("[\n{}]", row(&format!("\"{field}\": [{number}]"))));
        assert!(files.told(&Source::new(&path))[0].starts_with("f.json:2: "), "{field}");
        let path = files.write("f.json", format!("[\n{}]", row(&format!("\"{field}\": {number}"))));
        assert_eq!(files.told(&Source::new(&path))[0], refused(2), "{field}");
    }
    for role in [format!("\"role\": {number}"), format!("\"role\": \"user\", \"name\": {number}")] {
        let path = files.write(
            "f.json",
            format!("[{{\"messages\": [{{{role}, \"content\": \"q\"}}, {{\"role\": \"assistant\", \"content\": \"a\"}}]}}]"),
        );
        assert_eq!(files.told(&Source::new(&path))[0], refused(1), "{role}");
    }
}

#[test]
fn a_number_that_nobody_reads_drops_no_row() {
    let files = Files::new();
    let number = "12345678901234567890123";
    let beside = format!("{{\"instruction\": \"a\", \"output\": \"b\", \"wei\": [{number}], \"n\": -0}}");
    let path = files.write("a.jsonl", &beside);
    let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
    let (_, extra) = reader.next().expect("readable").expect("a row").record.expect("nobody reads it");
    assert_eq!(serde_json::Value::from(extra), serde_json::json!({"wei": [number], "n": 0}));
    let within = format!(
        "{{\"messages\": [{{\"role\": \"user\", \"content\": \"q\", \"n\": {number}}}, {{\"role\": \"assistant\", \"content\": \"a\"}}]}}"
    );
    let path = files.write("b.jsonl", within);
    assert_eq!(files.told(&Source::new(&path)), ["b.jsonl:1 u:q / a:a", "1 rows, 0 problems messages[].n=1"]);
    // A document loses only the row, and people are told apart by all digits of their numbers.
    let ticket = |id: &str, body: &str| {
        format!(
            "{{\"id\": {id}, \"requester_id\": {number}, \"comments\": [\n{{\"author_id\": {number}, \"body\": \"q\"}}, \
             {{\"author_id\": \"{number}\", \"body\": \"q\"}}, {{\"author_id\": {number}0, \"body\": {body}}}]}}"
        )
    };
    let tickets = [ticket("1", "\"a\""), ticket(number, "\"a\""), ticket("3", "\"a\"")].join(",\n");
    let path = files.write("c.json", format!("{{\"total\": {number}, \"tickets\": [\n{tickets}]}}"));
    assert_eq!(
        files.told(&Source::new(&path)),
        [
            "c.json:2 u:q||q / a:a".to_owned(),
            format!(
                "c.json:4: the whole number {number} is larger than 64 bits hold: it would be trained with other digits"
            ),
            "c.json:6 u:q||q / a:a".to_owned(),
            "2 rows, 1 problems requester_id=2".to_owned(),
        ]
    );
}

#[test]
fn a_whole_number_that_is_minus_zero_is_zero() {
    let files = Files::new();
    // `json.loads` of Python: 0 and -0.0.
    for (name, above, text) in ways("[-0, -0.0]") {
        assert!(above > 0);
        let path = files.write(name, text);
        let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
        let (record, _) = reader.next().expect("readable").expect("a row").record.expect(name);
        let row = record.to_json().to_string();
        assert!(row.contains("[0,-0.0]"), "{name}: {row}");
    }
}
