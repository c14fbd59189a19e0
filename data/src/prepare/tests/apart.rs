//! Rows that differ in what no content shows, and what of a row is told where its texts are not.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::input::Reader;
use crate::options::{PrivacyMode, PrivacyOptions};
use crate::record::Record;

/// Tools, reasoning, contents and calls, each where it is.
const SHOWN: &str = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.reasoning_content %}{{ m.reasoning_content }}{% endif %}{% if m.content %}{{ m.content }}{% endif %}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}";

/// What [`Accounts`] are told, as it would be written.
#[derive(Default)]
struct Told {
    accounts: Vec<String>,
    rows: Vec<String>,
}

impl Accounts for Told {
    fn row(&mut self, account: &Account<'_>) -> io::Result<()> {
        self.accounts.push(serde_json::to_string(account)?);
        self.rows.extend(account.row().map(|row| row.to_string()));
        Ok(())
    }
}

/// The rows of a file, as they are read.
fn read(path: &Path) -> Vec<Record> {
    let mut reader = Reader::open(&[Source::new(path)]).expect("there");
    let rows = std::iter::from_fn(|| reader.next().expect("readable"));
    rows.map(|row| row.record.expect("a row").0).collect()
}

fn tool(name: &str, about: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": about, "parameters": {"type": "object", "properties": {}}}})
}

/// A question and a call of a tool, or an answer.
fn asked(answer: Value, tools: &[Value]) -> Value {
    let question = json!({"role": "user", "content": "Weather in Paris?"});
    json!({"messages": [question, answer], "tools": tools})
}

fn call(name: &str, arguments: Value) -> Value {
    json!({"role": "assistant", "content": null,
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}]})
}

#[test]
fn rows_that_teach_something_else_are_no_duplicates() {
    let weather = tool("get_weather", "The weather of a city, today and on the next six days.");
    let masked = tool("func_4", "Does one thing or another with what it is given; see the manual.");
    let thought = |thought: &str| json!({"role": "assistant", "content": "42", "reasoning_content": thought});
    let talk = |first: u8, second: u8| {
        json!({"messages": [
            {"role": "user", "content": "Hi, who is it?"},
            {"role": "assistant", "content": "The desk of Lumen, good morning.", "weight": first},
            {"role": "user", "content": "Is my lamp there?"},
            {"role": "assistant", "content": "It came on Tuesday, come by before six.", "weight": second}]})
    };
    let pairs = [
        [
            asked(call("get_weather", json!({"city": "Paris"})), std::slice::from_ref(&weather)),
            asked(call("func_4", json!({"a": "the town on the Seine"})), std::slice::from_ref(&weather)),
        ],
        [
            asked(call("get_weather", json!({"city": "Paris"})), std::slice::from_ref(&weather)),
            asked(call("get_weather", json!({"city": "Paris"})), &[masked, tool("other", "Nothing at all.")]),
        ],
        [
            asked(thought("Six times seven are forty-two, as everybody knows."), &[]),
            asked(thought("Half of eighty-four: 40 and 2. Nothing else divides it so."), &[]),
        ],
        [talk(1, 0), talk(0, 1)],
    ];
    let files = Files::new();
    for (number, pair) in pairs.iter().enumerate() {
        let [one, other] = pair;
        let path = files.write(&format!("{number}.jsonl"), format!("{one}\n{other}\n{one}\n"));
        for near_duplicates in [None, Some(0.8)] {
            let clean = CleanOptions { near_duplicates, ..CleanOptions::default() };
            let options = PrepareOptions { clean, ..train(&[&path]) };
            let prepared =
                prepare(&options, &Tools::new(&template(SHOWN), &tokenizer())).expect("it can be used");
            let found = &prepared.report.duplicates;
            assert_eq!((found.exact, found.near), (1, 0), "pair {number}, {near_duplicates:?}");
            assert_eq!(prepared.report.train.rows, 2, "pair {number}");
        }
    }
}

