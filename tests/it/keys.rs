//! No key of the configuration is dead: each changes a byte outside the copies of the configuration, or the exit code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rtune_trainer::config::KEYS;

use crate::workplace::{CONFIG, Workplace, rows};

/// A key, what it is set to, and what must be set for it to have its place (on both sides of the comparison).
const CHANGES: &[(&str, &str, &[&str])] = &[
    ("model.base", "other", &[]),
    ("model.revision", "main", &[]),
    ("model.device", "gpu", &[]),
    ("quantization.kind", "none", &[]),
    ("quantization.double", "false", &[]),
    ("lora.rank", "2", &[]),
    ("lora.alpha", "3", &[]),
    ("lora.targets", "[\"q_proj\"]", &[]),
    ("lora.scaling", "rank-stabilized", &[]),
    ("lora.rank-pattern", "{ q_proj = 2 }", &[]),
    ("lora.alpha-pattern", "{ q_proj = 2 }", &[]),
    ("lora.from", "adapter", &[]),
    ("data.train", "[\"train.jsonl\", \"more.jsonl\"]", &[]),
    ("data.golden", "golden.jsonl", &[]),
    ("data.validation", "0.5", &[]),
    ("data.template", "template.jinja", &[]),
    ("data.template-date", "2026-01-31", &["data.template=dated.jinja"]),
    ("data.max-tokens", "40", &[]),
    ("data.over-long", "drop", &["data.max-tokens=82"]),
    ("data.train-on", "last", &["data.train=turns.jsonl"]),
    ("data.shuffle", "false", &[]),
    ("data.bad-rows", "drop", &["data.train=bad.jsonl"]),
    ("data.normalise.steps", "[\"html\"]", &["data.train=noisy.jsonl"]),
    (
        "data.normalise.parts",
        "{ html = [\"answer\"] }",
        &["data.train=noisy.jsonl", "data.normalise.steps=[\"html\"]"],
    ),
    (
        "data.normalise.contractions",
        "contract",
        &["data.train=noisy.jsonl", "data.normalise.steps=[\"contractions\"]"],
    ),
    (
        "data.normalise.quoted-replies.every-quote",
        "true",
        &["data.train=noisy.jsonl", "data.normalise.steps=[\"quoted-replies\"]"],
    ),
    (
        "data.normalise.boilerplate.min-share",
        "0.9",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"boilerplate\"]",
            "data.normalise.boilerplate.max-share=1",
        ],
    ),
    (
        "data.normalise.boilerplate.max-share",
        "1",
        &["data.train=noisy.jsonl", "data.normalise.steps=[\"boilerplate\"]"],
    ),
    (
        "data.normalise.boilerplate.min-rows",
        "500",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"boilerplate\"]",
            "data.normalise.boilerplate.max-share=1",
        ],
    ),
    (
        "data.normalise.boilerplate.leading-lines",
        "true",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"boilerplate\"]",
            "data.normalise.boilerplate.max-share=1",
        ],
    ),
    (
        "data.normalise.terminology.file",
        "terms.csv",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"terminology\"]",
            "data.normalise.terminology.file=other.csv",
        ],
    ),
    (
        "data.normalise.spelling.dictionary",
        "words.txt",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"spelling\"]",
            "data.normalise.spelling.dictionary=other.txt",
            "data.normalise.spelling.min-rows=1000",
        ],
    ),
    (
        "data.normalise.spelling.min-rows",
        "1000",
        &[
            "data.train=noisy.jsonl",
            "data.normalise.steps=[\"spelling\"]",
            "data.normalise.spelling.dictionary=words.txt",
        ],
    ),
    ("data.privacy.mode", "tag", &["data.train=personal.jsonl"]),
    ("data.privacy.names", "off", &["data.train=personal.jsonl"]),
    ("data.privacy.entities", "[\"IBAN_CODE\"]", &["data.train=personal.jsonl"]),
    ("data.privacy.threshold", "1", &["data.train=personal.jsonl"]),
    ("data.privacy.allow", "[\"jo.berg@mail.com\"]", &["data.train=personal.jsonl"]),
    (
        "data.privacy.context",
        "{ US_BANK_NUMBER = [\"zzpayout\"] }",
        &["data.train=personal.jsonl", "data.privacy.entities=[\"US_BANK_NUMBER\"]"],
    ),
    ("data.privacy.phone-regions", "[\"KR\"]", &["data.train=personal.jsonl"]),
    (
        "data.privacy.scope",
        "set",
        &["data.train=personal.jsonl", "data.privacy.mode=surrogate", "data.privacy.salt-file=salt.txt"],
    ),
    (
        "data.privacy.salt-file",
        "salt.txt",
        &["data.train=personal.jsonl", "data.privacy.mode=hash", "data.privacy.salt-file=pepper.txt"],
    ),
    ("data.filters.empty-answer", "true", &["data.train=blank.jsonl"]),
    ("data.filters.min-prompt-characters", "9", &[]),
    ("data.filters.max-prompt-characters", "5", &[]),
    ("data.filters.min-answer-characters", "2", &[]),
    ("data.filters.max-answer-characters", "1", &[]),
    ("data.filters.mojibake", "1", &["data.train=noisy.jsonl"]),
    ("data.filters.symbols.max-symbols", "0.1", &["data.train=noisy.jsonl"]),
    ("data.filters.symbols.max-digits", "0.05", &["data.train=noisy.jsonl"]),
    (
        "data.filters.repetition.max-duplicate-lines",
        "1",
        &[
            "data.train=repeated.jsonl",
            "data.filters.repetition={max-top-words=1,max-duplicate-words=1,max-run=1}",
        ],
    ),
    (
        "data.filters.repetition.max-top-words",
        "0.9",
        &[
            "data.train=repeated.jsonl",
            "data.filters.repetition={max-run=1,max-duplicate-words=1,max-duplicate-lines=1}",
        ],
    ),
    (
        "data.filters.repetition.max-duplicate-words",
        "1",
        &[
            "data.train=repeated.jsonl",
            "data.filters.repetition={max-run=1,max-top-words=1,max-duplicate-lines=1}",
        ],
    ),
    (
        "data.filters.repetition.max-run",
        "1.0",
        &[
            "data.train=repeated.jsonl",
            "data.filters.repetition={max-top-words=1,max-duplicate-words=1,max-duplicate-lines=1}",
        ],
    ),
    ("data.filters.languages.allowed", "[\"de\"]", &["data.train=noisy.jsonl"]),
    (
        "data.filters.languages.min-letters",
        "100000",
        &["data.train=noisy.jsonl", "data.filters.languages={allowed=[\"de\"]}"],
    ),
    (
        "data.filters.languages.min-confidence",
        "1.0",
        &["data.train=noisy.jsonl", "data.filters.languages={allowed=[\"de\"]}"],
    ),
    ("data.filters.copied-answer", "0.9", &["data.train=copied.jsonl"]),
    ("data.filters.refusals.phrases", "[\"blue\"]", &["data.train=noisy.jsonl", "data.filters.refusals={}"]),
    ("data.filters.refusals.file", "answers.txt", &["data.train=noisy.jsonl", "data.filters.refusals={}"]),
    ("data.filters.toxicity.built-in", "false", &["data.train=slur.jsonl", "data.filters.toxicity={}"]),
    ("data.filters.toxicity.file", "phrases.txt", &["data.train=noisy.jsonl", "data.filters.toxicity={}"]),
    (
        "data.filters.toxicity.min-words",
        "100",
        &["data.train=noisy.jsonl", "data.filters.toxicity={file=\"phrases.txt\"}"],
    ),
    (
        "data.filters.toxicity.prompts",
        "false",
        &["data.train=noisy.jsonl", "data.filters.toxicity={file=\"phrases.txt\"}"],
    ),
    ("data.filters.max-perplexity.above", "2", &[]),
    ("data.filters.max-perplexity.percentile", "50", &[]),
    ("data.clean.duplicates", "keep", &["data.train=twice.jsonl"]),
    ("data.clean.near-duplicates", "0.6", &["data.train=near.jsonl"]),
    (
        "data.clean.near-duplicates-keep",
        "longest",
        &["data.train=near.jsonl", "data.clean.near-duplicates=0.6"],
    ),
    ("data.labels.max-share", "0.6", &["data.train=labels.jsonl"]),
    ("data.labels.max-rows-per-label", "5", &["data.train=labels.jsonl"]),
    ("data.leaks.check", "false", &["data.golden=leaked.jsonl"]),
    (
        "data.leaks.similarity",
        "1.0",
        &["data.golden=alike.jsonl", "data.train=near.jsonl", "data.validation=0"],
    ),
    ("data.leaks.accept", "100", &["data.golden=leaked.jsonl"]),
    ("train.epochs", "2", &[]),
    ("train.steps", "3", &[]),
    ("train.rows-per-step", "3", &[]),
    ("train.tokens-per-step", "120", &[]),
    ("train.micro-batch-tokens", "90", &[]),
    ("train.learning-rate", "0.02", &[]),
    ("train.schedule", "constant", &[]),
    ("train.min-learning-rate-ratio", "0.5", &["train.schedule=cosine"]),
    ("train.warmup", "2", &[]),
    ("train.weight-decay", "0.1", &[]),
    ("train.beta1", "0.5", &[]),
    ("train.beta2", "0.5", &[]),
    ("train.epsilon", "0.1", &[]),
    ("train.max-grad-norm", "0.01", &[]),
    ("train.seed", "1", &[]),
    (
        "train.save-activations",
        "input-only",
        &[
            "train.save-activations=all",
            "data.train=long.jsonl",
            "data.validation=0",
            "data.max-tokens=8000",
            "lora.rank=64",
        ],
    ),
    ("checkpoint.every", "1", &[]),
    ("checkpoint.keep", "1", &[]),
    ("eval.every", "1", &[]),
    ("eval.samples", "1", &[]),
    ("eval.sample-tokens", "1", &["eval.samples=1"]),
    ("output.dir", "elsewhere", &[]),
];

