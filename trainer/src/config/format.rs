//! Files that are no TOML because they are another tool's configuration.

use super::names;
use super::problem::Problem;

/// What to write in their place.
const TOML: &str =
    "write it as TOML: `key = value` lines under a `[section]`; `rtune init` writes a commented one";

/// The problem of a whole file that is YAML or JSON, with what its keys are called here.
pub(super) fn recognise(name: &str, text: &str) -> Option<Problem> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let kind = if first == "---" || key_of(first).is_some() {
        "YAML"
    } else if first.starts_with('{') {
        "JSON"
    } else {
        return None;
    };
    let mut hints = vec![TOML.to_owned()];
    for key in text.lines().filter_map(key_of) {
        if let Some(says) = names::elsewhere(key, None).filter(|says| !hints.contains(says)) {
            hints.push(says);
        }
    }
    let message = format!("expected TOML, found what looks like {kind}");
    Some(Problem { place: name.to_owned(), message, hint: Some(hints.join("\n")) })
}

/// The key of a line such as `key: value`, `- key: value` or `"key": value`.
fn key_of(line: &str) -> Option<&str> {
    let (key, value) = line.trim().trim_start_matches("- ").split_once(':')?;
    let key = key.trim_matches('"');
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    (is_name && (value.is_empty() || value.starts_with(' '))).then_some(key)
}