/// Whoever knows all of a row but a number could try numbers until the hash is the row's.
#[test]
fn no_hash_of_a_row_as_it_was_is_told() {
    let files = Files::new();
    let raw = [
        json!({"instruction": "My number is +49 30 901820, call me", "output": "We call."}),
        json!({"id": "mine", "instruction": "Mail anna@web.de", "output": "We write."}),
        json!({"instruction": "Nothing personal", "output": "Fine."}),
    ];
    let path = files.write("a.jsonl", raw.iter().map(|row| format!("{row}\n")).collect::<String>());
    let hashes: Vec<String> = read(&path).into_iter().map(|record| record.id).collect();
    assert_eq!((hashes[0].len(), hashes[1].as_str()), (32, "mine"));
    for mode in [PrivacyMode::Tag, PrivacyMode::Numbered, PrivacyMode::Surrogate, PrivacyMode::DropRow] {
        let privacy = PrivacyOptions { mode, ..PrivacyOptions::default() };
        let options = PrepareOptions { privacy, ..train(&[&path]) };
        let mut told = Told::default();
        let tools = (template(PLAIN), tokenizer());
        prepare_with_accounts(&options, &Tools::new(&tools.0, &tools.1), Some(&mut told)).expect("prepared");
        let all = told.accounts.join("\n") + &told.rows.join("\n");
        assert!(!all.contains(&hashes[0]) && all.contains("mine"), "{mode:?}: {all}");
        // What was not changed is known by its hash, as what was changed is by what it says now.
        assert!(all.contains(&hashes[2]), "{mode:?}: {all}");
        if mode != PrivacyMode::DropRow {
            let (now, first) = (&told.rows[0], &told.accounts[0]);
            let record = read(&files.write("now.jsonl", format!("{now}\n"))).remove(0);
            assert!(!now.contains("\"id\"") && first.contains(&record.id), "{mode:?}: {now} {first}");
        }
    }
}

/// What is the same in two rows has other stand-ins in each, and is the same all the same.
#[test]
fn a_prompt_with_personal_data_is_one_prompt_in_every_mode() {
    let files = Files::new();
    let asked = "Please change the e-mail of Anna Schmidt to anna.schmidt@web.de, card 4242 4242 4242 4242.";
    let other = "How long is the warranty on the kettle that I bought from you in spring?";
    let path = files.write("train.jsonl", lines(&[(asked, "It is changed."), (other, "Two years.")]));
    let golden = files.write("golden.jsonl", lines(&[(asked, "Done, thank you for telling us!")]));
    let again = files.write("again.jsonl", lines(&[(asked, "It is changed."), (asked, "We did so.")]));
    for mode in [PrivacyMode::Tag, PrivacyMode::Numbered, PrivacyMode::Surrogate, PrivacyMode::Mask] {
        let privacy = PrivacyOptions { mode, ..PrivacyOptions::default() };
        let with_golden = PrepareOptions {
            golden: vec![Source::new(&golden)],
            privacy: privacy.clone(),
            ..train(&[&path])
        };
        let (message, _) = refused(&files, &with_golden);
        assert!(message.contains("the training row train.jsonl:1 gives it away"), "{mode:?}: {message}");
        let prepared = run(&PrepareOptions { privacy, ..train(&[&again]) }).expect("it can be used");
        let found = &prepared.report.duplicates;
        assert_eq!((found.conflicting_prompts, prepared.train.len()), (1, 2), "{mode:?}");
    }
}

