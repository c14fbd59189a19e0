//! A run that is named from another folder is asked as where it was trained: by its template, on its golden rows.

use std::fs;

use serde_json::Value;

use crate::workplace::{CONFIG, Ran, Workplace, rows};

/// What stands before an answer here, and in no other template.
const MARK: &str = " tells the clerk: ";
/// Where nothing of the run lies.
const ELSEWHERE: &str = "far/away";

/// A run with a template and golden rows of its own, and a folder elsewhere.
fn workplace() -> Workplace {
    let place = Workplace::new();
    let template = "{% for m in messages %}<|im_start|>{{ m['role'] + MARK + m['content'] }}<|im_end|>{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>{{ 'assistant' + MARK }}{% endif %}";
    place.write("own.jinja", template.replace("MARK", &format!("'{MARK}'")));
    place.write("golden.jsonl", rows(40..46));
    let data = "train = \"train.jsonl\"\ngolden = \"golden.jsonl\"\ntemplate = \"own.jinja\"";
    place.write("config.toml", CONFIG.replace("train = \"train.jsonl\"", data));
    place.train(&[]).ends();
    fs::create_dir_all(place.path(ELSEWHERE)).expect("made");
    place
}

fn from(place: &Workplace, folder: &str, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    Ran::of(command.current_dir(place.path(folder)).output().expect("started"))
}

#[test]
fn a_run_is_asked_as_where_it_was_trained() {
    let place = workplace();
    let run = place.path("run").display().to_string();
    let json = |ran: &Ran| -> Value {
        ran.succeeds();
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let generate = ["generate", &run, "Letter 3?", "--json", "--max-new-tokens", "6"];
    let here = json(&from(&place, ".", &generate));
    assert_eq!(json(&from(&place, ELSEWHERE, &generate)), here);
    // The same question by the base's own template is a shorter one.
    let other = json(&place.rtune(&["generate", "model", "Letter 3?", "--json", "--max-new-tokens", "6"]));
    assert_ne!(other["prompt_tokens"], here["prompt_tokens"]);

    let eval = ["eval", &run, "--max-new-tokens", "4", "--json"];
    let cases = |ran: &Ran| json(ran)["cases"].clone();
    let there = cases(&from(&place, ELSEWHERE, &eval));
    assert_eq!(there.as_array().map(Vec::len), Some(6), "its golden rows");
    let told = |cases: &Value| -> Vec<Value> {
        let case = |case: &Value| Value::from(vec![case["base"].clone(), case["tuned"].clone()]);
        cases.as_array().expect("cases").iter().map(case).collect()
    };
    assert_eq!(told(&cases(&from(&place, ".", &eval))), told(&there));
}

#[test]
fn what_is_written_of_it_elsewhere_has_its_template_and_its_figures() {
    let place = workplace();
    let run = place.path("run").display().to_string();
    let ask = |arguments: &[&str]| from(&place, ELSEWHERE, arguments).succeeds();
    ask(&["export", &run, "adapter"]);
    ask(&["export", &run, "merged", "--format", "safetensors"]);
    for folder in ["adapter", "merged"] {
        let template = place.read(&format!("{ELSEWHERE}/{folder}/chat_template.jinja"));
        assert!(template.contains(MARK), "{folder}: {template}");
    }
    // Measured on the golden rows of the run, since nobody names others.
    ask(&["merge", &run, "measured"]);
    let report: Value =
        serde_json::from_str(&place.read(&format!("{ELSEWHERE}/measured/merge-report.json"))).expect("JSON");
    let on = report["measured"]["on"].as_object().expect("files");
    assert!(on.keys().all(|name| name.ends_with("golden.jsonl")) && !on.is_empty(), "{report}");
    let gate = [
        "gate.must-improve=[]",
        "gate.non-inferior={chrf=100.0}",
        "gate.slices=false",
        "gate.ships=\"adapter\"",
    ];
    let set: Vec<&str> = gate.iter().flat_map(|rule| ["--set", *rule]).collect();
    ask(&[&["promote", run.as_str()][..], &set].concat());
    let version: Value =
        serde_json::from_str(&place.read(&format!("{ELSEWHERE}/registry/versions/v0001/version.json")))
            .expect("JSON");
    let own = format!("data.template={}", place.path("own.jinja").display());
    let read_with = version["read_with"].as_array().expect("a list");
    assert!(read_with.iter().any(|argument| *argument == own.as_str()), "{version}");
}
