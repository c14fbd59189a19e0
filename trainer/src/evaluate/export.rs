//! Cases with a model's answers, as other evaluation tools read them.

use serde_json::{Map, Value, json};

use super::golden::{Case, GoldenReport, Side};

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// DeepEval 4: a JSON list, for `EvaluationDataset.add_goldens_from_json_file` or `add_test_cases_from_json_file`.
    DeepEval,
    /// RAGAS 0.4: JSON lines, for `EvaluationDataset.from_jsonl`.
    Ragas,
}

/// The text of a file with cases, and the answers of the tuned model, or of the base where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Whether it is a second file, with the conversations of a set that has questions too.
    pub conversations: bool,
    /// Its text.
    pub text: String,
}

/// Both have sets of questions and sets of conversations. DeepEval's conversations have every field of a question: with one among the cases all
/// are written as such. RAGAS's have no place for answers and contexts, so that of a set with both the conversations are a file of their own.
/// Neither has a place for system messages; they are left out.
#[must_use]
pub fn export(report: &GoldenReport, layout: Layout) -> Vec<Exported> {
    let sides = || report.cases.iter().map(|case| (case, case.tuned.as_ref().unwrap_or(&case.base)));
    let talks = report.cases.iter().any(is_talk);
    match layout {
        Layout::DeepEval => {
            let all: Vec<Value> = sides().map(|(case, side)| deepeval(case, side, talks)).collect();
            // A list of JSON values is always JSON.
            vec![Exported { conversations: false, text: format!("{:#}\n", Value::Array(all)) }]
        }
        Layout::Ragas => {
            let lines = |talk: bool| -> String {
                let these = sides().filter(|(case, _)| is_talk(case) == talk);
                these.map(|(case, side)| format!("{}\n", ragas(case, side, talk))).collect()
            };
            match (lines(false), lines(true)) {
                (questions, talks) if talks.is_empty() || questions.is_empty() => {
                    vec![Exported { conversations: false, text: questions + &talks }]
                }
                (questions, talks) => vec![
                    Exported { conversations: false, text: questions },
                    Exported { conversations: true, text: talks },
                ],
            }
        }
    }
}

/// Whether something was answered before the last answer.
fn is_talk(case: &Case) -> bool {
    case.prompt.iter().any(|message| message.role == "assistant")
}

/// Roles and texts of users and assistants, with the model's own answers where it made them, the last one too.
fn turns<'a>(case: &'a Case, side: &'a Side) -> Vec<(&'a str, &'a str)> {
    let mut turns = case.asked_of(side);
    turns.retain(|(role, _)| matches!(*role, "assistant" | "user"));
    turns.push(("assistant", &side.answer));
    turns
}

/// What was asked last.
fn asked(case: &Case) -> &str {
    case.prompt.iter().rfind(|message| message.role == "user").map_or("", |message| &message.content)
}

fn deepeval(case: &Case, side: &Side, talk: bool) -> Value {
    let mut row = json!({
        "name": case.id,
        "input": asked(case),
        "actual_output": side.answer,
        "expected_output": case.expected.first(),
        "additional_metadata": {
            "file": case.file,
            "line": case.line,
            "slice": case.slice,
            "cluster": case.cluster,
            "failed_checks": side.failed_checks,
        },
    });
    if !case.context.is_empty() {
        row["context"] = json!(case.context);
        row["retrieval_context"] = json!(case.context);
    }
    if talk {
        let turns: Vec<Value> = turns(case, side)
            .into_iter()
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect();
        // By a scenario DeepEval tells a conversation from a question.
        row["scenario"] = json!(format!("A user talks with the assistant: {}", asked(case)));
        row["turns"] = json!(turns);
        row["expected_outcome"] = json!(case.expected.first());
    }
    row
}

fn ragas(case: &Case, side: &Side, talk: bool) -> Value {
    let mut row = Map::new();
    if talk {
        let messages = turns(case, side).into_iter().map(|(role, content)| {
            json!({"content": content, "type": if role == "user" { "human" } else { "ai" }})
        });
        row.insert("user_input".to_owned(), messages.collect());
    } else {
        row.insert("user_input".to_owned(), json!(asked(case)));
        row.insert("response".to_owned(), json!(side.answer));
        if !case.context.is_empty() {
            row.insert("retrieved_contexts".to_owned(), json!(case.context));
        }
    }
    row.insert("reference".to_owned(), json!(case.expected.first()));
    Value::Object(row)
}
