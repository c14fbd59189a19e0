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
    // The line is the number's own.
    let path = files
        .write("f.json", format!("[\n{{\"instruction\": \"a\",\n\"n\": {number},\n\"output\": \"b\"}}]"));
    let mut reader = crate::Reader::open(&[Source::new(&path)]).expect("there");
    let problem = reader.next().expect("readable").expect("a row").record.expect_err("too large");
    assert_eq!(problem.origin.line, 3);
}