/// Memory that two equal runs may differ by.
const MEMORY_NOISE_BYTES: u64 = 4 << 20;

fn workplace() -> Workplace {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "adapter"]).succeeds();
    fs::remove_dir_all(place.path("run")).expect("removed");
    crate::workplace::write_model(&place.path("other"), crate::workplace::Sizes { hidden: 24, layers: 1 });
    place.write("more.jsonl", rows(30..34));
    place.write("golden.jsonl", rows(2..3));
    place.write("twice.jsonl", rows(0..12) + &rows(0..12));
    let template = "{% for m in messages %}{{ '<|im_start|>' + m['content'] + '<|im_end|>' }}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}";
    place.write("template.jinja", template);
    let dated = "{% if strftime_now is defined %}{{ strftime_now('%d %b') }}{% endif %}";
    place.write("dated.jinja", format!("{dated}{template}"));
    let turn = |role: &str, text: &str| format!("{{\"role\": \"{role}\", \"content\": \"{text}\"}}");
    let conversation = |number: u32| {
        let turns = [
            turn("user", "a"),
            turn("assistant", "b"),
            turn("user", &number.to_string()),
            turn("assistant", "c"),
        ];
        format!("{{\"messages\": [{}]}}\n", turns.join(", "))
    };
    place.write("turns.jsonl", (0..24).map(conversation).collect::<String>());
    write_noise(&place);
    let long = format!("{{\"instruction\": \"{}\", \"output\": \"x\"}}\n", "a ".repeat(3500));
    place.write("long.jsonl", long);
    place
}

