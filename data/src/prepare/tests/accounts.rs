//! Rows in = rows out + rows dropped, whatever is in the files and whatever is asked for.

use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::clean::normalise::NormaliseOptions;
use crate::clean::quality::{FilterOptions, LabelCapOptions};
use crate::options::{BadRows, LeakPolicy, PrivacyOptions};

/// Sets that are drawn; each takes some milliseconds.
const DRAWS: u64 = 80;

/// Texts that one stage or another has something to say about.
const TEXTS: [&str; 18] = [
    "Where is my parcel?",
    "where  is my parcel",
    "Where is my parcel? I ordered it on Monday and I am still waiting for it here.",
    "Where is my parcel? I ordered it on Monday and I am still waiting for it there.",
    "<p>It&nbsp;is on its <b>way</b>.</p>",
    "It is on its way.",
    "As an AI language model, I cannot help with that.",
    "I'm sorry, but I can't assist with that request.",
    "Mail anna.berg@firma.de or call +49 30 901820, card 4242 4242 4242 4242.",
    "no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no",
    "!!! ??? *** ### $$$ %%% &&& !!! ??? *** ### $$$ %%%",
    "Guten Tag, wir haben Ihre Bestellung gestern erhalten und schicken sie Ihnen morgen früh zu.",
    "FranÃ§ois has written a cafÃ© guide.",
    "> I wrote this before\n\nThanks.\n\n-- \nTom\nSent from my phone",
    "refund",
    "delivery",
    " ",
    "x",
];

/// One of `below` numbers.
fn draw(random: &mut ChaCha8Rng, below: usize) -> usize {
    crate::uniform_below(random, below as u64) as usize
}

fn line(random: &mut ChaCha8Rng) -> String {
    let text = |random: &mut ChaCha8Rng| TEXTS[draw(random, TEXTS.len())];
    match draw(random, 12) {
        0 => "{\"instruction\": ".to_owned(),
        1 => json!({"instruction": text(random)}).to_string(),
        2 => json!({"instruction": text(random).repeat(4), "output": text(random).repeat(3)}).to_string(),
        3 => {
            let turns = [("user", 0), ("assistant", 0), ("user", 0), ("assistant", 0)];
            let turns: Vec<Value> =
                turns.iter().map(|(role, _)| json!({"role": role, "content": text(random)})).collect();
            json!({"messages": turns}).to_string()
        }
        _ => json!({"instruction": text(random), "input": TEXTS[draw(random, 4)], "output": text(random)})
            .to_string(),
    }
}

/// A table of `keys`, each there with even odds.
fn some<T: serde::de::DeserializeOwned>(random: &mut ChaCha8Rng, keys: &[(&str, Value)]) -> T {
    let table: serde_json::Map<String, Value> = keys
        .iter()
        .filter(|_| draw(random, 2) == 0)
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    serde_json::from_value(Value::Object(table)).expect("options")
}

fn options(random: &mut ChaCha8Rng, files: &Files) -> PrepareOptions {
    let mut file = |name: &str, most: usize| {
        let random = &mut *random;
        let rows = 1 + draw(random, most);
        let lines: Vec<String> = (0..rows).map(|_| line(random)).collect();
        files.write(name, lines.join("\n"))
    };
    let (one, two, held) = (file("one.jsonl", 60), file("two.jsonl", 20), file("held.jsonl", 10));
    let mut options = train(&[&one, &two]);
    options.train[1].weight = [0.5, 1.0, 2.5][draw(random, 3)];
    options.validation = match draw(random, 3) {
        0 => Validation::None,
        1 => Validation::Fraction(0.2),
        _ => Validation::Files(vec![Source::new(held)]),
    };
    let steps =
        ["html", "quoted-replies", "signatures", "filler", "boilerplate", "white-space", "typography"];
    let steps: Vec<&str> = steps.into_iter().filter(|_| draw(random, 2) == 0).collect();
    options.normalise = some::<NormaliseOptions>(random, &[("steps", json!(steps))]);
    let modes = ["off", "report", "tag", "numbered", "mask", "drop-row"];
    let mode = modes[draw(random, modes.len())];
    options.privacy = some::<PrivacyOptions>(random, &[("mode", json!(mode))]);
    options.filters = some::<FilterOptions>(
        random,
        &[
            ("empty-answer", json!(true)),
            ("min-prompt-characters", json!(5)),
            ("min-answer-characters", json!(2)),
            ("max-answer-characters", json!(200)),
            ("mojibake", json!(1)),
            ("symbols", json!({})),
            ("repetition", json!({})),
            ("languages", json!({"allowed": ["en"]})),
            ("copied-answer", json!(0.9)),
            ("refusals", json!({})),
        ],
    );
    options.clean = some::<CleanOptions>(
        random,
        &[
            ("duplicates", json!("keep")),
            ("near-duplicates", json!(0.7)),
            ("near-duplicates-keep", json!("longest")),
        ],
    );
    options.labels = some::<LabelCapOptions>(random, &[("max-rows-per-label", json!(3))]);
    options.leaks = LeakPolicy { accept: usize::MAX, ..LeakPolicy::default() };
    options.bad_rows = BadRows::Drop;
    options.over_long = OverLong::Drop;
    options.max_tokens = [60, 150, 2048][draw(random, 3)];
    options
}

#[test]
fn every_row_is_accounted_for() {
    let (mut prepared_sets, mut reasons) = (0, HashSet::new());
    for draw in 0..DRAWS {
        let mut random = crate::stream(7, "test", "accounts", draw);
        let files = Files::new();
        let options = options(&mut random, &files);
        // Some draws leave nothing, which is an error that says so.
        let Ok(prepared) = run(&options) else { continue };
        prepared_sets += 1;
        let report = &prepared.report;
        let lines: usize = report.files.iter().map(|file| file.rows).sum();
        assert_eq!(report.stages[0].rows_in, lines, "draw {draw}");
        for (stage, next) in report.stages.iter().zip(report.stages.iter().skip(1)) {
            assert_eq!(stage.rows_out, next.rows_in, "draw {draw}, {}", stage.stage);
        }
        for stage in &report.stages {
            let dropped: usize = stage.dropped.values().sum();
            assert_eq!(stage.rows_in, stage.rows_out + dropped, "draw {draw}, {}", stage.stage);
            reasons.extend(stage.dropped.keys().map(|reason| format!("{}: {reason}", stage.stage)));
        }
        let json = serde_json::to_string(report).expect("it is JSON");
        assert!(!json.contains("anna") && !json.contains("4242") && !json.contains("901820"), "{json}");
        // What the account says is left is what is there: each row once, or split by its answers.
        let rows_of = |examples: &[crate::Example]| {
            let places: HashSet<_> = examples.iter().map(|example| &example.origin).collect();
            places.len()
        };
        let left = rows_of(&trained(&prepared)) + rows_of(&prepared.validation);
        let rows_out = report.stages.last().expect("stages").rows_out;
        assert_eq!((left, report.train.rows + report.validation.rows), (rows_out, rows_out), "draw {draw}");
    }
    assert!(prepared_sets > DRAWS / 2 && reasons.len() >= 12, "{prepared_sets} sets, {reasons:?}");
}
