use serde_json::json;

use super::*;
use crate::entry::Turn;

fn raws(lines: &[Value], form: Option<Form>) -> Result<Vec<(Form, Raw)>, FeedbackError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feedback.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text).expect("written");
    read(&[file], form, &[]).map(|found| found.raws)
}

fn only(line: Value) -> (Form, Raw) {
    let mut all = raws(&[line], None).expect("feedback");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn our_own_form_is_read_and_nothing_beside_it() {
    let (form, raw) = only(
        json!({"id": 7, "prompt": "Where is it?", "answer": "Here.", "thumbs": "down", "stars": 2,
        "comment": "no", "correction": "There.", "user": "ann@example.org", "model": "v0001", "created": "2026-11-22"}),
    );
    assert_eq!(form, Form::Rtune);
    assert_eq!(raw.messages, [Turn::new("user", "Where is it?")]);
    assert_eq!((raw.rating, raw.stars, raw.id.as_deref(), raw.line), (Some(-1), Some(2), Some("7"), 1));
    assert_eq!((raw.answer.as_deref(), raw.correction.as_deref()), (Some("Here."), Some("There.")));
    let talk = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    let (_, raw) = only(json!({"messages": talk, "thumbs": true}));
    assert_eq!((raw.messages.len(), raw.answer.as_deref(), raw.rating), (1, Some("b"), Some(1)));
    for (line, said) in [
        (json!({"prompt": "a", "ratng": 1}), "found `ratng`"),
        (json!({"prompt": 1}), "expected `prompt` to be a text or messages"),
        (json!({"prompt": "a", "thumbs": "sideways"}), "expected `thumbs` to be up, down"),
        (json!({"prompt": "a", "stars": 6}), "expected `stars` from 1 to 5, found 6"),
        (json!({"prompt": "a", "answer": "x".repeat((1 << 20) + 1)}), "at most 1024 KiB"),
        (json!({"messages": [{"role": "robot", "content": "a"}]}), "found `robot`"),
        (json!({"what": 1}), "expected feedback, found objects with what"),
        (json!([1]), "expected a JSON object"),
    ] {
        let error = raws(&[line], None).expect_err(said);
        assert!(error.to_string().contains(said) && error.is_input(), "{said}: {error}");
        assert!(error.hint().is_some());
    }
    let error = raws(&[json!({"prompt": "a"}), json!({"prompt": 5})], None).expect_err("line 2");
    assert!(error.to_string().contains("feedback.jsonl:2: "), "{error}");
}

#[test]
fn langsmith_has_runs_and_feedback_beside_them() {
    let run = json!({"id": "r1", "inputs": {"messages": [{"type": "human", "content": [{"type": "text", "text": "Where?"}]}]},
        "outputs": {"generations": [[{"text": "Here."}]]}, "extra": {"metadata": {"user_id": "u1"}}});
    let silent =
        json!({"id": "r2", "inputs": {"input": "Nobody said anything"}, "outputs": {"output": "of this"}});
    let inside = json!({"id": "r3", "inputs": {"question": "When?"}, "outputs": {"choices": [{"message": {"role": "assistant", "content": "Now."}}]},
        "feedback": [{"key": "stars", "score": 4}]});
    let said = json!({"id": "f1", "run_id": "r1", "key": "user_score", "score": 0.0, "comment": "wrong", "correction": {"output": "There."}});
    let lost = json!({"id": "f2", "run_id": "r9", "key": "user_score", "score": 1});
    let all = raws(&[run, silent, inside, said, lost], None).expect("feedback");
    let [(_, first), (_, second), (_, third)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((first.asked(), first.answer.as_deref()), ("Where?".to_owned(), Some("Here.")));
    assert_eq!(
        (first.rating, first.correction.as_deref(), first.user.as_deref()),
        (Some(-1), Some("There."), Some("u1"))
    );
    assert_eq!(
        (second.asked(), second.answer.as_deref(), second.stars),
        ("When?".to_owned(), Some("Now."), Some(4))
    );
    assert!(third.messages.is_empty(), "its run is not there");
}

fn found(lines: &[Value], keys: &[&str]) -> Read {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feedback.jsonl");
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    read(&[file], None, &keys).expect("feedback")
}

/// An evaluator's score of how poisonous an answer is makes nobody like it.
#[test]
fn of_langsmith_users_count_and_evaluators_do_not() {
    let run = |id: &str| json!({"id": id, "inputs": {"input": "Where?"}, "outputs": {"output": "Here."}});
    let said = |of: &str, key: &str, score: f64, source: &str| json!({"run_id": of, "key": key, "score": score, "comment": format!("by {key}"), "feedback_source": {"type": source}});
    let lines = [
        run("r1"),
        run("r2"),
        run("r3"),
        said("r1", "toxicity", 1.0, "model"),
        said("r2", "User_Score", 0.0, "api"),
        said("r2", "toxicity", 1.0, "api"),
        said("r3", "helpful", 1.0, "app"),
    ];
    let read = found(&lines, &[]);
    let ratings: Vec<_> = read.raws.iter().map(|(_, raw)| (raw.rating, raw.comment.as_deref())).collect();
    assert_eq!(ratings, [(Some(-1), Some("by User_Score")), (Some(1), Some("by helpful"))]);
    assert_eq!((read.not_users, read.off_scale), (2, 0));
    let read = found(&lines, &["toxicity"]);
    assert_eq!((read.raws.len(), read.not_users), (3, 0), "whoever names a key takes it");
    let mut inside = run("r4");
    inside["feedback"] = json!([{"key": "correctness", "score": 1}]);
    let read = found(&[inside], &[]);
    assert_eq!((read.raws.len(), read.not_users), (0, 1));
}

#[test]
fn ratings_of_another_scale_are_left_out_and_counted() {
    let run = |id: &str| json!({"id": id, "inputs": {"input": "Where?"}, "outputs": {"output": "Here."}});
    let said =
        |of: &str, key: &str, score: f64| json!({"run_id": of, "key": key, "score": score, "comment": "hm"});
    // Of parts of a hundred 1 is no thumb up, and 3 are no stars.
    let lines = [
        run("r1"),
        run("r2"),
        run("r3"),
        run("r4"),
        said("r1", "user_score", 87.0),
        said("r2", "user_score", 1.0),
        said("r3", "user_score", 3.0),
        said("r4", "stars", 1.0),
    ];
    let read = found(&lines, &[]);
    assert_eq!((read.raws.len(), read.off_scale), (4, 3));
    let rated: Vec<_> = read.raws.iter().map(|(_, raw)| (raw.rating, raw.stars)).collect();
    assert_eq!(rated, [(None, None), (None, None), (None, None), (None, Some(1))]);
    let record = |rating: u8| json!({"fields": {"prompt": "a", "response": "b"}, "responses": {"rating": [{"value": rating}], "comment": [{"value": "c"}]}});
    let read = found(&[record(5), record(9)], &[]);
    assert_eq!((read.raws.len(), read.off_scale), (2, 2), "five of ten is not five of five");
    assert!(read.raws.iter().all(|(_, raw)| raw.stars.is_none() && raw.comment.is_some()));
    assert_eq!(found(&[record(5)], &[]).raws[0].1.stars, Some(5));
    // Classes of another question, which may be called as thumbs are.
    let labelled = |label: &str| json!({"fields": {"prompt": "a", "response": "b"}, "responses": {"label": [{"value": label}], "comment": [{"value": "c"}]}});
    let read = found(&[labelled("refund"), labelled("bad")], &[]);
    assert_eq!((read.raws.len(), read.off_scale), (2, 2));
    assert!(read.raws.iter().all(|(_, raw)| raw.rating.is_none() && raw.comment.is_some()));
    assert_eq!(found(&[labelled("bad")], &[]).raws[0].1.rating, Some(-1));
}

/// A table's column with gaps has whole numbers with a point.
#[test]
fn thumbs_may_have_a_point() {
    let line = |thumbs: f64| json!({"messages": [{"role": "user", "content": "a"}], "answer": "b", "thumbs": thumbs});
    let read = found(&[line(1.0), line(-1.0)], &[]);
    let rated: Vec<_> = read.raws.iter().map(|(_, raw)| raw.rating).collect();
    assert_eq!(rated, [Some(1), Some(-1)]);
}

#[test]
fn calls_of_tools_are_seen_in_any_words() {
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let said =
        |answer: Value| json!({"messages": [{"role": "user", "content": "a"}, answer], "thumbs": "up"});
    for (line, calls) in [
        (said(json!({"role": "assistant", "content": null, "tool_calls": call})), true),
        (said(json!({"role": "assistant", "content": "b", "function_call": {"name": "f"}})), true),
        (said(json!({"role": "assistant", "content": [{"type": "tool_use", "name": "f"}]})), true),
        (said(json!({"role": "assistant", "content": "b", "tool_calls": []})), false),
        (said(json!({"role": "assistant", "content": "b", "function_call": null})), false),
    ] {
        assert_eq!(only(line.clone()).1.calls, calls, "{line}");
    }
}

#[test]
fn openai_has_evals_and_preferences() {
    let (form, raw) =
        only(json!({"input": [{"role": "user", "content": "a"}], "ideal": ["b", "c"], "output": "d",
        "metadata": {"thumbs": "down", "user": "u"}}));
    assert_eq!(
        (form, raw.correction.as_deref(), raw.answer.as_deref()),
        (Form::OpenAi, Some("b"), Some("d"))
    );
    assert_eq!((raw.rating, raw.user.as_deref()), (Some(-1), Some("u")));
    let turn = |text: &str| json!([{"role": "assistant", "content": text}]);
    let (_, raw) = only(json!({"input": {"messages": [{"role": "user", "content": "a"}]},
        "preferred_output": turn("good"), "non_preferred_output": turn("bad")}));
    assert_eq!(
        (raw.correction.as_deref(), raw.answer.as_deref(), raw.rating),
        (Some("good"), Some("bad"), Some(-1))
    );
}

#[test]
fn argilla_has_responses_by_question_or_by_user() {
    let fields = json!({"prompt": "a", "response": "b"});
    let (form, raw) = only(json!({"id": "x", "fields": fields, "responses": {
        "rating": [{"value": 5, "user_id": "u1", "status": "submitted"}, {"value": 2, "user_id": "u2"}],
        "correction": [{"value": "c", "user_id": "u1"}], "other": [{"value": "ignored"}]}}));
    assert_eq!((form, raw.stars, raw.correction.as_deref()), (Form::Argilla, Some(2), Some("c")));
    assert_eq!(raw.user.as_deref(), Some("u1"));
    let (_, raw) = only(json!({"fields": fields, "responses": [
        {"values": {"label": {"value": "bad"}, "comment": {"value": "why"}}, "status": "submitted", "user_id": "u"},
        {"values": {"label": {"value": "good"}}, "status": "draft"}]}));
    assert_eq!((raw.rating, raw.comment.as_deref()), (Some(-1), Some("why")));
}

#[test]
fn of_reviews_the_last_correction_counts() {
    let answer = json!({"report": "0".repeat(64), "model": "base", "answer": "1".repeat(64)});
    let review = |case: &str, correction: Value| {
        json!({"format": 1, "case": case, "reviewer": "ann", "first": answer, "second": answer, "shown_left": "first",
            "scores": {"first": {"tone": 1}, "second": {"tone": 2}}, "preferred": "tie", "correction": correction, "comment": null,
            "asked": [{"role": "user", "content": "Where?"}], "unix_seconds": 7})
    };
    let all =
        raws(&[review("a", json!("Here.")), review("b", Value::Null), review("a", json!("There."))], None);
    let all = all.expect("feedback");
    let [(form, raw)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((*form, raw.correction.as_deref(), raw.line), (Form::Review, Some("There."), 3));
    assert_eq!((raw.asked(), raw.user.as_deref()), ("Where?".to_owned(), None));
    let error = raws(&[review("", json!("x"))], None).expect_err("no case");
    assert!(error.to_string().contains("feedback.jsonl:1: expected the id"), "{error}");
}

#[test]
fn lists_are_read_as_lines_are_and_empty_files_say_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (list, empty) = (folder.path().join("a.json"), folder.path().join("b.jsonl"));
    std::fs::write(&list, "\u{feff}[{\"prompt\": \"a\"}, {\"prompt\": \"b\"}]").expect("written");
    std::fs::write(&empty, "\n").expect("written");
    let all = read(&[empty, list], None, &[]).expect("feedback").raws;
    assert_eq!(all.iter().map(|(_, raw)| raw.line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn every_form_has_a_name_of_its_own() {
    let mut names: Vec<&str> = Form::ALL.iter().map(|form| form.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Form::ALL.len());
}
