//! Golden sets with turns, contexts, JSON and clusters, and how likely their answers are.

#![expect(clippy::print_stdout, reason = "figures of the peers are what that test is for")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::release_peers::python;
use crate::workplace::{Workplace, write_base};

pub(crate) fn examined(place: &Workplace, rows: &[Value], more: &[&str]) -> Value {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    place.write("golden.jsonl", rows.join("\n"));
    let ran = place.rtune(
        &[
            &[
                "eval",
                "model",
                "--golden",
                "golden.jsonl",
                "--max-new-tokens",
                "6",
                "--json",
                "--out",
                "report.json",
            ],
            more,
        ]
        .concat(),
    );
    ran.succeeds();
    serde_json::from_str(&ran.stdout).expect("JSON")
}

fn say(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn said(place: &Workplace, messages: &[Value]) -> String {
    let mut messages = messages.to_vec();
    messages.push(say("assistant", "x"));
    let report = examined(place, &[json!({"messages": messages, "ask": "last"})], &[]);
    report["cases"][0]["base"]["answer"].as_str().expect("a text").to_owned()
}

#[test]
fn turns_are_answered_on_the_models_own_history() {
    let place = Workplace::new();
    let (first, second, third) =
        (say("user", "My name is Ann."), say("user", "And the lamp?"), say("user", "Bye"));
    let own = said(&place, std::slice::from_ref(&first));
    let after = [first.clone(), say("assistant", &own), second.clone()];
    let own_second = said(&place, &after);
    let row = json!({"id": "talk", "messages": [first, say("assistant", "Hello Ann!"), second,
        say("assistant", "It is red."), third, say("assistant", "Bye Ann!")], "checks": [
        {"kind": "equals", "text": own, "turn": 1},
        {"kind": "equals", "text": own_second, "turn": 2, "given": 1},
        {"kind": "contains", "text": "Ann, never said", "turn": 3, "given": 1},
        {"kind": "length", "unit": "bytes", "most": 100, "turn": "every"}]});
    // One at a time and many at a time: more rows of other lengths around it.
    let other = json!({"id": "other", "messages": [say("user", "A"), say("assistant", "b"), say("user", "C"), say("assistant", "d")]});
    let single = json!({"id": "single", "instruction": "What?", "output": "x", "checks": [{"kind": "length", "unit": "bytes", "least": 0}]});
    let rows = [other, single, row];
    let report = examined(&place, &rows, &[]);
    assert_eq!(report["cases"], examined(&place, &rows, &["--batch", "1"])["cases"]);
    let case = &report["cases"][2];
    let side = &case["base"];
    assert_eq!((&side["turns"][0]["answer"], &side["turns"][1]["answer"]), (&json!(own), &json!(own_second)));
    assert_eq!(side["turns"].as_array().map(Vec::len), Some(3));
    assert_eq!(side["answer"], side["turns"][2]["answer"]);
    assert_eq!(case["turns"], json!(["Hello Ann!", "It is red.", "Bye Ann!"]));
    assert_eq!(side["failed_checks"].as_array().map(Vec::len), Some(1), "{side}");
    assert!(side["failed_checks"][0].as_str().expect("a reason").starts_with("turn 3: "), "{side}");
    let talks = &report["base"]["conversations"];
    assert_eq!((&talks["cases"], &talks["turns"], &talks["completed"]), (&json!(2), &json!(5), &json!(0.0)));
    assert_eq!(talks["retention"], json!(0.5));
    assert_eq!(
        talks["retention_by_distance"],
        json!([{"turns_ago": 1, "checks": 1, "passed": 1}, {"turns_ago": 2, "checks": 1, "passed": 0}])
    );
    assert_eq!(report["base"]["checks_passed"], json!(0.5), "the row of one turn passes its check");
    assert!(report["cases"][1]["base"].get("turns").is_none());
    // The comparison scores all turns, as the report does.
    for (metric, of) in [("chrf", "chrf"), ("chrf++", "chrf_plus_plus"), ("bleu", "bleu"), ("ter", "ter")] {
        let ran = place.rtune(&["compare", "report.json", "report.json", "--metric", metric, "--json"]);
        ran.succeeds();
        let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(compared["metrics"][0]["metric"], *metric);
        let (ours, theirs) = (compared["metrics"][0]["first"].as_f64(), report["base"][of].as_f64());
        assert!((ours.expect("a score") - theirs.expect("a score")).abs() < 1e-9, "{metric}");
    }
    let people =
        place.rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "6", "--answers"]);
    people.succeeds();
    for part in [
        "--- base, turn 1",
        "check failed: turn 3: ",
        "conversations completed",
        "facts of earlier turns known",
    ] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
    let wrong = json!({"messages": [say("user", "A"), say("assistant", "b")], "checks": [{"kind": "refusal", "turn": 2}]});
    place.write("wrong.jsonl", wrong.to_string());
    place
        .rtune(&["eval", "model", "--golden", "wrong.jsonl"])
        .fails(2, &["wrong.jsonl:1: the field `checks` of a golden row: check 1: expected `turn` to be one of the 1 that the model answers, found 2"]);
}

