//! The configuration as it is written: each key with what it means and why it has its value.

use std::path::PathBuf;

use rtune_trainer::config::{default, meaning};

use super::look::{Look, Parts};
use super::suggest::Suggestion;
use super::{Files, Wishes};

/// Comments are as wide as the project's own.
const WIDTH: usize = 112;

/// The keys that are written, in order. `rtune keys` has them all.
const KEYS: [&str; 24] = [
    "model.base",
    "model.device",
    "quantization.kind",
    "lora.rank",
    "lora.targets",
    "data.train",
    "data.golden",
    "data.validation",
    "data.max-tokens",
    "data.over-long",
    "data.train-on",
    "data.clean.duplicates",
    "train.epochs",
    "train.rows-per-step",
    "train.micro-batch-tokens",
    "train.learning-rate",
    "train.schedule",
    "train.warmup",
    "train.seed",
    "train.save-activations",
    "checkpoint.every",
    "checkpoint.keep",
    "eval.every",
    "output.dir",
];

/// Text as a TOML string; JSON's strings are among them.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The whole file.
pub(super) fn config(
    wishes: &Wishes,
    data: &[PathBuf],
    look: &Look,
    parts: &Parts,
    suggestion: &Suggestion,
    files: &Files,
) -> String {
    let path = |path: &std::path::Path| quoted(&path.display().to_string());
    let sources: Vec<String> = data.iter().map(|path| path.display().to_string()).collect();
    let mut text = format!("# rtune train {}\n#\n", files.config.display());
    let about = format!(
        "{}: written by `rtune init` from {} ({} rows, language {}). `rtune keys` explains every key there is; any key can be given on \
         the command line, as in --set train.epochs=1. Paths are relative to the working directory.",
        wishes.name,
        sources.join(", "),
        look.records.len(),
        wishes.language
    );
    comment(&mut text, &about);
    let mut section = "";
    for key in KEYS {
        let own = match key {
            "model.base" => Some(quoted(&wishes.base)),
            "model.device" => Some(quoted(&wishes.device)),
            "data.train" => Some(path(&files.train)),
            "data.golden" if parts.golden.is_empty() => continue,
            "data.golden" => Some(path(&files.golden)),
            "output.dir" => Some(path(&wishes.out.join("run"))),
            _ => None,
        };
        let (value, why) = match (own, suggestion.get(key), default(key)) {
            (Some(value), ..) => (value, None),
            (None, Some(choice), _) => (choice.value.clone(), Some(&choice.why)),
            (None, None, Some(default)) => (default, None),
            (None, None, None) => continue,
        };
        let Some((of, name)) = key.rsplit_once('.') else { continue };
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        }
        comment(&mut text, meaning(key));
        if let Some(why) = why {
            comment(&mut text, &format!("Here: {why}."));
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

/// `sentence` as comment lines.
fn comment(text: &mut String, sentence: &str) {
    let mut line = "#".to_owned();
    for word in sentence.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