/// Forty questions, each answered in three ways: too few rows for a hundredth of them to be a cluster.
#[test]
fn small_sets_keep_what_asks_alike_on_one_side() {
    let files = Files::new();
    let question = |number: usize| {
        let hash = blake3::hash(&number.to_le_bytes()).to_hex();
        format!("What is {} of {}, please?", &hash[..12], &hash[12..40])
    };
    let texts: Vec<(String, String)> =
        (0..120).map(|row| (question(row / 3), format!("{} it is, as {row} says", row % 7))).collect();
    let rows: Vec<(&str, &str)> = texts.iter().map(|(one, other)| (one.as_str(), other.as_str())).collect();
    let sides = |name: &str, rows: &[(&str, &str)]| {
        let path = files.write(name, lines(rows));
        let options = PrepareOptions { validation: Validation::Fraction(0.2), ..train(&[&path]) };
        let mut told = Told::default();
        let tools = (template(PLAIN), tokenizer());
        let prepared = prepare_with_accounts(&options, &Tools::new(&tools.0, &tools.1), Some(&mut told));
        let accounts = told.accounts.iter().map(|account| {
            serde_json::from_str::<Value>(account).expect("JSON")["set"].as_str() == Some("validation")
        });
        (accounts.collect::<Vec<bool>>(), prepared.expect("it can be used").report.leaks.split())
    };
    let (held_out, split) = sides("questions.jsonl", &rows);
    assert!(held_out.chunks(3).all(|same| same.iter().all(|side| *side == same[0])), "{held_out:?}");
    assert_eq!((held_out.len(), split), (120, 0));
    // A set that is one pattern is split all the same, equal prompts together, and that is said.
    let pattern: Vec<(String, &str)> = rows
        .iter()
        .enumerate()
        .map(|(row, (_, answer))| {
            (format!("Which of our many departments answers form {}?", row / 3), *answer)
        })
        .collect();
    let pattern: Vec<(&str, &str)> = pattern.iter().map(|(one, other)| (one.as_str(), *other)).collect();
    let (held_out, split) = sides("pattern.jsonl", &pattern);
    assert!(held_out.chunks(3).all(|same| same.iter().all(|side| *side == same[0])), "{held_out:?}");
    assert_eq!(split, held_out.iter().filter(|side| **side).count());
    assert!(split > 0);
}

/// Other tools write what a tool is called with as JSON in a string: behind an escape a value stands as free as elsewhere, and what is
/// written is JSON again. Numbers are values, too.
#[test]
fn calls_of_tools_are_scrubbed_as_what_they_mean() {
    let files = Files::new();
    let row = |arguments: Value| format!("{}\n", asked(call("send", arguments), &[tool("send", "Sends.")]));
    let text = [
        row(json!("{\"body\": \"Hi,\\n+49 151 23456789\\nanna@web.de\"}")),
        row(json!("{\"card\": 4242424242424242, \"count\": 1000000}")),
        row(json!({"card": 4_242_424_242_424_242_u64})),
        row(json!("{ \"said\": \"nothing\\n\" }")),
    ];
    let path = files.write("a.jsonl", text.concat());
    for mode in [PrivacyMode::Tag, PrivacyMode::Numbered, PrivacyMode::Surrogate, PrivacyMode::Mask] {
        let privacy = PrivacyOptions { mode, ..PrivacyOptions::default() };
        let options = PrepareOptions { privacy, ..train(&[&path]) };
        let mut told = Told::default();
        let tools = (template(SHOWN), tokenizer());
        prepare_with_accounts(&options, &Tools::new(&tools.0, &tools.1), Some(&mut told)).expect("prepared");
        assert_eq!(told.rows.len(), 4, "{mode:?}");
        let arguments: Vec<Value> = told
            .rows
            .iter()
            .map(|row| {
                let row: Value = serde_json::from_str(row).expect("JSON");
                row["messages"][1]["tool_calls"][0]["function"]["arguments"].clone()
            })
            .collect();
        for personal in ["23456789", "anna@web.de", "4242424242424242"] {
            assert!(!told.rows.concat().contains(personal), "{mode:?}: {personal} in {arguments:?}");
        }
        let inner = |place: usize| -> Value {
            serde_json::from_str(arguments[place].as_str().expect("a string")).expect("JSON within")
        };
        assert!(inner(0)["body"].as_str().is_some_and(|body| body.starts_with("Hi,\n")), "{mode:?}");
        assert!(inner(1)["card"].is_string() && inner(1)["count"] == 1_000_000, "{mode:?}");
        assert!(arguments[2]["card"].is_string(), "{mode:?}");
        assert_eq!(arguments[3], "{ \"said\": \"nothing\\n\" }", "{mode:?}");
    }
}
