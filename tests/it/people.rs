//! Golden sets beside people's scores, asked in other words, and read by an encoder.

use std::path::Path;

use serde_json::{Value, json};

use crate::workplace::Workplace;

const EVAL: [&str; 6] = ["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "4"];

fn rows(human: impl Fn(usize) -> Option<f64>) -> String {
    let row = |number: usize| {
        let colour = ["red", "a green one", "%", "blue, or grey", "e"][number % 5].repeat(1 + number % 3);
        let asked = format!("What colour has lamp {number}, and what else is there?");
        let mut row = json!({"id": format!("case {number}"), "instruction": asked, "output": colour});
        if let Some(score) = human(number) {
            row["human"] = json!(score);
        }
        row.to_string()
    };
    (0..30).map(row).collect::<Vec<String>>().join("\n")
}

fn report(place: &Workplace, more: &[&str]) -> Value {
    let ran = place.rtune(&[&EVAL, more, &["--json"]].concat());
    ran.succeeds();
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn metrics_stand_beside_peoples_scores() {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(|_| None));
    let found = report(&place, &[]);
    assert_eq!(found["people"], Value::Null);
    let ran = place.rtune(&EVAL);
    assert!(ran.stdout.contains("none of these figures was held against people's scores"), "{}", ran.stdout);
    // People who score as one metric does; so that their order is not that of others, by its last digits.
    let nats: Vec<f64> =
        (0..30).map(|case| -found["cases"][case]["base"]["perplexity"].as_f64().expect("a number")).collect();
    place.write("golden.jsonl", rows(|case| Some(nats[case])));
    let found = report(&place, &[]);
    let metric = |found: &Value, name: &str| -> Value {
        let all = found["people"]["metrics"].as_array().expect("metrics");
        all.iter().find(|one| one["metric"] == name).unwrap_or_else(|| panic!("{name} in {all:?}")).clone()
    };
    let nats_of = metric(&found, "answer-nats");
    assert_eq!(
        (&nats_of["correlation"]["spearman"], &nats_of["doubt"]),
        (&json!(1.0), &Value::Null),
        "{nats_of}"
    );
    assert_eq!(found["people"]["answers"], 30);
    assert!(metric(&found, "exact-match")["doubt"].is_string(), "no answer is right");
    let people = place.rtune(&EVAL);
    for part in ["beside people", "answer-nats", "+1.000", "not to be believed: one score for all answers"] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
    // The same scores from a file, in both forms; a score of another answer is not one of this.
    place.write("golden.jsonl", rows(|_| None));
    let csv: String = (0..30).map(|case| format!("case {case},{}\n", nats[case])).collect();
    place.write("scores.csv", format!("id,score\n{csv}"));
    assert_eq!(report(&place, &["--human", "scores.csv"])["people"]["metrics"], found["people"]["metrics"]);
    let lines: String = (0..30)
        .map(|case| {
            let answer = found["cases"][case]["base"]["answer"].as_str().expect("an answer");
            let answer = if case < 20 { answer } else { "another answer" };
            json!({"id": format!("case {case}"), "score": nats[case], "model": "base", "answer": answer})
                .to_string()
                + "\n"
        })
        .collect();
    place.write("scores.jsonl", lines);
    let some = report(&place, &["--human", "scores.jsonl"]);
    assert_eq!((&some["people"]["answers"], &some["people"]["unused"]), (&json!(20), &json!(10)));
    // A row that was taken out since, or is kept back, leaves a score without an answer, and the report stands.
    place.write("scores.csv", "id,score\nnone,1\ncase 1,3\n");
    let some = report(&place, &["--human", "scores.csv", "--out", "scored.json"]);
    assert_eq!((&some["people"]["answers"], &some["people"]["unused"]), (&json!(1), &json!(1)));
    assert!(place.read("scored.json").contains("\"unused\": 1"));
    for (text, part) in [
        ("id,score\nnone,1\n", "there is no case `none`"),
        ("id,score\ncase 1,good\n", "scores.csv:2: expected `score` to be a number"),
        ("id,score,model\ncase 1,3,other\n", "expected `model` to be base or tuned"),
        ("id,score\n", "expected scores, found none"),
    ] {
        place.write("scores.csv", text);
        place.rtune(&[&EVAL, ["--human", "scores.csv"].as_slice()].concat()).fails(2, &[part]);
    }
}

#[test]
fn questions_are_asked_with_typos_and_in_other_case() {
    let place = Workplace::new();
    let talk = json!({"messages": [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "a"},
        {"role": "user", "content": "Goodbye then"}, {"role": "assistant", "content": "b"}]});
    let context = "Lamp 7 costs five euros.";
    let row = json!({"id": "lamp", "instruction": "What does the seventh lamp cost?", "input": context, "output": "5"});
    place.write("golden.jsonl", format!("{talk}\n{row}"));
    let plain = report(&place, &[]);
    assert_eq!(plain["base"]["variants"], Value::Null);
    let found = report(&place, &["--variants", "4"]);
    assert_eq!(found, report(&place, &["--variants", "4", "--batch", "1"]), "draws are keyed");
    let figures = &found["base"]["variants"];
    assert_eq!((&figures["cases"], &figures["variants"]), (&json!(1), &json!(4)), "one turn each: {figures}");
    assert_eq!(figures["kinds"]["typos"]["variants"], 2);
    let variants = found["cases"][1]["variants"].as_array().expect("variants");
    let kinds: Vec<&str> = variants.iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["typos", "lower-case", "upper-case", "typos"]);
    assert_eq!(variants[2]["asked"], format!("WHAT DOES THE SEVENTH LAMP COST?\n\n{context}"));
    // What a variant is answered is what is answered to that text.
    let asked = variants[0]["asked"].as_str().expect("a text").split_once("\n\n").expect("two parts").0;
    let row = json!({"id": "lamp", "instruction": asked, "input": context, "output": "5"});
    place.write("golden.jsonl", row.to_string());
    assert_eq!(report(&place, &[])["cases"][0]["base"]["answer"], variants[0]["base"]["answer"]);
    // The other figures are those of the rows as they stand.
    for figure in ["chrf", "exact_match", "answer_tokens", "answer_perplexity"] {
        assert_eq!(found["base"][figure], plain["base"][figure], "{figure}");
    }
    let people = place.rtune(&[&EVAL, ["--variants", "2", "--answers"].as_slice()].concat());
    people.succeeds();
    for part in ["typos and case: answered alike", "right as asked, with typos and case", "--- asked as: "] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
}

