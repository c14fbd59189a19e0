//! A golden set on a GPU: the figures of the processor's, and those that a run on the GPU takes of itself.

use rtune_data::Source;
use rtune_kernels::cuda::emulator::SCHEDULES;
use rtune_models::generate::Sampling;
use rtune_trainer::config::Config;
use rtune_trainer::evaluate::golden::{ExamOptions, GoldenReport, examine};
use rtune_trainer::evaluate::labels::LabelOptions;
use rtune_trainer::evaluate::likelihood::weigh;
use rtune_trainer::gpu::Device;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::{Settings, Speaker};
use serde_json::{Value, json};

use super::Open;
use crate::training::run_on;
use crate::workplace::Workplace;

/// Of a perplexity: what bf16 makes of the mean loss of a few tokens.
const PERPLEXITY_TOLERANCE: f64 = 0.02;
/// Of nats of one label.
const NATS_TOLERANCE: f64 = 0.05;

fn golden() -> String {
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    let mut rows: Vec<Value> = (0..4)
        .map(|number| {
            let label = if number % 2 == 0 { "aa" } else { "bb" };
            json!({"instruction": format!("Letter {number}?"), "input": "It is here.", "output": label})
        })
        .collect();
    rows.push(json!({"messages": [say("user", "Letter?"), say("assistant", "aa"), say("user", "Another?"), say("assistant", "bb")]}));
    rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn open_run(place: &Workplace, run: &str, device: Option<&Device>) -> Opened {
    let subject = Subject::find(&place.path(run).display().to_string(), &[]).expect("a run");
    let mut opened = subject.open(&place.path("model"), &mut |_, _| {}).expect("opened");
    if let Some(device) = device {
        opened.answer_on(device).expect("on the GPU");
    }
    opened
}

fn exam(place: &Workplace, opened: &Opened, max_new_tokens: usize, batch: usize) -> GoldenReport {
    let settings = Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens, batch };
    let labels = LabelOptions { labels: vec!["aa".to_owned(), "bb".to_owned()], ..LabelOptions::default() };
    let options = ExamOptions { labels, all_tokens: true, ..ExamOptions::default() };
    let speaker = Speaker::new(opened).expect("a speaker");
    let sources = [Source::new(place.path("golden.jsonl"))];
    examine(&speaker, &sources, &settings, &options, &mut |_| {}).expect("a report")
}

pub(super) fn golden_rows_are_answered_and_weighed(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[1]) else { return };
    let place = Workplace::new();
    place.write("golden.jsonl", golden());
    let paths = [
        format!("output.dir={}", place.path("run").display()),
        format!("data.train={}", place.path("train.jsonl").display()),
    ];
    let config = Config::load(&place.path("config.toml"), &paths).expect("valid");
    run_on(None, &config, &place.path("model"), 6, false);
    let (here, there) = (open_run(&place, "run/last", None), open_run(&place, "run/last", Some(&device)));
    let [first, second] = [&here, &there].map(|opened| exam(&place, opened, 4, 3));
    for (one, other) in first.cases.iter().zip(&second.cases) {
        let sides = |case: &rtune_trainer::evaluate::golden::Case| {
            [case.base.clone(), case.tuned.clone().expect("a tuned side")]
        };
        for (one, other) in sides(one).iter().zip(&sides(other)) {
            let off = (one.perplexity / other.perplexity - 1.0).abs();
            assert!(off < PERPLEXITY_TOLERANCE, "perplexity {} and {}", one.perplexity, other.perplexity);
            let [one, other] =
                [one, other].map(|side| side.label_nats.as_ref().expect("labels were weighed"));
            for (one, other) in one.iter().zip(other) {
                assert!((one - other).abs() < NATS_TOLERANCE * one, "a label's nats: {one} and {other}");
            }
        }
    }
    let moved = first.cases.iter().any(|case| {
        case.tuned.as_ref().is_some_and(|tuned| (tuned.perplexity / case.base.perplexity - 1.0).abs() > 0.1)
    });
    assert!(moved, "nothing was learned that the GPU could leave out");
    let [one, other] = [&first, &second].map(|report| report.base.answer_perplexity);
    assert_ne!(one, other, "the GPU rounds to bf16: it did not answer");
    // How many answers are under way at once changes none of them.
    let alone = exam(&place, &there, 4, 1);
    let answers = |report: &GoldenReport| {
        report.cases.iter().map(|case| case.tuned.clone().expect("a side").answer).collect::<Vec<_>>()
    };
    if device.facts().name == super::EMULATOR {
        assert_eq!(answers(&alone), answers(&second));
    }
    // The same expected answers, a whole text at a time.
    let bits = |opened: &Opened| {
        let speaker = Speaker::new(opened).expect("a speaker");
        let golden = [Source::new(place.path("golden.jsonl"))];
        let rows = weigh(&speaker, (&golden, false), &mut |_, _| {}).expect("rows");
        rows.iter().map(|row| row.bits).sum::<f64>()
    };
    let (here, there) = (bits(&here), bits(&there));
    assert!((here / there - 1.0).abs() < PERPLEXITY_TOLERANCE, "{here} and {there} bits");
}

pub(super) fn a_run_answers_where_it_trains(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let place = Workplace::new();
    place.write("golden.jsonl", golden());
    let settings = [
        format!("output.dir={}", place.path("run").display()),
        format!("data.train={}", place.path("train.jsonl").display()),
        format!("data.golden={}", place.path("golden.jsonl").display()),
        "train.steps=2".to_owned(),
        "checkpoint.every=1".to_owned(),
        "eval.every=1".to_owned(),
        "eval.samples=2".to_owned(),
        "eval.sample-tokens=3".to_owned(),
        "eval.golden-rows=5".to_owned(),
        "eval.golden-tokens=3".to_owned(),
        "data.leaks.check=false".to_owned(),
    ];
    let config = Config::load(&place.path("config.toml"), &settings).expect("valid");
    run_on(Some(device.clone()), &config, &place.path("model"), 9, false);
    let read = |name: &str| -> String { place.read(&format!("run/{name}")) };
    let evaluation: Value = serde_json::from_str(&read("eval/step-000002.json")).expect("JSON");
    let watched = evaluation["golden"]["figures"]["chrf"].as_f64().expect("a figure");
    assert_eq!(read("metrics.jsonl").matches("\"sample_id\"").count(), 3 * 2, "two answers three times");
    // The last checkpoint, asked anew on the same device.
    let opened = open_run(&place, "run/checkpoints/step-000002", Some(&device));
    let report = exam(&place, &opened, 3, 32);
    let asked = report.tuned.expect("a tuned side").chrf;
    assert!((asked - watched).abs() < 1e-9, "{asked} and {watched}");
}
