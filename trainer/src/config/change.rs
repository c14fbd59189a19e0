//! What stands otherwise in two configurations.

use std::collections::BTreeMap;
use std::fmt;

use super::{Config, GateSection, WatchdogSection, typed};

/// A key that stands otherwise in two configurations. Values are TOML; none where the key is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// With its section.
    pub key: String,
    /// What it was.
    pub was: Option<String>,
    /// What it is.
    pub is: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(out, "`{}` was {}, is {}", self.key, said(&self.was), said(&self.is))
    }
}

impl Config {
    /// What differs from `began`, key by key, whatever `[output]` says.
    pub fn changes(&self, began: &Self) -> Vec<Change> {
        let (now, began) = (self.without_output().complete(), began.without_output().complete());
        let keys: std::collections::BTreeSet<&String> = began.keys().chain(now.keys()).collect();
        let differing = keys.into_iter().filter(|key| began.get(*key) != now.get(*key));
        differing
            .map(|key| Change { key: key.clone(), was: began.get(key).cloned(), is: now.get(key).cloned() })
            .collect()
    }

    /// Every written key with its section, and its value as TOML.
    pub(super) fn lines(&self) -> BTreeMap<String, String> {
        let mut section = String::new();
        let mut lines = BTreeMap::new();
        for line in self.to_toml().lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once(" = ") {
                lines.insert(format!("{section}.{key}"), value.to_owned());
            }
        }
        lines
    }

    /// The same with the keys of sections that are written only where they are other than by default.
    fn complete(&self) -> BTreeMap<String, String> {
        let mut lines = self.lines();
        let defaults = [
            ("watchdog", typed::lines("watchdog", &WatchdogSection::default())),
            ("gate", typed::lines("gate", &GateSection::default())),
        ];
        for (section, of_section) in defaults {
            for (key, value) in of_section {
                lines.entry(format!("{section}.{key}")).or_insert_with(|| value.to_string());
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_by_default_is_no_change() {
        let of = |more: &str| {
            let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n{more}");
            Config::parse("c.toml", &text, &[]).expect("valid")
        };
        let changes = of("[watchdog]\nnot-finite='skip'\n").changes(&of(""));
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["`watchdog.not-finite` was \"stop\", is \"skip\""]);
        assert_eq!(of("").changes(&of("[watchdog]\nspike='warn'\n")), []);
    }
}