#[test]
fn several_models_are_asked_in_one_pass() {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(|_| None));
    place.train(&["train.learning-rate=0.03"]).succeeds();
    place.train(&["output.dir=other", "train.seed=7"]).succeeds();
    let with = |models: &[&str], more: &[&str]| {
        let mut arguments = vec!["eval"];
        arguments.extend(models);
        arguments.extend(["--golden", "golden.jsonl", "--max-new-tokens", "4", "--variants", "1"]);
        arguments.extend(more);
        place.rtune(&arguments)
    };
    let json = |ran: crate::workplace::Ran| -> Value {
        ran.succeeds();
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let all = json(with(&["model", "run", "other"], &["--json"]));
    let reports = all["reports"].as_array().expect("reports");
    assert_eq!(reports.len(), 3);
    // Each is what it would be alone; the base of the runs was asked once.
    for (name, report) in ["model", "run", "other"].into_iter().zip(reports) {
        let alone = json(with(&[name], &["--json"]));
        assert_eq!(&alone, report, "{name}");
    }
    assert_eq!(reports[0]["base"], reports[1]["base"]);
    assert_ne!(reports[1]["tuned"], reports[2]["tuned"]);
    let shown = with(&["run", "other"], &["--out", "one.json", "--out", "two.json"]);
    shown.succeeds();
    for part in ["=== run", "=== other", "run: base", "report: two.json", "which differences are real"] {
        assert!(shown.stdout.contains(part), "{part:?} in\n{}", shown.stdout);
    }
    place.rtune(&["compare", "one.json", "two.json"]).succeeds();
    with(&["run", "other"], &["--out", "one.json"]).fails(2, &["expected `--out` 2 times"]);
    with(&["run", "other"], &["--export", "ragas", "x"]).fails(2, &["`--export` is for one model, found 2"]);
}

#[test]
fn an_encoder_reads_answers() {
    let place = Workplace::new();
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tests/fixtures/tagger");
    let encoder = encoder.display().to_string();
    let talk = json!({"messages": [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "a lamp"},
        {"role": "user", "content": "Goodbye then"}, {"role": "assistant", "content": "b"}]});
    place.write("golden.jsonl", format!("{talk}\n{}", rows(|_| None)));
    let found = report(&place, &["--encoder", &encoder]);
    let cases = found["cases"].as_array().expect("cases");
    for case in cases {
        let one = &case["base"]["similarity"];
        let within = |value: &Value| value.as_f64().is_some_and(|value| (-1.0..=1.0 + 1e-9).contains(&value));
        assert!(within(&one["relevancy"]) && within(&one["bert_score"]["f1"]), "{case}");
    }
    assert!(
        found["bert_score_signature"]
            .as_str()
            .expect("a signature")
            .contains("|idf:no|rescaled:no|encoder:tagger@sha256:")
    );
    // The same as of files, but for the conversation, whose two answers count as two.
    let lines = |of: &dyn Fn(&Value) -> String| cases[1..].iter().map(of).collect::<String>();
    let text = |value: &Value| json!({"answer": value}).to_string() + "\n";
    place.write("answers.jsonl", lines(&|case| text(&case["base"]["answer"])));
    place.write("expected.jsonl", lines(&|case| text(&case["expected"][0])));
    let files = [
        "score",
        "answers.jsonl",
        "expected.jsonl",
        "--metric",
        "bertscore",
        "--encoder",
        &encoder,
        "--json",
    ];
    let ran = place.rtune(&files);
    ran.succeeds();
    let scored: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let f1 = |case: &Value| case["base"]["similarity"]["bert_score"]["f1"].as_f64().expect("a score");
    let mean = 100.0 * cases[1..].iter().map(f1).sum::<f64>() / 30.0;
    assert!((scored["metrics"][0]["score"].as_f64().expect("a score") - mean).abs() < 1e-4);
    let talk = 2.0 * f1(&cases[0]);
    let all = found["base"]["similarity"]["bert_score"]["f1"].as_f64().expect("a score");
    assert!((all - (talk + 0.3 * mean) / 32.0).abs() < 1e-9, "{all}");
    let people = place.rtune(&[&EVAL, ["--encoder", encoder.as_str(), "--idf"].as_slice()].concat());
    people.succeeds();
    for part in ["BERTScore F1", "relevancy (cosine with the question)"] {
        assert!(people.stdout.contains(part), "{part:?} in\n{}", people.stdout);
    }
    place.rtune(&[&EVAL, ["--encoder", "nowhere"].as_slice()].concat()).fails(2, &["nowhere"]);
}
