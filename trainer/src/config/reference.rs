//! The reference of the configuration, read off the readers: what they expect, what they fill in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::elsewhere::KEYS_ELSEWHERE;
use super::meanings::{Meaning, SECTIONS, meanings};
use super::tree::Value;
use super::{Config, ConfigError, KEYS, names};

/// The keys without a default, and nothing else.
const LEAST: &str = "[model]\nbase = \"base\"\n[data]\ntrain = \"train.jsonl\"\n[output]\ndir = \"run\"\n";

const HEAD: &str = "\
# The configuration

A run is described by one TOML file. An unknown key is an error that names the nearest one, all problems of a file are
reported at once with their places, and paths are relative to the working directory. Any key can be given on the command
line as well: `--set train.epochs=1`; a value that is not TOML is taken as text. `rtune init` writes a commented
configuration, [configs/](../configs) has more, and `rtune keys KEY` shows what stands here of one key.

This page is written by `rtune keys > docs/configuration.md`, and a test holds it to what the program reads.
";

/// The whole reference, as Markdown.
pub fn reference() -> String {
    let defaults = defaults();
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let own = key.rsplit_once('.').map_or("", |(section, _)| section);
        if own != section {
            section = own;
            let about = SECTIONS.iter().find(|(name, _)| *name == section).map_or("", |(_, about)| about);
            // Writing to a string cannot fail.
            let _ = write!(page, "\n## [{section}]\n\n{about}\n");
        }
        let _ = write!(page, "\n### {key}\n\n{}", entry(key, &defaults));
    }
    page + &unanswered()
}

/// What the reference says of one key, or `None` if there is none of that name.
pub fn describe(key: &str) -> Option<String> {
    KEYS.contains(&key).then(|| entry(key, &defaults()))
}

/// The value that a key has where it is left out, as TOML; `None` for a key that then has none.
pub fn default(key: &str) -> Option<String> {
    defaults().remove(key).filter(|_| !REQUIRED.contains(&key))
}

/// What is meant by a name that is no key: another tool's key, or a typing error.
pub fn hint(name: &str) -> Option<String> {
    names::hint_for(name, &Value::Boolean(true), &[])
}

fn entry(key: &str, defaults: &BTreeMap<String, String>) -> String {
    let found = meanings().find(|one| one.key == key);
    let &Meaning { text, unset, .. } = found.unwrap_or(&Meaning { key: "", text: "", unset: "" });
    let default = match (REQUIRED.contains(&key), defaults.get(key)) {
        (true, _) => "none, the key must be there".to_owned(),
        (false, Some(value)) => format!("`{value}`"),
        (false, None) => unset.to_owned(),
    };
    let mut lines = format!("{text}\n\n- value: {}\n- left out: {default}\n", expected(key));
    let theirs: Vec<String> = KEYS_ELSEWHERE
        .iter()
        .filter(|(_, ours)| stands_for(ours, key))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if !theirs.is_empty() {
        let _ = writeln!(lines, "- elsewhere: {}", theirs.join(", "));
    }
    lines
}

/// Whether an answer to another tool's key begins with this key, or with this key and a value.
fn stands_for(ours: &str, key: &str) -> bool {
    ours.strip_prefix('`')
        .and_then(|rest| rest.strip_prefix(key))
        .is_some_and(|rest| rest.starts_with(['`', ' ']))
}

/// What the reader of a key says that it expects, asked by giving it what no key takes.
fn expected(key: &str) -> String {
    let ask = |argument: String| match Config::parse("", LEAST, &[argument]) {
        Err(ConfigError::Problems(problems)) => problems.0.into_iter().find_map(|problem| {
            let (_, rest) = problem.message.split_once(": expected ")?;
            Some(rest.rsplit_once(", found ")?.0.to_owned())
        }),
        _ => None,
    };
    match ask(format!("{key}=[]")).unwrap_or_default() {
        table if table == "a table" => {
            let inner = ask(format!("{key}={{ name = [] }}")).unwrap_or_default();
            format!("a table from names to values, each {inner}")
        }
        // A list is what such a key takes.
        nothing if nothing.is_empty() => ask(format!("{key}=true")).unwrap_or_default(),
        other => other,
    }
}

/// What the readers fill in.
fn defaults() -> BTreeMap<String, String> {
    Config::parse("", LEAST, &[]).map(|config| config.lines()).unwrap_or_default()
}

/// The keys of [`LEAST`].
const REQUIRED: [&str; 3] = ["model.base", "data.train", "output.dir"];

/// Other tools' keys that have no counterpart, by the reason.
fn unanswered() -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, ours) in KEYS_ELSEWHERE.iter().filter(|(_, ours)| !ours.starts_with('`')) {
        match reasons.iter_mut().find(|(reason, _)| reason == ours) {
            Some((_, names)) => names.push(format!("`{name}`")),
            None => reasons.push((ours, vec![format!("`{name}`")])),
        }
    }
    let mut page = "\n## Keys of other tools that have none here\n\n".to_owned();
    for (reason, names) in reasons {
        let _ = writeln!(page, "- {}: {reason}", names.join(", "));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_meaning_in_the_order_of_the_keys() {
        let meant: Vec<&str> = meanings().map(|one| one.key).collect();
        assert_eq!(meant, KEYS);
        assert!(meanings().all(|one| one.text.ends_with('.')));
    }

    #[test]
    fn every_key_says_what_it_takes_and_what_holds_without_it() {
        let defaults = defaults();
        assert!(defaults.len() > 20, "{defaults:?}");
        for key in KEYS {
            assert!(!expected(key).is_empty(), "{key} does not say what it expects");
            let has_value = defaults.contains_key(*key);
            let unset = meanings().find(|one| one.key == *key).map_or("", |one| one.unset);
            assert_eq!(
                has_value && !REQUIRED.contains(key),
                unset.is_empty() && !REQUIRED.contains(key),
                "{key}"
            );
        }
    }

    #[test]
    fn an_entry_is_what_the_readers_say() {
        let entry = describe("lora.rank").expect("a key");
        assert!(
            entry.contains("- value: an integer from 1 to 4096\n- left out: `16`\n- elsewhere: `lora_r`"),
            "{entry}"
        );
        assert_eq!(describe("lora.r"), None);
        assert_eq!(
            expected("lora.rank-pattern"),
            "a table from names to values, each an integer from 1 to 4096"
        );
    }
}
