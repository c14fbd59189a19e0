//! Questions on a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use dialoguer::{Input, Select};
use rtune_models::hub::ALIASES;

/// What dialoguer says when the terminal went away or the user ended the questions.
const ENDED: &str = "the questions were not answered";

/// Whether there is somebody to ask.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

pub(super) fn data() -> anyhow::Result<PathBuf> {
    let is_there = |path: &String| match Path::new(path).exists() {
        true => Ok(()),
        false => Err(format!("{path}: no such file; paths are relative to the working directory")),
    };
    let path: String = Input::new()
        .with_prompt("JSONL file with the rows to learn")
        .validate_with(is_there)
        .interact_text()
        .context(ENDED)?;
    Ok(path.into())
}

pub(super) fn text(question: &str, default: &str) -> anyhow::Result<String> {
    Input::new().with_prompt(question).default(default.to_owned()).interact_text().context(ENDED)
}

/// One of the aliases, or what else is named.
pub(super) fn base() -> anyhow::Result<String> {
    let mut choices: Vec<String> = ALIASES
        .iter()
        .map(|alias| {
            let mebibytes = alias.size_bytes >> 20;
            format!("{} ({mebibytes} MiB, {})", alias.name, alias.licence)
        })
        .collect();
    choices.push("another: a Hugging Face repository, a folder or a .gguf file".to_owned());
    let chosen =
        Select::new().with_prompt("Base model").items(&choices).default(0).interact().context(ENDED)?;
    match ALIASES.get(chosen) {
        Some(alias) => Ok(alias.name.to_owned()),
        None => Input::new().with_prompt("Which one").interact_text().context(ENDED),
    }
}

/// In GiB.
pub(super) fn memory(free_gib: Option<f64>) -> anyhow::Result<f64> {
    let question = Input::new().with_prompt("Memory that training may take, in GiB");
    let question = match free_gib {
        Some(free) => question.default((free * 10.0).floor() / 10.0),
        None => question,
    };
    question.interact_text().context(ENDED)
}