#[test]
fn contexts_json_and_clusters_are_reported() {
    let place = Workplace::new();
    let answer = said(&place, &[say("user", "Which?\n\nThe lamp costs 5 euros.")]);
    let rows = [
        json!({"instruction": "Which?", "input": "The lamp costs 5 euros.", "output": answer, "cluster": "lamp"}),
        json!({"instruction": "Which?", "input": "The lamp costs 5 euros!", "output": answer, "cluster": "lamp"}),
        json!({"instruction": "Give JSON.", "output": "{\"id\": 3, \"name\": \"Ann\"}",
            "checks": [{"kind": "json-schema", "schema": {"type": "object"}}]}),
    ];
    let report = examined(&place, &rows, &["--all-tokens"]);
    let base = &report["base"];
    assert_eq!(base["groundedness"]["answers"], 2);
    assert_eq!(report["cases"][0]["context"], json!(["The lamp costs 5 euros."]));
    // An answer that is the reference says nothing that no source supports.
    assert_eq!(report["cases"][0]["base"]["grounded"]["unsupported"], json!([]));
    assert!(report["cases"][2]["base"].get("grounded").is_none());
    let extraction = &base["extraction"];
    assert_eq!((&extraction["answers"], &extraction["fits_schema"]), (&json!(1), &json!(0.0)));
    assert_eq!(extraction["by_field"]["name"]["expected"], 1);
    assert_eq!(extraction["by_field"]["name"]["recall"], 0.0);
    assert_eq!((&base["stability"]["clusters"], &base["stability"]["cases"]), (&json!(1), &json!(2)));
    for metric in ["grounded", "field-f1", "bits-per-byte", "token-accuracy", "rouge-l"] {
        place.rtune(&["compare", "report.json", "report.json", "--metric", metric]).succeeds();
    }
    let all = &base["all_tokens"];
    assert!(all["tokens"].as_u64() > base["answers"]["tokens"].as_u64(), "{base}");
    // The same sums from the rows one by one, where they begin with other tokens and share none.
    let (mut nats, mut tokens, mut bytes) = (0.0, 0, 0);
    for row in &rows {
        let one = examined(&place, std::slice::from_ref(row), &["--all-tokens"]);
        nats += one["base"]["all_tokens"]["nats"].as_f64().expect("nats");
        tokens += one["base"]["all_tokens"]["tokens"].as_u64().expect("tokens");
        bytes += one["base"]["all_tokens"]["bytes"].as_u64().expect("bytes");
    }
    assert!((all["nats"].as_f64().expect("nats") / nats - 1.0).abs() < 1e-6, "{all} {nats}");
    assert_eq!((all["tokens"].as_u64(), all["bytes"].as_u64()), (Some(tokens), Some(bytes)));
    let answers = &base["answers"];
    let per_byte = answers["text_nats"].as_f64().expect("nats") / answers["bytes"].as_f64().expect("bytes");
    assert!((answers["byte_perplexity"].as_f64().expect("a number").ln() - per_byte).abs() < 1e-9);
    assert!(answers["text_nats"].as_f64() < answers["nats"].as_f64(), "the end of an answer is no text");
    for name in ["chrf", "chrf_plus_plus", "bleu", "ter", "rouge"] {
        let signature = report[format!("{name}_signature")].as_str().expect("a signature").to_owned();
        assert!(signature.contains("|nrefs:1|") && signature.contains("|version:rtune-"), "{signature}");
    }
}

