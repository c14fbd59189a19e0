use serde_json::{Value, json};

use super::{Check, Checker};

fn checked(check: Value, answer: &str) -> Result<(), String> {
    let check: Check = serde_json::from_value(check).expect("a check");
    Checker::new(&check).expect("a checker").check(answer)
}

#[test]
fn programs_are_taken_out_of_their_fences() {
    let check: Check =
        serde_json::from_value(json!({"kind": "python", "test": "assert f() == 1"})).expect("a check");
    let checker = Checker::new(&check).expect("a checker");
    let program = |answer: &str| checker.program(answer).expect("a program");
    for answer in [
        "f = lambda: 1",
        "Sure!\n```python\nf = lambda: 1\n```\nDone.\n```\nother\n```",
        "```\nf = lambda: 1",
    ] {
        assert!(program(answer).trim_start().starts_with("f = lambda: 1\n"), "{answer:?}");
        assert!(program(answer).ends_with("\nassert f() == 1\n") && !program(answer).contains("other"));
    }
    assert_eq!(program("```sh\nls\n```\n```py\nx\n```"), "x\n\nassert f() == 1\n");
    assert!(checker.check("f = lambda: 1").is_err(), "nothing is run here");
    assert!(Checker::new(&Check::Python { test: " ".to_owned() }).is_err());
    assert_eq!(Checker::new(&Check::Refusal {}).expect("a checker").program("x"), None);
}

#[test]
fn answers_pass_or_the_reason_is_said() {
    for (check, good, bad, why) in [
        (json!({"kind": "equals", "text": "Yes."}), " Yes.\n", "yes.", r#"expected "Yes."; found "yes.""#),
        (
            json!({"kind": "equals", "text": "7", "normalise": ["last-number"]}),
            "so 7.",
            "8",
            r#"expected "7"; found "8""#,
        ),
        (
            json!({"kind": "contains", "text": "30 days", "any-case": true}),
            "in 30 DAYS",
            "soon",
            r#""30 days" is missing"#,
        ),
        (
            json!({"kind": "not-contains", "text": "refund"}),
            "no",
            "a refund",
            r#""refund" must not be there"#,
        ),
        (json!({"kind": "regex", "pattern": "#\\d{4}"}), "#1234", "#12", "nothing matches `#\\d{4}`"),
        (json!({"kind": "not-regex", "pattern": "\\d+"}), "none", "it is 12", r#""12" matches `\d+`"#),
        (
            json!({"kind": "length", "unit": "words", "most": 3}),
            "a b c",
            "a b c d",
            "expected at most 3 words; found 4",
        ),
        (
            json!({"kind": "length", "unit": "sentences", "least": 2, "most": 3}),
            "One. Two!",
            "One.",
            "expected 2 to 3 sentences; found 1",
        ),
        (json!({"kind": "refusal"}), "I can't assist with that.", "Sure!", "the answer is no refusal"),
        (json!({"kind": "not-refusal"}), "Sure!", "I must decline.", "the answer says \"i must decline\""),
        (json!({"kind": "json"}), "[1]", "", "expected JSON; found an empty answer"),
        (
            json!({"kind": "json-fields", "expected": {"a": 1, "b": 2}}),
            "{\"b\": 2, \"a\": 1}",
            "{\"a\": 1}",
            "1 of 2 fields are right, 1 were found",
        ),
    ] {
        assert_eq!(checked(check.clone(), good), Ok(()), "{check}");
        assert_eq!(checked(check.clone(), bad), Err(why.to_owned()), "{check}");
    }
    let german = json!({"kind": "language", "code": "de"});
    assert_eq!(checked(german.clone(), "OK"), Ok(()));
    assert!(checked(german, "The lamp ships on Monday, and it comes with a bulb.").is_err());
    let schema = json!({"kind": "json-schema", "schema": {"type": "array"}, "fenced": true});
    assert_eq!(checked(schema.clone(), "```json\n[]\n```"), Ok(()));
    assert!(checked(schema, "{}").is_err());
    let half = json!({"kind": "json-fields", "expected": {"a": 1, "b": 2}, "least-f1": 0.6});
    assert_eq!(checked(half, "{\"a\": 1}"), Ok(()));
}

#[test]
fn checks_that_make_no_sense_are_refused() {
    for check in [
        json!({"kind": "regex", "pattern": "("}),
        json!({"kind": "regex", "pattern": "\\w{1000}{1000}"}),
        json!({"kind": "language", "code": "klingon"}),
        json!({"kind": "length", "unit": "words"}),
        json!({"kind": "length", "unit": "words", "least": 3, "most": 2}),
        json!({"kind": "contains", "text": ""}),
        json!({"kind": "json-schema", "schema": {"type": 3}}),
        json!({"kind": "json-fields", "expected": {}, "least-f1": 2.0}),
    ] {
        let check: Check =
            serde_json::from_value(check.clone()).unwrap_or_else(|error| panic!("{check}: {error}"));
        assert!(Checker::new(&check).is_err(), "{check:?}");
    }
    for check in [json!({"kind": "none"}), json!({"kind": "json", "fence": true}), json!({"text": "a"})] {
        assert!(serde_json::from_value::<Check>(check.clone()).is_err(), "{check}");
    }
}
