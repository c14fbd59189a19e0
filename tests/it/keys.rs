//! No key of the configuration is dead: each changes a byte outside the copies of the configuration, or the exit code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rtune_trainer::config::{Config, KEYS};

mod changes;

use changes::{CHANGES, REFUSED, SAME_HERE};

use crate::workplace::{CONFIG, TINY, Workplace, rows, write_biased_model};

/// Memory that two equal runs may differ by.
const MEMORY_NOISE_BYTES: u64 = 4 << 20;

fn workplace() -> Workplace {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "adapter"]).succeeds();
    fs::remove_dir_all(place.path("run")).expect("removed");
    crate::workplace::write_model(&place.path("other"), crate::workplace::Sizes { hidden: 24, layers: 1 });
    write_biased_model(&place.path("biased"), TINY);
    place.write("more.jsonl", rows(30..34));
    place.write("golden.jsonl", rows(2..3));
    let long = "[{\"kind\": \"length\", \"unit\": \"bytes\", \"least\": 20}]";
    place.write(
        "asked.jsonl",
        ["two", "three"]
            .map(|of| {
                format!(
                    "{{\"instruction\": \"Which of the {of}?\", \"output\": \"a\", \"checks\": {long}}}\n"
                )
            })
            .concat(),
    );
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
        .map(|number| row(&format!("{shared}\nI don't <b>know</b> qeustion color {number} of 12345678 #### ???? !!!!\n> quoted words\n{shared} again"), "blue <i>x</i>"))
        .collect();
    let english = "The weather in the north was cold and the people of the village stayed at home for most of the long winter.";
    let broken = row(&format!("{english} cafÃ© \u{fffd}"), "yes");
    place.write("noisy.jsonl", good.clone() + &noisy + &broken);
    place.write("terms.csv", "color,colour\n");
    place.write("other.csv", "colour,color\n");
    let words = [
        "question", "please", "answer", "in", "one", "short", "line", "today", "know", "the", "of", "color",
        "again", "blue", "quoted", "words",
    ];
    place.write("words.txt", words.join("\n"));
    place.write("other.txt", "unrelated\n");
    place.write("phrases.txt", "know\n");
    place.write("answers.txt", "blue\n");
    let personal = "I am Anna Berg, jo.berg@mail.com, zzpayout 12345678, see 010-2345-6789";
    place.write("personal.jsonl", good.clone() + &row(personal, "Dear Anna Berg, yes"));
    let named = "{\"id\": \"named\", \"instruction\": \"Which?\", \"output\": \"this\"}\n";
    place.write("named.jsonl", good.clone() + named);
    place.write("spiked.jsonl", crate::watchdog::spiked());
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
struct Left {
    code: i32,
    said: String,
    files: BTreeMap<String, Vec<u8>>,
    peak_memory_bytes: u64,
}

impl Left {
    fn is_refused(&self) -> bool {
        self.code != 0 && self.said.contains("error:")
    }

    /// What was trained. Beside it lies adapter_config.json, most of which is a copy of `[lora]`.
    fn tensors(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.files.iter().filter(|(name, _)| name.ends_with("adapter_model.safetensors"))
    }

    /// Whether `key` makes no difference between the two: each of `[lora]` must make one in what is trained.
    fn is_as(&self, other: &Self, key: &str) -> bool {
        if key.starts_with("lora.") {
            return self.tensors().eq(other.tensors());
        }
        let memory = self.peak_memory_bytes.abs_diff(other.peak_memory_bytes) > MEMORY_NOISE_BYTES;
        self.code == other.code && self.files == other.files && !memory
    }
}