/// A text beyond the original context turns by other frequencies from its first token on: what it begins with as others do, too.
#[test]
fn long_texts_are_as_likely_beside_others_as_alone() {
    let place = Workplace::new();
    fs::remove_dir_all(place.path("model")).expect("removed");
    let scaling = json!({"type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0], "long_factor": [9.0, 7.0, 5.0, 3.0]});
    let config = json!({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "hidden_act": "silu",
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 1024,
        "original_max_position_embeddings": 64, "rope_scaling": scaling, "tie_word_embeddings": true});
    write_base(&place.path("model"), config);
    let system = json!({"role": "system", "content": "You know all lamps."});
    let row = |question: &str| json!({"messages": [system, say("user", question), say("assistant", "Yes.")]});
    let long = "Which of the lamps that we have in stock ".repeat(3);
    let rows = [row("Red?"), row(&format!("{long}are red?")), row(&format!("{long}were blue in May?"))];
    let all = |rows: &[Value]| {
        let report = examined(&place, rows, &["--all-tokens"]);
        let all = &report["base"]["all_tokens"];
        (all["nats"].as_f64().expect("nats"), all["tokens"].as_u64().expect("tokens"))
    };
    // Long ones alone, and a short one beside them.
    for rows in [&rows[1..], &rows[..]] {
        let (nats, tokens) = all(rows);
        let alone: Vec<_> = rows.iter().map(|row| all(std::slice::from_ref(row))).collect();
        assert_eq!(tokens, alone.iter().map(|(_, tokens)| tokens).sum::<u64>());
        let expected: f64 = alone.iter().map(|(nats, _)| nats).sum();
        assert!((nats / expected - 1.0).abs() < 1e-6, "{nats} {expected}");
    }
}

/// What is expected must be a text, and an id one row over all files.
#[test]
fn rows_that_cannot_be_held_against_answers_are_named() {
    let place = Workplace::new();
    let fails = |files: &[(&str, Value)], part: &str| {
        let mut arguments = vec!["eval", "model", "--max-new-tokens", "2"];
        for (name, row) in files {
            place.write(name, row.to_string());
            arguments.extend(["--golden", name]);
        }
        place.rtune(&arguments).fails(2, &[part, "hint: "]);
    };
    let row = |answer: &str| json!({"id": "one", "instruction": "Hi", "output": answer});
    fails(
        &[("a.jsonl", row("x")), ("b.jsonl", row("y"))],
        "b.jsonl:1: the id `one` already stands at a.jsonl:1",
    );
    let long = json!({"instruction": "Hi", "output": "x", "references": ["a ".repeat(10_001)]});
    fails(
        &[("a.jsonl", long)],
        "a.jsonl:1: the field `references` of a golden row: expected answers of at most 10000 words",
    );
    // An answer that nobody is to be trained on is the expected one all the same.
    let given = json!({"messages": [say("user", "A"), say("assistant", "one"), say("user", "B"),
        {"role": "assistant", "content": "the last", "train": false}]});
    let report = examined(&place, &[given], &[]);
    assert_eq!(report["cases"][0]["expected"], json!(["the last"]));
    let bytes = report["cases"][0]["base"]["text_bytes"].as_u64();
    assert_eq!(bytes, Some("the last".len() as u64));
    let plain = json!({"messages": [say("user", "A"), say("assistant", "one"), say("user", "B"), say("assistant", "the last")]});
    let same = examined(&place, &[plain], &[]);
    assert_eq!(report["cases"][0]["base"]["nats"], same["cases"][0]["base"]["nats"]);
}

/// Reasoning is weighed with its own bytes, and an answer that only calls tools is no text.
#[test]
fn reasoning_and_calls_are_not_taken_for_the_answer() {
    let place = Workplace::new();
    let template = "{{ tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>\
        {% endif %}{{ m.content or '' }}{% if m.tool_calls %}<call>{{ m.tool_calls|tojson }}</call>{% endif %}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    place.write("think.jinja", template);
    let with = ["--set", "data.template=think.jinja"];
    let thought = json!({"messages": [say("user", "A"), {"role": "assistant", "content": "b", "reasoning_content": "so long"}]});
    let report = examined(&place, &[thought], &with);
    assert_eq!(report["cases"][0]["expected"], json!(["b"]));
    let bytes = report["cases"][0]["base"]["text_bytes"].as_u64();
    assert_eq!(bytes, Some("<think>so long</think>b".len() as u64));
    let calls = json!([{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]);
    let mut row = json!({"messages": [say("user", "A"), {"role": "assistant", "content": null, "tool_calls": calls}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}}]});
    let without = json!({"messages": [say("user", "A"), say("assistant", "no")], "tools": row["tools"]});
    let report = examined(&place, &[row.clone(), without], &with);
    let written = report["cases"][0]["expected"][0].as_str().expect("a text");
    assert!(written.starts_with("<call>") && written.contains("\"a\": 1"), "{written}");
    let called = &report["cases"][0]["base"]["called"];
    assert_eq!((&called["right"], &called["counts"]["expected"]), (&json!(false), &json!(1)));
    let figures = &report["base"]["tool_calls"];
    assert_eq!((&figures["cases"], &figures["cases_without"]), (&json!(1), &json!(1)), "{figures}");
    assert_eq!((&figures["right"], &figures["needless"]), (&json!(0.0), &json!(0.0)), "{figures}");
    let ran = place.rtune(&["compare", "report.json", "report.json", "--json"]);
    ran.succeeds();
    let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&compared["metrics"][0]["metric"], &compared["metrics"][0]["cases"]),
        (&json!("tool-calls"), &json!(1))
    );
    row["references"] = json!(["f()"]);
    let report = examined(&place, &[row], &with);
    assert_eq!(report["cases"][0]["expected"], json!(["f()"]));
}