/// Rows for the keys of normalising, privacy, filters, duplicates, labels and leaks: beside each good row one that the key
/// is about.
fn write_noise(place: &Workplace) {
    let row = |instruction: &str, output: &str| {
        format!("{}\n", serde_json::json!({"instruction": instruction, "output": output}))
    };
    let good = rows(0..12);
    place.write("bad.jsonl", format!("{good}{{not json\n"));
    let shared = "please answer the question in one short line today";
    let noisy: String = (0..12)
        .map(|number| row(&format!("{shared}\nI don't <b>know</b> teh color {number} of 12345678 #### ???? !!!!\n> quoted words\n{shared} again"), "blue <i>x</i>"))
        .collect();
    let english = "The weather in the north was cold and the people of the village stayed at home for most of the long winter.";
    let broken = row(&format!("{english} cafÃ© \u{fffd}"), "yes");
    place.write("noisy.jsonl", good.clone() + &noisy + &broken);
    place.write("terms.csv", "color,colour\n");
    place.write("other.csv", "colour,color\n");
    let words = [
        "please", "answer", "in", "one", "short", "line", "today", "know", "the", "of", "color", "again",
        "blue", "quoted", "words",
    ];
    place.write("words.txt", words.join("\n"));
    place.write("other.txt", "unrelated\n");
    place.write("phrases.txt", "know\n");
    place.write("answers.txt", "blue\n");
    let personal = "I am Anna Berg, jo.berg@mail.com, zzpayout 12345678, see 010-2345-6789";
    place.write("personal.jsonl", good.clone() + &row(personal, "Dear Anna Berg, yes"));
    place.write("salt.txt", "0123456789abcdef0123456789abcdef");
    place.write("pepper.txt", "fedcba9876543210fedcba9876543210");
    place.write("blank.jsonl", good.clone() + &row("say nothing", "\u{200b}"));
    let again: String = (0..40).map(|number| format!("we are here {} ", number % 3)).collect();
    let lines = "this line stands here again and again\n".repeat(8);
    place.write(
        "repeated.jsonl",
        good.clone() + &row(&again, "x") + &row(&lines, "y") + &row(&"la ".repeat(60), "z"),
    );
    place.write(
        "copied.jsonl",
        good.clone() + &row("repeat after me: hello world", "repeat after me: hello world"),
    );
    let near = |end: &str| {
        row(&format!("a question about the delivery of lamps to the north of the country {end}"), "x")
    };
    let lamp = |order: u32| row(&format!("where is my blue lamp, order {order}"), "x");
    place.write("near.jsonl", good.clone() + &near("now") + &near("today, please") + &lamp(7));
    let labels: String = (0..40)
        .map(|number| {
            row(
                &format!("is message {number} {} spam", "x".repeat(number % 7)),
                if number % 4 == 0 { "spam" } else { "ham" },
            )
        })
        .collect();
    place.write("labels.jsonl", labels);
    place.write("leaked.jsonl", rows(0..2));
    place.write("alike.jsonl", lamp(8));
    // A word of the list, each letter moved by 13 as it stands there.
    let word: String = "gbjryurnq".chars().map(|c| char::from((c as u8 - b'a' + 13) % 26 + b'a')).collect();
    place.write("slur.jsonl", good + &row("say it", &format!("you {word}")));
}

