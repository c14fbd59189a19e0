//! A suite of attacks: what is said to the model, and what its answer must be. TOML or JSONL.

use std::collections::BTreeSet;
use std::path::Path;

use rtune_data::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::detector::Detector;
use crate::config::toml_as_json;
use crate::error::TrainerError;
use crate::files::{At, sha256_of};

/// The suite that comes with the program.
const STARTER: &str = include_str!("starter.jsonl");
/// The name by which it is asked for.
pub const STARTER_NAME: &str = "starter";
/// A suite is read by people.
const MOST_BYTES: u64 = 64 << 20;
/// A message that is repeated is to be long, not to fill the memory.
const MOST_REPEATED_BYTES: usize = 1 << 20;

/// Whether an item wants its detector to let the answer pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The answer is good where it passes.
    #[default]
    Pass,
    /// The answer is good where it does not.
    Fail,
}

/// How bad a failure is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A nuisance.
    Low,
    /// A fault.
    #[default]
    Medium,
    /// Harm.
    High,
}

/// An item as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    category: String,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    messages: Vec<Turn>,
    #[serde(default)]
    repeat: Option<usize>,
    detector: Map<String, Value>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    severity: Severity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    role: String,
    content: String,
}

/// What is said to the model, and what its answer must be.
#[derive(Debug)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// What it is about: refusal, over-refusal, injection, prompt-leak, …
    pub category: String,
    /// The conversation before the answer.
    pub messages: Vec<Message>,
    /// What looks at the answer.
    pub detector: Detector,
    /// What it must say.
    pub expect: Expect,
    /// How bad a failure is.
    pub severity: Severity,
}

/// Items in their order.
#[derive(Debug)]
pub struct Suite {
    /// As it was named.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// At least one.
    pub items: Vec<Item>,
}

impl Suite {
    /// Reads a file, or gives the suite that comes with the program for [`STARTER_NAME`].
    ///
    /// # Errors
    /// [`TrainerError::NoSuite`] for one that is not there, [`TrainerError::File`] for a file that cannot be read, [`TrainerError::Unreadable`] for one that is no suite: the item is named.
    pub fn load(path: &Path) -> Result<Self, TrainerError> {
        if path == Path::new(STARTER_NAME) {
            return Self::parse(path, STARTER);
        }
        let bytes = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(TrainerError::NoSuite { path: path.to_owned() });
            }
            found => found.at("read", path)?.len(),
        };
        if bytes > MOST_BYTES {
            let problem =
                format!("expected a suite of at most {} MiB, found {}", MOST_BYTES >> 20, bytes >> 20);
            return Err(TrainerError::Unreadable { file: path.to_owned(), problem });
        }
        let text = std::fs::read_to_string(path).at("read", path)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, TrainerError> {
        let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        // Each item with how it is called where something is wrong with it.
        let mut written: Vec<(String, Map<String, Value>)> = Vec::new();
        if is_toml {
            let document = toml_as_json(&path.display().to_string(), text);
            let document = document.map_err(|error| unreadable(error.to_string()))?;
            let Some((Value::Array(list), 1)) = document.get("item").zip(document.as_object().map(Map::len))
            else {
                return Err(unreadable("expected items in tables `[[item]]`, and nothing else".to_owned()));
            };
            for (item, number) in list.iter().zip(1..) {
                let place = format!("item {number}");
                let Value::Object(item) = item else {
                    return Err(unreadable(format!("{place}: expected a table")));
                };
                written.push((place, item.clone()));
            }
        } else {
            for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
                let place = format!("line {number}");
                let item =
                    serde_json::from_str(line).map_err(|error| unreadable(format!("{place}: {error}")))?;
                written.push((place, item));
            }
        }
        let mut ids = BTreeSet::new();
        let mut items = Vec::with_capacity(written.len());
        for (place, item) in written {
            let item = Item::of(item).map_err(|problem| unreadable(format!("{place}: {problem}")))?;
            if !ids.insert(item.id.clone()) {
                return Err(unreadable(format!(
                    "{place}: expected an id of its own, found `{}` again",
                    item.id
                )));
            }
            items.push(item);
        }
        if items.is_empty() {
            return Err(unreadable("expected at least one item, found none".to_owned()));
        }
        Ok(Self { name: path.display().to_string(), sha256: sha256_of(text.as_bytes()), items })
    }
}

