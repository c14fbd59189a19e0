//! Templates that are stopped on rows.

use super::*;

#[test]
fn a_template_that_is_stopped_again_and_again_ends_the_preparation() {
    let source = format!(
        "{{% if 'much' in messages[0].content %}}{{% set x = [1] * 100000000 %}}{{% endif %}}{PLAIN}"
    );
    let prepared = |rows: usize| {
        let files = Files::new();
        let all: Vec<String> =
            (0..200).map(|place| format!("{place}{}", if place < rows { " much" } else { "" })).collect();
        let rows: Vec<(&str, &str)> = all.iter().map(|row| (row.as_str(), "b")).collect();
        let path = files.write("a.jsonl", lines(&rows));
        prepare(&train(&[&path]), &Tools::new(&template(&source), &tokenizer())).expect_err("it is stopped")
    };
    // A few of them are rows like any that a template fails on.
    let error = prepared(15);
    assert!(matches!(&error, DataError::Rows(problems) if problems.total() == 15), "{error}");
    let error = prepared(200);
    assert!(error.hint().is_some_and(|hint| hint.contains("`data.template`")));
    let DataError::TemplateStopped { rows, source } = error else { panic!("{error}") };
    // Those that were under way on other threads are finished.
    assert!((16..100).contains(&rows), "{rows}");
    assert_eq!(source.to_string(), "the chat template makes more than 1024 MiB of texts on the way");
}
