//! The verbs that answer: generate, chat and eval, with the real program on a tiny model that was tuned.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::workplace::{Ran, Workplace};

/// Long enough to learn the one answer there is, and to end there.
const TUNED: [&str; 3] = ["train.steps=60", "train.learning-rate=0.03", "eval.every=60"];

/// The rows with another answer, which even the tiny model learns.
fn easy_rows(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"instruction\": \"Letter {n}?\", \"output\": \"aye\"}}\n")).collect()
}

fn tuned() -> Workplace {
    let place = Workplace::new();
    place.write("train.jsonl", easy_rows(0..24));
    place.train(&TUNED).succeeds();
    place
}

fn talk(place: &Workplace, arguments: &[&str], typed: &str) -> Ran {
    let mut command = place.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("typed");
    Ran::of(child.wait_with_output().expect("ended"))
}

fn json(ran: &Ran) -> Value {
    ran.succeeds();
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[test]
fn a_run_and_its_base_answer_differently_and_the_same_each_time() {
    let place = tuned();
    let ask = |more: &[&str]| {
        let arguments =
            [&["generate", "run", "Letter 3?\n\nIt is d.", "--json", "--max-new-tokens", "8"], more];
        json(&place.rtune(&arguments.concat()))
    };
    let (tuned, base) = (ask(&[]), ask(&["--base"]));
    assert_eq!((&tuned["tuned"], &base["tuned"]), (&true.into(), &false.into()));
    assert_ne!(tuned["token_ids"], base["token_ids"]);
    let alone =
        place.rtune(&["generate", "model", "Letter 3?\n\nIt is d.", "--json", "--max-new-tokens", "8"]);
    assert_eq!(json(&alone)["token_ids"], base["token_ids"]);
    let hot = ["--temperature", "1.5", "--top-k", "50", "--seed", "4"];
    assert_eq!(ask(&hot), ask(&hot));
    assert_ne!(
        ask(&hot)["token_ids"],
        ask(&["--temperature", "1.5", "--top-k", "50", "--seed", "5"])["token_ids"]
    );
    // The base is held as the help of the verb says, whatever the run wrote of its scales.
    json(&place.rtune(&[
        "generate",
        "run",
        "Letter 3?",
        "--json",
        "--max-new-tokens",
        "2",
        "--set",
        "quantization.kind=none",
    ]));
    let plain = place.rtune(&["generate", "run", "Letter 3?\n\nIt is d.", "--max-new-tokens", "8"]);
    plain.succeeds();
    assert_eq!(plain.stdout.trim_end_matches('\n'), tuned["answer"].as_str().expect("a text"));
    let checkpoint = json(&place.rtune(&[
        "generate",
        "run/best",
        "Letter 3?\n\nIt is d.",
        "--json",
        "--max-new-tokens",
        "8",
    ]));
    assert_eq!(checkpoint["token_ids"], tuned["token_ids"]);
    place.rtune(&["export", "run", "adapter"]).succeeds();
    let exported = json(&place.rtune(&[
        "generate",
        "adapter",
        "Letter 3?\n\nIt is d.",
        "--json",
        "--max-new-tokens",
        "8",
    ]));
    assert_eq!(exported["token_ids"], tuned["token_ids"]);
}

#[test]
fn a_raw_prompt_is_continued_as_it_stands() {
    let place = Workplace::new();
    let raw = json(&place.rtune(&["generate", "model", "abc", "--raw", "--json", "--max-new-tokens", "2"]));
    assert_eq!(raw["prompt_tokens"], 3);
    let piped =
        json(&talk(&place, &["generate", "model", "-", "--raw", "--json", "--max-new-tokens", "2"], "abc\n"));
    assert_eq!(piped["token_ids"], raw["token_ids"]);
}

#[test]
fn a_chat_remembers_resets_and_compares() {
    let place = tuned();
    let chat = |typed: &str| talk(&place, &["chat", "run", "--max-new-tokens", "6"], typed);
    let once = chat("Letter 3?\n");
    once.succeeds();
    // The second answer to the same words differs in its conversation, and is the first again after a reset.
    let twice = chat("Letter 3?\n/reset\nLetter 3?\n");
    assert_eq!(twice.stdout, once.stdout.repeat(2));
    let compared = chat("Letter 3?\n/compare\n/compare Letter 3?\n");
    compared.succeeds();
    assert_eq!(compared.stdout.matches("--- base").count(), 2);
    let parts: Vec<&str> = compared.stdout.split("--- tuned\n").collect();
    assert!(parts[1].starts_with(&once.stdout), "{}", compared.stdout);
    let system = chat("/system Be kind.\nLetter 3?\n/system\nLetter 3?\n");
    assert!(system.stdout.ends_with(&once.stdout), "{}", system.stdout);
    let lost = chat("/compere\n/compare\n/quit\nLetter 3?\n");
    assert_eq!(lost.stdout, "");
    assert!(lost.stderr.contains("`/compere` is no command") && lost.stderr.contains("no question yet"));
}

/// Nobody is there who would go on with another question.
#[test]
fn a_chat_on_a_pipe_is_ended_by_ctrl_c() {
    const SIGINT: i32 = 2;
    let place = Workplace::new();
    let mut command = place.command(&["chat", "model", "--max-new-tokens", "2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    // Both stay open to the end.
    let mut typed = child.stdin.take().expect("a pipe");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    writeln!(typed, "Letter 3?").expect("typed");
    said.read_line(&mut String::new()).expect("an answer");
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(sent.expect("a shell runs").success());
    let ends = |child: &mut Child| child.try_wait().expect("asked");
    let status = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ends(&mut child)
    });
    if status.is_none() {
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    assert_eq!(status.and_then(|status| status.signal()), Some(SIGINT), "{status:?}");
}

#[test]
fn eval_measures_base_and_tuned_side_by_side() {
    let place = tuned();
    place.write("golden.jsonl", easy_rows(100..112));
    let ran = place.rtune(&[
        "eval",
        "run",
        "--golden",
        "golden.jsonl",
        "--max-new-tokens",
        "8",
        "--out",
        "mine.json",
    ]);
    ran.succeeds();
    let report: Value = serde_json::from_str(&place.read("run/eval/golden-golden.json")).expect("JSON");
    assert_eq!(place.read("mine.json"), place.read("run/eval/golden-golden.json"));
    let (base, tuned) = (&report["base"], &report["tuned"]);
    assert!(tuned["chrf"].as_f64() > base["chrf"].as_f64(), "{base} {tuned}");
    assert!(tuned["answer_perplexity"].as_f64() < base["answer_perplexity"].as_f64(), "{base} {tuned}");
    let cases = report["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 12);
    assert_eq!((&cases[3]["line"], &cases[3]["expected"][0]), (&4.into(), &"aye".into()));
    // A corpus perplexity is not a mean of perplexities: it is recomputed here from the cases.
    let sum =
        |key: &str| cases.iter().map(|case| case["tuned"][key].as_f64().expect("a number")).sum::<f64>();
    let expected = (sum("nats") / sum("tokens")).exp();
    assert!((tuned["answer_perplexity"].as_f64().expect("a number") / expected - 1.0).abs() < 1e-9);
    // One at a time they are the same answers, and the report the same bytes.
    let single = place.rtune(&[
        "eval",
        "run",
        "--golden",
        "golden.jsonl",
        "--max-new-tokens",
        "8",
        "--batch",
        "1",
        "--json",
    ]);
    let single = json(&single);
    for (one, many) in single["cases"].as_array().expect("cases").iter().zip(cases) {
        assert_eq!(one["tuned"]["answer"], many["tuned"]["answer"]);
    }
    let bare =
        json(&place.rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "8", "--json"]));
    assert_eq!((&bare["tuned"], &bare["base"]), (&Value::Null, base));
}

#[test]
fn a_run_shows_what_it_would_answer() {
    let place = Workplace::new();
    let ran = place.train(&["eval.samples=2", "eval.sample-tokens=4"]);
    ran.succeeds();
    let lines: Vec<Value> = place
        .read("run/metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let samples: Vec<&Value> = lines.iter().filter(|line| line.get("sample_id").is_some()).collect();
    let steps: Vec<u64> = samples.iter().map(|line| line["step"].as_u64().expect("a step")).collect();
    assert_eq!(steps, [0, 0, 3, 3, 6, 6]);
    assert!(samples[0]["prompt"].as_str().expect("a text").contains("Letter "));
    assert_eq!(samples[0]["expected"].as_str().expect("a text").len(), 2);
    assert_eq!(ran.stdout.matches("\n  -> ").count(), 6, "{}", ran.stdout);
    // What stands there is what the run answers now, and resuming keeps the lines.
    let last = samples[5]["answer"].as_str().expect("a text");
    let row = lines.iter().filter(|line| line["sample_id"] == samples[5]["sample_id"]).count();
    assert_eq!(row, 3);
    place
        .rtune(&[
            "train",
            "config.toml",
            "--resume",
            "--set",
            "eval.samples=2",
            "--set",
            "eval.sample-tokens=4",
            "--set",
            "train.steps=9",
        ])
        .succeeds();
    let after = place.read("run/metrics.jsonl");
    assert_eq!(after.matches("sample_id").count(), 8);
    assert!(after.contains(&serde_json::to_string(last).expect("JSON")));
}

#[test]
fn references_count_as_expected_answers() {
    let place = Workplace::new();
    let asked = json(&place.rtune(&["generate", "model", "Hi", "--json", "--max-new-tokens", "4"]));
    let answer = asked["answer"].as_str().expect("a text").trim();
    let row =
        serde_json::json!({"instruction": "Hi", "output": "something else", "references": ["x", answer]});
    place.write("golden.jsonl", format!("{row}\n"));
    let report =
        json(&place.rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "4", "--json"]));
    assert_eq!(report["base"]["exact_match"], 1.0);
    assert_eq!(report["base"]["chrf"], 100.0);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let place = Workplace::new();
    let fails = |arguments: &[&str], parts: &[&str]| place.rtune(arguments).fails(2, parts);
    fails(&["generate", "nothing-here", "Hi"], &["nothing-here"]);
    fails(
        &["generate", "model", "Hi", "--set", "train.seed=1"],
        &["changes nothing here", "this verb reads"],
    );
    fails(&["generate", "model", "Hi", "--top-p", "1.5"], &["at most 1"]);
    fails(&["generate", "model", "Hi", "--temperature=-1"], &["not below 0"]);
    fails(&["generate", "model", ""], &["the prompt is empty"]);
    fails(&["generate", "model", &"a".repeat(9000)], &["the model sees at most 8192"]);
    fails(&["eval", "model"], &["no golden rows", "--golden FILE"]);
    fails(&["eval", "model", "--golden", "missing.jsonl"], &["missing.jsonl: no such file", "hint: paths"]);
    place.write("bad.jsonl", "{\"instruction\": \"a\"\n");
    fails(&["eval", "model", "--golden", "bad.jsonl"], &["bad.jsonl:1"]);
    let settings = place.read("model/tokenizer_config.json").replace("chat_template", "no_template");
    place.write("model/tokenizer_config.json", settings);
    fails(&["generate", "model", "Hi"], &["has no chat template", "data.template"]);
    fails(&["chat", "model"], &["has no chat template"]);
    place.rtune(&["generate", "model", "Hi", "--raw", "--max-new-tokens", "2"]).succeeds();
}

#[test]
fn a_run_refuses_another_base_and_a_damaged_checkpoint() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let config = place.read("model/config.json").replace("10000.0", "20000.0");
    let before = place.read("model/config.json");
    assert_ne!(config, before);
    place.write("model/config.json", config);
    place.rtune(&["generate", "run", "Hi"]).fails(2, &["another base: `config.json`"]);
    place.write("model/config.json", before);
    let adapter = place.path("run/best/adapter_model.safetensors");
    let mut bytes = std::fs::read(&adapter).expect("there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&adapter, bytes).expect("written");
    place.rtune(&["generate", "run", "Hi"]).fails(2, &["adapter_model.safetensors", "expected sha256"]);
}