fn left(place: &Workplace, overrides: &[String]) -> Left {
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let ran = place.train(&overrides);
    let mut left = Left { code: ran.code, said: ran.stderr, files: BTreeMap::new(), peak_memory_bytes: 0 };
    if left.code == 0 && overrides.iter().any(|argument| argument.starts_with("gate.")) {
        decide(place, &mut left);
    }
    // Where linears are kept that were quantised.
    for run in ["run", "elsewhere", "cache/quantized"] {
        let folder = place.path(run);
        if folder.is_dir() {
            collect(&folder, run, &mut left);
            fs::remove_dir_all(folder).expect("removed");
        }
    }
    // What one key leaves beside the rows is not what the next one finds.
    if let Ok(seal) = fs::read(place.path("asked.jsonl.seal")) {
        fs::remove_file(place.path("asked.jsonl.seal")).expect("removed");
        left.files.insert("asked.jsonl.seal".to_owned(), seal);
    }
    left
}

/// What `promote` makes of the run, without the copy of `[gate]`: no other verb reads most of it.
fn decide(place: &Workplace, left: &mut Left) {
    let ran = place.rtune(&["promote", "run", "--json"]);
    (left.code, left.said) = (ran.code, ran.stderr);
    if let Ok(mut decision) = serde_json::from_str::<serde_json::Value>(&ran.stdout) {
        for copy in ["gate", "ships", "decided_unix_seconds"] {
            decision[copy].take();
        }
        left.files.insert("decision".to_owned(), decision.to_string().into_bytes());
    }
    let registry = place.path("registry");
    if registry.is_dir() {
        fs::remove_dir_all(registry).expect("removed");
    }
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

/// The configuration, on the processor: it is on every machine, and computes whatever a key asks for.
fn config() -> String {
    CONFIG.replace("[model]\n", "[model]\ndevice = \"cpu\"\n")
}

/// The same without the keys that the change takes the place of.
fn config_for(key: &str) -> String {
    match key {
        "lora.from" => config().replace("rank = 4\n", ""),
        _ => config(),
    }
}

#[test]
fn every_key_changes_something() {
    let place = workplace();
    let mut plain: BTreeMap<Vec<&str>, Left> = BTreeMap::new();
    let (mut dead, mut refused) = (Vec::new(), Vec::new());
    for (key, value, setting) in CHANGES {
        place.write("config.toml", config());
        let settings: Vec<String> = setting.iter().map(|text| (*text).to_owned()).collect();
        let before = plain.entry(setting.to_vec()).or_insert_with(|| left(&place, &settings));
        assert_eq!(before.code == 2, before.files.is_empty(), "{key}: the setting runs or is refused");
        place.write("config.toml", config_for(key));
        let mut changed = settings.clone();
        changed.push(format!("{key}={value}"));
        let after = left(&place, &changed);
        if after.is_refused() {
            let expected = REFUSED.iter().find(|(refused, _)| refused == key);
            let is_expected = expected.is_some_and(|(_, words)| after.said.contains(*words));
            if !is_expected {
                refused.push(format!("{key} is refused:\n{}", after.said));
            }
        }
        if before.is_as(&after, key) != SAME_HERE.contains(key) {
            dead.push(*key);
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(dead.is_empty(), "these keys change nothing, or what they must not: {dead:?}");
}

/// Whatever may be said beside what a user wrote may be said beside what a run wrote, which has every key.
#[test]
fn every_key_of_a_run_can_be_set_anew() {
    let parsed = |text: &str, overrides: &[String]| Config::parse("config.toml", text, overrides);
    for (key, value, setting) in CHANGES {
        let settings: Vec<String> = setting.iter().map(|text| (*text).to_owned()).collect();
        let change = format!("{key}={value}");
        let beside = parsed(&config_for(key), &[&settings[..], std::slice::from_ref(&change)].concat());
        let before = parsed(&config(), &settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
        let again = parsed(&before.to_toml(), &[change]);
        assert_eq!(again.as_ref().err().map(ToString::to_string).filter(|_| beside.is_ok()), None, "{key}");
    }
}

#[test]
fn every_key_is_tried() {
    let tried: Vec<&str> = CHANGES.iter().map(|(key, ..)| *key).collect();
    assert_eq!(tried, KEYS);
}
