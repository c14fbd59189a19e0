//! Greedy answers of the real program against those of transformers, token by token, where Python has it.

#![expect(clippy::print_stdout, reason = "figures are what this test is for")]

use std::path::Path;
use std::process::Command;

use crate::release_peers::python;
use crate::workplace::Workplace;

/// As many as the list of prompts, each of another length.
const PROMPTS: u32 = 10;

#[test]
fn greedy_answers_are_those_of_transformers() {
    let Some(python) = python("transformers, torch") else { return };
    let place = Workplace::new();
    let mut answers = String::new();
    for number in 0..PROMPTS {
        let prompt = format!("Question {number}: {}?", "what is this ".repeat(number as usize));
        let settings = ["--json", "--max-new-tokens", "64", "--set", "quantization.kind=none"];
        let ran = place.rtune(&[&["generate", "model", &prompt], &settings[..]].concat());
        ran.succeeds();
        answers.push_str(&ran.stdout);
    }
    place.write("answers.jsonl", &answers);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/greedy.py");
    let files = [script, place.path("answers.jsonl"), place.path("model")];
    let output = Command::new(python).args(files).output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("10 answers") && text.contains("0 answers differ"), "{text}");
    print!("{text}");
}
