//! Rows with tools, calls and reasoning, through the reader and the template, beside what transformers makes of them.

use serde_json::Value as Json;

use super::*;
use crate::testing::Files;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tool_rows.jsonl");

/// What the row becomes here; the reader's refusal, or the template's.
fn rendered(case: &Json, files: &Files) -> Result<String, String> {
    let row = files.write("row.jsonl", case["row"].to_string());
    let file = crate::read_file(&row).map_err(|error| format!("unread: {error}"))?;
    let record = file.rows.first().ok_or("no row")?;
    let text = |name: &str| case["tokens"][name].as_str().map(str::to_owned);
    let special = SpecialTokens {
        bos: text("bos_token"),
        eos: text("eos_token"),
        pad: text("pad_token"),
        unk: text("unk_token"),
    };
    let date = case["date"].as_str().and_then(|date| date.parse().ok());
    let source = case["template"].as_str().ok_or("no template")?;
    let template = ChatTemplate::new(source, special, date).map_err(|error| error.to_string())?;
    let prompt = case["add_generation_prompt"] == true;
    template.render_conversation(&record.messages, &record.tools, prompt).map_err(|error| error.to_string())
}

#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn tool_rows() {
    let path = std::env::var("RTUNE_EXAM_TOOL_ROWS").unwrap_or_else(|_| FIXTURE.to_owned());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let files = Files::new();
    let (mut ran, mut equal) = (0, 0);
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).expect("a case is JSON");
        let name =
            format!("{:<28} {}", case["model"].as_str().unwrap_or("?"), case["case"].as_str().unwrap_or("?"));
        ran += 1;
        match (rendered(&case, &files), case["expected"].as_str(), case["refused"].as_str()) {
            (Ok(found), Some(expected), _) if found == expected => equal += 1,
            (Err(found), None, Some(_)) if !found.starts_with("unread") => equal += 1,
            (found, expected, refused) => {
                println!(
                    "DIFFERS  {name}\n--- expected\n{expected:?} {refused:?}\n--- found\n{found:?}\n---"
                );
            }
        }
    }
    println!("tool_rows: {equal} of {ran} equal");
    assert!(ran > 0, "{path} holds no case");
    assert_eq!(equal, ran);
}

#[test]
fn a_developer_is_the_system_to_templates_that_do_not_know_one() {
    let messages = [Message::new("developer", "d"), Message::new("user", "u")];
    let roles = "{% for m in messages %}{{ m.role }} {% endfor %}";
    let render = |source: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        template.render(&messages, false).expect("it renders")
    };
    assert_eq!(render(roles), "system user ");
    assert_eq!(render(&format!("{{# developer #}}{roles}")), "developer user ");
}

#[test]
fn marks_inside_calls_are_refused_where_the_template_marks() {
    let mut message = Message::new("assistant", "");
    message.extra.insert("tool_calls".into(), serde_json::json!([{"function": {"name": "\u{E000}"}}]));
    let source = "{% for m in messages %}{% generation %}{{ m.tool_calls }}{% endgeneration %}{% endfor %}";
    let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
    assert_eq!(template.render(&[message], false), Err(TemplateError::Marks));
    let tool = serde_json::json!({"name": "\u{E001}"});
    let plain = [Message::new("assistant", "a")];
    assert_eq!(template.render_conversation(&plain, &[tool], false), Err(TemplateError::Marks));
}

#[test]
fn a_template_without_end_is_stopped() {
    let render = |source: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        template.render(&[Message::new("user", "x".repeat(1 << 20))], false).expect_err("it does not end")
    };
    let loops =
        "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = 1 %}{% endfor %}{% endfor %}";
    assert!(render(loops).to_string().contains("fuel"), "{}", render(loops));
    let prints = "{% for i in range(99999) %}{{ messages[0].content }}{% endfor %}";
    assert_eq!(render(prints), TemplateError::TooLong { mebibytes: 256 });
}