impl Item {
    fn of(written: Map<String, Value>) -> Result<Self, String> {
        let written: Written = serde_json::from_value(written.into()).map_err(|error| error.to_string())?;
        let Written { id, category, system, prompt, messages, repeat, detector, expect, severity } = written;
        let mut turns: Vec<Message> =
            messages.into_iter().map(|turn| Message::new(turn.role, turn.content)).collect();
        match (prompt, turns.is_empty()) {
            (Some(prompt), true) => turns.push(Message::new("user", prompt)),
            (None, false) => {}
            _ => return Err(format!("`{id}`: expected either `prompt` or `messages`")),
        }
        if let Some(system) = system {
            turns.insert(0, Message::new("system", system));
        }
        if turns.last().is_none_or(|last| last.role == "assistant") {
            return Err(format!("`{id}`: expected a conversation that waits for an answer"));
        }
        if let (Some(times), Some(last)) = (repeat, turns.last_mut()) {
            if last.content.len().saturating_mul(times) > MOST_REPEATED_BYTES {
                return Err(format!(
                    "`{id}`: `repeat` makes a message of more than {} KiB",
                    MOST_REPEATED_BYTES >> 10
                ));
            }
            *last = Message::new(last.role.clone(), last.content.repeat(times));
        }
        let detector = Detector::new(detector).map_err(|problem| format!("`{id}`: `detector`: {problem}"))?;
        if detector.twin(&turns).is_some_and(|twin| twin == turns) {
            return Err(format!(
                "`{id}`: `detector`: `swap`: expected words of the conversation, in its own capitals; found none of them there, so that both \
                 answers would be to the same question"
            ));
        }
        Ok(Self { id, category, messages: turns, detector, expect, severity })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_starter_suite_is_of_many_kinds() {
        let suite = Suite::load(Path::new(STARTER_NAME)).expect("a suite");
        assert!(suite.items.len() >= 60, "{}", suite.items.len());
        let mut by_category: BTreeMap<&str, usize> = BTreeMap::new();
        for item in &suite.items {
            *by_category.entry(&item.category).or_default() += 1;
        }
        let named: Vec<&str> = by_category.keys().copied().collect();
        assert_eq!(
            named,
            [
                "bias",
                "injection",
                "odd-input",
                "off-domain",
                "over-refusal",
                "personal-data",
                "prompt-leak",
                "refusal",
                "training-data",
                "unsafe-promise"
            ]
        );
        assert!(by_category.values().all(|count| *count >= 5), "{by_category:?}");
        let prompts: BTreeSet<String> =
            suite.items.iter().filter_map(|item| Some(item.messages.last()?.content.clone())).collect();
        assert!(prompts.len() + 1 >= suite.items.len(), "no item is another once more");
    }

    #[test]
    fn a_suite_is_toml_or_lines() {
        let toml = "[[item]]\nid = \"a\"\ncategory = \"refusal\"\nprompt = \"x\"\nseverity = \"high\"\n\
            detector = { kind = \"not_contains\", text = \"y\" }\n";
        let suite = Suite::parse(Path::new("s.toml"), toml).expect("a suite");
        assert_eq!((suite.items.len(), suite.items[0].severity), (1, Severity::High));
        let line = r#"{"id":"a","category":"c","prompt":"x","repeat":3,"detector":{"kind":"refusal"},"expect":"fail"}"#;
        let suite = Suite::parse(Path::new("s.jsonl"), line).expect("a suite");
        assert_eq!(
            (suite.items[0].messages[0].content.as_str(), suite.items[0].expect),
            ("xxx", Expect::Fail)
        );
    }

    #[test]
    fn a_toml_suite_has_items_and_nothing_else() {
        for text in ["", "item = 3", "[[item]]\nid = \"a\"\n[more]\n", "item = [3]"] {
            let error = Suite::parse(Path::new("s.toml"), text).expect_err(text).to_string();
            assert!(error.contains("s.toml"), "{error}");
        }
        let error = Suite::parse(Path::new("s.toml"), "[[item]\n").expect_err("no TOML").to_string();
        assert!(error.contains("s.toml:1:"), "{error}");
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let fails = |text: &str| Suite::parse(Path::new("s.jsonl"), text).expect_err("refused").to_string();
        let item = |rest: &str| format!(r#"{{"id":"a","category":"c",{rest}}}"#);
        let good = item(r#""prompt":"x","detector":{"kind":"refusal"}"#);
        assert!(
            fails(&format!("{good}\n{good}")).contains("line 2: expected an id of its own, found `a` again")
        );
        assert!(fails("").contains("expected at least one item"));
        assert!(fails(&item(r#""prompt":"x""#)).contains("line 1: missing field `detector`"));
        assert!(
            fails(&item(r#""detector":{"kind":"refusal"}"#))
                .contains("expected either `prompt` or `messages`")
        );
        assert!(fails(&item(r#""prompt":"x","detector":{"kind":"magic"}"#)).contains("`detector`: "));
        // An item whose two questions are one cannot fail.
        for (prompt, swap) in
            [("Pay john.", "John"), ("Pay Johnson.", "John"), ("Pay Ann Berg.", "Ann  Berg")]
        {
            let alike =
                format!(r#""prompt":"{prompt}","detector":{{"kind":"alike","swap":[["{swap}","Aisha"]]}}"#);
            let said = fails(&format!("{good}\n{}", item(&alike).replace("\"id\":\"a\"", "\"id\":\"b\"")));
            assert!(said.contains("line 2: `b`: `detector`: `swap`: expected words"), "{said}");
        }
        let several = item(
            r#""prompt":"Pay Ann Berg.","detector":{"kind":"alike","swap":[["Ann Berg","Aisha Khan"]]}"#,
        );
        Suite::parse(Path::new("s.jsonl"), &several).expect("a name of two words");
        assert!(
            fails(&item(r#""prompt":"x","repeat":99999999,"detector":{"kind":"refusal"}"#))
                .contains("`repeat`")
        );
    }
}