/// Shares and means weigh cases; counts do not, in an evaluation as in a comparison.
#[test]
fn cases_weigh_where_a_share_or_a_mean_is_shown() {
    let place = Workplace::new();
    let answer = said(&place, &[say("user", "Which?")]);
    let row = |id: &str, output: &str, weight: u64| json!({"id": id, "instruction": if id == "right" { "Which?" } else { "What else?" }, "output": output, "weight": weight});
    let rows = [row("right", &answer, 3), row("wrong", "zzzz", 1)];
    let report = examined(&place, &rows, &[]);
    assert_eq!(report["base"]["exact_match"], json!(0.75));
    let each = |case: usize| report["cases"][case]["base"]["rouge"]["rougeL"].as_f64().expect("a score");
    let mean = report["base"]["rouge"]["rougeL"].as_f64().expect("a score");
    assert!((mean - (3.0 * each(0) + each(1)) / 4.0).abs() < 1e-12, "{mean}");
    let ran = place.rtune(&["compare", "report.json", "report.json", "--metric", "rouge-l", "--json"]);
    ran.succeeds();
    let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!((compared["metrics"][0]["first"].as_f64().expect("a score") - mean).abs() < 1e-12);
}

#[test]
fn other_tools_read_the_cases() {
    let place = Workplace::new();
    let talk = json!({"id": "talk", "messages": [say("system", "Be short."), say("user", "I am Ann."), say("assistant", "Hello!"),
        say("user", "And now?"), say("assistant", "Bye")]});
    let single = json!({"id": "one", "instruction": "Which?", "input": "The lamp.", "output": "ü"});
    let files = ["--export", "deepeval", "deep.json", "--export", "ragas", "ragas.jsonl"];
    let report = examined(&place, &[talk, single.clone()], &files);
    let read = |name: &str| -> Value { serde_json::from_str(&place.read(name)).expect("JSON") };
    let deep = read("deep.json");
    let own = &report["cases"][0]["base"];
    assert_eq!(
        deep[0]["turns"],
        json!([say("user", "I am Ann."), {"role": "assistant", "content": own["turns"][0]["answer"]},
        say("user", "And now?"), {"role": "assistant", "content": own["answer"]}])
    );
    assert_eq!(
        (&deep[1]["input"], &deep[1]["retrieval_context"]),
        (&json!("Which?\n\nThe lamp."), &json!(["The lamp."]))
    );
    assert_eq!(
        (&deep[1]["expected_output"], &deep[1]["actual_output"]),
        (&json!("ü"), &report["cases"][1]["base"]["answer"])
    );
    // Its conversations have no place for answers and contexts: questions keep theirs in a file of their own.
    let question = read("ragas.jsonl");
    assert_eq!(
        (&question["response"], &question["retrieved_contexts"]),
        (&report["cases"][1]["base"]["answer"], &json!(["The lamp."]))
    );
    let conversation = read("ragas-conversations.jsonl");
    assert_eq!(conversation["user_input"][0], json!({"content": "I am Ann.", "type": "human"}));
    // Without a conversation they are questions.
    examined(&place, &[single], &["--export", "ragas", "single.jsonl"]);
    let only = read("single.jsonl");
    assert_eq!(
        (&only["user_input"], &only["retrieved_contexts"]),
        (&json!("Which?\n\nThe lamp."), &json!(["The lamp."]))
    );
    place
        .rtune(&["eval", "model", "--golden", "golden.jsonl", "--export", "csv", "x"])
        .fails(2, &["expected deepeval or ragas"]);
    for (module, script) in [
        (
            "deepeval",
            "from deepeval.dataset import EvaluationDataset as D; d = D(); d.add_goldens_from_json_file('deep.json'); print(len(d.goldens)); \
            e = D(); e.add_test_cases_from_json_file('deep.json', 'input', 'actual_output', 'expected_output', 'context', 'retrieval_context'); print(len(e.test_cases))",
        ),
        (
            "ragas",
            "from ragas import EvaluationDataset as D; print(len(D.from_jsonl('ragas.jsonl'))); print(len(D.from_jsonl('ragas-conversations.jsonl'))); print(len(D.from_jsonl('single.jsonl')))",
        ),
    ] {
        let Some(python) = python(module) else { continue };
        let mut command = Command::new(python);
        place.settle(command.args(["-c", script]));
        let output = command.env("DEEPEVAL_TELEMETRY_OPT_OUT", "1").output().expect("Python runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        println!("{module} reads {}", text.trim().replace('\n', " and "));
    }
}

/// Perplexities of answers and of all tokens, and which tokens are likeliest, as transformers computes them.
#[test]
fn perplexities_are_those_of_transformers() {
    let Some(python) = python("transformers, torch") else { return };
    let place = Workplace::new();
    let rows: Vec<Value> = (0..20)
        .map(|n| json!({"instruction": format!("Letter {n}, {}?", "please ".repeat(n)), "output": format!("It is {n}, ünder a lamp.")}))
        .collect();
    let model = std::env::var_os("RTUNE_MODEL_SMOLLM2").map(|folder| Path::new(&folder).join("hf"));
    for model in std::iter::once(place.path("model")).chain(model) {
        let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
        place.write("golden.jsonl", rows.join("\n"));
        let named = model.display().to_string();
        let ran = place.rtune(&[
            "eval",
            &named,
            "--golden",
            "golden.jsonl",
            "--max-new-tokens",
            "1",
            "--all-tokens",
            "--out",
            "report.json",
            "--set",
            "quantization.kind=none",
        ]);
        ran.succeeds();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/perplexity.py");
        let files = [script, place.path("report.json"), model, place.path("golden.jsonl")];
        let output = Command::new(&python).args(files).output().expect("Python runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("all figures agree"), "{text}");
        print!("{text}");
    }
}