/// What a run left: its exit code and every byte that the key could have changed.
#[derive(PartialEq)]
struct Left {
    code: i32,
    files: BTreeMap<String, Vec<u8>>,
    peak_memory_bytes: u64,
}

fn left(place: &Workplace, overrides: &[String]) -> Left {
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let code = place.train(&overrides).code;
    let mut left = Left { code, files: BTreeMap::new(), peak_memory_bytes: 0 };
    for run in ["run", "elsewhere"] {
        let folder = place.path(run);
        if folder.is_dir() {
            collect(&folder, run, &mut left);
            fs::remove_dir_all(folder).expect("removed");
        }
    }
    left
}

fn collect(folder: &Path, name: &str, left: &mut Left) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = format!("{name}/{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_symlink() || name.ends_with("tensorboard") || name.ends_with("config.toml") {
            // Links point to what is collected anyway; TensorBoard has times; config.toml is the copy.
            continue;
        }
        if path.is_dir() {
            collect(&path, &name, left);
            continue;
        }
        let mut bytes = fs::read(&path).expect("readable");
        if let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&bytes) {
            for copy in ["environment", "config", "seed"] {
                if value.get(copy).is_some() {
                    value[copy].take();
                }
            }
            bytes = value.to_string().into_bytes();
        }
        if name.ends_with("metrics.jsonl") {
            let text = String::from_utf8(bytes).expect("text");
            bytes = text.lines().map(|line| without_times(line, left)).collect::<String>().into_bytes();
        }
        left.files.insert(name, bytes);
    }
}

fn without_times(line: &str, left: &mut Left) -> String {
    let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
    if let Some(peak) = value.get("peak_memory_bytes").and_then(serde_json::Value::as_u64) {
        left.peak_memory_bytes = left.peak_memory_bytes.max(peak);
    }
    for key in ["tokens_per_second", "seconds", "peak_memory_bytes"] {
        if value.get(key).is_some() {
            value[key].take();
        }
    }
    format!("{value}\n")
}

/// The configuration without the keys that the change takes the place of.
fn config_for(key: &str) -> String {
    match key {
        "lora.from" => CONFIG.replace("rank = 4\n", ""),
        _ => CONFIG.to_owned(),
    }
}

#[test]
fn every_key_changes_something() {
    let place = workplace();
    let mut plain: BTreeMap<Vec<&str>, Left> = BTreeMap::new();
    let mut dead = Vec::new();
    for (key, value, setting) in CHANGES {
        place.write("config.toml", CONFIG);
        let settings: Vec<String> = setting.iter().map(|text| (*text).to_owned()).collect();
        let before = plain.entry(setting.to_vec()).or_insert_with(|| left(&place, &settings));
        assert_eq!(before.code != 0, before.files.is_empty(), "{key}: the setting runs or is refused");
        place.write("config.toml", config_for(key));
        let mut changed = settings.clone();
        changed.push(format!("{key}={value}"));
        let after = left(&place, &changed);
        let memory = before.peak_memory_bytes.abs_diff(after.peak_memory_bytes) > MEMORY_NOISE_BYTES;
        if before.code == after.code && before.files == after.files && !memory {
            dead.push(*key);
        }
    }
    assert!(dead.is_empty(), "these keys change nothing: {dead:?}");
}

#[test]
fn every_key_is_tried() {
    let tried: Vec<&str> = CHANGES.iter().map(|(key, ..)| *key).collect();
    assert_eq!(tried, KEYS);
}
