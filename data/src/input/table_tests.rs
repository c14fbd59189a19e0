use std::collections::BTreeMap;

use super::breaks;
use crate::input::{MAX_LINE_BYTES, Source};
use crate::testing::Files;

fn told(name: &str, text: impl AsRef<[u8]>, fields: &[(&str, &str)]) -> Vec<String> {
    let files = Files::new();
    let mut source = Source::new(files.write(name, text));
    source.fields = fields
        .iter()
        .map(|(ours, theirs)| (ours.to_string(), theirs.to_string()))
        .collect::<BTreeMap<_, _>>();
    files.told(&source)
}

#[test]
fn quotes_line_breaks_marks_and_blank_lines() {
    let text = "\u{feff}id,instruction,output,note\r\n1,\"a, \"\"b\"\"\r\nc\",d,\r\n\r\n\n2,5\" pipe,e,x";
    assert_eq!(
        told("a.csv", text, &[]),
        ["a.csv:2 u:a, \"b\"\r|c / a:d", "a.csv:6 u:5\" pipe / a:e", "2 rows, 0 problems note=2"]
    );
}

#[test]
fn lines_end_in_either_character_or_both() {
    for end in ["\n", "\r", "\r\n"] {
        let text = ["instruction,output", "a,b", "", "\"c|d\",e", "f", "g,h"].join(end).replace('|', end);
        let shown = format!("u:c{}d / a:e", end.replace('\n', "|"));
        assert_eq!(
            told("a.csv", text, &[]),
            [
                "a.csv:2 u:a / a:b".to_owned(),
                format!("a.csv:4 {shown}"),
                "a.csv:6: the row has 1 columns, the header 2".to_owned(),
                "a.csv:7 u:g / a:h".to_owned(),
                "3 rows, 1 problems".to_owned()
            ],
            "{end:?}"
        );
    }
    // However the bytes come in.
    let mut after_return = false;
    let lines: u64 = "a\r\nb\rc\n\r\r\n".bytes().map(|byte| breaks(&[byte], &mut after_return)).sum();
    assert_eq!(lines, 5);
}

#[test]
fn tabs_and_fields_by_other_names() {
    let fields = [("instruction", "message"), ("output", "label")];
    assert_eq!(
        told("a.tsv", "label\tmessage\nham\thello, you\nspam\twin\n", &fields),
        ["a.tsv:2 u:hello, you / a:ham", "a.tsv:3 u:win / a:spam", "2 rows, 0 problems"]
    );
    let missing = told("a.tsv", "label\tmesage\nham\thello\n", &fields);
    assert_eq!(missing[0], "a.tsv:2: the row has no field `message`, which `instruction` is taken from");
}

#[test]
fn lists_stand_in_a_cell_as_json() {
    let text = "messages\n\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"a\"\"}, {\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"b\"\"}]\"\n";
    assert_eq!(told("a.csv", text, &[])[0], "a.csv:2 u:a / a:b");
}

#[test]
fn rows_that_are_none() {
    let header = "instruction,output\n";
    assert_eq!(
        told("a.csv", format!("{header}a,b\na\na,b,c\nd,e\n"), &[]),
        [
            "a.csv:2 u:a / a:b",
            "a.csv:3: the row has 1 columns, the header 2",
            "a.csv:4: the row has 3 columns, the header 2",
            "a.csv:5 u:d / a:e",
            "2 rows, 2 problems"
        ]
    );
    let cases: [(&[u8], &str); 5] = [
        (b"a,\n", "no answer: `output` is empty"),
        (b"a,\"b\nc,d\n", "a quote is opened here and never closed"),
        (b"a\0,b\n", "a zero byte stands in the text"),
        (b"a,\xe4\n", "2: invalid UTF-8: the byte here starts no character"),
        (b"\xc3,\xa4\n", "1: invalid UTF-8: the byte here starts no character"),
    ];
    for (row, problem) in cases {
        let told = told("a.csv", [header.as_bytes(), row].concat(), &[]);
        let separator = if problem.contains("UTF-8") { ":" } else { ": " };
        assert_eq!(told, [format!("a.csv:2{separator}{problem}"), "0 rows, 1 problems".to_owned()]);
    }
    let long = [header.as_bytes(), b"a,b\n\"", &vec![b'x'; MAX_LINE_BYTES + 1], b"\",c\na,b\n"].concat();
    assert_eq!(
        told("a.csv", long, &[])[1..],
        ["a.csv:3: the row is longer than 64 MiB", "a.csv:4 u:a / a:b", "2 rows, 1 problems"]
    );
}

#[test]
fn headers_that_are_none() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "error a.csv: the file has no rows"),
        (b"instruction,output\n", "error a.csv: the file has no rows"),
        (b"a,b,a\n1,2,3\n", "error a.csv: the header names `a` twice"),
        (b"a,\xff\n1,2\n", "error a.csv: in the header, invalid UTF-8: the byte here starts no character"),
        (b"a\0\n1\n", "error a.csv: in the header, a zero byte stands in the text"),
    ];
    for (text, error) in cases {
        assert_eq!(told("a.csv", text, &[]), [error]);
    }
}
